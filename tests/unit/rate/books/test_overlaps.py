"""Charges that overlap, found by an index, are those that the plain definition finds by comparing each pair."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tallystick.model.billing.price_book import Charge, Filters
from tallystick.rate.books.overlaps import NAMED, overlaps
from tallystick.rate.models.unit import UnitModel

values = st.lists(st.sampled_from(["a", "b", "c"]), max_size=2, unique=True).map(tuple)
labels = st.dictionaries(st.sampled_from(["region", "team", "tier"]), st.sampled_from(["a", "b"]), max_size=2)
charges = st.builds(
    Charge,
    id=st.just("x"),
    name=st.just("x"),
    meter=st.sampled_from(["", "cpu.used", "uptime"]),
    per=st.just("hour"),
    model=st.just(UnitModel(price=Fraction(1))),
    filters=st.builds(Filters, region=values, kind=values, labels=labels),
    also=st.sampled_from([False, False, False, True]),
)


def overlap(one: Charge, other: Charge) -> bool:
    """The plain definition: one resource could match both, and neither is charged in addition."""

    def apart(some: tuple[str, ...], more: tuple[str, ...]) -> bool:
        return bool(some and more and not set(some) & set(more))

    if one.also or other.also or not one.meter == other.meter != "":
        return False
    mine, theirs = one.filters, other.filters
    contradict = any(theirs.labels.get(name, value) != value for name, value in mine.labels.items())
    return not (apart(mine.region, theirs.region) or apart(mine.kind, theirs.kind) or contradict)


@given(st.lists(charges, max_size=20))
def test_the_index_finds_what_each_pair_would_show(plan: list[Charge]) -> None:
    pairs: dict[int, list[int]] = {}
    for (earlier, one), (later, other) in combinations(enumerate(plan), 2):
        if overlap(one, other):
            pairs.setdefault(later, []).append(earlier)
    expected = [(later, tuple(earlier[:NAMED]), len(earlier[NAMED:])) for later, earlier in sorted(pairs.items())]
    assert list(overlaps(plan)) == expected
