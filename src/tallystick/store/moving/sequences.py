"""What the databases count: the next number of each key goes on above all that were given, also above those whose rows are gone."""

from __future__ import annotations

from tallystick.store.engine import Dialect, Tx
from tallystick.store.tables.schema import schema


def carry_sequences(reading: Tx, writing: Tx) -> None:
    """Let every key of the target go on after the last one of the source."""
    for table, column in counted():
        last = max(_last_given(reading, table, column), _largest(writing, table, column))
        if not last:
            continue
        if not writing.is_sqlite:
            writing.rows("SELECT setval(pg_get_serial_sequence(?, ?), ?)", (table, column, last))
        elif _is_kept(table):
            writing.run("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            writing.run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))


def counted() -> list[tuple[str, str]]:
    """The tables whose key the database counts, with that column."""
    found = []
    for table in schema(Dialect.POSTGRESQL).metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None and column.autoincrement is True:
            found.append((table.name, column.name))
    return found


def _is_kept(table: str) -> bool:
    """Whether SQLite remembers the last number of a table whose last rows were deleted."""
    return bool(schema(Dialect.SQLITE)[table].dialect_options["sqlite"]["autoincrement"])


def _largest(tx: Tx, table: str, column: str) -> int:
    row = tx.row(f"SELECT MAX({column}) FROM {table}")
    return 0 if row is None or row[0] is None else int(row[0])


def _last_given(tx: Tx, table: str, column: str) -> int:
    """The last number that a database gave, as far as it remembers."""
    if tx.is_sqlite:
        row = tx.row("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)) if _is_kept(table) else None
        return 0 if row is None else int(row[0])
    row = tx.row("SELECT pg_get_serial_sequence(?, ?)", (table, column))
    if row is None or row[0] is None:
        return 0
    found = tx.row(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {row[0]}")
    return 0 if found is None else int(found[0])
