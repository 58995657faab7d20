"""`graduated`: each part of a quantity at the price of the tier that it lies in (billing.md, Price book).

150 at 0.10 up to 100 and 0.08 above are 100 x 0.10 + 50 x 0.08 = 14.00.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from tallystick.model.billing.invoices import Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.books.reader import Fields
from tallystick.rate.models.model import QuantityModel
from tallystick.rate.models.tiers import Part, Tier, parts_between, read_tiers, scaled, write_tiers
from tallystick.rate.slices import Position, Priced, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class GraduatedModel(QuantityModel):
    """`graduated`: a ladder of tiers; a tier's `flat` is due once, when usage first lies in it."""

    NAME: ClassVar[str] = "graduated"
    KEYS: ClassVar[tuple[str, ...]] = ("tiers",)

    tiers: tuple[Tier, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """`tiers`, each with `up_to`, `price`, and perhaps `flat`."""
        return cls(tiers=read_tiers(fields))

    def write(self) -> Mapping[str, object]:
        """`tiers`."""
        return {"tiers": write_tiers(self.tiers)}

    def priced(self, piece: Slice, position: Position) -> tuple[Priced, ...]:
        """The ladder goes on where the slice before it ended."""
        tiers = scaled(self.tiers, position.active)
        parts = list(parts_between(tiers, position.before, position.before + piece.quantity))
        return tuple(_of_part(part, piece) for part in parts) or (_nothing(tiers[0], piece),)


def _of_part(part: Part, piece: Slice) -> Priced:
    tier, quantity = part.tier, part.quantity
    unit, currency = piece.charge.per, piece.span.plan.currency
    fixed = tier.flat if part.enters else tier.flat * 0
    amount = quantity * tier.price + fixed
    bounds = f"{exact_text(part.from_quantity)} to {exact_text(part.to_quantity)} {unit}"
    in_tier = Step(name="tier", text=f"tier {part.ordinal}: from {bounds}", before=piece.quantity, after=quantity, unit=unit)
    text = f"{exact_text(quantity)} {unit} x {exact_text(tier.price)} {currency}" + (f" + {exact_text(fixed)} flat" if fixed else "")
    step = Step(name=GraduatedModel.NAME, text=text, before=quantity, after=amount, unit=currency)
    return Priced(tier=part.ordinal, quantity=quantity, unit_price=tier.price, fixed=fixed, amount=amount, steps=(in_tier, step))


def _nothing(tier: Tier, piece: Slice) -> Priced:
    """Nothing lies in any tier: the line of the first says so, and its flat fee is not reached."""
    return _of_part(Part(ordinal=1, tier=tier, from_quantity=piece.quantity, to_quantity=piece.quantity, enters=False), piece)
