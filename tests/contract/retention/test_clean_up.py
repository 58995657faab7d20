"""A clean-up deletes what is old and not needed, says what it left, and changes no usage, day, month or invoice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.app.answers.conflicts import resolve_conflict
from tallystick.app.answers.explaining import explain_line
from tallystick.app.check import check_store
from tallystick.app.jobs.retention.cleaning import Cleaning
from tallystick.app.jobs.retention.report import status_of
from tallystick.app.jobs.retention.rules import Rules
from tallystick.app.jobs.retention.steps import CleanUp
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.app.settings import load_settings
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.findings import FindingCode
from tallystick.model.instants import DAY_NS, HOUR_NS, LATEST_NS, SECOND_NS, hour_start, parse_iso
from tallystick.model.resources import Fact
from tallystick.rate.load import load_book
from tallystick.serve.services import Depth
from tallystick.store.store import Store
from tests.contract.rows import PLACE, batch, thin_of, write
from tests.contract.test_closing import BOOK, Bench, close

START = parse_iso("2026-03-10T08:58:00Z")
MINUTE_NS = 60 * SECOND_NS


@pytest.fixture
def clock() -> Bench:
    """The clock of the store and of the jobs."""
    found = Bench()
    found.at_ns = START
    return found


@pytest.fixture
def lab(store: Store, clock: Bench) -> Store:
    """A customer by the month, whose machine ran for six minutes; one batch came twice, cut otherwise."""
    book, mistakes = load_book(BOOK, "lab.yaml")
    assert book is not None, mistakes
    store.registry.create_customer(PLACE, Customer(id="acme", name="Acme", currency="EUR", time_zone="Europe/Berlin"), actor="test")
    store.contracts.add_book(PLACE, book, BOOK, actor="test")
    store.contracts.activate_book(PLACE, "lab", 1, actor="test")
    store.contracts.create_subscription(PLACE, Subscription(id="sub", customer_id="acme", plan_id="lab", start_ns=START), actor="test")
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, [Fact(resource_id="vm-1", at_ns=START, received_at_ns=START, customer_id="acme", vcpus=2)])
    write(store, *(batch("vm-1", number, START + number * MINUTE_NS, 60) for number in range(6)))
    write(store, batch("vm-1", 100, START + 90 * SECOND_NS, 30, spool="again", received_at_ns=START + 7 * MINUTE_NS))
    clock.at_ns = START + HOUR_NS
    roll(store, clock)
    return store


def roll(store: Store, clock: Bench) -> int:
    return roll_up(store, DiskHorizon.CLOCK, clock.now_ns())


def clean(store: Store, clock: Bench, at_ns: int, **rules: object) -> CleanUp:
    clock.at_ns = at_ns
    found = CleanUp(store=store, rules=Rules(**rules), now_ns=at_ns)  # type: ignore[arg-type]  # by name
    for _ in found.steps():
        pass
    return found


def differences(store: Store, clock: Bench) -> tuple[str, ...]:
    return check_store(store, DiskHorizon.CLOCK, clock.now_ns()).differences


def usage(store: Store) -> object:
    days = store.usage.periods(PLACE, "day", 0, LATEST_NS), store.usage.periods(PLACE, "month", 0, LATEST_NS)
    return [hour for _, hour in store.usage.hours(PLACE)], days


def test_raw_samples_go_after_three_days_but_those_that_hours_are_made_of(lab: Store, clock: Bench) -> None:
    before = usage(lab)
    assert not clean(lab, clock, START + 71 * HOUR_NS).tally.deleted["payloads"]
    found = clean(lab, clock, START + 73 * HOUR_NS).tally
    # Of seven batches two overlap: their samples stay as long as their segments.
    assert found.deleted["payloads"] == 5
    assert found.refused == {"raw samples of a batch that overlaps others": 2}
    with lab.read() as tx:
        assert not tx.is_sqlite or tx.row("PRAGMA freelist_count") == (0,), "the file is as small as it can be"
    assert usage(lab) == before
    assert differences(lab, clock) == ()
    # A late batch into what is gone: only what lies outside of it counts; and the hour is computed.
    write(lab, batch("vm-1", 7, START + 4 * MINUTE_NS + 10 * SECOND_NS, 170, spool="late", level=5000, received_at_ns=clock.at_ns))
    roll(lab, clock)
    assert lab.usage.dirty() == []
    assert [finding.code.value for _, finding in lab.usage.findings(PLACE)].count("samples_gone") == 1
    assert max(hour.memory_peak_bytes or 0 for _, hour in lab.usage.hours(PLACE)) == 5000
    assert differences(lab, clock) == ()
    assert status_of(lab, Rules(), clock.at_ns)["refused"] == {}


def test_a_thinned_batch_that_comes_late_and_begins_before_what_is_gone_is_counted_from_its_first_sample(lab: Store, clock: Bench) -> None:
    """An agent was cut off for days with a full disk: of two segments without samples the boot begins in the one received later."""
    (before,) = (hour for _, hour in lab.usage.hours(PLACE) if hour.hour_ns == hour_start(START))
    clean(lab, clock, START + 73 * HOUR_NS)
    write(lab, thin_of(batch("vm-1", 7, START - 30 * SECOND_NS, 60, spool="late", received_at_ns=clock.at_ns)))
    roll(lab, clock)
    assert lab.usage.dirty() == []
    (after,) = (hour for _, hour in lab.usage.hours(PLACE) if hour.hour_ns == hour_start(START))
    assert (after.total("uptime") or 0) - (before.total("uptime") or 0) == 30 * SECOND_NS
    told = [finding.at_ns for _, finding in lab.usage.findings(PLACE) if finding.code is FindingCode.SAMPLES_GONE]
    assert told == [START - 30 * SECOND_NS]
    assert differences(lab, clock) == ()


def test_raw_samples_of_which_hours_were_made_since_they_were_listed_stay(lab: Store) -> None:
    found = [each for each in lab.retention.old_payloads(LATEST_NS, 0, 100)[0] if not each.needed]
    listed = [(each.batch_key, each.received_at_ns) for each in found]
    assert len(listed) > 1
    with lab.write() as tx:
        lab.retention.need_payloads(tx, [listed[0][0]])
    with lab.write() as tx:
        assert lab.retention.delete_payloads(tx, listed, unless_needed=True) == len(listed) - 1
    assert lab.archived.rows([key for key, _ in listed]) == listed[:1]


def test_segments_and_hours_go_once_their_invoice_is_old(lab: Store, clock: Bench) -> None:
    april, may = (parse_iso(f"2026-{month}-05T03:00:00Z") for month in ("04", "05"))
    assert clean(lab, clock, april).tally.refused == {"raw samples of a batch that overlaps others": 2}
    roll(lab, clock)
    assert close(lab, clock) == 1
    before = usage(lab)
    invoice = lab.invoices.list(PLACE)[0].invoice
    for at_ns in (april, may - DAY_NS):
        assert not clean(lab, clock, at_ns).tally.deleted["resources sealed"]
    found = clean(lab, clock, may).tally
    assert (found.deleted["resources sealed"], found.deleted["segments"] >= 7, found.deleted["hours"]) == (1, True, 2)
    assert lab.invoices.list(PLACE)[-1].invoice == invoice
    assert usage(lab)[1] == before[1]  # type: ignore[index]  # days and months
    assert lab.usage.hours(PLACE) == []
    assert lab.usage.first_hour(PLACE, [1]) == START - START % HOUR_NS
    assert differences(lab, clock) == ()
    with lab.read() as tx:
        assert tx.row("SELECT COUNT(*) FROM batch") == tx.row("SELECT COUNT(*) FROM payload") == (0,)
        assert tx.rows("SELECT first_sequence, last_sequence FROM batch_range ORDER BY spool_key, 1") == [(1, 5), (100, 100)]
    told = explain_line(lab, PLACE, invoice, 2, Depth.SAMPLES, verify=True)
    assert told.verification is not None
    assert told.verification.equal
    assert clean(lab, clock, may + 400 * DAY_NS).tally.deleted["days"] == 0, "periods since are not closed"


def test_sealed_hours_stay_as_they_were(lab: Store, clock: Bench) -> None:
    """Segments are gone, hours are kept for longer: nothing is compared with what is no more, and what goes on is exact."""
    clock.at_ns = parse_iso("2026-04-05T03:00:00Z")
    assert close(lab, clock) == 1
    before = usage(lab)
    assert clean(lab, clock, parse_iso("2026-05-05T03:00:00Z"), hours_ns=200 * DAY_NS).tally.deleted["resources sealed"] == 1
    assert usage(lab) == before
    found = check_store(lab, DiskHorizon.CLOCK, clock.now_ns())
    assert found.differences == ()
    assert found.compared["hours_sealed"] == 2
    write(lab, batch("vm-1", 6, parse_iso("2026-05-01T00:00:00Z"), 60))
    roll(lab, clock)
    assert usage(lab)[0][:2] == before[0]  # type: ignore[index]  # the hours
    assert differences(lab, clock) == ()


def test_a_parked_invoice_and_a_conflict_keep_everything(lab: Store, clock: Bench) -> None:
    write(lab, batch("vm-1", 3, START + 3 * MINUTE_NS, 60, level=7))
    found = clean(lab, clock, parse_iso("2026-08-05T03:00:00Z")).tally
    assert not found.deleted["resources sealed"]
    assert list(found.refused) == [
        "the period of acme from 2026-02-28T23:00:00Z to 2026-03-31T22:00:00Z is not closed",
        "raw samples of a batch that overlaps others",
        "raw samples of a batch that is in an open conflict",
    ]
    told = status_of(lab, Rules(), clock.at_ns)
    assert told["refused"] == {"the period of acme from 2026-02-28T23:00:00Z to 2026-03-31T22:00:00Z is not closed": 1}


def test_of_a_batch_that_was_replaced_both_payloads_go(lab: Store, clock: Bench) -> None:
    clock.at_ns = START + HOUR_NS
    write(lab, batch("vm-1", 1, START + MINUTE_NS, 60, level=7, received_at_ns=clock.at_ns))
    resolve_conflict(lab, PLACE, "k1", lab.conflicts.list(PLACE)[0].row, takes_sent=True, reason="")
    roll(lab, clock)
    with lab.read() as tx:
        assert tx.row("SELECT COUNT(*) FROM payload") == (8,)
    clock.at_ns = parse_iso("2026-04-05T03:00:00Z")
    assert close(lab, clock) == 1
    # It overlaps another: its samples go with its batch, not before by age.
    found = clean(lab, clock, parse_iso("2026-05-05T03:00:00Z")).tally
    assert found.deleted["resources sealed"] == 1
    with lab.read() as tx:
        assert tx.row("SELECT COUNT(*) FROM batch") == tx.row("SELECT COUNT(*) FROM payload") == (0,)
    assert differences(lab, clock) == ()


@pytest.mark.parametrize("archived", [False, True])
def test_payloads_without_a_batch_end_no_page_and_go(lab: Store, clock: Bench, tmp_path: Path, *, archived: bool) -> None:
    first, last = (each.batch_key for each in (lab.retention.old_payloads(LATEST_NS, 0, 100)[0][at] for at in (0, -1)))
    with lab.write() as tx:
        # The batch of the first is gone, as one that was folded was before.
        tx.run("DELETE FROM batch WHERE batch_key = ?", (first,))
    seen, after = [], 0
    while after is not None:
        found, after = lab.retention.old_payloads(LATEST_NS, after, 2)
        seen += [(each.batch_key, each.orphaned) for each in found]
    assert seen == [(key, key == first) for key in range(first, last + 1)]
    clean(lab, clock, START + 73 * HOUR_NS, archive=tmp_path / "archive" if archived else None)
    assert [row[0] for row in lab.archived.rows(range(first, last + 1))] == [key for key, _ in needed(lab)]


def needed(store: Store) -> list[tuple[int, int]]:
    with store.read() as tx:
        return [(row[0], row[1]) for row in tx.rows("SELECT batch_key, resource_key FROM needed_payload ORDER BY batch_key")]


def test_one_worker_cleans_each_night_once(lab: Store, clock: Bench, tmp_path: Path) -> None:
    settings = load_settings(state_dir=tmp_path)
    one, other = (Cleaning(lab, settings, clock, owner) for owner in ("one", "other"))  # type: ignore[arg-type]  # it counts too
    clock.at_ns = parse_iso("2026-03-13T12:00:00Z")
    while one():
        assert not other()
    assert [(run.job, run.period, run.state) for run in lab.jobs.list(job="clean_up")] == [("clean_up", "2026-03-13", "done")]
    clock.at_ns = parse_iso("2026-03-14T01:59:00Z")
    assert not other()
    assert lab.jobs.list(job="clean_up")[0].period == "2026-03-13"
    clock.at_ns = parse_iso("2026-03-14T03:01:00Z")
    while other():
        pass
    assert {run.period for run in lab.jobs.list(job="clean_up", state="done")} == {"2026-03-13", "2026-03-14"}


def test_the_partition_of_a_day_is_dropped_whole_unless_something_in_it_is_needed(store: Store, clock: Bench) -> None:
    store.maintenance.ensure_partitions(START)
    write(store, batch("vm-1", 1, START, 60), batch("vm-2", 1, START + DAY_NS, 60), batch("vm-2", 2, START + DAY_NS, 30, spool="again"))
    clock.at_ns = START + 2 * DAY_NS
    roll(store, clock)
    found = clean(store, clock, START + 6 * DAY_NS).tally
    with store.read() as tx:
        left, is_sqlite = tx.row("SELECT COUNT(*) FROM payload"), tx.is_sqlite
    assert left == (2,)
    assert found.deleted["payloads"] == int(is_sqlite)
    assert (found.deleted["partitions of payload"] > 0) is not is_sqlite
    assert differences(store, clock) == ()


def test_a_clean_up_that_is_interrupted_is_not_taken_for_a_loss(store: Store, clock: Bench) -> None:
    store.maintenance.ensure_partitions(START)
    write(store, batch("vm-1", 1, START, 60), batch("vm-2", 1, START + DAY_NS, 60))
    clock.at_ns = START + 2 * DAY_NS
    roll(store, clock)
    clock.at_ns = START + 6 * DAY_NS
    for _ in CleanUp(store=store, rules=Rules(), now_ns=clock.at_ns).steps():
        assert differences(store, clock) == ()
    with store.read() as tx:
        assert tx.row("SELECT COUNT(*) FROM payload") == (0,)
