"""A whole store into another one, on every pair of databases: the same rows, keys and sums, and what comes later goes on from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tallystick.app.check import check_store
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Customer
from tallystick.model.instants import HOUR_NS
from tallystick.model.resources import Fact
from tallystick.store.engine import Database
from tallystick.store.moving import copy as copying
from tallystick.store.moving.copy import TargetNotEmpty, copy_store
from tallystick.store.schema_version import SchemaMismatch
from tallystick.store.store import Store, StoreInUse, open_store
from tallystick.store.watch.sequences import SEEN_BY
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, T, batch, write
from tests.stores import database, migrated_database

PAIRS = [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("postgresql", "postgresql")]
NOW = T + 35 * 24 * HOUR_NS
HUGE = 2**63 - 1


def filled(url: str) -> None:
    """A month of a few samples, memory that no 64 bits hold, facts, a customer, a scope of its own, rows that were deleted."""
    store = open_store(url, StandingClock())
    store.registry.create_customer(PLACE, Customer(id="ácme", name="Ácme ✓", currency="EUR", time_zone="Europe/Berlin"), actor="test")
    store.registry.add_place(Place(scope_id="edge"))
    with store.write() as tx:
        fact = Fact(resource_id="vm-1", at_ns=T, received_at_ns=T, customer_id="ácme", vcpus=2, labels={"a": "ü"})
        store.batches.write_facts(tx, PLACE, [fact])
    write(store, *(batch("vm-1", number, T + number * 101 * HOUR_NS, 20, level=HUGE, boot=str(number)) for number in range(1, 8)))
    write(store, batch("vm-1", 1, T + 101 * HOUR_NS, 20, level=7, boot="1"), batch("vm-2", 0, T, 5), batch("vm-3", 1, T, 5))
    write(store, batch("vm-1", 1, T, 61), place=Place(scope_id="edge"))
    roll_up(store, DiskHorizon.CLOCK, NOW)
    with store.write() as tx:
        for table in ("payload", "segment", "batch"):
            tx.run(f"DELETE FROM {table} WHERE batch_key = (SELECT MAX(batch_key) FROM batch)")
        tx.run("INSERT INTO watch_progress (name, position) VALUES (?, ?)", (SEEN_BY, HUGE))
    store.close()


@pytest.fixture
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URLs of a migrated store and of a database that is empty, of the kinds that a test names."""
    kinds = getattr(request, "param", PAIRS[0])
    with ExitStack() as stack:
        for name in ("from", "to"):
            (tmp_path / name).mkdir()
        source = stack.enter_context(migrated_database(kinds[0], tmp_path / "from"))
        yield source, stack.enter_context(database(kinds[1], tmp_path / "to"))


def few(url: str) -> None:
    """A batch and nothing else."""
    store = open_store(url, StandingClock())
    write(store, batch("vm-1", 1, T, 5))
    store.close()


def last_batch_keys(store: Store) -> tuple[int, int]:
    """The keys of the batches that two stores give next."""
    write(store, batch("later", 1, T, 5))
    with store.read() as tx:
        row = tx.row("SELECT MAX(batch_key), MAX(resource_key) FROM batch, resource")
    assert row is not None
    return row[0], row[1]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join, indirect=True)
def test_a_copy_is_the_same_and_goes_on_from_there(pair: tuple[str, str]) -> None:
    source, target = pair
    filled(source)
    tables = copy_store(source, target)
    assert [table.table for table in tables if not table.is_equal] == []
    rows = {table.table: table.rows for table in tables}
    assert (rows["batch"], rows["conflict"], rows["customer"], rows["scope"]) == (9, 1, 1, 2)
    assert min(rows["segment"], rows["usage_hour"], rows["usage_day"], rows["gap"], rows["resource_fact"], rows["audit_log"]) > 0
    stores = [open_store(url, StandingClock()) for url in pair]
    checks = [check_store(store, DiskHorizon.CLOCK, NOW) for store in stores]
    assert checks[0] == checks[1]
    assert stores[0].usage.totals(PLACE, 0, NOW) == stores[1].usage.totals(PLACE, 0, NOW)
    assert [store.usage.dirty_count() for store in stores] == [0, 0]
    keys = {last_batch_keys(store) for store in stores}
    assert len(keys) == 1
    with stores[1].read() as tx:
        if not tx.is_sqlite:
            assert tx.rows("SELECT 1 FROM segment_default LIMIT 1") == tx.rows("SELECT 1 FROM payload_default LIMIT 1") == []
        # A transaction of another database, which has not ended there.
        assert tx.rows("SELECT 1 FROM watch_progress WHERE name = ?", (SEEN_BY,)) == []
    # What is appended after the copy is read after what was copied.
    subjects = [entry.subject for entry in stores[1].audit.entries(PLACE)]
    stores[1].registry.create_customer(PLACE, Customer(id="new", name="New", currency="EUR"), actor="test")
    assert [entry.subject for entry in stores[1].audit.entries(PLACE)] == [*subjects, "new"]
    for store in stores:
        store.close()


@pytest.mark.parametrize("pair", PAIRS[:2], ids="-".join, indirect=True)
def test_a_target_that_holds_something_is_refused(pair: tuple[str, str]) -> None:
    source, target = pair
    few(source)
    copy_store(source, target)
    with pytest.raises(TargetNotEmpty, match=r"is not empty: it has rows in .*batch"):
        copy_store(source, target)
    with pytest.raises(TargetNotEmpty, match="are the same database"):
        copy_store(source, source)


@pytest.mark.parametrize("pair", PAIRS[:2], ids="-".join, indirect=True)
def test_a_store_in_use_is_not_copied(pair: tuple[str, str]) -> None:
    source, target = pair
    server = open_store(source, StandingClock(), server=True)
    server.registry.places()
    with pytest.raises(StoreInUse):
        copy_store(source, target)
    server.close()
    copy_store(source, target)


@pytest.mark.parametrize("pair", PAIRS[:2], ids="-".join, indirect=True)
def test_what_is_interrupted_leaves_nothing_behind(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = pair
    few(source)
    real = copying._copy_table

    def copy_table(*arguments: object) -> object:
        if arguments[2].table == "finding":  # type: ignore[attr-defined]  # the third is the table
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]  # as it came

    monkeypatch.setattr(copying, "_copy_table", copy_table)
    with pytest.raises(KeyboardInterrupt):
        copy_store(source, target)
    monkeypatch.setattr(copying, "_copy_table", real)
    assert all(table.is_equal for table in copy_store(source, target))


def test_what_this_release_does_not_know_is_not_left_behind(pair: tuple[str, str]) -> None:
    source, target = pair
    few(source)
    opened = Database(source)
    with opened.write() as tx:
        tx.run("ALTER TABLE seller ADD COLUMN extra INTEGER")
        tx.run("CREATE TABLE other (a INTEGER)")
    opened.close()
    with pytest.raises(SchemaMismatch, match=r"does not know other, seller\.extra"):
        copy_store(source, target)


def test_a_difference_is_told(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = pair
    few(source)
    real = copying.carry_sequences

    def carry(reading: object, writing: object) -> None:
        real(reading, writing)  # type: ignore[arg-type]  # as they came
        writing.run("UPDATE boot SET boot_id = 'b'")  # type: ignore[attr-defined]  # it is a transaction

    monkeypatch.setattr(copying, "carry_sequences", carry)
    assert [table.table for table in copy_store(source, target) if not table.is_equal] == ["boot"]
