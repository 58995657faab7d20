"""Usage hours worked by hand, a line a case; and what a timeline must hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.meter import hours
from tallystick.model.instants import HOUR_NS, SECOND_NS
from tallystick.model.samples import COUNTERS, MEMORY
from tallystick.model.usage import GapCause, HoursResult
from tests.laws.compare import taken
from tests.laws.memory import Resource
from tests.laws.streams import RESOURCE, Stream, batch_of

H, S, D = HOUR_NS, SECOND_NS, 24 * HOUR_NS
Row = dict[str, Any]


def batch(points: list[tuple[int, int, int]], boot: str = "a", interval: int = S, **more: list[int]) -> Row:
    """Samples as (instant, memory, cpu); the other counters are 0."""
    at, memory, cpu = (list(column) for column in zip(*points, strict=True))
    columns = {"measured_at_ns": at, MEMORY: memory, COUNTERS[0]: cpu, **{name: [0] * len(at) for name in COUNTERS[1:]}, **more}
    return batch_of(boot, interval, columns, received=10**16 + at[0])


def event(kind: str, at: int, boot: str = "a", **more: int) -> Row:
    return {"resource_id": RESOURCE, "boot_id": boot, "kind": kind, "at_ns": at, "received_at_ns": at, **more}


def fact(at: int, **sizes: Any) -> Row:
    return {"resource_id": RESOURCE, "at_ns": at, "received_at_ns": at, **sizes}


def metered(batches: list[Row], events: list[Row] | None = None, facts: list[Row] | None = None) -> HoursResult:
    return taken(Stream(batches=batches, events=events or [], facts=facts or [])).one_by_one()


def rows(result: HoursResult, *meters: str) -> list[tuple[int | None, ...]]:
    """The totals of some meters, hour by hour, of the hours in which one is not 0."""
    found = [tuple(hour.total(meter) for meter in meters) for hour in result.hours]
    return [row for row in found if any(row)]


CASES: list[tuple[str, list[Row], list[Row], list[tuple[int, int, int]], list[tuple[str, int]]]] = [
    # name, batches, events, (cpu.used, memory.used, uptime) of each hour, (finding, instant)
    ("one sample is no usage", [batch([(H, 5, 7)])], [], [], []),
    ("a held level", [batch([(H, 5, 7), (H + S, 9, 10)])], [], [(3, 5 * S, S)], []),
    ("split at an hour: floor(10 / 3) first", [batch([(2 * H - 1, 5, 0), (2 * H + 2, 9, 10)])], [], [(3, 5, 1), (7, 10, 2)], []),
    (
        "10 over four equal hours is 2, 3, 2, 3; the area under a line from 1 to 2",
        [batch([(H, 1, 0), (5 * H, 2, 10)])],
        [],
        [(2, H + H // 8, H), (3, H + 3 * H // 8, H), (2, H + 5 * H // 8, H), (3, H + 7 * H // 8, H)],
        [],
    ),
    (
        "a start counts from 0, a stop holds",
        [batch([(H + S, 4, 6), (H + 2 * S, 4, 8)])],
        [event("started", H), event("stopped", H + 3 * S)],
        [(8, 12 * S, 3 * S)],
        [],
    ),
    (
        "another boot without a word counts from 0, over the time between",
        [batch([(2 * H - S, 4, 100)]), batch([(2 * H + S, 4, 7)], "b")],
        [],
        [(3, 0, 0), (4, 0, 0)],
        [("counter_reset", 2 * H + S)],
    ),
    ("a fall of one boot", [batch([(H, 4, 100), (H + S, 4, 30)])], [], [(30, 4 * S, S)], [("counter_reset", H + S)]),
    (
        "a fall to more than half is no usage, and the next pair goes on from there",
        [batch([(H, 4, 100), (H + S, 4, 51), (H + 2 * S, 4, 60)])],
        [],
        [(9, 8 * S, 2 * S)],
        [("counter_fell", H + S)],
    ),
    ("a fall to half", [batch([(H, 4, 100), (H + S, 4, 50)])], [], [(50, 4 * S, S)], [("counter_reset", H + S)]),
    ("without boot id every fall is one", [batch([(H, 4, 100), (H + S, 4, 99)], "")], [], [(99, 4 * S, S)], [("counter_reset", H + S)]),
    (
        "nothing between a stop and the next sample",
        [batch([(H, 4, 0), (H + 5 * S, 4, 2)])],
        [event("stopped", H + S)],
        [(2, 4 * S, S)],
        [("sample_after_stop", H + 5 * S)],
    ),
    (
        "two hosts at once: the newer is the one whose time counts",
        [batch([(H, 4, 0), (H + 4 * S, 4, 9)]), batch([(H + S, 6, 1), (H + 2 * S, 6, 3)], "b")],
        [event("started", H + S, "b")],
        [(12, 18 * S, 4 * S)],
        [],
    ),
    (
        "what runs is announced again",
        [batch([(H, 4, 5), (H + S, 4, 6), (H + 2 * S, 4, 9)], "")],
        [event("started", H + S, "")],
        [(4, 8 * S, 2 * S)],
        [("start_while_running", H + S)],
    ),
    (
        "a stop between makes it a restart",
        [batch([(H, 4, 5), (H + 4 * S, 4, 9)], "")],
        [event("stopped", H + S, ""), event("started", H + 3 * S, "")],
        [(9, 8 * S, 2 * S)],
        [],
    ),
    (
        "a start after the first sample",
        [batch([(H, 4, 5), (H + 2 * S, 4, 9)])],
        [event("started", H + S)],
        [(4, 8 * S, 2 * S)],
        [("start_after_sample", H + S)],
    ),
    (
        "a start more than a day before is a baseline",
        [batch([(5 * D, 4, 24), (5 * D + S, 4, 25)], interval=D)],
        [event("started", 4 * D - 1)],
        [(1, 4 * S, S)],
        [("start_too_old", 4 * D - 1)],
    ),
    (
        "a start a day before counts",
        [batch([(5 * D, 4, 24), (5 * D + S, 4, 25)], interval=D)],
        [event("started", 4 * D)],
        [(1, 4 * H, H)] * 24 + [(1, 4 * S, S)],
        [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("batches", "events", "expected", "findings"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_worked_cases(batches: list[Row], events: list[Row], expected: list[tuple[int, int, int]], findings: list[tuple[str, int]]) -> None:
    result = metered(batches, events)
    assert rows(result, "cpu.used", "memory.used", "uptime") == expected
    assert [(str(one.code), one.at_ns) for one in result.findings] == findings


SIZES = {"vcpus": 2, "memory_bytes": 8, "disk_bytes": 5, "gpus": 1}


def test_sizes_are_split_where_they_change() -> None:
    result = metered([batch([(H, 0, 0), (H + 10 * S, 0, 0)])], facts=[fact(H, **SIZES), fact(H + 4 * S, vcpus=3)])
    names = ("cpu.allocated", "memory.allocated", "gpu.allocated", "disk.allocated")
    assert rows(result, *names) == [(26 * S, 80 * S, 10 * S, 5 * H)]


def test_a_disk_is_held_up_or_not_until_deleted() -> None:
    result = metered([batch([(H, 0, 0), (H + S, 0, 0)])], facts=[fact(H - 1, **SIZES), fact(3 * H + 7, deleted=True)])
    assert rows(result, "disk.allocated") == [(5,), (5 * H,), (5 * H,), (35,)]
    assert "uptime" not in result.hours[2].cells


def test_sizes_are_absent_without_facts_about_them() -> None:
    assert "cpu.allocated" not in metered([batch([(H, 0, 0), (H + S, 0, 0)])]).hours[0].cells


def test_samples_after_deletion_count_time_but_no_sizes() -> None:
    result = metered([batch([(H, 0, 0), (H + 2 * S, 0, 0), (H + 3 * S, 0, 0)])], facts=[fact(H, **SIZES), fact(H + S, deleted=True)])
    assert rows(result, "uptime", "cpu.allocated", "disk.allocated") == [(3 * S, 2 * S, 5 * S)]
    assert [(str(one.code), one.at_ns) for one in result.findings] == [("sample_after_delete", H + 2 * S)]


def test_a_column_that_is_absent_is_not_zero() -> None:
    columns = {"measured_at_ns": [H, H + S], "network_tx_bytes": [5, 9]}
    (hour,) = metered([batch_of("a", S, columns, received=10**16)]).hours
    assert set(hour.cells) == {"network.tx", "uptime"}
    assert (hour.total("network.tx"), hour.total("network.io"), hour.total("cpu.used"), hour.memory_peak_bytes) == (4, 4, None, None)


def test_runs_samples_and_peak_of_an_hour() -> None:
    (hour,) = metered([batch([(H + S, 9, 0), (H + 2 * S, 7, 0)])], [event("started", H)]).hours
    assert (hour.runs, hour.samples, hour.memory_peak_bytes) == ((H,), 2, 9)


def test_the_cause_of_a_gap_is_told_by_a_notice() -> None:
    sent = [batch([(H, 4, 0), (H + 20 * S, 4, 2)])]
    notice = event("possible_gap", H + 20 * S, last_sent_ns=H)
    (gap,), (told,) = metered(sent).gaps, metered(sent, [notice]).gaps
    assert (gap.from_ns, gap.until_ns, str(gap.filled), gap.cause) == (H, H + 20 * S, "interpolated", GapCause.UNSTATED)
    assert told == replace(gap, cause=GapCause.AGENT_AWAY)
    assert metered(sent, [notice]).hours == metered(sent).hours


def ordinary() -> Resource:
    return taken(
        Stream(
            batches=[batch([(H + k * 60 * S, 4, k) for k in range(low, low + 30)], interval=60 * S) for low in (0, 30, 60)],
            events=[],
            facts=[],
        )
    )


def test_ordinary_hours_need_no_samples() -> None:
    assert hours.needs_samples(ordinary().whole(), 0, 4 * H) == frozenset()


def test_overlapping_batches_and_stops_inside_need_theirs() -> None:
    overlapped = taken(
        Stream(batches=[batch([(H, 4, 0), (H + S, 4, 1)]), batch([(H + S, 4, 1), (H + 2 * S, 4, 2)], interval=2 * S)], events=[], facts=[])
    )
    assert hours.needs_samples(overlapped.whole(), H, 2 * H) == {1, 2}
    stopped = taken(Stream(batches=[batch([(H, 4, 0), (H + 2 * S, 4, 1)])], events=[event("stopped", H + S)], facts=[]))
    assert hours.needs_samples(stopped.whole(), H, 2 * H) == {1}
    with pytest.raises(KeyError):
        hours.usage_hours(stopped.whole(), H, 2 * H, 2 * H, {})


@pytest.mark.parametrize(
    ("first", "second", "estimated"),
    [((10, 20), (0, 15), 0), ((0, 15), (5, 20), 0), ((5, 15), (0, 20), 0), ((0, 20), (5, 15), 0), ((11, 20), (0, 15), 11)],
)
def test_of_batches_without_samples_that_overlap_the_ends_are_known(
    first: tuple[int, int], second: tuple[int, int], estimated: int
) -> None:
    """The one received first stays whole; the other's first and last sample count where they lie outside of it."""
    sent = [batch([(H + at * S, 5, 7 * at) for at in range(low, high + 1)]) for low, high in (first, second)]
    resource = taken(Stream(batches=[each | {"received_at_ns": 10**16 + place} for place, each in enumerate(sent)], events=[], facts=[]))
    until = max(first[1], second[1])
    for timeline in (resource.whole(), resource.timeline(H, 2 * H)):
        result = hours.usage_hours(timeline, H, 2 * H, 2 * H, {}, gone={1, 2})
        assert rows(result, "cpu.used", "memory.used", "uptime") == [(7 * until, 5 * until * S, until * S)]
        assert sum(result.hours[0].estimated.get("uptime", ())) == estimated * S
        assert [(one.code, one.at_ns) for one in result.findings] == [("samples_gone", H + second[0] * S)]


def test_nothing_is_lost_in_silence() -> None:
    """A timeline without the neighbours of the window is an error, not less usage."""
    resource = ordinary()
    whole = resource.whole()
    inside = tuple(stored for stored in whole.segments if H <= stored.segment.cell_ns < 2 * H)
    with pytest.raises(ValueError, match="lacks the sample of boot 'a' after"):
        hours.usage_hours(replace(whole, segments=inside), H, 2 * H, 2 * H, {})
    with pytest.raises(ValueError, match="lacks segments of boot 'a'"):
        hours.usage_hours(replace(whole, complete=((H, 2 * H - 300 * S), (2 * H, 3 * H))), H, 2 * H, 2 * H, {})
    with pytest.raises(ValueError, match="whole hours"):
        hours.usage_hours(whole, H, 2 * H + 1, 2 * H, {})
