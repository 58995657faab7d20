"""Every row of a store into an empty one, in one transaction: what is interrupted left nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tallystick.store.engine import Database, Dialect, Tx, Values, parse_url
from tallystick.store.moving.partitions import make_partitions
from tallystick.store.moving.rows import Columns, Digest, all_tables, binary_types, digest_of, rows_of, undeclared
from tallystick.store.moving.sequences import carry_sequences
from tallystick.store.schema_version import SchemaMismatch, migrate_database, newest_version, version_of
from tallystick.store.turnstile import ServerLock, StoreInUse

MADE_BY_MIGRATIONS = ("seller", "scope")
"""The tables of which an empty store has a row: the default seller and its scope."""


class TargetNotEmpty(Exception):  # noqa: N818 (it is a state of the world, not a fault)
    """The store to copy into holds something; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedTable:
    """One table on both sides: rows and digests as they were read from the one and read again from the other."""

    table: str
    rows: int
    digest: str
    target_rows: int
    target_digest: str

    @property
    def is_equal(self) -> bool:
        """Whether both sides are the same."""
        return (self.rows, self.digest) == (self.target_rows, self.target_digest)


def copy_store(source_url: str, target_url: str, step: Callable[[str], None] = lambda _: None) -> list[CopiedTable]:
    """Copy all of a store into another one, which is migrated first, must be empty, and then is the same; both are nobody else's meanwhile.

    Raises:
        StoreUrlError: a URL names no database.
        SchemaMismatch: the source has no schema, or not the one of this release.
        StoreInUse: a server or anything else has one of them open.
        TargetNotEmpty: the target holds something, or is the source.

    """
    if parse_url(source_url)[0] == parse_url(target_url)[0]:
        raise TargetNotEmpty(f"--from and --to are the same database, {parse_url(source_url)[0].render_as_string(hide_password=True)}")
    with ExitStack() as stack:
        source, target = stack.enter_context(_alone(source_url)), stack.enter_context(_alone(target_url, made=True))
        _see_version(source)
        migrate_database(target)
        tables = all_tables()
        with source.read() as reading:
            if unknown := undeclared(reading):
                raise SchemaMismatch(f"{_shown(source)}: this release does not know {', '.join(unknown)}")
            with target.write() as writing:
                _see_empty(target, writing, tables)
                found = [(columns, _copy_table(reading, writing, columns, step)) for columns in tables]
                carry_sequences(reading, writing)
        with target.read() as again:
            return [_compared(again, columns, digest, step) for columns, digest in found]


@contextmanager
def _alone(url: str, *, made: bool = False) -> Iterator[Database]:
    """A database that nobody else uses: of SQLite by the lock of its server, of PostgreSQL as far as its connections tell."""
    database = Database(url)
    try:
        if database.file is None:
            _see_unused(database)
            yield database
            return
        if not made and not database.file.exists():
            raise SchemaMismatch(f"{database.file} does not exist")
        database.file.parent.mkdir(parents=True, exist_ok=True)
        lock = ServerLock(database.file)
        try:
            yield database
        finally:
            lock.release()
    finally:
        database.close()


def _see_unused(database: Database) -> None:
    with database.read() as tx:
        row = tx.row(
            "SELECT COUNT(*), MIN(pid), MIN(client_addr::text) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    if row and row[0]:
        where = f", one of them process {row[1]} of {row[2] or 'this machine'}"
        raise StoreInUse(f"{_shown(database)} has {row[0]} other connections{where}: stop its servers and workers first")


def _see_version(source: Database) -> None:
    with source.engine.connect() as connection:
        found = version_of(connection)
    if found != newest_version():
        advice = "run `tally migrate --store` on it first" if found < newest_version() else "use the release that made it"
        raise SchemaMismatch(f"{_shown(source)} has schema version {found or 'none'}, this release {newest_version()}: {advice}")


def _see_empty(target: Database, tx: Tx, tables: Sequence[Columns]) -> None:
    held = [
        columns.table for columns in tables if columns.table not in MADE_BY_MIGRATIONS and tx.row(f"SELECT 1 FROM {columns.table} LIMIT 1")
    ]
    if held:
        raise TargetNotEmpty(f"{_shown(target)} is not empty: it has rows in {', '.join(held)}. Copy into a new database")
    for table in reversed(MADE_BY_MIGRATIONS):
        tx.run(f"DELETE FROM {table}")


def _copy_table(reading: Tx, writing: Tx, columns: Columns, step: Callable[[str], None]) -> Digest:
    make_partitions(reading, writing, columns.table)
    digest = Digest()

    def some() -> Iterator[list[Values]]:
        for rows in rows_of(reading, columns):
            digest.add(rows)
            yield [columns.written(writing.dialect, row) for row in rows]
            step(f"copied {columns.table}: {digest.rows} rows")

    names = columns.physical(writing.dialect)
    if writing.is_sqlite:
        marks = ", ".join("?" for _ in names)
        for rows in some():
            writing.many(f"INSERT INTO {columns.table} ({', '.join(names)}) VALUES ({marks})", rows)
        return digest
    with writing.driver().cursor() as cursor, cursor.copy(_copy_statement(columns.table, names, writing.dialect)) as copy:
        copy.set_types(binary_types(columns))
        for rows in some():
            for row in rows:
                copy.write_row(row)
    return digest


def _copy_statement(table: str, names: Sequence[str], dialect: Dialect) -> str:
    if dialect is not Dialect.POSTGRESQL:
        raise ValueError(f"{dialect} has no COPY")
    return f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"


def _compared(again: Tx, columns: Columns, digest: Digest, step: Callable[[str], None]) -> CopiedTable:
    step(f"reading {columns.table} again")
    found = digest_of(again, columns)
    return CopiedTable(table=columns.table, rows=digest.rows, digest=digest.text, target_rows=found.rows, target_digest=found.text)


def _shown(database: Database) -> str:
    return database.url.render_as_string(hide_password=True)
