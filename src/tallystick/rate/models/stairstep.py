"""`stairstep`: the flat price of the tier that a quantity reaches (billing.md, Price book).

4,500 with 50 up to 1,000 and 200 up to 5,000 are 200.00.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.books.reader import Fields
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.models.tiers import STAIR_KEYS, Tier, read_tiers, scaled, tier_of, write_tiers
from tallystick.rate.slices import Position, Priced, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class StairstepModel(QuantityModel):
    """`stairstep`: stairs of which the period's whole quantity chooses one; its `flat` is the price of the period."""

    NAME: ClassVar[str] = "stairstep"
    KEYS: ClassVar[tuple[str, ...]] = ("tiers",)

    tiers: tuple[Tier, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`tiers`, each with `up_to` and `flat`."""
        return cls(tiers=read_tiers(fields, STAIR_KEYS))

    def write(self) -> Mapping[str, object]:
        """`tiers`."""
        return {"tiers": write_tiers(self.tiers, STAIR_KEYS)}

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The slice's share of the flat price that the whole period's quantity reaches, in its version's stairs."""
        ordinal, tier = tier_of(scaled(self.tiers, position.active), position.reached)
        unit, currency = piece.charge.per, piece.span.plan.currency
        share = position.share(piece.quantity)
        amount = tier.flat * share
        reached = f"stair {ordinal} by {exact_text(position.reached)} {unit} in the period{position.and_before}"
        counted = Step(name="share", text=f"{reached}: {share} of it here", before=piece.quantity, after=share, unit="period")
        text = f"{share} x {exact_text(tier.flat)} {currency}"
        step = Step(name=self.NAME, text=text, before=share, after=amount, unit=currency)
        return (Priced(tier=ordinal, quantity=share, unit="period", unit_price=tier.flat, amount=amount, steps=(counted, step)),)
