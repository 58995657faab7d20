"""Usage hours, days, gaps and findings: replaced only by who saw the newest mark, exact to the last unit, listed in pages."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.model.usage import Filled, Gap, GapCause, HoursResult, UsageHour, UsagePeriod
from tallystick.store.records import DirtyHour
from tallystick.store.store import Store
from tests.contract.rows import PLACE, SECOND, T, batch, dirty_hours, sweep, write

NOTHING = HoursResult(hours=(), gaps=(), findings=())


def hour(at_ns: int = T, cells: int = 7, resource: str = "vm-1", estimated: int = 0) -> UsageHour:
    return UsageHour(
        resource_id=resource,
        hour_ns=at_ns,
        cells={"cpu.used": (cells,) * 12, "uptime": (0,) * 11 + (5,)},
        estimated={"uptime": (0,) * 11 + (estimated,)} if estimated else {},
        samples=3,
        memory_peak_bytes=2**63 - 1,
        runs=(at_ns + 1, at_ns + 2),
    )


def replace(store: Store, seen: Sequence[DirtyHour], result: HoursResult) -> tuple[Sequence[int], Sequence[int]]:
    with store.write() as tx:
        done = store.usage.replace_hours(tx, seen, result)
    return done.replaced, done.changed


def marked(store: Store, *hours: int, resource: str = "vm-1") -> list[DirtyHour]:
    """Marks of hours of a resource, made by batches."""
    for number in hours:
        write(store, batch(resource, sequence=number + 1, at_ns=T + number * HOUR_NS))
    return [mark for mark in store.usage.dirty(limit=1000) if mark.resource_id == resource]


def test_hours_come_back_as_they_were(store: Store) -> None:
    seen = marked(store, 0, 1)
    both = (hour(estimated=2), hour(T + HOUR_NS, cells=-(2**100)))
    assert replace(store, seen, HoursResult(hours=both, gaps=(), findings=())) == ((T, T + HOUR_NS), (T, T + HOUR_NS))
    key = seen[0].resource_key
    assert store.usage.hours(PLACE) == [(key, both[0]), (key, both[1])]
    assert store.usage.hours(PLACE, T, T + 1, resource_keys=[key]) == [(key, both[0])]
    assert store.usage.hours(PLACE, resource_keys=[]) == []
    assert store.usage.last_hour(PLACE) == T + HOUR_NS
    assert dirty_hours(store) == {}


@pytest.mark.parametrize("cells", [1, 2**62, 2**63, 2**100, 2**114])
def test_totals_are_exact(store: Store, cells: int) -> None:
    seen = marked(store, *range(8))
    hours = tuple(hour(T + number * HOUR_NS, cells=cells + number, estimated=1) for number in range(8))
    replace(store, seen, HoursResult(hours=hours, gaps=(), findings=()))
    totals, estimated = store.usage.totals(PLACE, T, T + 7 * HOUR_NS)[seen[0].resource_key]
    assert totals == {"cpu.used": sum(12 * (cells + number) for number in range(7)), "uptime": 35}
    assert estimated == {"uptime": 7}
    assert store.usage.totals(PLACE, T, T + HOUR_NS, resource_keys=[]) == {}


def test_an_hour_marked_again_is_left_to_the_newer(store: Store) -> None:
    (seen,) = marked(store, 0)
    write(store, batch(sequence=9, at_ns=T + 120 * SECOND))
    assert replace(store, [seen], HoursResult(hours=(hour(),), gaps=(), findings=())) == ((), ())
    assert store.usage.hours(PLACE) == []
    (newer,) = store.usage.dirty()
    assert newer.generation > seen.generation
    assert replace(store, [newer], HoursResult(hours=(hour(cells=1),), gaps=(), findings=())) == ((T,), (T,))
    # The older worker ends last: what it has is stale, and is not taken.
    assert replace(store, [seen], HoursResult(hours=(hour(cells=2),), gaps=(), findings=())) == ((), ())
    assert [found.cells["cpu.used"][0] for _, found in store.usage.hours(PLACE)] == [1]


def test_a_generation_never_comes_again(store: Store) -> None:
    (first,) = marked(store, 0)
    replace(store, [first], NOTHING)
    write(store, batch(sequence=9, at_ns=T + 120 * SECOND))
    (second,) = store.usage.dirty()
    assert second.generation != first.generation
    assert replace(store, [first], HoursResult(hours=(hour(),), gaps=(), findings=())) == ((), ())
    assert store.usage.dirty() == [second]


def test_only_hours_that_differ_are_told_as_changed(store: Store) -> None:
    seen = marked(store, 0, 1)
    both = (hour(), hour(T + HOUR_NS))
    replace(store, seen, HoursResult(hours=both, gaps=(), findings=()))
    remark(store, 2)
    seen = store.usage.dirty()
    assert replace(store, seen, HoursResult(hours=both, gaps=(), findings=())) == ((T, T + HOUR_NS), ())
    remark(store, 2)
    changed = HoursResult(hours=(hour(cells=8),), gaps=(), findings=())
    assert replace(store, store.usage.dirty(), changed) == ((T, T + HOUR_NS), (T, T + HOUR_NS))
    assert [found for _, found in store.usage.hours(PLACE)] == [hour(cells=8)]


def remark(store: Store, hours: int) -> None:
    with store.write() as tx:
        store.batches.mark_hours(tx, PLACE, 1, T, T + hours * HOUR_NS)


def test_gaps_and_findings_follow_their_hours(store: Store) -> None:
    seen = marked(store, 0, 1)
    gaps = [Gap(resource_id="vm-1", from_ns=T + 5 + number * HOUR_NS, until_ns=T + DAY_NS, filled=Filled.INTERPOLATED) for number in (0, 1)]
    findings = [
        Finding(
            code=FindingCode.COUNTER_RESET,
            severity=Severity.NOTE,
            resource_id="vm-1",
            boot_id="boot",
            at_ns=T + 5 + number * HOUR_NS,
            counters=("cpu_time_nanos",),
        )
        for number in (0, 1)
    ]
    replace(store, seen, HoursResult(hours=(), gaps=tuple(gaps), findings=tuple(findings)))
    assert [gap for _, gap in store.usage.gaps(PLACE)] == gaps[::-1]
    assert [finding for _, finding in store.usage.findings(PLACE)] == findings[::-1]
    assert store.usage.gaps(PLACE, before=(gaps[1].from_ns, seen[0].resource_key), limit=5)[0][1] == gaps[0]
    with store.write() as tx:
        store.batches.mark_hours(tx, PLACE, 1, T, T + HOUR_NS)
    closed = Gap(resource_id="vm-1", from_ns=T + 5, until_ns=T + 9, filled=Filled.UNKNOWN, cause=GapCause.RESTART)
    replace(store, store.usage.dirty(), HoursResult(hours=(), gaps=(closed, gaps[1]), findings=()))
    assert [gap for _, gap in store.usage.gaps(PLACE)] == [gaps[1], closed]
    assert [finding for _, finding in store.usage.findings(PLACE)] == [findings[1]]
    with store.read() as tx:
        assert tx.rows("SELECT from_ns, until_ns, filled FROM gap_log") == [(gaps[0].from_ns, gaps[0].until_ns, "interpolated")]
    assert [gap for _, gap in store.usage.gaps(PLACE, T + 6, T + 8)] == [closed]


def test_pages_hold_everything_once(store: Store) -> None:
    for resource in ("vm-1", "vm-2", "vm-3"):
        seen = marked(store, 0, 1, 2, resource=resource)
        replace(store, seen, HoursResult(hours=tuple(hour(T + n * HOUR_NS, resource=resource) for n in range(3)), gaps=(), findings=()))
    found: list[tuple[int, int]] = []
    before = None
    while page := store.usage.hours(PLACE, before=before, limit=2):
        before = (page[-1][1].hour_ns, page[-1][0])
        found.extend((each.hour_ns, key) for key, each in page)
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 9


def test_marks_are_listed_by_resource(store: Store) -> None:
    for resource in ("vm-1", "vm-2"):
        marked(store, 0, 1, resource=resource)
    marks = store.usage.dirty(limit=3)
    assert [(mark.resource_id, mark.hour_ns) for mark in marks] == [("vm-1", T), ("vm-1", T + HOUR_NS), ("vm-2", T)]
    assert [mark.resource_id for mark in store.usage.dirty(after_resource_key=marks[0].resource_key)] == ["vm-2", "vm-2"]
    assert store.usage.dirty_count() == 4
    assert store.usage.dirty_count(PLACE, resource_keys=[marks[0].resource_key], until_ns=T + 1) == 1
    assert len(store.usage.dirty(until_ns=T + 1)) == 2


def test_days_and_months_are_kept_by_customer(store: Store) -> None:
    marked(store, 0)

    def day(customer: str, amount: int) -> UsagePeriod:
        return UsagePeriod(
            resource_id="vm-1",
            customer_id=customer,
            zone="Europe/Berlin",
            date="2026-02-14",
            start_ns=T,
            end_ns=T + DAY_NS,
            totals={"cpu.used": amount},
            estimated={"uptime": 1},
            samples=5,
            memory_peak_bytes=None,
            runs=1,
            unknown_ns=9,
        )

    with store.write() as tx:
        store.usage.replace_periods(tx, PLACE, "day", [(1, day("acme", 2**120)), (1, day("bolt", 1))])
        store.usage.replace_periods(tx, PLACE, "day", [(1, day("bolt", 2))])
    assert store.usage.periods(PLACE, "day", T, T + 1) == [(1, day("acme", 2**120)), (1, day("bolt", 2))]
    assert store.usage.periods(PLACE, "month", T, T + 1) == []
    with store.write() as tx:
        store.usage.drop_periods(tx, PLACE, "day", [(1, day("acme", 0)), (1, day("bolt", 0))])
    assert store.usage.periods(PLACE, "day", T, T + 1) == []


def test_computed_usage_is_stored(store: Store) -> None:
    write(store, batch(level=10), batch(sequence=2, at_ns=T + 60 * SECOND, level=10))
    assert sweep(store) == 1
    ((_, found),) = store.usage.hours(PLACE)
    assert found.total("uptime") == 119 * SECOND
    assert found.total("memory.used") == 10 * 119 * SECOND
    assert found.samples == 120
