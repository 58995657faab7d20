"""`graduated`: each part of a quantity at the price of the tier that it lies in (billing.md, Price book).

150 at 0.10 up to 100 and 0.08 above are 100 x 0.10 + 50 x 0.08 = 14.00.
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
from tallystick.rate.models.tiers import Part, Tier, parts_between, read_tiers, scaled, write_tiers
from tallystick.rate.slices import PACKAGE, Position, Priced, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class GraduatedModel(QuantityModel):
    """`graduated`: a ladder of tiers; a tier's `flat` is due once, when usage first lies in it."""

    NAME: ClassVar[str] = "graduated"
    KEYS: ClassVar[tuple[str, ...]] = ("tiers",)

    tiers: tuple[Tier, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`tiers`, each with `up_to`, `price`, and perhaps `flat`, `size` and `cap`."""
        return cls(tiers=read_tiers(fields))

    def write(self) -> Mapping[str, object]:
        """`tiers`."""
        return {"tiers": write_tiers(self.tiers)}

    def first_price(self) -> Fraction:
        """That of the first tier."""
        return self.tiers[0].unit_price

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The ladder goes on where the slice before it ended."""
        tiers = scaled(self.tiers, position.active)
        begin = position.filled + position.before
        parts = list(parts_between(tiers, begin, begin + piece.quantity))
        nothing = Part(ordinal=1, tier=tiers[0], from_quantity=Fraction(0), to_quantity=Fraction(0))
        return tuple(_of_part(part, piece, self.NAME) for part in parts or [nothing])


def _of_part(part: Part, piece: Slice, name: str) -> Priced:
    tier, quantity, counted, amount = part.tier, part.quantity, part.counted, part.amount
    unit, currency = piece.charge.per, piece.span.plan.currency
    fixed = amount - counted * tier.price
    bounds = f"{exact_text(part.from_quantity)} to {exact_text(part.to_quantity)} {unit}"
    steps = [Step(name="tier", text=f"tier {part.ordinal}: from {bounds}", before=piece.quantity, after=quantity, unit=unit)]
    if tier.size is not None:
        text = f"{exact_text(counted)} packages begun of {exact_text(tier.size)} {unit}"
        steps.append(Step(name="packages", text=text, before=quantity, after=counted, unit=PACKAGE))
    priced_in = unit if tier.size is None else PACKAGE
    text = f"{exact_text(counted)} {priced_in} x {exact_text(tier.price)} {currency}{_fixed(fixed, tier)}"
    steps.append(Step(name=name, text=text, before=counted, after=amount, unit=currency))
    return Priced(
        tier=part.ordinal,
        quantity=counted,
        unit="" if tier.size is None else PACKAGE,
        unit_price=tier.price,
        fixed=fixed,
        amount=amount,
        steps=tuple(steps),
    )


def _fixed(fixed: Fraction, tier: Tier) -> str:
    """What is due beside the price: a flat fee, or what the cap of the tier takes off."""
    if fixed and (tier.cap is not None and fixed != tier.flat):
        return f" {'-' if fixed < 0 else '+'} {exact_text(abs(fixed))}: never more than {exact_text(tier.cap)} in the tier"
    return f" + {exact_text(fixed)} flat" if fixed else ""
