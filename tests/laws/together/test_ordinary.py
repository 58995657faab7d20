"""What is counted of many resources at once is what is counted of each by itself; and where nothing is unusual, it is counted."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.meter.together.ordinary import ordinary_hours
from tallystick.model.instants import CELL_NS, HOUR_NS, SECOND_NS
from tallystick.model.samples import COUNTERS, LARGEST, MEMORY
from tallystick.model.timeline import LoadedSegments, SegmentRow, Timeline
from tallystick.model.usage import HoursResult
from tests.laws.compare import taken
from tests.laws.memory import Resource
from tests.laws.streams import BASE_NS, RESOURCE, Stream, Temper, batch_of, several, stream

SEEDS = st.integers(0, 2**32)
TROUBLES = ("none", "fall", "gap", "late", "again", "start", "stop", "fact", "deleted", "other boot", "absent", "clock", "sources")


def calm(rng: Random, trouble: str = "none") -> Stream:
    """Some hours of one boot in which nothing happens, or one thing does."""
    interval = rng.choice((20, 47, 60, 290)) * SECOND_NS
    times = [BASE_NS - rng.randrange(1, 2 * HOUR_NS)]
    until = BASE_NS + rng.choice((HOUR_NS, 2 * HOUR_NS, rng.randrange(3 * HOUR_NS)))
    while times[-1] <= until:
        edge = (times[-1] // CELL_NS + 1) * CELL_NS - times[-1]
        near = edge + rng.choice((0, 1, -1))
        times.append(times[-1] + (max(near, 1) if edge < 2 * interval and rng.random() < 0.3 else rng.randrange(interval // 2, interval)))
    count, top = len(times), rng.choice((10**3, 10**12, LARGEST))
    named = [name for name in (MEMORY, *COUNTERS) if rng.random() < 0.95] if rng.random() < 0.3 else [MEMORY, *COUNTERS]
    columns: dict[str, Any] = {"measured_at_ns": times}
    columns |= {
        name: sorted(rng.randrange(top) for _ in times) if name != MEMORY else [rng.randrange(top) for _ in times] for name in named
    }
    at, place = rng.choice(times), rng.randrange(1, count)
    if trouble == "fall" and len(named) > 1:
        columns[named[-1]][place] = columns[named[-1]][place - 1] // 2
    if trouble == "gap":
        after = place + rng.choice((2, 3, 8, 10, 12))
        columns = {name: [*values[:place], *values[after:]] for name, values in columns.items()}
    if trouble == "late":
        late_ns = max(times[place - 1] + 10 * interval + rng.choice((0, 1, 1)) - times[place], 0)
        columns["measured_at_ns"][place:] = [time + late_ns for time in times[place:]]
    count = len(columns["measured_at_ns"])
    edges = sorted({0, count, *range(rng.randrange(count), count, rng.randrange(5, 60)), *([place] if place < count else [])})
    boot = rng.choice(("a", ""))
    batches, absent = [], rng.choice((MEMORY, COUNTERS[0]))
    for number, (low, high) in enumerate(pairwise(edges), start=1):
        part = {name: values[low:high] for name, values in columns.items() if trouble != "absent" or number % 3 or name != absent}
        of = "b" if trouble == "other boot" and number == 2 else boot
        batches.append(batch_of(of, interval, part, spool="s", sequence=number, received=times[-1] + number))
    if trouble == "again":
        batches.append({**rng.choice(batches), "sequence": 99, "received_at_ns": times[-1]})
        one = {name: values[:1] for name, values in columns.items()}
        batches.append(batch_of(boot, interval, one, spool="s", sequence=100, received=times[-1]))
    kinds = {"start": "started", "stop": "stopped", "clock": "clock_stepped"}
    told = rng.choice((at, at + 1, times[0] - 1, times[0] - HOUR_NS, times[-1] + 1))
    events = [{"resource_id": RESOURCE, "boot_id": boot, "kind": kinds[trouble], "at_ns": told}] if trouble in kinds else []
    sizes = {"vcpus": 4, "memory_bytes": 2**33, "disk_bytes": 2**46}
    facts = [{"resource_id": RESOURCE, "at_ns": times[0], "received_at_ns": times[0], **sizes}] if rng.random() < 0.7 else []
    changed = rng.choice((at, BASE_NS, BASE_NS + HOUR_NS, times[0]))
    if trouble in {"fact", "deleted"}:
        facts.append({"resource_id": RESOURCE, "at_ns": changed, "received_at_ns": times[-1], "gpus": 2, "deleted": trouble == "deleted"})
    sent = Stream(batches=batches, events=events, facts=facts)
    return several(rng, sent) if trouble == "sources" else sent


def as_loaded(timeline: Timeline) -> Timeline:
    """A timeline as a store gives it."""
    names = sorted({(each.boot_id, each.source) for each in timeline.segments})
    rows: list[SegmentRow] = [
        (1, names.index((each.boot_id, each.source)), each.batch_key, each.received_at_ns, *each.segment[1:])
        for each in sorted(timeline.segments, key=lambda each: each.segment.first_at_ns)
    ]
    return replace(timeline, segments=LoadedSegments(rows, dict(enumerate(names))))


def both(resources: list[Resource], from_ns: int, until_ns: int, disk_until_ns: int) -> list[tuple[HoursResult | None, HoursResult]]:
    """What is said of the hours of resources at once (None: something may be unusual), and of each by itself."""
    timelines = [as_loaded(resource.timeline(from_ns, until_ns)) for resource in resources]
    together = ordinary_hours(timelines, from_ns, until_ns, [disk_until_ns] * len(timelines))
    alone = [resource.hours(timeline, from_ns, until_ns, disk_until_ns) for resource, timeline in zip(resources, timelines, strict=True)]
    return list(zip(together, alone, strict=True))


@settings(max_examples=60)
@given(st.lists(st.tuples(SEEDS, st.sampled_from(TROUBLES)), min_size=1, max_size=4), SEEDS)
def test_many_at_once_are_each_by_itself(kinds: list[tuple[int, str]], seed: int) -> None:
    rng = Random(seed)
    resources = [taken(calm(Random(of), trouble)) for of, trouble in kinds]
    if rng.random() < 0.3:
        resources.insert(0, taken(stream(rng, Temper(boots=rng.randint(1, 3)))))
    step = rng.choice((HOUR_NS, 2 * HOUR_NS))
    for from_ns in range(BASE_NS - HOUR_NS, BASE_NS + 3 * HOUR_NS, step):
        for together, alone in both(resources, from_ns, from_ns + step, from_ns + rng.choice((0, step, step // 2, CELL_NS + 1))):
            assert together is None or together == alone


@settings(max_examples=40)
@given(SEEDS, st.builds(Temper, boots=st.integers(1, 3), restarts=st.booleans(), gaps=st.booleans(), overlaps=st.booleans()))
def test_mean_streams_are_equal_or_left_out(seed: int, temper: Temper) -> None:
    resource = taken(stream(Random(seed), temper))
    first_ns, until_ns = resource.span()
    for from_ns in range(first_ns, until_ns, HOUR_NS):
        ((together, alone),) = both([resource], from_ns, from_ns + HOUR_NS, until_ns)
        assert together is None or together == alone


@pytest.mark.parametrize("seed", range(12))
def test_where_nothing_happens_nothing_is_left_out(seed: int) -> None:
    """But the hour in which a resource begins, and those after its last sample."""
    resource = taken(calm(Random(seed)))
    last_ns = max(stored.segment.last_at_ns for stored in resource.segments)
    for from_ns in range(BASE_NS, last_ns, HOUR_NS):
        ((together, alone),) = both([resource], from_ns, from_ns + HOUR_NS, BASE_NS)
        assert together == alone


@pytest.mark.parametrize(
    ("begin_s", "silence_ns", "is_ordinary"),
    [
        (10, 400 * SECOND_NS, True),
        (10, 400 * SECOND_NS + 1, False),  # longer than ten intervals of 40 s
        (290, 310 * SECOND_NS - 1, True),
        (290, 310 * SECOND_NS, False),  # over two boundaries of cells
    ],
)
def test_a_silence_is_ordinary_while_it_is_no_gap_and_over_one_boundary(begin_s: int, silence_ns: int, is_ordinary: bool) -> None:
    before = [BASE_NS + second * SECOND_NS for second in range(-10, begin_s + 1, 20)]
    times = before + [before[-1] + silence_ns + place * 20 * SECOND_NS for place in range(200)]
    batches = []
    for number, part in enumerate((before, times[len(before) :]), start=1):
        columns = {"measured_at_ns": part, **{name: [at // SECOND_NS for at in part] for name in (MEMORY, *COUNTERS)}}
        batches.append(batch_of("a", 40 * SECOND_NS, columns, spool="s", sequence=number, received=times[-1]))
    resource = taken(Stream(batches=batches, events=[], facts=[]))
    ((together, alone),) = both([resource], BASE_NS, BASE_NS + HOUR_NS, 0)
    assert together == (alone if is_ordinary else None)


@pytest.mark.parametrize("levels", [(LARGEST, LARGEST), (0, LARGEST), (LARGEST, 0)])
def test_the_largest_values_are_exact(levels: tuple[int, int]) -> None:
    times = [BASE_NS - SECOND_NS + place * 290 * SECOND_NS for place in range(14)]
    columns: dict[str, Any] = {"measured_at_ns": times, MEMORY: [levels[place % 2] for place in range(14)]}
    columns |= {name: [0, *[LARGEST - place for place in range(12, -1, -1)]] for name in COUNTERS}
    resource = taken(
        Stream(batches=[batch_of("a", 290 * SECOND_NS, columns, spool="s", sequence=1, received=times[-1])], events=[], facts=[])
    )
    ((together, alone),) = both([resource], BASE_NS, BASE_NS + HOUR_NS, 0)
    assert together == alone
    assert together is not None
    assert sum(together.hours[0].cells["cpu.used"]) == LARGEST - 12 - (LARGEST - 12) * SECOND_NS // (290 * SECOND_NS) + 11


def test_a_timeline_that_lacks_something_is_left_out() -> None:
    """It is not for this module to tell what."""
    resource = taken(calm(Random(4)))
    timeline = as_loaded(resource.timeline(BASE_NS, BASE_NS + HOUR_NS))
    assert isinstance(timeline.segments, LoadedSegments)
    assert ordinary_hours([timeline], BASE_NS, BASE_NS + HOUR_NS, [0]) != [None]
    (boot,) = timeline.boots
    unproven = replace(timeline, boots=(replace(boot, complete=()),))
    inside = [row for row in timeline.segments.rows if row[4] < BASE_NS + HOUR_NS]
    cut = replace(timeline, segments=LoadedSegments(inside, timeline.segments.boots))
    for lacking in (unproven, cut, replace(timeline, segments=tuple(timeline.segments))):
        assert ordinary_hours([lacking], BASE_NS, BASE_NS + HOUR_NS, [0]) == [None]
