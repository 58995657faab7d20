"""`dynamic`: each event brings its price, within declared bounds (billing.md, Price book)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from tallystick.model.billing.invoices import Step, UsageEvent
from tallystick.model.billing.money import exact_text
from tallystick.model.instants import iso
from tallystick.rate.books.reader import Fields
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.slices import Position, Priced, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamicModel(QuantityModel):
    """`dynamic`: the sum of what events say that they cost, each at least `minimum` and at most `maximum`; else it is unpriced."""

    NAME: ClassVar[str] = "dynamic"
    KEYS: ClassVar[tuple[str, ...]] = ("minimum", "maximum")
    EVENTS: ClassVar[bool] = True
    ALLOWANCES: ClassVar[bool] = False

    maximum: Fraction
    minimum: Fraction = Fraction(0)

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`maximum`, and perhaps `minimum`, of one event."""
        found = cls(maximum=fields.decimal("maximum", required=True), minimum=fields.decimal("minimum"))
        if fields.sound and found.maximum < found.minimum:
            fields.wrong("maximum", exact_text(found.maximum), f"at least the minimum, {exact_text(found.minimum)}")
        return found

    def write(self) -> Mapping[str, object]:
        """`minimum` and `maximum`."""
        return {"minimum": exact_text(self.minimum) if self.minimum else "", "maximum": exact_text(self.maximum)}

    def refuses(self, event: UsageEvent) -> str:
        """An event without a price, or with one that was not agreed, has none."""
        at = f"the event of {event.resource_id} at {iso(event.at_ns)}"
        if event.price is None:
            return f"{at} brings no price"
        if self.minimum <= event.price <= self.maximum:
            return ""
        return f"{at} brings {exact_text(event.price)}, not {exact_text(self.minimum)} to {exact_text(self.maximum)}"

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The sum of the prices; a unit costs what it cost on average."""
        del position
        amount = sum((event.price or Fraction(0) for event in piece.events), Fraction(0))
        mean = amount / piece.quantity if piece.quantity else Fraction(0)
        currency = piece.span.plan.currency
        text = f"what {len(piece.events)} events brought, for {exact_text(piece.quantity)} {piece.charge.per}"
        step = Step(name=self.NAME, text=text, before=piece.quantity, after=amount, unit=currency)
        fixed = amount - piece.quantity * mean
        return (Priced(tier=1, quantity=piece.quantity, unit_price=mean, fixed=fixed, amount=amount, steps=(step,)),)
