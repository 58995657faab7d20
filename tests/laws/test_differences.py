"""Samples whose counters are differences: the usage of the same stream with sums, in any cut, any order and any repeat."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallystick.model.samples import COUNTERS
from tests.laws.compare import difference, seen, taken
from tests.laws.memory import Resource
from tests.laws.streams import Row, Stream, Temper, stream
from tests.laws.test_laws import METERS, cut_again

SEEDS = st.integers(0, 2**32)
CALM = Temper(boots=1, restarts=False, conflicts=False, absent=False, huge=False, facts=False, events=False)


def as_differences(sent: Stream) -> tuple[Stream, Stream]:
    """A stream of one boot with its counters read as differences, and the same with their running sums."""
    told = {at: values for batch in sent.batches for at, values in zip(batch["measured_at_ns"], _counters(batch), strict=True)}
    instants = sorted(told)
    sums = dict(zip(instants, accumulate((told[at] for at in instants), lambda x, y: tuple(map(int.__add__, x, y))), strict=True))
    differences, cumulative = [], []
    for batch in sent.batches:
        differences.append({**batch, "boot_id": "", "differences": True})
        columns = zip(*(sums[at] for at in batch["measured_at_ns"]), strict=True)
        cumulative.append({**batch, "boot_id": "", **{name: list(column) for name, column in zip(COUNTERS, columns, strict=True)}})
    return Stream(batches=differences, events=sent.events, facts=sent.facts), Stream(batches=cumulative, events=sent.events, facts=[])


def _counters(batch: Row) -> Iterator[tuple[int, ...]]:
    return zip(*(batch[name] for name in COUNTERS), strict=True)


def small(sent: Stream) -> Stream:
    """The same with counters that a running sum can hold."""
    batches = [{**batch, **{name: [value % 10**9 for value in batch[name]] for name in COUNTERS}} for batch in sent.batches]
    return Stream(batches=batches, events=sent.events, facts=sent.facts)


def totals(resource: Resource) -> dict[str, int]:
    result = resource.one_by_one()
    return {meter: sum(hour.total(meter) or 0 for hour in result.hours) for meter in METERS.values()}


@settings(max_examples=150)
@given(SEEDS)
@example(0)
def test_differences_are_the_usage_of_their_sums_and_the_first_one(seed: int) -> None:
    """All but where the first value goes: a first sum is a baseline, a first difference is usage."""
    differences, cumulative = as_differences(small(stream(Random(seed), CALM)))
    first = min((at, values) for batch in differences.batches for at, values in zip(batch["measured_at_ns"], _counters(batch), strict=True))
    found, wanted = totals(taken(differences)), totals(taken(cumulative))
    assert found == {meter: wanted[meter] + amount for meter, amount in zip(METERS.values(), first[1], strict=True)}
    times = [
        [(hour.hour_ns, hour.total("uptime"), hour.total("memory.used")) for hour in resource.one_by_one().hours]
        for resource in (taken(differences), taken(cumulative))
    ]
    assert times[0] == times[1]


@settings(max_examples=100)
@given(SEEDS, SEEDS)
def test_any_cut_any_order_any_repeat(seed: int, shuffle: int) -> None:
    temper = Temper(boots=1, restarts=False, conflicts=False, absent=False, facts=False)
    sent = stream(Random(seed), temper)
    differences = Stream(
        batches=[{**batch, "boot_id": "", "differences": True} for batch in sent.batches],
        events=[{**event, "boot_id": ""} for event in sent.events],
        facts=sent.facts,
    )
    rng = Random(shuffle)
    pieces: list[dict[str, Any]] = []
    for batch in differences.batches:
        pieces += [{**piece, "differences": True} for piece in cut_again(batch, rng)]
    pieces += rng.sample(pieces, len(pieces) // 2)
    again = Stream(batches=rng.sample(pieces, len(pieces)), events=differences.events, facts=differences.facts)
    assert not difference(seen(taken(again).at_once()), seen(taken(differences).at_once()))
    assert not difference(seen(taken(again).one_by_one()), seen(taken(again).at_once()))
