"""Charges that could match one resource on one meter: no filter of theirs excludes the other's (billing.md, Price book).

Filters are sets of values by dimension (region, kind, each label), and a charge without one takes any value. So for each
dimension and value the charges that take it are bits of a number, and those that overlap a charge in all dimensions are the
bits that its numbers share: no charge is compared with each other one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tallystick.model.billing.price_book import Charge, Filters

NAMED = 5
"""How many of the charges that one overlaps are told by name."""


@dataclass(slots=True)
class _Taken:
    """Which of the charges of a meter, as bits, name each value in a dimension, and which name any."""

    by_value: dict[str, int] = field(default_factory=dict)
    named: int = 0


def overlaps(charges: Sequence[Charge]) -> Iterator[tuple[int, tuple[int, ...], int]]:
    """For each charge that overlaps earlier ones, none of them `also`: its place, the places of the first of them, how many more."""
    meters: dict[str, list[int]] = {}
    for place, charge in enumerate(charges):
        if charge.meter and not charge.also:
            meters.setdefault(charge.meter, []).append(place)
    found = (each for places in meters.values() for each in _overlaps(charges, places))
    yield from sorted(found)


def _overlaps(charges: Sequence[Charge], places: Sequence[int]) -> Iterator[tuple[int, tuple[int, ...], int]]:
    dimensions: dict[str, _Taken] = {}
    for number, place in enumerate(places):
        values = _values(charges[place].filters)
        shared = (1 << number) - 1
        for name, own in values.items():
            taken = dimensions.setdefault(name, _Taken())
            same = 0
            for value in own:
                same |= taken.by_value.get(value, 0)
            shared &= same | ~taken.named
        for name, own in values.items():
            taken = dimensions[name]
            taken.named |= 1 << number
            for value in own:
                taken.by_value[value] = taken.by_value.get(value, 0) | 1 << number
        if shared:
            first = tuple(places[each] for each in _lowest(shared))
            yield place, first, shared.bit_count() - len(first)


def _values(filters: Filters) -> dict[str, tuple[str, ...]]:
    """What a charge takes in each dimension in which it does not take everything."""
    values = {f"label {name}": (value,) for name, value in filters.labels.items()}
    return values | {name: some for name, some in (("region", filters.region), ("kind", filters.kind)) if some}


def _lowest(bits: int) -> Iterator[int]:
    for _ in range(min(NAMED, bits.bit_count())):
        yield (bits & -bits).bit_length() - 1
        bits &= bits - 1
