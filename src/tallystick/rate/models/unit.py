"""`unit`: quantity x price. 1,872 hours at 0.01 are 18.72 (billing.md, Price book)."""

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
class UnitModel(QuantityModel):
    """`unit`: `price` in the plan's currency per unit, up to 12 decimals."""

    NAME: ClassVar[str] = "unit"
    KEYS: ClassVar[tuple[str, ...]] = ("price",)

    price: Fraction

    def __post_init__(self) -> None:
        """Refuse what is no exact price.

        Raises:
            TypeError: `price` is no Fraction.

        """
        if not isinstance(self.price, Fraction):
            raise TypeError(f"a price needs a Fraction, got {self.price!r}")

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`price`, per unit."""
        return cls(price=fields.decimal("price", required=True))

    def write(self) -> Mapping[str, object]:
        """`price`."""
        return {"price": exact_text(self.price)}

    def first_price(self) -> Fraction:
        """The price."""
        return self.price

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """Quantity x price, whatever came before."""
        del position
        amount = piece.quantity * self.price
        currency = piece.span.plan.currency
        text = f"{exact_text(piece.quantity)} {piece.charge.per} x {exact_text(self.price)} {currency}"
        step = Step(name=self.NAME, text=text, before=piece.quantity, after=amount, unit=currency)
        return (Priced(tier=1, quantity=piece.quantity, unit_price=self.price, amount=amount, steps=(step,)),)
