"""`bundle`: of each `size` units the first `paid` are paid for (docs/adding-a-price-model.md).

25 units of 12 for the price of 10 are 10 + 10 + 1 = 21 to pay.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleModel(QuantityModel):
    """`bundle`: `price` for the first `paid` of each `size` units, counted over the period; the rest of them is free."""

    NAME: ClassVar[str] = "bundle"
    KEYS: ClassVar[tuple[str, ...]] = ("price", "size", "paid")

    price: Fraction
    size: Fraction
    paid: Fraction

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`price` of a unit, the `size` of a bundle, and how many of it are `paid`."""
        size = fields.decimal("size", required=True, positive=True) or Fraction(1)
        paid = fields.decimal("paid", required=True)
        if paid > size:
            fields.wrong("paid", exact_text(paid), f"at most the size, {exact_text(size)}")
        return cls(price=fields.decimal("price", required=True), size=size, paid=paid)

    def write(self) -> Mapping[str, object]:
        """`price`, `size` and `paid`."""
        return {"price": exact_text(self.price), "size": exact_text(self.size), "paid": exact_text(self.paid)}

    def first_price(self) -> Fraction:
        """The price."""
        return self.price

    def due(self, quantity: Fraction) -> Fraction:
        """How many of the first units of a period are paid for."""
        bundles, rest = divmod(quantity, self.size)
        return bundles * self.paid + min(rest, self.paid)

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The units of the slice that are paid for: at a new version the bundle that was begun goes on."""
        unit, currency = piece.charge.per, piece.span.plan.currency
        units = self.due(position.before + piece.quantity) - self.due(position.before)
        told = f"{exact_text(self.paid)} of each {exact_text(self.size)} {unit} are paid for, after {exact_text(position.before)} before"
        counted = Step(name="paid", text=told, before=piece.quantity, after=units, unit=unit)
        text = f"{exact_text(units)} {unit} x {exact_text(self.price)} {currency}"
        step = Step(name=self.NAME, text=text, before=units, after=units * self.price, unit=currency)
        return (Priced(tier=1, quantity=units, unit_price=self.price, amount=units * self.price, steps=(counted, step)),)
