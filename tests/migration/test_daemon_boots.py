"""Boots of daemons of a store of the first release are told from those of our protocol: they go on as what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tallystick.model.samples import SampleSource
from tallystick.store.engine import Database
from tallystick.store.schema_version import migrate
from tallystick.store.store import open_store
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, SECOND, T, batch, write
from tests.stores import database

BOOTS = (
    "INSERT INTO boot (boot_key, scope_key, resource_key, boot_id) VALUES (?, 1, ?, ?)",
    [(1, 1, ""), (2, 1, "known"), (3, 2, ""), (4, 3, "")],
)
BATCHES = (
    "INSERT INTO batch (batch_key, scope_key, boot_key, spool_key, sequence, content_hash, received_at_ns) VALUES (?, 1, ?, ?, ?, ?, 1)",
    [(1, 1, 0, 0, b"1"), (2, 2, 0, 0, b"2"), (3, 3, 1, 1, b"3"), (4, 3, 0, 0, b"4"), (5, 4, 0, 0, b"5")],
)
RESOURCES = (
    "INSERT INTO resource (resource_key, scope_key, resource_id, first_seen_at_ns, generation) VALUES (?, 1, ?, 0, 0)",
    [(1, "vm-rows"), (2, "vm-numbered"), (3, "vm-unnumbered")],
)
ROWS, NATIVE = b"\x01\x9f\x01", b"\x01\xff\x01"
"""How the samples of daemons begin, which have no operations of disks, and those of an agent: a version, and the mask of columns."""
PAYLOADS = (
    "INSERT INTO payload (batch_key, received_at_ns, form, interval_ns, body) VALUES (?, 1, 1, 1, ?)",
    [(1, ROWS), (2, ROWS), (3, NATIVE), (4, NATIVE), (5, NATIVE)],
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_boot_without_id_and_numbers_is_a_daemons(kind: str, tmp_path: Path) -> None:
    with database(kind, tmp_path) as url:
        migrate(url, "0001")
        opened = Database(url)
        with opened.write() as tx:
            for statement, rows in (RESOURCES, BOOTS, BATCHES, PAYLOADS):
                tx.many(statement, rows)
            if not tx.is_sqlite:
                for table in ("resource", "boot", "batch"):
                    tx.rows(f"SELECT setval(pg_get_serial_sequence('{table}', '{table}_key'), 100)")
        opened.close()
        migrate(url)
        store = open_store(url, StandingClock())
        sent = batch("vm-rows", 0, T, 10, boot="", spool="")
        daemon = replace(sent, identity=replace(sent.identity, source=SampleSource.ROWS))
        assert write(store, daemon, batch("vm-rows", 0, T + 60 * SECOND, 10, boot="", spool="")) == ["stored", "stored"]
        with store.read() as tx:
            names = dict(tx.rows("SELECT boot_key, boot_id FROM boot WHERE boot_key <= 4"))
            extents = dict(tx.rows("SELECT boot_key, first_at_ns FROM boot WHERE resource_key = 1 AND first_at_ns IS NOT NULL"))
        found = store.registry.resource(PLACE, "vm-rows")
        assert found is not None
        (timeline,) = store.batches.timelines(PLACE, [found.row], T, T + 3600 * SECOND)
        store.close()
    assert names == {1: "\x01", 2: "known", 3: "", 4: ""}
    assert extents.pop(1) == T, "the daemon goes on in its boot"
    assert list(extents.values()) == [T + 60 * SECOND], "what our protocol sends without a boot id is another"
    assert {(boot.boot_id, boot.source) for boot in timeline.boots} == {("", SampleSource.NATIVE), ("", SampleSource.ROWS)}
