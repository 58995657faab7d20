"""A store of the first release is brought to this one while servers of that release go on writing: nothing is lost, nothing is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData

from tallystick.app.check import check_store
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.access import Place
from tallystick.model.instants import HOUR_NS
from tallystick.store.engine import Database
from tallystick.store.schema_version import SchemaMismatch, migrate
from tallystick.store.store import Store, open_store
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, T, batch, write
from tests.stores import database, migrated_database

FIRST = "0001"
NOW = T + 48 * HOUR_NS
Rows = dict[str, list[dict[str, Any]]]


def filled(store: Store) -> None:
    """Two resources of an hour and more, a late batch, a repeat, another scope: computed, and some of it waiting."""
    store.registry.add_place(Place(scope_id="edge"))
    write(store, *(batch("vm-1", number, T + number * 600 * 10**9, 600) for number in range(1, 9)))
    write(store, batch("vm-1", 3, T + 1800 * 10**9, 600, level=7), batch("vm-2", 0, T, 30))
    write(store, batch("vm-1", 1, T, 61), place=Place(scope_id="edge"))
    roll_up(store, DiskHorizon.CLOCK, NOW)
    write(store, batch("vm-1", 20, T + 3 * HOUR_NS, 600))


def as_in(url: str, columns: dict[str, list[str]], order: list[str]) -> Rows:
    """What a store holds, as far as the first release knew it: rows by table, those that others point to first."""
    opened = Database(url)
    with opened.read() as tx:
        found = {}
        for table in order:
            names = columns[table]
            found[table] = [dict(zip(names, row, strict=True)) for row in tx.rows(f"SELECT {', '.join(names)} FROM {table}")]
    opened.close()
    return found


def insert(url: str, rows: Rows) -> None:
    """Rows by statements that name the columns of the first release, and no other."""
    opened = Database(url)
    with opened.write() as tx:
        for table, found in rows.items():
            if found:
                names = list(found[0])
                statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)}) ON CONFLICT DO NOTHING"
                tx.many(statement, [tuple(row.values()) for row in found])
    opened.close()


def tables_of(url: str) -> tuple[dict[str, list[str]], list[str]]:
    """The columns of each table of a database, and its tables in the order of their foreign keys."""
    opened = Database(url)
    found = MetaData()
    found.reflect(opened.engine)
    opened.close()
    tables = [table for table in found.sorted_tables if table.name != "alembic_version" and not table.name.endswith("_default")]
    return {table.name: [column.name for column in table.columns] for table in tables}, [table.name for table in tables]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_store_of_the_first_release_goes_on(kind: str, tmp_path: Path) -> None:
    for name in ("now", "then"):
        (tmp_path / name).mkdir()
    with migrated_database(kind, tmp_path / "now") as now, database(kind, tmp_path / "then") as then:
        store = open_store(now, StandingClock())
        filled(store)
        migrate(then, FIRST)
        columns, order = tables_of(then)
        rows = as_in(now, columns, order)
        before = {table: found[: len(found) // 2] if table in ("payload", "conflict") else found for table, found in rows.items()}
        insert(then, before)
        with pytest.raises(SchemaMismatch, match="has schema version 0001"):
            open_store(then, StandingClock())
        migrate(then)
        # The server of the first release writes on; what it wrote before is there already.
        insert(then, {table: rows[table] for table in ("batch", "payload", "conflict", "segment")})
        upgraded = open_store(then, StandingClock())
        assert as_in(then, columns, order) == rows
        for each in (store, upgraded):
            assert roll_up(each, DiskHorizon.CLOCK, NOW) > 0
        assert check_store(upgraded, DiskHorizon.CLOCK, NOW) == check_store(store, DiskHorizon.CLOCK, NOW)
        assert check_store(upgraded, DiskHorizon.CLOCK, NOW).different == 0
        assert upgraded.usage.totals(PLACE, 0, NOW) == store.usage.totals(PLACE, 0, NOW)
        store.close()
        upgraded.close()
