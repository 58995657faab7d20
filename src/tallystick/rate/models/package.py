"""`package`: packages begun (or completed) x the price of a package, counted over the period (billing.md, Price book).

250 in packages of 100 at 5.00 are 3 x 5.00 = 15.00.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Self

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.books.reader import Fields
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.slices import PACKAGE, Position, Priced, Slice


class Counted(StrEnum):
    """Which packages count: all that were begun, or those that were used up."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageModel(QuantityModel):
    """`package`: `price` for each `size` units of the charge; `counted` says whether a begun one counts."""

    NAME: ClassVar[str] = "package"
    KEYS: ClassVar[tuple[str, ...]] = ("price", "size", "counted")

    price: Fraction
    size: Fraction
    counted: Counted = Counted.UP

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`price` of a package, its `size`, and `counted`: `up` (default) or `down`."""
        return cls(
            price=fields.decimal("price", required=True),
            size=fields.decimal("size", required=True, positive=True) or Fraction(1),
            counted=Counted(fields.choice("counted", list(Counted), default=Counted.UP)),
        )

    def write(self) -> Mapping[str, object]:
        """`price`, `size`, and `counted` where it is `down`."""
        counted = "" if self.counted is Counted.UP else self.counted.value
        return {"price": exact_text(self.price), "size": exact_text(self.size), "counted": counted}

    def first_price(self) -> Fraction:
        """What a unit costs in a full package."""
        return self.price / self.size

    def packages(self, quantity: Fraction) -> int:
        """How many packages a quantity is: 250 in packages of 100 are 3 begun, 2 completed."""
        whole, rest = divmod(quantity, self.size)
        return whole + (rest > 0 and self.counted is Counted.UP)

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The packages that the slice opens: one that was open before goes on without a price."""
        before, after = self.packages(position.before), self.packages(position.before + piece.quantity)
        opened = Fraction(max(after - before, 0))
        unit, currency = piece.charge.per, piece.span.plan.currency
        amount = opened * self.price
        said = f"{'begun' if self.counted is Counted.UP else 'completed'} of {exact_text(self.size)} {unit}"
        counted = Step(name="packages", text=f"{opened} packages {said}", before=piece.quantity, after=opened, unit=PACKAGE)
        text = f"{opened} x {exact_text(self.price)} {currency}"
        step = Step(name=self.NAME, text=text, before=opened, after=amount, unit=currency)
        return (Priced(tier=1, quantity=opened, unit=PACKAGE, unit_price=self.price, amount=amount, steps=(counted, step)),)
