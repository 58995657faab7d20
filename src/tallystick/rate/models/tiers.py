"""Tiers as price books write them: a ladder of upper bounds, each of which belongs to its tier; the last has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tallystick.model.billing.money import exact_text
from tallystick.rate.books.reader import Fields

KEYS = ("up_to", "price", "flat")
STAIR_KEYS = ("up_to", "flat")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One tier: quantities above that of the tier before it, up to `up_to` (None: any), at `price`, with `flat` once reached."""

    up_to: Fraction | None
    price: Fraction = Fraction(0)
    flat: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a quantity that lies in a tier, the `ordinal`-th of its ladder, from 1: (`from_quantity`, `to_quantity`]."""

    ordinal: int
    tier: Tier
    from_quantity: Fraction
    to_quantity: Fraction
    enters: bool

    @property
    def quantity(self) -> Fraction:
        """How much lies in it."""
        return self.to_quantity - self.from_quantity


def read_tiers(fields: Fields, keys: Sequence[str] = KEYS) -> tuple[Tier, ...]:
    """The ladder of a charge. A bound that does not rise, or a quantity that no tier prices, is a mistake."""
    tiers: list[Tier] = []
    items = fields.items("tiers", "tiers", required=True)
    if not items and "tiers" in fields.nodes:
        fields.wrong("tiers", "an empty list", "at least one tier")
    for ordinal, (place, node) in enumerate(items, start=1):
        inner = fields.reader.fields(node, place, keys)
        last = ordinal == len(items)
        up_to = inner.decimal("up_to", positive=True) if "up_to" in inner.nodes else None
        if last and up_to is not None:
            inner.wrong("up_to", exact_text(up_to), "no up_to in the last tier: whatever is above it must have a price too")
        if not last and up_to is None and inner.sound:
            inner.wrong("up_to", "nothing", "an upper bound in every tier but the last")
        below = next((tier.up_to for tier in reversed(tiers) if tier.up_to is not None), None)
        if up_to is not None and below is not None and up_to <= below:
            inner.wrong("up_to", exact_text(up_to), f"more than the tier before it, {exact_text(below)}")
        price = inner.decimal("price", required="flat" not in inner.nodes) if "price" in keys else Fraction(0)
        tiers.append(Tier(up_to=up_to, price=price, flat=inner.decimal("flat", required="price" not in keys)))
    return tuple(tiers) or (Tier(up_to=None),)


def write_tiers(tiers: Sequence[Tier], keys: Sequence[str] = KEYS) -> list[dict[str, str]]:
    """The ladder in a canonical document: bounds, and what costs something; a tier that costs nothing says so."""
    return [_written(tier, keys) for tier in tiers]


def _written(tier: Tier, keys: Sequence[str]) -> dict[str, str]:
    costs = {name: exact_text(getattr(tier, name)) for name in keys if name != "up_to"}
    kept = {name: text for name, text in costs.items() if text != "0"} or dict([next(iter(costs.items()))])
    return kept if tier.up_to is None else {"up_to": exact_text(tier.up_to), **kept}


def scaled(tiers: Sequence[Tier], active: Fraction) -> tuple[Tier, ...]:
    """The ladder of a part of a period: bounds and flat fees in proportion, prices as they are."""
    if active == 1:
        return tuple(tiers)
    return tuple(
        Tier(up_to=None if tier.up_to is None else tier.up_to * active, price=tier.price, flat=tier.flat * active) for tier in tiers
    )


def parts_between(tiers: Sequence[Tier], before: Fraction, after: Fraction) -> Iterator[Part]:
    """The parts of (before, after] in the tiers they lie in, in order: what was used before fills the ladder first.

    `enters` tells that nothing before lay in the tier: its flat fee is due now. A tier that ends where usage ends is not passed.
    """
    below = Fraction(0)
    for ordinal, tier in enumerate(tiers, start=1):
        begin = max(before, below)
        end = after if tier.up_to is None else min(after, tier.up_to)
        if begin < end:
            yield Part(ordinal=ordinal, tier=tier, from_quantity=begin, to_quantity=end, enters=before <= below)
        if tier.up_to is None or after <= tier.up_to:
            return
        below = tier.up_to


def tier_of(tiers: Sequence[Tier], quantity: Fraction) -> tuple[int, Tier]:
    """The tier that a whole quantity reaches, and its place from 1: of 0 it is the first."""
    for ordinal, tier in enumerate(tiers, start=1):
        if tier.up_to is None or quantity <= tier.up_to:
            return ordinal, tier
    raise ValueError(f"no tier prices {exact_text(quantity)}")
