"""`spot`: each hour at its market price times a factor, never above a ceiling (billing.md, Price book).

2 h at 0.10 and 1 h at 0.90 with a factor of 1.2 and a ceiling of 0.50 are 0.24 + 0.50 = 0.74.
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
class SpotModel(QuantityModel):
    """`spot`: the market price of an hour, by region and kind, times `factor`; a unit never costs more than `ceiling`."""

    NAME: ClassVar[str] = "spot"
    KEYS: ClassVar[tuple[str, ...]] = ("factor", "ceiling")
    ALLOWANCES: ClassVar[bool] = False
    MARKET: ClassVar[bool] = True

    factor: Fraction = Fraction(1)
    ceiling: Fraction | None = None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`factor` (1) and perhaps `ceiling`, of a unit."""
        factor = fields.decimal("factor", positive=True) if "factor" in fields.nodes else Fraction(1)
        return cls(factor=factor, ceiling=fields.decimal("ceiling") if "ceiling" in fields.nodes else None)

    def write(self) -> Mapping[str, object]:
        """`factor` where it is not 1, and `ceiling`."""
        factor = "" if self.factor == 1 else exact_text(self.factor)
        return {"factor": factor, "ceiling": "" if self.ceiling is None else exact_text(self.ceiling)}

    def price(self, market: Fraction) -> Fraction:
        """What a unit costs in an hour of that market price."""
        price = market * self.factor
        return price if self.ceiling is None else min(price, self.ceiling)

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The sum over the hours; a unit costs what it cost on average."""
        del position
        unit, currency = piece.charge.per, piece.span.plan.currency
        amount = sum((hour.quantity * self.price(hour.price) for hour in piece.market), Fraction(0))
        mean = amount / piece.quantity if piece.quantity else Fraction(0)
        hours, reached = {hour.hour_ns for hour in piece.market}, {hour.hour_ns for hour in piece.market if self._reached(hour.price)}
        text = f"{exact_text(piece.quantity)} {unit} in {len(hours)} hours at the market price x {exact_text(self.factor)}"
        text += "" if self.ceiling is None else f", at most {exact_text(self.ceiling)} {currency}: so in {len(reached)} of them"
        step = Step(name=self.NAME, text=text, before=piece.quantity, after=amount, unit=currency)
        fixed = amount - piece.quantity * mean
        return (Priced(tier=1, quantity=piece.quantity, unit_price=mean, fixed=fixed, amount=amount, steps=(step,)),)

    def _reached(self, market: Fraction) -> bool:
        return self.ceiling is not None and market * self.factor > self.ceiling
