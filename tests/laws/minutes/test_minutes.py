"""Usage by minute: a finer grid of the same fold. Minutes add up to their five-minute cell, and cells to the hour, to the unit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.meter.hours import prepare, usage_hours
from tallystick.meter.sources.minutes import parted_batches, prepare_minutes, usage_minutes
from tallystick.model.instants import CELL_NS, HOUR_NS, MINUTE_NS
from tallystick.model.usage import HoursResult, UsageMinute
from tests.laws.compare import reference_batches, taken
from tests.laws.memory import Resource
from tests.laws.sources.test_sources import MIXED
from tests.laws.streams import Stream
from tests.laws.test_laws import SEEDS, STREAMS, cut_again
from tests.reference import scalar

EITHER = STREAMS | MIXED
LONGEST_NS = 5 * HOUR_NS
Sums = dict[int, dict[str, int]]


def span_of(resource: Resource) -> tuple[int, int]:
    """Its hours, or the first few of many: a grid of minutes has no end of them in a silence of weeks."""
    from_ns, until_ns = resource.span()
    return from_ns, min(until_ns, from_ns + LONGEST_NS)


def minutes_of(resource: Resource, *, gone: Collection[int] = (), step_ns: int | None = None) -> list[UsageMinute]:
    """The minutes from the least that a store may load, `step_ns` at a time, or all at once; of `gone` batches the samples are not kept."""
    (from_ns, until_ns), horizon_ns = span_of(resource), resource.span()[1]
    found: list[UsageMinute] = []
    for begin in range(from_ns, until_ns, step_ns or until_ns - from_ns):
        end = min(begin + step_ns, until_ns) if step_ns else until_ns
        prepared = prepare_minutes(resource.timeline(begin, end), begin, end)
        keys = (prepared.needs() | parted_batches(prepared)) - set(gone)
        found += usage_minutes(prepared, horizon_ns, {key: resource.samples[key] for key in keys})
    return sorted(found, key=lambda minute: minute.minute_ns)


def hours_of(resource: Resource, gone: Collection[int] = ()) -> HoursResult:
    from_ns, until_ns = span_of(resource)
    needed = prepare(resource.whole(), from_ns, until_ns).needs()
    samples = {key: resource.samples[key] for key in needed - set(gone)}
    return usage_hours(resource.whole(), from_ns, until_ns, resource.span()[1], samples, gone=needed & set(gone))


def by_cell(minutes: list[UsageMinute]) -> tuple[Sums, Sums]:
    sums: tuple[Sums, Sums] = (defaultdict(lambda: defaultdict(int)), defaultdict(lambda: defaultdict(int)))
    for minute in minutes:
        cell = minute.minute_ns // CELL_NS * CELL_NS
        for found, amounts in zip(sums, (minute.amounts, minute.estimated), strict=True):
            for meter, amount in amounts.items():
                found[cell][meter] += amount
    return sums


def assert_minutes_make_hours(minutes: list[UsageMinute], result: HoursResult) -> None:
    found: dict[int, list[UsageMinute]] = defaultdict(list)
    for minute in minutes:
        found[minute.minute_ns // HOUR_NS * HOUR_NS].append(minute)
    totals, guesses = by_cell(minutes)
    assert found.keys() <= {hour.hour_ns for hour in result.hours}
    for hour in result.hours:
        for sums, cells in ((totals, hour.cells), (guesses, hour.estimated)):
            for place in range(12):
                cell = hour.hour_ns + place * CELL_NS
                want = {meter: amounts[place] for meter, amounts in cells.items() if amounts[place]}
                assert {meter: amount for meter, amount in sums[cell].items() if amount} == want, (cell, place)
        mine = found[hour.hour_ns]
        assert sum(minute.samples for minute in mine) == hour.samples
        peaks = [minute.memory_peak_bytes for minute in mine if minute.memory_peak_bytes is not None]
        assert max(peaks, default=None) == hour.memory_peak_bytes
        assert sorted(at for minute in mine for at in minute.runs) == list(hour.runs)
    for minute in minutes:
        assert minute.minute_ns % MINUTE_NS == 0
        assert minute.amounts.keys() >= minute.estimated.keys() | minute.evenly.keys()
        assert all(0 <= amount <= minute.amounts[meter] for part in (minute.estimated, minute.evenly) for meter, amount in part.items())


@settings(max_examples=70)
@given(EITHER)
def test_minutes_add_up_to_cells_and_cells_to_hours(sent: Stream) -> None:
    resource = taken(sent)
    minutes = minutes_of(resource)
    assert_minutes_make_hours(minutes, hours_of(resource))
    if not sent.records:
        assert not any(minute.evenly for minute in minutes), "all samples are kept"


@settings(max_examples=50)
@given(STREAMS)
def test_minutes_equal_the_reference(sent: Stream) -> None:
    """The scalar reference on a grid of minutes, which shares no code with the meter."""
    resource = taken(sent)
    from_ns, until_ns = span_of(resource)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scalar, "CELL", MINUTE_NS)
        book, _, _ = scalar.metered(reference_batches(sent.batches), sent.events, sent.facts, resource.span()[1], 10)
    want: Sums = defaultdict(dict)
    for (minute_ns, meter, guessed), amount in book.amounts.items():
        if from_ns <= minute_ns < until_ns and amount:
            want[minute_ns][f"{meter}, estimated" if guessed else meter] = amount
    have: Sums = {}
    for minute in minutes_of(resource):
        told = {**minute.amounts, **{f"{meter}, estimated": amount for meter, amount in minute.estimated.items()}}
        have[minute.minute_ns] = {meter: amount for meter, amount in told.items() if amount}
    assert {at: told for at, told in have.items() if told} == want


@settings(max_examples=50)
@given(EITHER, SEEDS)
def test_they_add_up_where_samples_are_gone(sent: Stream, seed: int) -> None:
    """Of any of the batches, as if moved away or thinned: what a minute's boundary cuts is placed evenly, and nothing is lost."""
    resource = taken(sent)
    gone = {key for key in resource.samples if Random(seed + key).random() < 0.6}
    assert_minutes_make_hours(minutes_of(resource, gone=gone), hours_of(resource, gone))


@settings(max_examples=35)
@given(EITHER, st.integers(1, 13))
def test_any_partition(sent: Stream, cells: int) -> None:
    resource = taken(sent)
    assert minutes_of(resource, step_ns=cells * CELL_NS) == minutes_of(resource)


@settings(max_examples=35)
@given(EITHER, SEEDS)
def test_any_cut_order_and_repeat(sent: Stream, seed: int) -> None:
    rng = Random(seed)
    pieces = [{**piece, "source": batch.get("source", 0)} for batch in sent.batches for piece in cut_again(batch, rng)]
    last = max(batch["received_at_ns"] for batch in sent.batches) + 1
    late: list[dict[str, Any]] = [{**batch, "received_at_ns": last + place} for place, batch in enumerate(rng.choices(sent.batches, k=2))]
    again = Stream(
        batches=rng.sample(pieces, len(pieces)) + late,
        events=rng.sample(sent.events, len(sent.events)),
        facts=rng.sample(sent.facts, len(sent.facts)),
        records=rng.sample(sent.records, len(sent.records)) + sent.records[:2],
    )
    assert minutes_of(taken(again)) == minutes_of(taken(sent))
