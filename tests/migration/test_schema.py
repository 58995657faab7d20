"""The schema that the migrations make is the schema that the code declares, on each database, in every detail of its catalog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tallystick.store.engine import Database
from tallystick.store.schema_version import newest_version, version_of
from tallystick.store.store import migrate
from tallystick.store.tables.schema import schema
from tests.stores import database

# A column that was added stands after the constraints in SQLite's text of a table: what the text means is compared, not the text.
SQLITE_CATALOG = {
    "columns": 'SELECT t.name, c.cid, c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden'
    " FROM sqlite_master t JOIN pragma_table_xinfo(t.name) c WHERE t.type = 'table' ORDER BY 1, 2",
    "foreign": "SELECT t.name, f.* FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table' ORDER BY 1, 2, 3",
    "indexes": 'SELECT t.name, i.name, i."unique", i.origin, i.partial, x.seqno, x.cid, x.name, x."desc", x.coll, x.key'
    " FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN pragma_index_xinfo(i.name) x WHERE t.type = 'table' ORDER BY 1, 2, 6",
    "definitions": "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type <> 'table' ORDER BY type, name",
}
POSTGRES_CATALOG = {
    "columns": "SELECT table_name, column_name, ordinal_position, data_type, numeric_precision, numeric_scale, is_nullable, column_default"
    " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 3",
    "constraints": "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2",
    "partitions": "SELECT c.relname, pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid) FROM pg_class c"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1",
    "storage": "SELECT attrelid::regclass::text, attname, attstorage::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND attnum > 0 ORDER BY 1, 2",
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_schema_is_what_the_migrations_make(kind: str, tmp_path: Path) -> None:
    for name in ("migrated", "declared"):
        (tmp_path / name).mkdir()
    with database(kind, tmp_path / "migrated") as migrated, database(kind, tmp_path / "declared") as declared:
        migrate(migrated)
        made = Database(declared)
        with made.write() as tx:
            schema(made.dialect).metadata.create_all(tx.connection)
        made.close()
        expected, found = catalog(declared), catalog(migrated)
    assert found.keys() == expected.keys()
    for part, rows in expected.items():
        assert found[part] == rows, part
    assert sum(map(len, expected.values())) > 60


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_migrating_again_changes_nothing(kind: str, tmp_path: Path) -> None:
    with database(kind, tmp_path) as url:
        migrate(url)
        before = catalog(url)
        migrate(url)
        assert catalog(url) == before
        opened = Database(url)
        with opened.read() as tx:
            assert version_of(tx.connection) == newest_version() != ""
            assert tx.rows("SELECT seller_id FROM seller") == [("default",)]
            assert tx.rows("SELECT scope_id FROM scope") == [("default",)]
        opened.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_schema_that_differs_is_seen(kind: str, tmp_path: Path) -> None:
    """The comparison itself: one index less, or one column more, shows."""
    with database(kind, tmp_path) as url:
        migrate(url)
        before = catalog(url)
        for statement in ("ALTER TABLE seller ADD COLUMN extra INTEGER", "DROP INDEX batch_sequence_idx"):
            opened = Database(url)
            with opened.write() as tx:
                tx.run(statement)
            opened.close()
            after = catalog(url)
            assert after != before
            before = after


def catalog(url: str) -> dict[str, list[Sequence[Any]]]:
    """Everything that a database says of its schema but Alembic's own table."""
    opened = Database(url)
    with opened.read() as tx:
        if tx.is_sqlite:
            found = {part: list(tx.rows(query)) for part, query in SQLITE_CATALOG.items()}
            tables = tx.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name")
            found["options"] = [(name, *(word in sql for word in ("WITHOUT ROWID", "AUTOINCREMENT", "STRICT"))) for name, sql in tables]
        else:
            found = {part: list(tx.rows(query)) for part, query in POSTGRES_CATALOG.items()}
    opened.close()
    return {part: [row for row in rows if not any("alembic" in str(each) for each in row)] for part, rows in found.items()}
