"""Partitions for what is about to be copied: of each day or month that the source has rows of."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from tallystick.model.instants import DAY_NS
from tallystick.store.engine import Dialect, Tx
from tallystick.store.service.maintenance import EPOCH, make_partition, ns
from tallystick.store.tables.schema import schema

BY_DAY = frozenset({"payload"})
MOST_PARTITIONS = 400
"""Of one table, those with the most rows; the rest goes to the default partition. Each is a file or more, and a plan looks at all."""


def make_partitions(reading: Tx, writing: Tx, table: str) -> None:
    """Make the partitions of a table in a PostgreSQL that has no rows of it yet; nothing to do for any other table or database."""
    how = schema(Dialect.POSTGRESQL)[table].dialect_options["postgresql"]["partition_by"]
    if writing.is_sqlite or not how:
        return
    column = str(how).removeprefix("RANGE (").removesuffix(")")
    rows: Counter[tuple[int, int, str]] = Counter()
    for day, count in reading.rows(f"SELECT {column} / {DAY_NS} AS day, COUNT(*) FROM {table} GROUP BY {column} / {DAY_NS}"):
        rows[_span(int(day), by_day=table in BY_DAY)] += count
    for (from_ns, until_ns, name), _ in rows.most_common(MOST_PARTITIONS):
        make_partition(writing, table, f"{table}_{name}", from_ns, until_ns)


def _span(day: int, *, by_day: bool) -> tuple[int, int, str]:
    start = EPOCH + timedelta(days=day)
    if by_day:
        return ns(start), ns(start + timedelta(days=1)), f"{start:%Y%m%d}"
    start = start.replace(day=1)
    following = (start + timedelta(days=32)).replace(day=1)
    return ns(start), ns(following), f"{start:%Y%m}"
