"""Kinds of columns: keys, instants, exact integers, partitions; each database has its own way of some."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from sqlalchemy import DDL, BigInteger, Column, Integer, LargeBinary, MetaData, Numeric, Table, Text, event, text

from tallystick.model.usage import ESTIMATED_METERS
from tallystick.store.engine import Dialect

METERS = (
    "cpu.used",
    "cpu.allocated",
    "memory.used",
    "memory.allocated",
    "disk.allocated",
    "disk.read",
    "disk.write",
    "disk.read_ops",
    "disk.write_ops",
    "network.rx",
    "network.tx",
    "gpu.allocated",
    "gpu.used",
    "gpu.memory.used",
    "http.requests",
    "uptime",
)
"""Meters that have columns of their own in usage rows, in the order of the columns."""

LIMB_BITS = 63

LongKey = BigInteger().with_variant(Integer, "sqlite")
"""A key that the database counts: SQLite counts only INTEGER."""


def key(name: str, *, primary: bool = True) -> Column[int]:
    """A small surrogate key that the database counts."""
    return Column(name, Integer, primary_key=primary, autoincrement=True)


def long_key(name: str) -> Column[int]:
    """A surrogate key of which there may be more than 2^31."""
    return Column(name, LongKey, primary_key=True, autoincrement=True)


def count(name: str, *, default: int | None = None, null: bool = False) -> Column[int]:
    """A small whole number."""
    return Column(name, Integer, nullable=null, server_default=None if default is None else text(str(default)))


def instant(name: str, *, null: bool = False) -> Column[int]:
    """An instant or a duration in nanoseconds, or any whole number of 64 bits."""
    return Column(name, BigInteger, nullable=null)


def words(name: str, *, null: bool = False, default: str | None = None) -> Column[str]:
    """A text."""
    return Column(name, Text, nullable=null, server_default=None if default is None else text(f"'{default}'"))


def octets(name: str, *, null: bool = False) -> Column[bytes]:
    """Bytes."""
    return Column(name, LargeBinary, nullable=null)


def commit_seq(dialect: Dialect) -> Column[int]:
    """The transaction that wrote the row on PostgreSQL, where rows become visible in another order than their keys; 0 on SQLite."""
    default = "(pg_current_xact_id()::text)::bigint" if dialect is Dialect.POSTGRESQL else "0"
    return Column("commit_seq", BigInteger, nullable=False, server_default=text(default))


def exact(name: str, dialect: Dialect) -> list[Column[Any]]:
    """An exact integer below 2^126: NUMERIC(39,0) on PostgreSQL, two limbs `_hi` * 2^63 + `_lo` on SQLite. Null: not measured."""
    if dialect is Dialect.POSTGRESQL:
        return [Column(name, Numeric(39, 0))]
    return [Column(f"{name}_hi", BigInteger), Column(f"{name}_lo", BigInteger)]


def meter_column(meter: str, *, estimated: bool = False) -> str:
    """The column of a meter: `cpu_used`, `cpu_allocated_estimated`."""
    return meter.replace(".", "_") + ("_estimated" if estimated else "")


@lru_cache(maxsize=1)
def integral_names() -> tuple[str, ...]:
    """The exact columns of a usage row, in order: totals, then estimated parts."""
    return (*map(meter_column, METERS), *(meter_column(meter, estimated=True) for meter in ESTIMATED_METERS))


def integrals(dialect: Dialect) -> Iterable[Column[Any]]:
    """The columns of all meters."""
    for name in integral_names():
        yield from exact(name, dialect)


def partitioned(metadata: MetaData, dialect: Dialect, table: Table, by: str) -> None:
    """On PostgreSQL: partitions by ranges of `by`, with a default one that takes what no other does."""
    if dialect is Dialect.POSTGRESQL:
        table.dialect_options["postgresql"]["partition_by"] = f"RANGE ({by})"
        default = DDL(f"CREATE TABLE {table.name}_default PARTITION OF {table.name} DEFAULT")  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        event.listen(table, "after_create", default)


def uncompressed(dialect: Dialect, table: Table, column: str) -> None:
    """On PostgreSQL: bytes that are compressed already are not compressed again."""
    if dialect is Dialect.POSTGRESQL:
        change = DDL(f"ALTER TABLE {table.name} ALTER COLUMN {column} SET STORAGE EXTERNAL")  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        event.listen(table, "after_create", change)
