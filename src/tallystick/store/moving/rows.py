"""Rows as they are in any database: one value per declared column, exact integers whole, whatever a database makes of them.

A table has the same logical columns everywhere: what PostgreSQL keeps as NUMERIC(39,0) SQLite keeps as two limbs. `commit_seq` is no
value but a number of the database itself (architecture.md, Stores): it is not copied, and all that was copied is older than all that comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

from sqlalchemy import BigInteger, Integer, LargeBinary, Numeric, Table, Text
from sqlalchemy.types import TypeEngine

from tallystick.store.engine import Dialect, Tx, Values
from tallystick.store.tables.columns import LIMB_BITS
from tallystick.store.tables.schema import Schema, schema
from tallystick.store.watch.sequences import SEEN_BY

ROWS_AT_ONCE = 500
OWN = frozenset({"commit_seq"})
"""Columns that say something of the database, not of the world."""
OWN_ROWS = {"watch_progress": f"name <> '{SEEN_BY}'"}
"""Rows of which the same is true: which transaction looked at batches last. Without it all that was copied has long been seen."""
LIMB = (1 << LIMB_BITS) - 1
MODULUS = 1 << 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The columns of a table: `names` are the logical ones, `exact` those of them that are exact integers."""

    table: str
    names: tuple[str, ...]
    exact: frozenset[str]
    octets: frozenset[str]

    def physical(self, dialect: Dialect) -> tuple[str, ...]:
        """The columns of a database, in the order of `names`."""
        if dialect is Dialect.POSTGRESQL:
            return self.names
        limbs = ((f"{name}_hi", f"{name}_lo") if name in self.exact else (name,) for name in self.names)
        return tuple(column for pair in limbs for column in pair)

    def read(self, dialect: Dialect, row: Values) -> Values:
        """The logical values of a physical row."""
        found: list[Any] = []
        place = 0
        for name in self.names:
            value = row[place]
            place += 1
            if name in self.exact:
                if dialect is Dialect.SQLITE:
                    value = None if value is None else (value << LIMB_BITS) + row[place]
                    place += 1
                else:
                    value = None if value is None else int(value)
            elif name in self.octets and value is not None:
                value = bytes(value)
            found.append(value)
        return tuple(found)

    def written(self, dialect: Dialect, row: Values) -> Values:
        """The physical values of a logical row."""
        found: list[Any] = []
        for name, value in zip(self.names, row, strict=True):
            if name not in self.exact:
                found.append(value)
            elif dialect is Dialect.SQLITE:
                found += (None, None) if value is None else (value >> LIMB_BITS, value & LIMB)
            else:
                found.append(None if value is None else Decimal(value))
        return tuple(found)


def columns_of(table: Table) -> Columns:
    """The logical columns of a table of the PostgreSQL schema."""
    kept = [column for column in table.columns if column.name not in OWN]
    return Columns(
        table=table.name,
        names=tuple(column.name for column in kept),
        exact=frozenset(column.name for column in kept if isinstance(column.type, Numeric)),
        octets=frozenset(column.name for column in kept if isinstance(column.type, LargeBinary)),
    )


def all_tables() -> list[Columns]:
    """The tables of this release, those that others point to first."""
    return [columns_of(table) for table in schema(Dialect.POSTGRESQL).metadata.sorted_tables]


def undeclared(tx: Tx) -> list[str]:
    """Tables and columns of a database that this release does not declare: it would leave them behind."""
    declared: Schema = schema(tx.dialect)
    found = []
    for name, columns in _present(tx).items():
        table = declared.metadata.tables.get(name)
        if table is None:
            found.append(name)
        else:
            found += [f"{name}.{column}" for column in columns if column not in table.columns]
    return sorted(found)


def _present(tx: Tx) -> dict[str, list[str]]:
    """The columns of each table but Alembic's and partitions."""
    if tx.is_sqlite:
        rows = tx.rows(
            "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c"
            " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        )
    else:
        rows = tx.rows(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        )
    found: dict[str, list[str]] = {}
    for table, column in rows:
        if table != "alembic_version":
            found.setdefault(table, []).append(column)
    return found


def rows_of(tx: Tx, columns: Columns) -> Iterator[list[Values]]:
    """All rows of a table as logical values, some at a time, none of them held longer."""
    which = f" WHERE {OWN_ROWS[columns.table]}" if columns.table in OWN_ROWS else ""
    statement = f"SELECT {', '.join(columns.physical(tx.dialect))} FROM {columns.table}{which}"
    cursor = tx.driver().cursor() if tx.is_sqlite else tx.driver().cursor(name=f"all_{columns.table}")
    try:
        cursor.execute(statement)
        while some := cursor.fetchmany(ROWS_AT_ONCE):
            yield [columns.read(tx.dialect, row) for row in some]
    finally:
        cursor.close()


def binary_types(columns: Columns) -> list[str]:
    """The types of a table's columns for a binary COPY."""
    table = schema(Dialect.POSTGRESQL)[columns.table]
    return [_binary_type(table.columns[name].type) for name in columns.names]


def _binary_type(kind: TypeEngine[Any]) -> str:
    names = ((BigInteger, "int8"), (Integer, "int4"), (Numeric, "numeric"), (LargeBinary, "bytea"), (Text, "text"))
    found = next((name for known, name in names if isinstance(kind, known)), None)
    if found is None:
        raise TypeError(f"no binary form of columns of type {kind!r} is known: add it here")
    return found


class Digest:
    """The digest of a table whatever the order of its rows: the sum of the SHA-256 of each row."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, rows: Sequence[Values]) -> None:
        """Add rows."""
        self.rows += len(rows)
        for row in rows:
            self._sum += int.from_bytes(sha256(repr(row).encode("utf-8", "surrogatepass")).digest(), "big")

    @property
    def text(self) -> str:
        """In hex."""
        return f"{self._sum % MODULUS:064x}"


def digest_of(tx: Tx, columns: Columns) -> Digest:
    """The digest of a stored table."""
    digest = Digest()
    for rows in rows_of(tx, columns):
        digest.add(rows)
    return digest
