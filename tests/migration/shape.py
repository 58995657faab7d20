"""What a database says of its tables, as far as a server of the release before depends on it; and what a migration must not do to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tallystick.store.engine import Tx

NEVER_REBUILT = ("batch", "segment", "payload", "usage_hour")
"""Tables that are too large to be written anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its type, whether a row must name it, and its place."""

    kind: str
    must_be_named: bool


@dataclass(slots=True)
class Shape:
    """Tables with their columns; the unique keys and further conditions of each; where each is on disk."""

    columns: dict[str, dict[str, Column]] = field(default_factory=dict)
    conditions: dict[str, set[str]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)


def shape_of(tx: Tx) -> Shape:
    """The shape of a database."""
    return _sqlite(tx) if tx.is_sqlite else _postgresql(tx)


def _sqlite(tx: Tx) -> Shape:
    shape = Shape()
    tables = tx.rows(
        "SELECT name, rootpage FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
    )
    for table, page in tables:
        shape.places[table] = str(page)
        shape.columns[table] = {
            row[1]: Column(kind=row[2], must_be_named=bool(row[3]) and row[4] is None and not row[5])
            for row in tx.rows(f"PRAGMA table_info({table})")
        }
        found = set()
        for row in tx.rows(f"PRAGMA index_list({table})"):
            if row[2]:
                found.add(
                    "unique " + ", ".join(str(each[2]) for each in tx.rows(f"PRAGMA index_info({row[1]})")) + (" where" if row[4] else "")
                )
        found |= {f"foreign key {row[3]}" for row in tx.rows(f"PRAGMA foreign_key_list({table})")}
        found |= {
            f"trigger {row[0]}" for row in tx.rows("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,))
        }
        shape.conditions[table] = found
    return shape


def _postgresql(tx: Tx) -> Shape:
    shape = Shape()
    for table, place in tx.rows(
        "SELECT c.relname, c.relfilenode::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND c.relname <> 'alembic_version'"
    ):
        shape.places[table], shape.columns[table], shape.conditions[table] = place, {}, set()
    for table, column, kind, is_required, default, identity in tx.rows(
        "SELECT table_name, column_name, data_type, is_nullable = 'NO', column_default, is_identity FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'alembic_version'"
    ):
        shape.columns[table][column] = Column(kind=kind, must_be_named=is_required and default is None and identity != "YES")
    for table, told in tx.rows(
        "SELECT conrelid::regclass::text, contype::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u', 'x', 'p', 't')"
        " UNION ALL SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexdef LIKE 'CREATE UNIQUE%'"
    ):
        shape.conditions.setdefault(table, set()).add(told)
    shape.conditions.pop("alembic_version", None)
    return shape


def not_additive(before: Shape, after: Shape) -> Iterator[str]:
    """What a server that knows only the shape before would stumble over in the shape after, or what was written anew."""
    for table, columns in sorted(before.columns.items()):
        if table not in after.columns:
            yield f"{table} is gone"
            continue
        now = after.columns[table]
        for name, column in columns.items():
            if name not in now:
                yield f"{table}.{name} is gone"
            elif now[name] != column:
                yield f"{table}.{name} was {column}, is {now[name]}"
        for name in sorted(now.keys() - columns.keys()):
            if now[name].must_be_named:
                yield f"{table}.{name} is new, and neither nullable nor with a default"
        for condition in sorted(after.conditions[table] - before.conditions[table]):
            yield f"{table} has a new condition: {condition}"
        for condition in sorted(before.conditions[table] - after.conditions[table]):
            yield f"{table} has lost a condition: {condition}"
        if table.removesuffix("_default") in NEVER_REBUILT and before.places[table] != after.places[table]:
            yield f"{table} was written anew"
