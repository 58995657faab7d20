"""`tally check` finds what was changed behind the store's back, in each layer, on every database; and nothing where nothing was."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
from backports import zstd

from tallystick.app.check import Checked, check_store
from tallystick.app.checks.report import Report, Wanted
from tallystick.app.jobs.closing import close_due
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.billing.invoices import Invoice
from tallystick.model.billing.money import Money
from tallystick.model.instants import HOUR_NS, SECOND_NS, parse_iso
from tallystick.model.resources import Fact
from tallystick.rate.load import load_book
from tallystick.store.documents import read_document, write_document
from tallystick.store.engine import Tx
from tallystick.store.store import Store, migrate, open_store
from tallystick.store.usage.cells import read_cells, write_cells
from tests.contract.conftest import DATABASES, StandingClock
from tests.contract.rows import batch, write
from tests.contract.test_closing import BOOK, Bench, NumberedIds
from tests.stores import postgres_server

PLACE = Place()
START = parse_iso("2026-03-10T08:58:00Z")
END = parse_iso("2026-03-10T09:02:30Z")
NOW = END + 2 * HOUR_NS
"""Where the store stands when it is checked."""


def fill(store: Store, clock: Bench) -> None:
    """Two customers with an invoice each; of vm-1 a gap, a counter that falls, a restart, two batches that overlap and a conflict."""
    book, mistakes = load_book(BOOK, "lab.yaml")
    assert book is not None, mistakes
    store.contracts.add_book(PLACE, book, BOOK, actor="test")
    store.contracts.activate_book(PLACE, "lab", 1, actor="test")
    for number, name in enumerate(("acme", "globex"), 1):
        store.registry.create_customer(PLACE, Customer(id=name, name=name, currency="EUR", time_zone="Europe/Berlin"), actor="test")
        subscription = Subscription(id=f"sub-{number}", customer_id=name, plan_id="lab", start_ns=START, end_ns=END)
        store.contracts.create_subscription(PLACE, subscription, actor="test")
        fact = Fact(resource_id=f"vm-{number}", at_ns=START, received_at_ns=START, customer_id=name, vcpus=2, name=f"machine {number}")
        with store.write() as tx:
            store.batches.write_facts(tx, PLACE, [fact])
        write(store, batch(f"vm-{number}", 1, START, 120), batch(f"vm-{number}", 2, START + 150 * SECOND_NS, 60))
    write(store, batch("vm-1", 1, START + SECOND_NS // 2, 60, spool="again"), batch("vm-1", 3, END + 60 * SECOND_NS, 30, boot="next"))
    write(store, batch("vm-1", 2, START, 7))
    clock.at_ns = NOW
    roll_up(store, DiskHorizon.CLOCK, NOW)
    assert close_due(store, clock, NumberedIds(), "worker") == 2
    roll_up(store, DiskHorizon.CLOCK, NOW)


@lru_cache(maxsize=2)
def template(kind: str) -> str | bytes:
    """A filled store, to be copied for each damage: the name of a database, or the bytes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'filled.db'}" if kind == "sqlite" else postgres_server().new_database()
        migrate(url)
        clock = Bench()
        clock.at_ns = START
        store = open_store(url, clock)
        fill(store, clock)
        store.log.shorten()
        store.close()
        return (Path(folder) / "filled.db").read_bytes() if kind == "sqlite" else url.rpartition("/")[2]


@pytest.fixture(params=DATABASES)
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A filled store of its own."""
    kept = template(request.param)
    if isinstance(kept, bytes):
        (tmp_path / "tallystick.db").write_bytes(kept)
        url = f"sqlite:///{tmp_path / 'tallystick.db'}"
    else:
        url = postgres_server().new_database(kept)
    store = open_store(url, StandingClock())
    yield store
    store.close()
    if not isinstance(kept, bytes):
        postgres_server().drop(url)


def check(store: Store, wanted: Wanted | None = None, report: Report | None = None) -> Checked:
    return check_store(store, DiskHorizon.CLOCK, NOW, wanted, report)


def sql(*statements: str) -> Callable[[Tx], None]:
    """A damage by statements."""

    def damage(tx: Tx) -> None:
        for statement in statements:
            assert tx.run(statement), f"{statement} changed nothing"

    return damage


def changed(table: str, column: str, key: str, change: Callable[[bytes], bytes], where: str = "1 = 1") -> Callable[[Tx], None]:
    """A damage of bytes: those of the first row."""

    def damage(tx: Tx) -> None:
        row = tx.row(f"SELECT {key}, {column} FROM {table} WHERE {where} ORDER BY {key} LIMIT 1")
        assert row is not None
        assert change(bytes(row[1])) != bytes(row[1])
        tx.run(f"UPDATE {table} SET {column} = ? WHERE {key} = ? AND {where}", (change(bytes(row[1])), row[0]))

    return damage


def a_bit(at: int) -> Callable[[bytes], bytes]:
    """Turns one bit."""
    return lambda octets: octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :] if at >= 0 else octets[:at] + bytes((octets[at] ^ 1,))


def more_cpu(block: bytes) -> bytes:
    """Cells with a nanosecond more of CPU time."""
    cells, estimated, runs = read_cells(block)
    cells["cpu.used"] = (cells["cpu.used"][0] + 1, *cells["cpu.used"][1:])
    return write_cells(cells, estimated, runs)


def dearer(document: bytes) -> bytes:
    """An invoice with a cent more."""
    invoice = read_document(Invoice, zstd.decompress(document))
    return zstd.compress(write_document(replace(invoice, total=Money(minor=invoice.total.minor + 1, currency=invoice.currency))).encode())


def column(store_column: str) -> Callable[[Tx], None]:
    """One more in a column of exact integers: the lower limb, or the whole."""

    def damage(tx: Tx) -> None:
        table, name = store_column.split(".")
        stored = f"{name}_lo" if tx.is_sqlite else name
        assert tx.run(f"UPDATE {table} SET {stored} = {stored} + 1 WHERE resource_key = {VM_1}")

    return damage


VM_1 = "(SELECT resource_key FROM resource WHERE resource_id = 'vm-1')"
FIRST_BATCH = "batch_key = (SELECT MIN(batch_key) FROM batch)"
DAMAGES: dict[str, tuple[Callable[[Tx], None], str]] = {
    "a bit of a payload": (changed("payload", "body", "batch_key", a_bit(9)), "samples vm-1 batch"),
    "a payload that is cut": (changed("payload", "body", "batch_key", lambda body: body[:-4]), "samples vm-1 batch"),
    "a content hash": (changed("batch", "content_hash", "batch_key", a_bit(3)), "samples vm-1 batch"),
    "a segment's block": (changed("segment", "block", "batch_key", a_bit(20)), "segment vm-1"),
    "a segment's count": (sql("UPDATE segment SET samples = samples - 1"), "segment vm-1"),
    "a segment of two": (sql(f"DELETE FROM segment WHERE {FIRST_BATCH} AND cell_ns = (SELECT MIN(cell_ns) FROM segment)"), "segment vm-1"),
    "all segments of a batch": (sql(f"DELETE FROM segment WHERE {FIRST_BATCH}"), "segment vm-1"),
    "a boot's end": (sql("UPDATE boot SET last_at_ns = last_at_ns + 1 WHERE boot_id = 'next'"), "boot vm-1 next: last sample"),
    "a boot's interval": (sql("UPDATE boot SET first_interval_ns = 7 WHERE boot_id = 'next'"), "boot vm-1 next: interval of the first"),
    "an hour's column": (column("usage_hour.cpu_used"), "hour vm-1 2026-03-10T08:00:00Z: cpu.used column"),
    "an hour's estimated column": (column("usage_hour.uptime_estimated"), "hour vm-1 2026-03-10T09:00:00Z: uptime estimated column"),
    "an hour's cells": (
        changed("usage_hour", "cells", "hour_ns", more_cpu, f"resource_key = {VM_1}"),
        "hour vm-1 2026-03-10T08:00:00Z: cpu.used",
    ),
    "cells that cannot be read": (
        changed("usage_hour", "cells", "hour_ns", lambda block: block[:9], f"resource_key = {VM_1}"),
        "hour vm-1 2026-03-10T08:00:00Z: its cells cannot be read",
    ),
    "an hour's samples": (sql("UPDATE usage_hour SET samples = samples + 1"), "hour vm-1"),
    "an hour that is not there, nor marked": (
        sql(f"DELETE FROM usage_hour WHERE resource_key = {VM_1}"),
        "hour vm-1 2026-03-10T08:00:00Z: not stored",
    ),
    "a day's column": (column("usage_day.memory_used"), "day vm-1 acme"),
    "a day's unknown time": (sql("UPDATE usage_day SET unknown_ns = unknown_ns + 1"), "day vm-1 acme"),
    "a day": (sql(f"DELETE FROM usage_day WHERE resource_key = {VM_1}"), "day vm-1 acme 2026-03-09T23:00:00Z: not stored"),
    "a month's column": (column("usage_month.memory_used"), "month vm-1 acme"),
    "a gap": (sql(f"DELETE FROM gap WHERE resource_key = {VM_1}"), "gap vm-1 2026-03-10T"),
    "a gap's filling": (sql("UPDATE gap SET filled = 'unknown' WHERE filled = 'interpolated'"), "gap vm-1"),
    "a finding": (sql(f"DELETE FROM finding WHERE resource_key = {VM_1}"), "finding vm-1 2026-03-10T"),
    "a finding's counters": (sql("UPDATE finding SET counters = '[]'"), "finding vm-1"),
    "the evidence": (changed("evidence", "body", "evidence_hash", a_bit(30)), "invoice INV-"),
    "the evidence of one": (sql("DELETE FROM evidence WHERE evidence_hash = (SELECT MIN(evidence_hash) FROM evidence)"), "invoice INV-"),
    "a line": (
        sql("UPDATE invoice_line SET amount_minor = amount_minor + 1 WHERE ordinal = 2"),
        "invoice INV-2026-000001: line 2: amount_minor",
    ),
    "a line that is not there": (sql("DELETE FROM invoice_line WHERE ordinal = 1"), "invoice INV-2026-000001: line 1: has no row"),
    "a document": (changed("invoice", "document", "invoice_key", dearer), "invoice INV-2026-000001: total_minor"),
    "a document that cannot be read": (changed("invoice", "document", "invoice_key", a_bit(12)), "invoice INV-2026-000001: document"),
    "a total": (sql("UPDATE invoice SET total_minor = 1"), "invoice INV-2026-000001: total_minor"),
    "a content hash of an invoice": (sql("UPDATE invoice SET content_hash = 'a'"), "invoice INV-2026-000001: content_hash"),
    "a state": (sql("UPDATE invoice SET state = 'draft'"), "invoice INV-2026-000001: state"),
    "a number": (sql("UPDATE invoice SET number_value = 7 WHERE number_value = 1"), "number INV-2026-000001 is missing"),
    "a counter": (sql("UPDATE number_series SET last_number = 3"), "series INV 2026: 3 numbers were given"),
    "a name": (sql("UPDATE resource SET name = 'other'"), "resource vm-1: name 'other'"),
    "an owner": (sql(f"DELETE FROM resource_customer WHERE resource_key = {VM_1}"), "resource vm-1: is not listed with acme"),
    "an entry of the audit log": (
        sql("DELETE FROM audit_log WHERE action = 'customer.create'"),
        "audit customer.create acme: the log has no",
    ),
    "an entry's details": (
        sql("UPDATE audit_log SET details = '{\"total_minor\": 1}' WHERE action = 'invoice.finalize'"),
        "audit invoice.finalize INV-2026-000001: the log says total_minor 1",
    ),
    "an entry of nothing": (
        sql("UPDATE audit_log SET subject = 'x' WHERE action = 'subscription.create'"),
        "audit subscription.create x: the log tells of it",
    ),
}


def test_nothing_is_found_where_nothing_was_changed(filled: Store) -> None:
    told: list[str] = []
    found = check(filled, report=Report(tell=told.append))
    assert (found.differences, told) == ((), [])
    expected = {"resources": 2, "invoices": 2, "series": 1, "gaps": 3, "boots": 3}
    assert {layer: found.compared.get(layer) for layer in expected} == expected
    assert min(found.compared.get(layer, 0) for layer in ("batches", "segments", "hours", "findings", "days", "months")) > 0


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_is_found(filled: Store, damage: str) -> None:
    make, told = DAMAGES[damage]
    with filled.write() as tx:
        make(tx)
    found = check(filled)
    assert any(difference.startswith(told) for difference in found.differences), found.differences
    assert found.different == len(found.differences)


def test_only_what_is_wanted_is_checked(filled: Store) -> None:
    with filled.write() as tx:
        sql(
            "UPDATE usage_hour SET samples = samples + 1",
            "UPDATE usage_day SET samples = samples + 1",
            "UPDATE number_series SET last_number = 9",
        )(tx)
    everything = check(filled)
    only = {
        "resource": check(filled, Wanted(resource_id="vm-2")),
        "customer": check(filled, Wanted(customer_id="globex")),
        "before": check(filled, Wanted(until_ns=parse_iso("2026-03-10T09:00:00Z"))),
        "nothing": check(filled, Wanted(from_ns=NOW)),
    }
    assert {difference.split()[1] for difference in everything.differences} == {"vm-1", "vm-2", "INV"}
    assert {difference.split()[1] for difference in only["resource"].differences} == {"vm-2"}
    assert only["customer"].differences == only["resource"].differences
    assert only["customer"].compared["invoices"] == 1
    assert [difference.split()[0] for difference in only["before"].differences].count("hour") == 2
    assert only["nothing"].differences == ()
