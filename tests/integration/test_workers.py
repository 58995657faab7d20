"""Three worker processes on one PostgreSQL: each period is closed once, under one lease."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.billing.invoices import DocumentState
from tallystick.model.instants import HOUR_NS, SECOND_NS, parse_iso
from tallystick.model.resources import Fact
from tallystick.rate.load import load_book
from tallystick.store.store import Store, open_store
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, batch, write
from tests.contract.test_closing import BOOK
from tests.stores import migrated_database

START = parse_iso("2026-03-10T08:58:00Z")
END = parse_iso("2026-03-10T09:02:30Z")
CUSTOMERS = 9
WORKERS = 3
SECONDS = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Customers with a machine each, whose period is over; their hours wait to be computed."""
    with migrated_database("postgresql", tmp_path) as url:
        clock = StandingClock()
        clock.at_ns = START
        found = open_store(url, clock)
        book, mistakes = load_book(BOOK, "lab.yaml")
        assert book is not None, mistakes
        found.contracts.add_book(PLACE, book, BOOK, actor="test")
        found.contracts.activate_book(PLACE, "lab", 1, actor="test")
        for number in range(CUSTOMERS):
            name, machine = f"customer-{number}", f"vm-{number}"
            customer = Customer(id=name, name=name, currency="EUR", time_zone="Europe/Berlin")
            found.registry.create_customer(PLACE, customer, actor="test")
            subscription = Subscription(id=f"sub-{number}", customer_id=name, plan_id="lab", start_ns=START, end_ns=END)
            found.contracts.create_subscription(PLACE, subscription, actor="test")
            with found.write() as tx:
                found.batches.write_facts(tx, PLACE, [Fact(resource_id=machine, at_ns=START, received_at_ns=START, customer_id=name)])
            write(found, batch(machine, 1, START, 120), batch(machine, 2, START + 120 * SECOND_NS, 120))
        yield found
        found.close()


@pytest.mark.timeout(120)
def test_workers_close_each_period_once(store: Store, tmp_path: Path) -> None:
    clock_file = tmp_path / "clock"
    clock_file.write_text(f"{END + 2 * HOUR_NS}\n")
    workers = [_worker(store, tmp_path / f"worker-{number}", clock_file) for number in range(WORKERS)]
    try:
        deadline = time.monotonic() + SECONDS
        while (done := len(_finalized(store))) < CUSTOMERS and time.monotonic() < deadline:
            if done:
                workers[0].terminate()  # it finishes what it is at; the others go on
            time.sleep(0.05)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert sorted(_finalized(store)) == [f"INV-2026-{number:06d}" for number in range(1, CUSTOMERS + 1)]
    runs = store.jobs.list(job="close_period")
    assert [(run.state, run.attempts) for run in runs] == [("done", 1)] * CUSTOMERS
    told = [entry.subject for entry in store.audit.entries(PLACE) if entry.action == "invoice.finalize"]
    assert len(told) == len(set(told)) == CUSTOMERS
    with store.read() as tx:
        assert tx.rows("SELECT COUNT(*), COUNT(DISTINCT subject) FROM outbox WHERE topic = 'invoice.finalized'") == [(CUSTOMERS, CUSTOMERS)]


def _worker(store: Store, state: Path, clock_file: Path) -> subprocess.Popen[bytes]:
    state.mkdir()
    given = {
        "TALLY_STATE_DIR": str(state),
        "TALLY_STORE_URL": store.name.replace("postgresql+psycopg", "postgresql"),
        "TALLY_CLOCK_FILE": str(clock_file),
        "TALLY_CLOSING_INTERVAL_MS": "100",
        "TALLY_LOG_LEVEL": "warning",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    return subprocess.Popen([sys.executable, "-m", "tallystick", "worker"], env={**kept, **given}, stdin=subprocess.DEVNULL)


def _finalized(store: Store) -> list[str]:
    return [str(each.invoice.number) for each in store.invoices.list(PLACE) if each.invoice.state is DocumentState.FINALIZED]
