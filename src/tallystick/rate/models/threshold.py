"""`threshold`: a price that is multiplied by what belongs to the highest level that the quantity reaches.

50 at 0.001 with 0.98 from 50 on are 50 x 0.00098 = 0.049: unlike the bound of a tier, a level belongs to what is above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.books.reader import Fields
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.slices import Position, Priced, Slice

LEVEL_KEYS = ("from", "multiplier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """From a quantity on, `level` included, the price is multiplied by `multiplier`."""

    level: Fraction
    multiplier: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdModel(QuantityModel):
    """`threshold`: `price` per unit times the multiplier of the highest of `thresholds` that the period's quantity reaches."""

    NAME: ClassVar[str] = "threshold"
    KEYS: ClassVar[tuple[str, ...]] = ("price", "thresholds")

    price: Fraction
    thresholds: tuple[Threshold, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`price`, and `thresholds`, each with `from` and `multiplier`."""
        found: list[Threshold] = []
        items = fields.items("thresholds", "thresholds", required=True)
        if not items and "thresholds" in fields.nodes:
            fields.wrong("thresholds", "an empty list", "at least one threshold")
        for place, node in items:
            inner = fields.reader.fields(node, place, LEVEL_KEYS)
            level = inner.decimal("from", required=True, positive=True)
            if found and level and level <= found[-1].level:
                inner.wrong("from", exact_text(level), f"more than the level before it, {exact_text(found[-1].level)}")
            found.append(Threshold(level=level, multiplier=inner.decimal("multiplier", required=True)))
        return cls(price=fields.decimal("price", required=True), thresholds=tuple(found))

    def write(self) -> Mapping[str, object]:
        """`price` and `thresholds`."""
        levels = [{"from": exact_text(each.level), "multiplier": exact_text(each.multiplier)} for each in self.thresholds]
        return {"price": exact_text(self.price), "thresholds": levels}

    def first_price(self) -> Fraction:
        """The price below all thresholds."""
        return self.price

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The slice at its version's price and multiplier for the whole period's quantity."""
        reached = [each for each in self.thresholds if position.total >= each.level * position.active]
        multiplier = max(reached, key=lambda each: each.level).multiplier if reached else Fraction(1)
        unit, currency = piece.charge.per, piece.span.plan.currency
        price = self.price * multiplier
        amount = piece.quantity * price
        by = f"{exact_text(position.total)} {unit} in the period"
        text = f"{exact_text(piece.quantity)} {unit} x {exact_text(self.price)} {currency} x {exact_text(multiplier)} by {by}"
        step = Step(name=self.NAME, text=text, before=piece.quantity, after=amount, unit=currency)
        return (Priced(tier=1 + len(reached), quantity=piece.quantity, unit_price=price, amount=amount, steps=(step,)),)
