"""`p95`: a percentile of the five-minute rates of a period x price (billing.md, Price book).

Of 20 slots the 95th percentile by nearest rank is the 19th: the busiest one is not paid for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, Self

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.model.billing.ranks import interpolated, nearest_rank
from tallystick.rate.books.reader import Fields
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.slices import Position, Priced, Slice
from tallystick.rate.units import MEGABIT_RATE


class RankMethod(StrEnum):
    """How a percentile that lies between two rates is chosen."""

    NEAREST = "nearest"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class P95Model(QuantityModel):
    """`p95`: `price` of a Mbit/s at the `percentile` of the period, chosen by `method`."""

    NAME: ClassVar[str] = "p95"
    KEYS: ClassVar[tuple[str, ...]] = ("price", "percentile", "method")
    ALLOWANCES: ClassVar[bool] = False
    RATES: ClassVar[bool] = True

    price: Fraction
    percentile: Fraction = Fraction(95)
    method: RankMethod = RankMethod.NEAREST

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`price`, `percentile` (95) and `method`: `nearest` (default) or `linear`."""
        percentile = fields.decimal("percentile", positive=True) if "percentile" in fields.nodes else Fraction(95)
        if percentile > 100:
            fields.wrong("percentile", exact_text(percentile), "at most 100")
        method = RankMethod(fields.choice("method", list(RankMethod), default=RankMethod.NEAREST))
        return cls(price=fields.decimal("price", required=True), percentile=percentile, method=method)

    def write(self) -> Mapping[str, object]:
        """`price`, and what is not the default."""
        percentile = "" if self.percentile == 95 else exact_text(self.percentile)
        method = "" if self.method is RankMethod.NEAREST else self.method.value
        return {"price": exact_text(self.price), "percentile": percentile, "method": method}

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The period's percentile for the share of its slots that the slice has, at the price of its version."""
        unit, currency = piece.charge.per, piece.span.plan.currency
        rates = [MEGABIT_RATE.of(Fraction(max(received, sent))) for _, received, sent in position.slots]
        choose = nearest_rank if self.method is RankMethod.NEAREST else interpolated
        whole = choose(rates, self.percentile) if rates else Fraction(0)
        share = Fraction(len(piece.slots), len(rates)) if rates else Fraction(1)
        rate = whole * share
        part = "" if share == 1 else f", for {len(piece.slots)} of them here"
        said = f"percentile {exact_text(self.percentile)} of {len(rates)} measured slots, {self.method}: {exact_text(whole)} {unit}{part}"
        chosen = Step(name="percentile", text=said, before=piece.quantity, after=rate, unit=unit)
        text = f"{exact_text(rate)} {unit} x {exact_text(self.price)} {currency}"
        step = Step(name=self.NAME, text=text, before=rate, after=rate * self.price, unit=currency)
        return (Priced(tier=1, quantity=rate, unit_price=self.price, amount=rate * self.price, steps=(chosen, step)),)
