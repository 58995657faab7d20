"""Usage minutes on every database: they add up to the cells of the hours, page by page, as long as what they are made of is kept."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from tallystick.app.answers.usage.minutes import minutes_of
from tallystick.app.jobs.retention.archive import Archive
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.instants import CELL_NS, DAY_NS, HOUR_NS, MINUTE_NS, iso
from tallystick.model.records import UsageRecord
from tallystick.model.resources import Fact
from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.model.usage import Filled
from tallystick.serve.problems import Problem
from tallystick.serve.services import CustomerMinute, UsageMinutes, UsageQuery
from tallystick.store.retention.archived import ArchivedFile
from tallystick.store.store import Store
from tests.contract.retention.test_clean_up import START, clean, clock, lab
from tests.contract.retention.test_sealing import seal
from tests.contract.rows import PLACE, SECOND, T, batch, thin_of, write
from tests.contract.test_closing import Bench

__all__ = ["clock", "lab"]
END = T + 30 * HOUR_NS


def query(from_ns: int = T, until_ns: int = T + 3 * HOUR_NS, *, resource: str | None = None, customer: str | None = None) -> UsageQuery:
    customers = None if customer is None else frozenset({customer})
    return UsageQuery(resource_id=resource, customers=customers, from_ns=from_ns, until_ns=until_ns)


def told(store: Store, asked: UsageQuery, *, count: int = 10**6, archive: Path | None = None) -> UsageMinutes:
    """The answer to a query, which must be the same page by page."""
    whole = minutes_of(store, PLACE, asked, None, count, END, archive)
    for size in (1, 7) if len(whole.minutes) < 40 else (50,):
        pages: list[CustomerMinute] = []
        before = None
        while page := minutes_of(store, PLACE, asked, before, size, END, archive).minutes:
            pages += page
            before = (page[-1].minute.minute_ns, page[-1].resource_key)
        assert tuple(pages) == whole.minutes
    return whole


def assert_sums(store: Store, found: tuple[CustomerMinute, ...]) -> None:
    """Minutes are the cells of the stored hours, to the unit, and their samples those of the hours."""
    sums: dict[tuple[int, int, str], int] = defaultdict(int)
    samples: dict[tuple[int, int], int] = defaultdict(int)
    for each in found:
        minute = each.minute
        samples[each.resource_key, minute.minute_ns // HOUR_NS * HOUR_NS] += minute.samples
        for meter, amount in minute.amounts.items():
            sums[each.resource_key, minute.minute_ns // CELL_NS * CELL_NS, meter] += amount
    hours = store.usage.hours(PLACE, resource_keys=sorted({each.resource_key for each in found}))
    want = {
        (key, hour.hour_ns + place * CELL_NS, meter): amount
        for key, hour in hours
        for meter, cells in hour.cells.items()
        for place, amount in enumerate(cells)
        if amount
    }
    assert {key: amount for key, amount in sums.items() if amount} == want != {}
    assert {key: count for key, count in samples.items() if count} == {
        (key, hour.hour_ns): hour.samples for key, hour in hours if hour.samples
    }


def test_minutes_add_up_to_the_cells_of_the_hours(store: Store) -> None:
    """Batches that begin anywhere in a minute, a silence, a restart, a copy cut otherwise, one that comes late, a second machine."""
    odd = T + 17 * SECOND + 1
    write(store, *(batch("vm-1", number, odd + number * MINUTE_NS, 60) for number in range(90) if number not in (30, 31, 50)))
    write(
        store, batch("vm-1", 7, odd + 30 * SECOND + 7 * MINUTE_NS, 60, spool="again"), batch("vm-1", 1, odd + 95 * MINUTE_NS, 90, boot="b")
    )
    write(store, batch("vm-2", 1, T + 59 * MINUTE_NS + 30 * SECOND, 120), batch("vm-1", 51, odd + 50 * MINUTE_NS, 60, received_at_ns=END))
    with store.write() as tx:
        fact = Fact(resource_id="vm-1", at_ns=odd, received_at_ns=odd, vcpus=2, memory_bytes=2**30, disk_bytes=2**40)
        store.batches.write_facts(tx, PLACE, [fact])
    roll_up(store, DiskHorizon.CLOCK, T + 2 * HOUR_NS)
    found = minutes_of(store, PLACE, query(), None, 10**6, T + 2 * HOUR_NS, None).minutes
    assert_sums(store, found)
    assert found == tuple(sorted(found, key=lambda each: (each.minute.minute_ns, each.resource_key), reverse=True))
    assert not any(each.minute.evenly for each in found)
    silent = [each for each in found if each.minute.minute_ns == T + 31 * MINUTE_NS and each.minute.resource_id == "vm-1"]
    assert [each.minute.estimated["uptime"] for each in silent] == [MINUTE_NS]
    between = {each.minute.minute_ns: each for each in found if each.minute.resource_id == "vm-1" and each.unknown_ns}
    (gap,) = [gap for _, gap in store.usage.gaps(PLACE) if gap.filled is Filled.UNKNOWN]
    assert sum(each.unknown_ns for each in between.values()) == gap.until_ns - gap.from_ns
    nothing = between[T + 93 * MINUTE_NS]
    assert nothing.unknown_ns == MINUTE_NS
    assert nothing.minute.amounts == {"cpu.used": 0, "disk.allocated": 2**40 * MINUTE_NS}, (
        "time and memory are not known there: they are not 0"
    )


def test_pages_of_many_and_an_owner_that_changes(store: Store) -> None:
    for name in ("vm-1", "vm-2", "vm-3"):
        facts = [Fact(resource_id=name, at_ns=T, received_at_ns=T, customer_id="acme")]
        facts += [Fact(resource_id=name, at_ns=T + CELL_NS, received_at_ns=T, customer_id="globex")] if name == "vm-2" else []
        with store.write() as tx:
            store.batches.write_facts(tx, PLACE, facts)
        write(store, batch(name, 1, T + 100 * SECOND, 400))
    roll_up(store, DiskHorizon.CLOCK, END)
    whole = told(store, query()).minutes
    assert_sums(store, whole)
    own = told(store, query(customer="acme")).minutes
    assert own == tuple(each for each in whole if each.customer_id == "acme")
    moved = told(store, query(customer="globex")).minutes
    assert {each.minute.resource_id for each in moved} == {"vm-2"}
    assert min(each.minute.minute_ns for each in moved) == T + CELL_NS
    one = told(store, query(T + 2 * MINUTE_NS, T + 4 * MINUTE_NS, resource="vm-3")).minutes
    assert [each.minute.minute_ns for each in one] == [T + 3 * MINUTE_NS, T + 2 * MINUTE_NS]
    assert told(store, query(T - DAY_NS, T)).minutes == ()
    assert told(store, query(resource="none")).minutes == ()


def test_samples_that_are_moved_tell_the_same_and_without_them_batches_tell(lab: Store, clock: Bench, tmp_path: Path) -> None:
    span = query(START - START % HOUR_NS, START + HOUR_NS)
    before = told(lab, span).minutes
    assert_sums(lab, before)
    clean(lab, clock, START + 73 * HOUR_NS, archive=tmp_path)
    assert [each.minute for each in told(lab, span, archive=tmp_path).minutes] == [each.minute for each in before]
    without = told(lab, span).minutes
    assert_sums(lab, without)
    assert not any(each.minute.evenly for each in without), "its batches begin with minutes: each lies whole in one"
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    assert told(lab, span, archive=tmp_path).minutes == without


def test_a_batch_over_midnight_is_read_from_both_its_files(store: Store, tmp_path: Path) -> None:
    midnight = (T // DAY_NS + 1) * DAY_NS
    write(store, batch("vm-1", 1, midnight - 90 * SECOND, 180))
    roll_up(store, DiskHorizon.CLOCK, END)
    span = query(midnight - HOUR_NS, midnight + HOUR_NS)
    before = told(store, span).minutes
    archive = Archive(tmp_path, store)
    files: list[ArchivedFile] = archive.write([1], END)
    with store.write() as tx:
        store.archived.add(tx, files, END)
        store.retention.delete_payloads(tx, store.archived.rows([1], tx=tx))
    assert told(store, span, archive=tmp_path).minutes == before
    assert_sums(store, told(store, span).minutes)


def test_thinned_batches_are_told_evenly(store: Store) -> None:
    write(store, *map(thin_of, (batch("vm-1", number, T + 30 * SECOND + number * MINUTE_NS, 60) for number in range(9))))
    roll_up(store, DiskHorizon.CLOCK, END)
    found = told(store, query()).minutes
    assert_sums(store, found)
    assert all(each.minute.evenly for each in found)
    assert "uptime" not in found[0].minute.evenly, "when it was up is known"


def test_what_is_deleted_is_said_and_is_not_nothing(store: Store) -> None:
    for name in ("vm-1", "vm-2"):
        write(store, *(batch(name, number, T + number * MINUTE_NS, 60) for number in range(150)))
    roll_up(store, DiskHorizon.CLOCK, END)
    whole = told(store, query()).minutes
    assert seal(store, "vm-1", T + HOUR_NS)
    found = told(store, query())
    assert found.deleted == (("vm-1", T + HOUR_NS),)
    assert found.minutes == tuple(each for each in whole if each.minute.resource_id == "vm-2" or each.minute.minute_ns >= T + HOUR_NS)
    with pytest.raises(Problem, match=f"what was sent of 'vm-1' is deleted before {iso(T + HOUR_NS)}") as refused:
        told(store, query(T, T + HOUR_NS, resource="vm-1"))
    assert (refused.value.code.status, refused.value.field, refused.value.value) == (410, "until", iso(T + HOUR_NS))
    assert told(store, query(T, T + HOUR_NS)).deleted == (("vm-1", T + HOUR_NS),)


def test_records_are_placed_evenly_and_said_to_be(store: Store) -> None:
    records = [
        UsageRecord(
            source="exporter", record_id=f"{number}", resource_id="pod-1", meter="http.requests", from_ns=from_ns, until_ns=until_ns,
            amount=amount, content_hash=bytes([number] * 32), received_at_ns=END,
        )
        for number, from_ns, until_ns, amount in ((1, T, T + HOUR_NS, 100), (2, T + HOUR_NS, T + HOUR_NS + MINUTE_NS, 7))
    ]  # fmt: skip
    with store.write() as tx:
        store.batches.write_records(tx, PLACE, records)
    roll_up(store, DiskHorizon.CLOCK, END)
    found = told(store, query()).minutes
    assert_sums(store, found)
    assert [each.minute.amounts for each in found[:3]] == [{"http.requests": 7}, {"http.requests": 2}, {"http.requests": 2}]
    assert [each.minute.evenly for each in found[:2]] == [{}, {"http.requests": 2}]
    assert len(found) == 61


def test_nothing_comes_after_a_stop_and_that_is_known(store: Store) -> None:
    write(store, batch("vm-1", 1, T, 60), batch("vm-1", 2, T + 10 * MINUTE_NS, 60, boot="next"))
    stop = LifecycleEvent(resource_id="vm-1", boot_id="boot", kind=LifecycleKind.STOPPED, at_ns=T + MINUTE_NS, received_at_ns=END)
    start = LifecycleEvent(resource_id="vm-1", boot_id="next", kind=LifecycleKind.STARTED, at_ns=T + 10 * MINUTE_NS, received_at_ns=END)
    with store.write() as tx:
        store.batches.write_events(tx, PLACE, [stop, start])
    roll_up(store, DiskHorizon.CLOCK, END)
    found = told(store, query()).minutes
    assert [(each.minute.minute_ns, each.unknown_ns) for each in found] == [(T + 10 * MINUTE_NS, 0), (T, 0)]
    assert [len(each.minute.runs) for each in found] == [1, 1]


def test_too_much_at_once_is_refused_with_field_and_value(store: Store) -> None:
    with store.write() as tx:
        facts = [Fact(resource_id=f"vm-{number}", at_ns=T, received_at_ns=T, customer_id="acme") for number in range(101)]
        store.batches.write_facts(tx, PLACE, facts)
    for asked, field, value in (
        (query(T, T + DAY_NS + 1), "from", iso(T)),
        (query(T - DAY_NS, 2**63 - 1), "from", iso(T - DAY_NS)),
        (query(), "resource_id", ""),
        (query(customer="acme"), "customer_id", "acme"),
    ):
        with pytest.raises(Problem) as refused:
            minutes_of(store, PLACE, asked, None, 10, END, None)
        assert (refused.value.code.name, refused.value.field, refused.value.value) == ("invalid", field, value)
    assert minutes_of(store, PLACE, query(resource="vm-7"), None, 10, END, None).minutes == ()
