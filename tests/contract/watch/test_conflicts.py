"""Other content under a known identity: kept aside, told of, and resolved by a person, on each database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tallystick.app.answers.conflicts import resolve_conflict
from tallystick.app.check import check_store
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.instants import HOUR_NS
from tallystick.model.timeline import StorableBatch
from tallystick.serve.problems import Problem
from tallystick.store.records import Conflict
from tallystick.store.store import Store, open_store
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, SECOND, T, batch, dirty_hours, write

MINUTE = 60 * SECOND
NOW = T + 10 * HOUR_NS


def first_three(**second: int) -> tuple[StorableBatch, ...]:
    """Three minutes, the second of them as it is given."""
    return (batch(sequence=1), batch(sequence=2, at_ns=T + MINUTE, **second), batch(sequence=3, at_ns=T + 3 * MINUTE))


def usage(store: Store) -> Sequence[tuple[int, int | None, int | None]]:
    roll_up(store, DiskHorizon.CLOCK, NOW)
    assert check_store(store, DiskHorizon.CLOCK, NOW).differences == ()
    return [(hour.samples, hour.total("memory.used"), hour.total("uptime")) for _, hour in store.usage.hours(PLACE)]


def in_conflict(store: Store) -> Conflict:
    assert write(store, *first_three()) == ["stored"] * 3
    other = batch(sequence=2, at_ns=T + MINUTE, count=90, level=5000, received_at_ns=T + HOUR_NS)
    assert write(store, other, other) == ["conflict", "conflict"]
    (found,) = store.conflicts.list(PLACE, only_open=True)
    return found


def topics(store: Store) -> list[str]:
    with store.read() as tx:
        return [row[0] for row in tx.rows("SELECT topic FROM outbox ORDER BY outbox_key")]


def test_a_conflict_is_told_of_once(store: Store) -> None:
    found = in_conflict(store)
    assert (found.resource_id, found.sequence, found.samples, found.state) == ("vm-1", 2, 90, "open")
    assert topics(store) == ["metering.conflict"]


def test_the_stored_content_goes_on_counting(store: Store) -> None:
    found = in_conflict(store)
    before = usage(store)
    kept = resolve_conflict(store, PLACE, "k1", found.row, takes_sent=False, reason="a test host")
    assert (kept.state, kept.resolved_by, kept.reason) == ("kept", "k1", "a test host")
    assert resolve_conflict(store, PLACE, "k2", found.row, takes_sent=False, reason="again") == kept
    assert dirty_hours(store) == {}
    assert usage(store) == before
    assert store.conflicts.list(PLACE, only_open=True) == []
    assert [(each.action, each.actor) for each in store.audit.entries(PLACE)] == [("conflict.resolve", "k1")]
    with pytest.raises(Problem, match="kept"):
        resolve_conflict(store, PLACE, "k1", found.row, takes_sent=True, reason="no")
    with pytest.raises(Problem, match="conflict"):
        resolve_conflict(store, PLACE, "k1", 999, takes_sent=False, reason="")


def test_the_second_content_counts_in_its_place(store: Store) -> None:
    found = in_conflict(store)
    before = usage(store)
    taken = resolve_conflict(store, PLACE, "k1", found.row, takes_sent=True, reason="the first was a restored backup")
    assert taken.state == "replaced"
    assert dirty_hours(store)["vm-1"]
    after = usage(store)
    other = batch(sequence=2, at_ns=T + MINUTE, count=90, level=5000)
    assert after != before
    assert after[0][0] == 60 + 90 + 60
    # Both payloads stay, and what was sent first is no new conflict when it comes again.
    with store.read() as tx:
        assert tx.rows("SELECT COUNT(*) FROM payload") == [(4,)]
    assert write(store, other) == ["repeated"]
    assert write(store, first_three()[1]) == ["conflict"]
    assert store.conflicts.list(PLACE, only_open=True) == []
    assert topics(store) == ["metering.conflict", "metering.conflict_resolved"]
    assert resolve_conflict(store, PLACE, "k1", found.row, takes_sent=True, reason="again") == taken


@pytest.mark.parametrize("second_takes_sent", [True, False])
def test_two_persons_at_once(store: Store, url: str, *, second_takes_sent: bool) -> None:
    """Both wait for the resource, and the second sees what the first decided: the same is no news, the other is a clash."""
    found = in_conflict(store)
    results: list[str] = []

    def resolve(takes_sent: bool) -> None:
        other = open_store(url, StandingClock())
        try:
            results.append(resolve_conflict(other, PLACE, "k1", found.row, takes_sent=takes_sent, reason="").state)
        except Problem as problem:
            results.append(str(problem))
        finally:
            other.close()

    with ThreadPoolExecutor(2) as pool:
        with store.write() as tx:
            store.batches.lock(tx, PLACE, ["vm-1"], NOW)
            threads = [pool.submit(resolve, takes_sent) for takes_sent in (True, second_takes_sent)]
            # Long enough that both have read what they read before they wait.
            time.sleep(0.5)
        for each in threads:
            each.result()
    (state,) = (each.state for each in store.conflicts.list(PLACE, row=found.row))
    told = [each for each in results if each != state]
    assert len(results) == 2
    assert told == [] if second_takes_sent else "resolved already" in told[0]
    assert [each.action for each in store.audit.entries(PLACE)] == ["conflict.resolve"]
    usage(store)


def test_the_usage_is_that_of_a_stream_that_never_had_the_first(store: Store) -> None:
    found = in_conflict(store)
    resolve_conflict(store, PLACE, "k1", found.row, takes_sent=True, reason="")
    for each, level in zip(first_three(count=90), (1000, 5000, 1000), strict=True):
        write(store, batch("vm-2", each.identity.sequence, each.first_at_ns, each.samples, level=level))
    roll_up(store, DiskHorizon.CLOCK, NOW)
    one, two = ([hour for _, hour in store.usage.hours(PLACE) if hour.resource_id == name] for name in ("vm-1", "vm-2"))
    assert [(hour.cells, hour.estimated, hour.samples) for hour in one] == [(hour.cells, hour.estimated, hour.samples) for hour in two]


def test_the_ends_of_a_boot_are_those_of_what_counts(store: Store) -> None:
    write(store, batch(sequence=1, at_ns=T + MINUTE), batch(sequence=2, at_ns=T + 3 * MINUTE, count=100))
    write(store, batch(sequence=1, at_ns=T, count=10, received_at_ns=T + HOUR_NS))
    write(store, batch(sequence=2, at_ns=T + 3 * MINUTE, count=50, received_at_ns=T + HOUR_NS))
    for each in store.conflicts.list(PLACE):
        resolve_conflict(store, PLACE, "k1", each.row, takes_sent=True, reason="")
    (timeline,) = store.batches.timelines(PLACE, [1], T, T + HOUR_NS)
    assert [(boot.first_at_ns, boot.last_at_ns) for boot in timeline.boots] == [(T, T + 3 * MINUTE + 49 * SECOND)]
    usage(store)
