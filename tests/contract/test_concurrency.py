"""Many at once: threads, and servers of their own process, on one database."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick.model.instants import HOUR_NS
from tallystick.model.usage import HoursResult
from tallystick.store.store import Store, open_store
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, SECOND, T, batch, dirty_hours, write
from tests.contract.test_money import finalize, invoice, run_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def servers(url: str) -> Iterator[tuple[Store, Store]]:
    """Two servers (or a server and its worker) on one database."""
    both = (open_store(url, StandingClock()), open_store(url, StandingClock()))
    yield both
    for each in both:
        each.close()


def at_once(*actions: Callable[[], object]) -> None:
    """Run actions in threads that begin together; any failure is raised."""
    barrier = threading.Barrier(len(actions))

    def run(action: Callable[[], object]) -> object:
        barrier.wait()
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        for done in [pool.submit(run, action) for action in actions]:
            done.result()


def test_the_same_batches_at_two_servers_are_stored_once(servers: tuple[Store, Store]) -> None:
    batches = [batch(f"vm-{number % 7}", sequence=number // 7 + 1, at_ns=T + number * 60 * SECOND) for number in range(70)]
    outcomes: list[str] = []

    def send(store: Store, some: Sequence[object]) -> None:
        for low in range(0, len(batches), 10):
            outcomes.extend(write(store, *some[low : low + 10]))

    at_once(*(lambda store=store, some=some: send(store, some) for store in servers for some in (batches, batches[::-1])))
    assert (outcomes.count("stored"), outcomes.count("repeated")) == (70, 210)
    assert servers[0].maintenance.sample_counts() == (70, 70 * 60)
    for number in range(7):
        found = servers[1].registry.resource(PLACE, f"vm-{number}")
        assert found is not None
        assert (found.first_sample_at_ns, found.last_sample_at_ns) == (
            T + number * 60 * SECOND,
            T + (63 + number) * 60 * SECOND + 59 * SECOND,
        )
    assert set(dirty_hours(servers[0])) == {f"vm-{number}" for number in range(7)}
    assert all(hours == [0, 1] for hours in dirty_hours(servers[0]).values())


def test_many_hands_on_one_run_make_one_invoice(servers: tuple[Store, Store]) -> None:
    def close(store: Store, customer: str) -> None:
        finalize(store, invoice(run=run_of(customer)))

    customers = ["a", "b", "c", "d"]
    at_once(*(lambda store=store, customer=customer: close(store, customer) for store in servers for customer in customers))
    kept = [each.invoice for each in servers[0].invoices.list(PLACE)]
    assert sorted(each.customer.id for each in kept) == customers
    assert sorted(str(each.number) for each in kept) == [f"INV-2026-{number:04d}" for number in (1, 2, 3, 4)]


def test_one_of_many_workers_gets_a_job(servers: tuple[Store, Store]) -> None:
    won: list[str] = []

    def claim(store: Store, owner: str) -> None:
        won.extend(f"{period}" for period in range(10) if store.jobs.claim("roll", "x", str(period), owner, 60))

    at_once(*(lambda store=store, name=name: claim(store, name) for store in servers for name in ("a", "b")))
    assert sorted(won) == [str(period) for period in range(10)]


def test_a_reader_of_the_log_misses_nothing(servers: tuple[Store, Store]) -> None:
    """Entries become visible in another order than their numbers; who goes on after the last one seen gets every one of them."""
    seen: list[object] = []
    over = threading.Event()

    def append(store: Store, name: str) -> None:
        for number in range(40):
            with store.write() as tx:
                store.audit.append(tx, PLACE, name, "x", f"{name}-{number}", {})

    def read() -> None:
        after = (-1, -1)
        while True:
            last = over.is_set()
            for entry in servers[0].audit.entries(PLACE, after=after):
                seen.append(entry.subject)
                after = (entry.commit_seq, entry.key)
            if last:
                return

    reader = threading.Thread(target=read)
    reader.start()
    at_once(*(lambda store=store, name=name: append(store, name) for store, name in zip(servers * 2, "abcd", strict=True)))
    over.set()
    reader.join()
    assert len(seen) == len(set(seen)) == 160


def test_what_is_stored_while_an_hour_is_computed_is_not_lost(servers: tuple[Store, Store]) -> None:
    """A worker deletes marks that it saw while a server marks the same hours: what the server marked last stays."""
    one, other = servers
    for number in range(30):
        write(one, batch(sequence=2 * number + 1, at_ns=T + 2 * number * 60 * SECOND))
        seen = one.usage.dirty()

        def replace(seen: object = seen) -> None:
            with other.write() as tx:
                other.usage.replace_hours(tx, seen, HoursResult(hours=(), gaps=(), findings=()))

        def send(number: int = number) -> None:
            write(one, batch(sequence=2 * number + 2, at_ns=T + (2 * number + 1) * 60 * SECOND))

        at_once(replace, send)
        assert max(dirty_hours(one)["vm-1"]) == (2 * number + 1) // 60
        with one.write() as tx:
            one.usage.replace_hours(tx, one.usage.dirty(), HoursResult(hours=(), gaps=(), findings=()))


CHILD = """
import sys
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, SECOND, T, batch
from tallystick.store.store import open_store
store = open_store(sys.argv[1], StandingClock())
for number in range(1, 1000):
    with store.write() as tx:
        store.batches.write(tx, PLACE, [batch(f"vm-{each}", sequence=number, at_ns=T + number * 60 * SECOND) for each in range(3)])
    print(number, flush=True)
"""


@contextmanager
def child(url: str) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen([sys.executable, "-c", CHILD, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("acknowledged", [1, 7, 20])
def test_a_kill_leaves_all_or_nothing(url: str, acknowledged: int) -> None:
    with child(url) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if int(line) >= acknowledged:
                break
    store = open_store(url, StandingClock())
    with store.read() as tx:
        (counts,) = tx.rows(
            "SELECT (SELECT COUNT(*) FROM batch), (SELECT COUNT(*) FROM payload), (SELECT COUNT(DISTINCT batch_key) FROM segment),"
            " (SELECT SUM(generation) FROM resource)"
        )
        highest = tx.rows("SELECT MAX(sequence) FROM batch")[0][0]
    assert highest >= acknowledged
    assert [int(each) for each in counts] == [3 * highest] * 4
    last_ns = T + highest * 60 * SECOND + 59 * SECOND
    assert {each.last_sample_at_ns for each in store.registry.resources(PLACE)} == {last_ns}
    assert set(dirty_hours(store)) == {"vm-0", "vm-1", "vm-2"}
    assert write(store, batch("vm-0", sequence=highest, at_ns=T + highest * 60 * SECOND)) == ["repeated"]
    assert last_ns < T + HOUR_NS or highest > 58
    store.close()
