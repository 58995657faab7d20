"""`volume`: the whole quantity at the price of the tier that it reaches (billing.md, Price book).

150 at 0.10 up to 100 and 0.08 above are 150 x 0.08 = 12.00.
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
from tallystick.rate.models.tiers import VOLUME_KEYS, Tier, read_tiers, scaled, tier_of, write_tiers
from tallystick.rate.slices import PACKAGE, Position, Priced, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeModel(QuantityModel):
    """`volume`: a ladder of tiers, of which the period's whole quantity chooses one; its `flat` is due once in a period."""

    NAME: ClassVar[str] = "volume"
    KEYS: ClassVar[tuple[str, ...]] = ("tiers",)

    tiers: tuple[Tier, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`tiers`, each with `up_to`, `price`, and perhaps `flat` and `size`."""
        return cls(tiers=read_tiers(fields, VOLUME_KEYS))

    def write(self) -> Mapping[str, object]:
        """`tiers`."""
        return {"tiers": write_tiers(self.tiers, VOLUME_KEYS)}

    def first_price(self) -> Fraction:
        """That of the first tier."""
        return self.tiers[0].unit_price

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The slice at its version's price for the whole period's quantity, and its share of the flat fee."""
        ordinal, tier = tier_of(scaled(self.tiers, position.active), position.reached)
        unit, currency = piece.charge.per, piece.span.plan.currency
        counted = tier.counted(position.before + piece.quantity) - tier.counted(position.before)
        steps = []
        if tier.size is not None:
            begun = f"{exact_text(counted)} packages begun of {exact_text(tier.size)} {unit}"
            steps.append(Step(name="packages", text=begun, before=piece.quantity, after=counted, unit=PACKAGE))
            unit = PACKAGE
        fixed = tier.flat * position.share(piece.quantity)
        amount = counted * tier.price + fixed
        chosen = f"tier {ordinal} by {exact_text(position.reached)} {piece.charge.per} in the period{position.and_before}"
        text = f"{chosen}: {exact_text(counted)} {unit} x {exact_text(tier.price)} {currency}"
        if fixed:
            part = "" if fixed == tier.flat else f" x {position.share(piece.quantity)}"
            text += f" + {exact_text(tier.flat)}{part} flat"
        steps.append(Step(name=self.NAME, text=text, before=counted, after=amount, unit=currency))
        return (
            Priced(
                tier=ordinal,
                quantity=counted,
                unit="" if tier.size is None else PACKAGE,
                unit_price=tier.price,
                fixed=fixed,
                amount=amount,
                steps=tuple(steps),
            ),
        )
