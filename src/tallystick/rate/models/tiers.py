"""Tiers as price books write them: a ladder of upper bounds, each of which belongs to its tier; the last has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tallystick.model.billing.money import exact_text
from tallystick.rate.books.reader import Fields

KEYS = ("up_to", "price", "flat", "size", "cap")
VOLUME_KEYS = ("up_to", "price", "flat", "size")
STAIR_KEYS = ("up_to", "flat")
SHARE_KEYS = ("up_to", "percent", "flat", "cap")
HUNDREDTH = Fraction(1, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One tier: quantities above that of the tier before it, up to `up_to` (None: any), at `price`, with `flat` once reached.

    With a `size`, `price` is that of each begun package of so many units; all that lies in it never costs more than `cap`.
    """

    up_to: Fraction | None
    price: Fraction = Fraction(0)
    flat: Fraction = Fraction(0)
    size: Fraction | None = None
    cap: Fraction | None = None

    @property
    def unit_price(self) -> Fraction:
        """What a unit costs: of a full package its part."""
        return self.price if self.size is None else self.price / self.size

    def counted(self, quantity: Fraction) -> Fraction:
        """What has the price: the quantity itself, or its packages begun. 25 in packages of 10 are 3."""
        return quantity if self.size is None else Fraction(-(-quantity // self.size))

    def costs(self, quantity: Fraction) -> Fraction:
        """What a quantity that lies in it costs: nothing for nothing, as it is not reached."""
        if not quantity:
            return Fraction(0)
        whole = self.counted(quantity) * self.price
        whole = whole + self.flat if self.flat else whole
        return whole if self.cap is None else min(whole, self.cap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a quantity that lies in a tier, the `ordinal`-th of its ladder, from 1: (`from_quantity`, `to_quantity`].

    `below` is where the tier begins: what lay in it before has paid its own cost, flat fee and begun package.
    """

    ordinal: int
    tier: Tier
    from_quantity: Fraction
    to_quantity: Fraction
    below: Fraction = Fraction(0)

    @property
    def quantity(self) -> Fraction:
        """How much lies in it."""
        return self.to_quantity - self.from_quantity

    @property
    def counted(self) -> Fraction:
        """How much of it has the price of the tier: units, or packages that it begins."""
        if self.tier.size is None:
            return self.quantity
        return self.tier.counted(self.to_quantity - self.below) - self.tier.counted(self.from_quantity - self.below)

    @property
    def amount(self) -> Fraction:
        """What it costs, beside what lay in the tier before."""
        whole = self.tier.costs(self.to_quantity - self.below)
        return whole if self.from_quantity == self.below else whole - self.tier.costs(self.from_quantity - self.below)


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
        price = _read_price(inner, keys)
        tiers.append(
            Tier(
                up_to=up_to,
                price=price,
                flat=inner.decimal("flat", required=keys == STAIR_KEYS),
                size=inner.decimal("size", positive=True) or None if "size" in inner.nodes else None,
                cap=inner.decimal("cap") if "cap" in inner.nodes else None,
            )
        )
    return tuple(tiers) or (Tier(up_to=None),)


def _read_price(inner: Fields, keys: Sequence[str]) -> Fraction:
    if "percent" in keys:
        return inner.decimal("percent", required="flat" not in inner.nodes) * HUNDREDTH
    return inner.decimal("price", required="flat" not in inner.nodes) if "price" in keys else Fraction(0)


def write_tiers(tiers: Sequence[Tier], keys: Sequence[str] = KEYS) -> list[dict[str, str]]:
    """The ladder in a canonical document: bounds, and what costs something; a tier that costs nothing says so."""
    return [_written(tier, keys) for tier in tiers]


def _written(tier: Tier, keys: Sequence[str]) -> dict[str, str]:
    values = {"price": tier.price, "percent": tier.price / HUNDREDTH, "flat": tier.flat}
    costs = {name: exact_text(values[name]) for name in keys if name in values}
    kept = {name: text for name, text in costs.items() if text != "0"} or dict([next(iter(costs.items()))])
    limits = {"up_to": tier.up_to, "size": tier.size, "cap": tier.cap}
    told = {name: exact_text(limit) for name in keys if (limit := limits.get(name)) is not None}
    return {name: text for name in keys if (text := {**told, **kept}.get(name)) is not None}


def scaled(tiers: Sequence[Tier], active: Fraction) -> tuple[Tier, ...]:
    """The ladder of a part of a period: bounds, flat fees and caps in proportion, prices and packages as they are."""
    if active == 1:
        return tuple(tiers)
    return tuple(
        replace(
            tier,
            up_to=None if tier.up_to is None else tier.up_to * active,
            flat=tier.flat * active,
            cap=None if tier.cap is None else tier.cap * active,
        )
        for tier in tiers
    )


def share_tier(up_to: Fraction | None, percent: Fraction, flat: Fraction = Fraction(0)) -> Tier:
    """A tier of amounts, priced by a share of them: 1.3 % of what lies in it."""
    return Tier(up_to=up_to, price=percent * HUNDREDTH, flat=flat)


def package_tiers(packages: Sequence[tuple[Fraction, Fraction | None, Fraction]]) -> tuple[Tier, ...]:
    """A ladder told as (size, how many packages, price of one): 10 of 100, then any of 1,000 have their bound at 1,000.

    The last goes on without a bound, whatever it says: what lies above it must have a price too.
    """
    tiers: list[Tier] = []
    below = Fraction(0)
    for size, most, price in packages:
        last = len(tiers) + 1 == len(packages)
        below += Fraction(0) if most is None else size * most
        tiers.append(Tier(up_to=None if last else below, price=price, size=size))
    return tuple(tiers)


def parts_between(tiers: Sequence[Tier], before: Fraction, after: Fraction) -> Iterator[Part]:
    """The parts of (before, after] in the tiers they lie in, in order: what was used before fills the ladder first.

    A tier that ends where usage ends is not passed, and one that nothing lies in is not reached.

    Raises:
        ValueError: a quantity above the last tier, which no price book has: it is never priced as nothing.

    """
    below = Fraction(0)
    for ordinal, tier in enumerate(tiers, start=1):
        begin = max(before, below)
        end = after if tier.up_to is None else min(after, tier.up_to)
        if begin < end:
            yield Part(ordinal=ordinal, tier=tier, from_quantity=begin, to_quantity=end, below=below)
        if tier.up_to is None or after <= tier.up_to:
            return
        below = tier.up_to
    raise ValueError(f"no tier prices {exact_text(after)}")


def tier_of(tiers: Sequence[Tier], quantity: Fraction) -> tuple[int, Tier]:
    """The tier that a whole quantity reaches, and its place from 1: of 0 it is the first."""
    for ordinal, tier in enumerate(tiers, start=1):
        if tier.up_to is None or quantity <= tier.up_to:
            return ordinal, tier
    raise ValueError(f"no tier prices {exact_text(quantity)}")
