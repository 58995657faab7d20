"""What comes too late changes nothing until a person admits it; then usage is as if it had come in time, as far as that can be told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.app.answers.late import change_of, decide_late
from tallystick.app.check import check_store
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.instants import HOUR_NS, LATEST_NS
from tallystick.model.resources import Fact
from tallystick.model.timeline import StorableBatch
from tallystick.serve.problems import Problem
from tallystick.store.retention.too_late import TooLate
from tallystick.store.store import Store, open_store
from tests.contract.conftest import StandingClock
from tests.contract.retention.test_sealing import seal
from tests.contract.rows import PLACE, SECOND, T, batch, write
from tests.stores import migrated_database

NOW = T + 10_000 * HOUR_NS
SEALED = T + 6 * HOUR_NS
MINUTE = 60 * SECOND


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Store]:
    """A store in which nothing is sealed."""
    folder = tmp_path / "whole"
    folder.mkdir()
    with migrated_database("sqlite", folder) as url:
        found = open_store(url, StandingClock())
        yield found
        found.close()


def first(*stores: Store, goes_on: bool) -> None:
    """Two boots in sealed hours, of which the second may go on after them."""
    for store in stores:
        with store.write() as tx:
            fact = Fact(resource_id="vm-1", at_ns=T - HOUR_NS, received_at_ns=T, vcpus=2, memory_bytes=2**30)
            store.batches.write_facts(tx, PLACE, [fact])
        write(store, batch(sequence=1, at_ns=T), batch(sequence=1, at_ns=T + 2 * HOUR_NS, boot="next"))
        if goes_on:
            write(store, batch(sequence=9, at_ns=T + 8 * HOUR_NS, boot="next"))
        roll(store)


def roll(store: Store) -> None:
    roll_up(store, DiskHorizon.RESOURCE, NOW)


def usage(store: Store) -> object:
    hours = {hour.hour_ns: (dict(hour.cells), dict(hour.estimated), hour.samples, hour.runs) for _, hour in store.usage.hours(PLACE)}
    periods = (store.usage.periods(PLACE, kind, 0, LATEST_NS) for kind in ("day", "month"))
    return hours, [[(row.start_ns, row.totals, row.estimated, row.samples) for _, row in rows] for rows in periods]


CASES: dict[str, tuple[StorableBatch, bool]] = {
    "the last boot was up longer": (batch(sequence=2, at_ns=T + 2 * HOUR_NS + 5 * MINUTE, boot="next"), False),
    "a boot that nobody knew, at the end": (batch(sequence=1, at_ns=T + 4 * HOUR_NS, boot="third"), False),
    "a boot between two others": (batch(sequence=1, at_ns=T + HOUR_NS, boot="between"), False),
    "a boot before all": (batch(sequence=1, at_ns=T - 3 * HOUR_NS, boot="earlier"), True),
    "a boot beside another": (batch(sequence=1, at_ns=T + 2 * HOUR_NS + 30 * SECOND, boot="beside"), False),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_admitted_counts_as_if_it_had_come_in_time(store: Store, whole: Store, case: str) -> None:
    late, goes_on = CASES[case]
    first(store, whole, goes_on=goes_on)
    assert seal(store, "vm-1", SEALED)
    before = usage(store)
    assert write(store, late) == ["stored"]
    write(whole, late)
    roll(store)
    roll(whole)
    assert usage(store) == before
    (waiting,) = store.too_late.entries(PLACE, state="open")
    change = change_of(store, PLACE, waiting)
    assert any(meters.get("uptime", 0) > 0 for meters in change.values())
    with pytest.raises(Problem):
        decide_late(store, PLACE, "me", 4711, "", admit=True)
    decided = decide_late(store, PLACE, "me", waiting.batch_key, "it was there", admit=True)
    assert (decided.state, decided.change, decided.reason) == ("admitted", change, "it was there")
    roll(store)
    if case != "a boot beside another":
        assert usage(store) == usage(whole)
    assert write(store, late) == ["repeated"]
    with pytest.raises(Problem):
        decide_late(store, PLACE, "me", waiting.batch_key, "", admit=False)
    assert [entry.action for entry in store.audit.entries(PLACE)][-1] == "too_late.admit"
    assert check_store(store, DiskHorizon.RESOURCE, NOW).differences == ()


def test_what_lies_inside_a_boot_is_counted_already(store: Store) -> None:
    write(store, batch(sequence=1, at_ns=T), batch(sequence=3, at_ns=T + 2 * HOUR_NS))
    roll(store)
    assert seal(store, "vm-1", SEALED)
    before = usage(store)
    write(store, batch(sequence=2, at_ns=T + HOUR_NS))
    (waiting,) = store.too_late.entries(PLACE)
    assert change_of(store, PLACE, waiting) == {}
    decide_late(store, PLACE, "me", waiting.batch_key, "", admit=False)
    assert usage(store) == before
    assert store.too_late.entries(PLACE, state="open") == []
    with store.read() as tx:
        assert tx.rows("SELECT first_sequence, last_sequence FROM batch_range") == [(1, 3)]


def test_a_boot_that_goes_on_is_linked_from_what_is_admitted(store: Store, whole: Store) -> None:
    """The link over the seal had its share in sealed hours: with the batch between, both sides are what they would have been."""
    first(store, whole, goes_on=True)
    assert seal(store, "vm-1", SEALED)
    late = batch(sequence=5, at_ns=SEALED - 10 * MINUTE, boot="next", level=7000)
    write(store, late)
    write(whole, late)
    roll(whole)
    (waiting,) = store.too_late.entries(PLACE)
    decide_late(store, PLACE, "me", waiting.batch_key, "", admit=True)
    roll(store)
    assert usage(store) == usage(whole)


def test_two_decisions_at_once_on_one_resource_both_count(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one begins while the first has read the hours and not yet written them."""
    lates = [batch(sequence=1, at_ns=T + 4 * HOUR_NS + minutes * MINUTE, boot=f"late-{minutes}") for minutes in (0, 20)]
    first(store, goes_on=False)
    assert seal(store, "vm-1", SEALED)
    write(store, *lates)
    keys = [each.batch_key for each in store.too_late.entries(PLACE, state="open")]
    other = open_store(url, StandingClock())
    workers: list[threading.Thread] = []
    real = TooLate.admit

    def admit(self: TooLate, *args: Any, **named: Any) -> None:
        if not workers:
            work = threading.Thread(target=lambda: decide_late(other, PLACE, "you", keys[0], "", admit=True))
            workers.append(work)
            work.start()
            work.join(0.7)
        real(self, *args, **named)

    monkeypatch.setattr(TooLate, "admit", admit)
    decide_late(store, PLACE, "me", keys[1], "", admit=True)
    workers[0].join()
    other.close()
    assert store.too_late.entries(PLACE, state="open") == []
    roll(store)
    hours = [hour for _, hour in store.usage.hours(PLACE) if hour.hour_ns == T + 4 * HOUR_NS]
    assert [hour.samples for hour in hours] == [sum(each.samples for each in lates)]
    assert check_store(store, DiskHorizon.RESOURCE, NOW).differences == ()
