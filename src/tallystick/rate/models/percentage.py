"""`percentage`: a share of each event's amount, with a fixed fee, a minimum and a maximum for each (billing.md, Price book).

2.99 % of 10, 80 and 10,000, at least 1.75 and at most 12 each, are 1.75 + 2.392 + 12 = 16.142.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, Self

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.books.reader import Fields
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.slices import Position, Priced, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentageModel(QuantityModel):
    """`percentage`: of each event `percent` of its amount and `fixed`, together at least `minimum` and at most `maximum`.

    The first events of a period are free until `free_events` of them or `free_amount` of their sum is used up, whichever comes
    first; an event of which a part is free pays for the rest, and its fixed fee.
    """

    NAME: ClassVar[str] = "percentage"
    KEYS: ClassVar[tuple[str, ...]] = ("percent", "fixed", "minimum", "maximum", "free_events", "free_amount")
    EVENTS: ClassVar[bool] = True
    ALLOWANCES: ClassVar[bool] = False

    percent: Fraction
    fixed: Fraction = Fraction(0)
    minimum: Fraction = Fraction(0)
    maximum: Fraction | None = None
    free_events: Fraction | None = None
    free_amount: Fraction | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`percent`; `fixed`, `minimum` and `maximum` of each event; `free_events` and `free_amount` of a period."""
        optional = {name: fields.decimal(name) if name in fields.nodes else None for name in ("maximum", "free_events", "free_amount")}
        found = cls(
            percent=fields.decimal("percent", required=True),
            fixed=fields.decimal("fixed"),
            minimum=fields.decimal("minimum"),
            **optional,
        )
        if found.maximum is not None and found.maximum < found.minimum:
            fields.wrong("maximum", exact_text(found.maximum), f"at least the minimum, {exact_text(found.minimum)}")
        return found

    def write(self) -> Mapping[str, object]:
        """The keys that say something."""
        values = {name: getattr(self, name) for name in self.KEYS}
        return {
            name: exact_text(value) for name, value in values.items() if name == "percent" or value or (value == 0 and name == "maximum")
        }

    def fee(self, amount: Fraction) -> Fraction:
        """The fee of what is to pay of one event."""
        fee = max(amount * self.percent / 100 + self.fixed, self.minimum)
        return fee if self.maximum is None else min(fee, self.maximum)

    def fees(self, amounts: Iterable[Fraction]) -> tuple[Fraction, ...]:
        """The fee of each event of a period, in their order."""
        found, used = [], Fraction(0)
        for place, amount in enumerate(amounts):
            if self._lasts(place, used):
                free = amount if self.free_amount is None else min(amount, self.free_amount - used)
                found.append(self.fee(amount - free) if free < amount else Fraction(0))
            else:
                found.append(self.fee(amount))
            used += amount
        return tuple(found)

    def total(self, amounts: Iterable[Fraction]) -> Fraction:
        """The fees of all of them."""
        return sum(self.fees(amounts), Fraction(0))

    def _lasts(self, place: int, used: Fraction) -> bool:
        """Whether anything is free for the event at a place, of which so much came before."""
        return (
            (self.free_events is not None or self.free_amount is not None)
            and (self.free_events is None or place < self.free_events)
            and (self.free_amount is None or used < self.free_amount)
        )

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The fees of the slice's events; what is free goes on where the slice before it ended."""
        held = replace(
            self,
            free_events=None if self.free_events is None else self.free_events * position.active,
            free_amount=None if self.free_amount is None else self.free_amount * position.active,
        )
        fees = held.fees(event.amount for event in position.events + piece.events)[len(position.events) :]
        amount = sum(fees, Fraction(0))
        price, currency = self.percent / 100, piece.span.plan.currency
        told = [f"{len(fees)} events of {exact_text(piece.quantity)} in all, each {exact_text(self.percent)} %"]
        told += [f"+ {exact_text(self.fixed)}"] if self.fixed else []
        told += [f"at least {exact_text(self.minimum)}"] if self.minimum else []
        told += [f"at most {exact_text(self.maximum)}"] if self.maximum is not None else []
        told += [f"{sum(not fee for fee in fees)} free"] if held.free_events is not None or held.free_amount is not None else []
        step = Step(name=self.NAME, text=", ".join(told), before=piece.quantity, after=amount, unit=currency)
        fixed = amount - piece.quantity * price
        return (Priced(tier=1, quantity=piece.quantity, unit_price=price, fixed=fixed, amount=amount, steps=(step,)),)
