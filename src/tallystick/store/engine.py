"""The database by its URL: engine, pragmas and transactions, SQLite and PostgreSQL as one code path (architecture.md, Stores)."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from pathlib import Path
from struct import Struct
from typing import Any, Protocol, TypeVar, cast

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from tallystick.store.turnstile import Turnstile

SQLITE_PAGE_BYTES = 8192
"""A payload of 600 samples leaves 460 bytes of its pages unused, against 650 with pages of 4096."""

BUSY_TIMEOUT = "PRAGMA busy_timeout = 60000"
SQLITE_PRAGMAS = (
    # A commit that finds the log as long as 80 MiB moves it into the file, in 50 ms and more: the server moves it long before (log.py).
    BUSY_TIMEOUT,
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 10000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -16384",
)
STORE_AWAY = (sqlite3.OperationalError, psycopg.OperationalError, psycopg.InterfaceError, DBAPIError)
"""What is raised while the database is away, busy or full: it is nobody's row that is at fault."""
STORE_OFF = (sqlite3.OperationalError, psycopg.OperationalError, psycopg.InterfaceError, OperationalError, InterfaceError)
"""Of those, what is never a fault of the statement's own values."""
RETRIED_STATES = frozenset({"40P01", "40001"})
MOST_ATTEMPTS = 8
COPY_HEAD, COPY_END = b"PGCOPY\n\xff\r\n\x00" + bytes(8), b"\xff\xff"

Result = TypeVar("Result")
Values = tuple[Any, ...]


class Clock(Protocol):
    """What tells the time."""

    def now_ns(self) -> int:
        """The present instant: nanoseconds since the epoch, UTC."""
        ...


class Dialect(StrEnum):
    """The databases that a store can be."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class StoreUrlError(ValueError):
    """The URL names no database that a store can be."""


def parse_url(url: str) -> tuple[URL, Dialect]:
    """The SQLAlchemy URL and the dialect of `sqlite:///path` or `postgresql://host/name`.

    Raises:
        StoreUrlError: neither of them; the message names the URL without its password.

    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreUrlError("store URL is none: write sqlite:////path/to/file.db or postgresql://host/name") from None
    family = parsed.drivername.partition("+")[0]
    if family == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed.set(drivername="sqlite+pysqlite"), Dialect.SQLITE
    if family in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg"), Dialect.POSTGRESQL
    shown = parsed.render_as_string(hide_password=True)
    raise StoreUrlError(f"store URL {shown!r}: write sqlite:////path/to/file.db or postgresql://host/name")


@lru_cache(maxsize=1024)
def _percent_style(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


def integers(values: Iterable[int | None]) -> str:
    """An array of whole numbers as PostgreSQL reads it: the driver's own way takes as long for it as the database for the statement."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def octet_strings(values: Iterable[bytes]) -> str:
    """An array of bytes as PostgreSQL reads it."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


class CopyRow:
    """A row of PostgreSQL's binary COPY: whole numbers of 4 (`i`) or 8 (`q`) bytes, then bytes, each behind its length."""

    def __init__(self, numbers: str) -> None:
        self._sizes = tuple(4 if each == "i" else 8 for each in numbers)
        self._head = Struct(">h" + "".join("i" + each for each in numbers) + "i")
        self._columns = len(numbers) + 1

    def pack(self, row: Values) -> bytes:
        """The bytes of one row, its last value bytes."""
        octets: bytes = row[-1]
        fields = chain.from_iterable(zip(self._sizes, row, strict=False))
        return self._head.pack(self._columns, *fields, len(octets)) + octets


@dataclass(slots=True, eq=False)
class Tx:
    """One transaction. Statements are written with `?` for values, whatever the database."""

    connection: Connection
    dialect: Dialect
    writing: bool
    locked: set[int] = field(default_factory=set)
    """The resources whose rows this transaction has locked."""
    _after_commit: list[Callable[[], None]] = field(default_factory=list)
    _cursor: Any = field(init=False)

    def __post_init__(self) -> None:
        # The driver's own cursor: SQLAlchemy's results cost as much again as SQLite's whole work on a batch.
        self._cursor = self.driver().cursor()

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.dialect is Dialect.SQLITE

    def run(self, sql: str, values: Values = ()) -> int:
        """Run one statement; how many rows it changed."""
        return int(self._cursor.execute(self._sql(sql), values).rowcount)

    def many(self, sql: str, rows: Sequence[Values]) -> int:
        """Run one statement for each tuple of values; how many rows were changed in all."""
        if not rows:
            return 0
        self._cursor.executemany(self._sql(sql), rows)
        return int(self._cursor.rowcount)

    def copy(self, sql: str, form: CopyRow, rows: Iterable[Values]) -> None:
        """On PostgreSQL: write rows by a binary COPY; the driver's own way to pack a row takes three times as long."""
        with self.driver().cursor() as cursor, cursor.copy(sql) as sink:
            sink.write(b"".join([COPY_HEAD, *map(form.pack, rows), COPY_END]))

    def rows(self, sql: str, values: Values = ()) -> Sequence[Values]:
        """All rows that a statement returns."""
        return cast("Sequence[Values]", self._cursor.execute(self._sql(sql), values).fetchall())

    def row(self, sql: str, values: Values = ()) -> Values | None:
        """The first row that a statement returns, or None."""
        return cast("Values | None", self._cursor.execute(self._sql(sql), values).fetchone())

    def each_of(self, column: str, values: Sequence[Any]) -> tuple[str, Any]:
        """A condition that `column` is one of `values`, with its one value: integers or texts, any number of them."""
        if self.is_sqlite:
            return f"{column} IN (SELECT value FROM json_each(?))", json.dumps(list(values))
        return f"{column} = ANY(?)", integers(values) if values and isinstance(values[0], int) else list(values)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Do this once all is durable, and not at all if it is rolled back."""
        self._after_commit.append(action)

    def committed(self) -> None:
        """Do what waited for the commit."""
        for action in self._after_commit:
            action()

    def finish(self) -> None:
        """Let go of results that were not read to their end: they would hold a snapshot, and the log could not be shortened."""
        self._cursor.close()

    def driver(self) -> Any:
        """The connection of the driver itself, for what SQLAlchemy has no word for (COPY)."""
        return self.connection.connection.driver_connection

    def _sql(self, sql: str) -> str:
        return sql if self.dialect is Dialect.SQLITE else _percent_style(sql)


class Database:
    """An engine with its transactions; writers on SQLite take turns with those of other processes."""

    def __init__(self, url: str) -> None:
        self.url, self.dialect = parse_url(url)
        self.file = Path(self.url.database or "").resolve() if self.dialect is Dialect.SQLITE else None
        self.engine = _engine(self.url, self.dialect)
        self._turnstile = Turnstile(self.file) if self.file else None
        self.written = threading.Event()
        """Set by every commit; who waits for commits clears it."""

    def turn(self) -> AbstractContextManager[None]:
        """The turn of a writer: on SQLite nobody else writes in the block."""
        return self._turnstile.turn() if self._turnstile else nullcontext()

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """A write transaction: committed at the end, rolled back on any exception."""
        with self.turn(), self.engine.connect() as connection:
            if self.dialect is Dialect.SQLITE:
                connection = connection.execution_options(begin_with="BEGIN IMMEDIATE")  # noqa: PLW2901 (the same connection)
            with connection.begin():
                tx = Tx(connection, self.dialect, writing=True)
                try:
                    yield tx
                finally:
                    tx.finish()
        self.written.set()
        tx.committed()

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A snapshot: all statements see the same state."""
        with self.engine.connect() as connection:
            if self.dialect is Dialect.POSTGRESQL:
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)  # noqa: PLW2901 (the same)
            with connection.begin():
                tx = Tx(connection, self.dialect, writing=False)
                try:
                    yield tx
                finally:
                    tx.finish()

    def transact(self, body: Callable[[Tx], Result]) -> Result:
        """Run `body` in a write transaction, again if PostgreSQL ended it for a deadlock.

        Raises:
            psycopg.Error: it failed for another reason, or eight times.

        """
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                with self.write() as tx:
                    return body(tx)
            except (psycopg.Error, DBAPIError) as error:
                if _sql_state(error) not in RETRIED_STATES or attempt == MOST_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def checkpoint(self, mode: str, patience_ms: int = 0) -> tuple[bool, int, int]:
        """SQLite's `wal_checkpoint`, waiting at most so long for others: whether any was in the way, pages in the log, moved ones."""
        connection = self.engine.raw_connection()
        cursor = connection.cursor()
        try:
            cursor.execute(f"PRAGMA busy_timeout = {patience_ms}")
            cursor.execute(f"PRAGMA wal_checkpoint({mode})")
            busy, pages, moved = cursor.fetchone() or (1, 0, 0)
        finally:
            cursor.execute(BUSY_TIMEOUT)
            connection.close()
        return bool(busy), int(pages), int(moved)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()
        if self._turnstile:
            self._turnstile.close()


def _sql_state(error: BaseException) -> str | None:
    """PostgreSQL's code of an error, of the driver or of SQLAlchemy around it."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def _engine(url: URL, dialect: Dialect) -> Engine:
    if dialect is Dialect.POSTGRESQL:
        return create_engine(url, pool_size=8, max_overflow=8, pool_pre_ping=True, pool_use_lifo=True)
    engine = create_engine(url, connect_args={"isolation_level": None, "timeout": 60}, pool_size=8, max_overflow=24, pool_use_lifo=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin_with", "BEGIN"))

    return engine
