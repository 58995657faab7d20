"""The roll-up on every database: several workers at one resource, a resource that cannot be computed, gaps and owners that change."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tallystick.app.check import check_store
from tallystick.app.jobs import rollup
from tallystick.app.jobs.failures import Failures
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.instants import HOUR_NS, LATEST_NS
from tallystick.model.resources import Fact
from tallystick.model.usage import HoursResult
from tallystick.store.records import DirtyHour
from tallystick.store.store import Store, open_store
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, SECOND, T, batch, dirty_hours, write

DAY_HOURS = 24
DAY_T = T - T % (DAY_HOURS * HOUR_NS)
END = DAY_T + 60 * DAY_HOURS * HOUR_NS


def differences(store: Store) -> tuple[str, ...]:
    return check_store(store, DiskHorizon.CLOCK, END).differences


def roll(store: Store, failures: Failures | None = None) -> int:
    return roll_up(store, DiskHorizon.CLOCK, END, failures)


@pytest.fixture
def other(url: str) -> Iterator[Store]:
    """Another worker's store."""
    found = open_store(url, StandingClock())
    yield found
    found.close()


def test_two_workers_with_an_hour_each_of_one_day_make_the_day_of_both(store: Store, other: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, batch(sequence=1, at_ns=DAY_T), batch(sequence=2, at_ns=DAY_T + 5 * HOUR_NS, boot="next"))
    real, halted = rollup.write_days, threading.Event()
    first = threading.current_thread()
    workers: list[threading.Thread] = []

    def write_days(*args: object, **named: object) -> None:
        real(*args, **named)
        if threading.current_thread() is first and not workers:
            # The other worker begins while this one has written the day and not yet committed it.
            workers.append(threading.Thread(target=lambda: _only(other, later)))
            workers[0].start()
            halted.wait(0.5)

    monkeypatch.setattr(rollup, "write_days", write_days)
    marks = store.usage.dirty()
    later = [mark for mark in marks if mark.hour_ns >= DAY_T + 5 * HOUR_NS]
    _only(store, [mark for mark in marks if mark not in later])
    workers[0].join()
    assert dirty_hours(store) == {}
    assert differences(store) == ()


def test_a_worker_that_began_before_an_assignment_does_not_take_the_day_back(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has an hour before the change; another worker has made the hours after it meanwhile, and the day of both customers."""
    assign(store, "a", DAY_T)
    write(store, batch(sequence=1, at_ns=DAY_T + 2 * HOUR_NS), batch(sequence=2, at_ns=DAY_T + 8 * HOUR_NS))
    roll(store)
    write(store, batch(sequence=1, at_ns=DAY_T + HOUR_NS, boot="late"))
    early = [mark for mark in store.usage.dirty() if mark.hour_ns < DAY_T + 2 * HOUR_NS]
    real, begun = rollup.hours_of, list[bool]()

    def hours_of(*args: object, **named: object) -> HoursResult:
        if not begun:
            begun.append(True)
            assign(other, "b", DAY_T + 5 * HOUR_NS)
            _only(other, [mark for mark in other.usage.dirty() if mark.hour_ns >= DAY_T + 2 * HOUR_NS])
        return real(*args, **named)

    monkeypatch.setattr(rollup, "hours_of", hours_of)
    _only(store, early)
    roll(store)
    assert dirty_hours(store) == {}
    assert differences(store) == ()


def assign(store: Store, customer_id: str, at_ns: int) -> None:
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, [Fact(resource_id="vm-1", at_ns=at_ns, received_at_ns=at_ns, customer_id=customer_id)])


def _only(store: Store, marks: list[DirtyHour]) -> None:
    for stretches in rollup._together(marks):
        rollup._compute(store, stretches, DiskHorizon.CLOCK, END)


def test_a_resource_that_cannot_be_computed_stops_no_other(store: Store) -> None:
    names = [f"vm-{number}" for number in range(5)]
    write(store, *(batch(name) for name in names), batch("vm-2", at_ns=T + SECOND // 2, spool="again"))
    with store.write() as tx:
        kept = tx.rows("SELECT batch_key, body FROM payload")
        tx.run("UPDATE payload SET body = ?", (b"damaged",))
    failures = Failures()
    assert roll(store, failures) == 4
    assert dirty_hours(store) == {"vm-2": [0]}
    assert len(failures) == 1
    assert [store.gaps.counts(T + at_ns, 0, 0).hours_waiting for at_ns in (2 * HOUR_NS, 2 * HOUR_NS + 1)] == [0, 1]
    assert roll(store, failures) == 0, "it is left alone for a while"
    with store.write() as tx:
        tx.many("UPDATE payload SET body = ? WHERE batch_key = ?", [(bytes(body), key) for key, body in kept])
    assert [roll(store, failures) for _ in range(2)] == [1, 0]
    assert len(failures) == 0
    assert store.gaps.counts(END, 0, 0).hours_waiting == 0
    assert differences(store) == ()


def test_a_store_that_is_away_is_no_fault_of_a_resource(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, batch())
    away = rollup.STORE_AWAY[0]("disk is full")
    monkeypatch.setattr(rollup, "write_days", lambda *_, **__: (_ for _ in ()).throw(away))
    failures = Failures()
    with pytest.raises(rollup.STORE_AWAY):
        roll(store, failures)
    assert len(failures) == 0
    assert dirty_hours(store) == {"vm-1": [0]}


def test_hours_are_the_same_however_few_batches_are_opened_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup, "BATCHES_OPENED_AT_ONCE", 2)
    for name in ("vm-1", "vm-2"):
        for number in range(90):
            at_ns = T + number * 120 * SECOND
            write(store, batch(name, number + 1, at_ns, 120), batch(name, number + 1, at_ns + SECOND // 2, 120, spool="again"))
    assert roll(store) == 6
    assert differences(store) == ()


@pytest.mark.parametrize("order", [1, -1])
def test_days_tell_of_an_unknown_gap_whichever_hours_are_computed_first(store: Store, order: int) -> None:
    write(store, batch(sequence=1, at_ns=DAY_T + 22 * HOUR_NS, boot="one"))
    write(store, batch(sequence=2, at_ns=DAY_T + 30 * HOUR_NS, boot="two"))
    for mark in store.usage.dirty()[::order]:
        _only(store, [mark])
    roll(store)
    assert differences(store) == ()
    unknown = {day.date: day.unknown_ns for _, day in store.usage.periods(PLACE, "day", 0, LATEST_NS)}
    assert sum(unknown.values()) == 8 * HOUR_NS - 59 * SECOND
    # A boot between them fills a part of it.
    write(store, batch(sequence=3, at_ns=DAY_T + 23 * HOUR_NS, boot="between"))
    for mark in store.usage.dirty()[::order]:
        _only(store, [mark])
    roll(store)
    assert differences(store) == ()


def test_an_hour_that_is_computed_while_its_resource_is_assigned_is_its_customers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    write(store, batch())
    real = rollup.hours_of

    def assigned_meanwhile(*args: object, **named: object) -> HoursResult:
        monkeypatch.setattr(rollup, "hours_of", real)
        with store.write() as tx:
            store.batches.write_facts(tx, PLACE, [Fact(resource_id="vm-1", at_ns=T, received_at_ns=T, customer_id="acme")])
        return real(*args, **named)

    monkeypatch.setattr(rollup, "hours_of", assigned_meanwhile)
    roll(store)
    roll(store)
    assert {day.customer_id for _, day in store.usage.periods(PLACE, "day", 0, LATEST_NS)} == {"acme"}
    assert differences(store) == ()


def test_disk_hours_of_many_resources_and_of_a_long_time_are_marked_a_few_at_a_time(store: Store) -> None:
    since = END - 400 * HOUR_NS
    facts = [Fact(resource_id=f"vm-{number:02}", at_ns=since, received_at_ns=since, disk_bytes=1) for number in range(10)]
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, facts)
        tx.run("DELETE FROM dirty_hour")
    calls = []
    while not calls or calls[-1]:
        before = store.usage.dirty_count()
        calls.append(store.transact(lambda tx: store.batches.mark_disk_hours(tx, END, most_resources=4)))
        assert store.usage.dirty_count() - before <= 4 * 168
    assert store.usage.dirty_count() == 10 * 400
    assert max(calls) == 4


def test_days_and_months_are_the_sums_of_their_hours_however_often_and_in_what_order_hours_change(store: Store) -> None:
    """Hours of two days and two months come one by one, late and again with other usage; `check` sums all cells."""
    start = DAY_T + 22 * HOUR_NS
    for turn, hour in enumerate((3, 0, 25, 1, 2, 24, 0, 26, 3)):
        at_ns = start + hour * HOUR_NS
        write(store, *(batch(name, turn + 1, at_ns + turn * 120 * SECOND, boot=f"b{turn}", level=1000 - turn) for name in ("vm-1", "vm-2")))
        roll(store)
        assert differences(store) == ()
    days = [day for _, day in store.usage.periods(PLACE, "day", 0, LATEST_NS) if day.resource_id == "vm-1"]
    (month,) = [month for _, month in store.usage.periods(PLACE, "month", 0, LATEST_NS) if month.resource_id == "vm-1"]
    assert len(days) == 3
    assert month.samples == sum(day.samples for day in days) == 9 * 60
