"""The store: opened by its URL, with a part for each concern."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import DBAPIError as StoreFault

from tallystick.store.agreed.coupons import Coupons
from tallystick.store.agreed.reservations import Reservations
from tallystick.store.batches.operations import Batches
from tallystick.store.checking.money import StoredMoney
from tallystick.store.checking.registry import StoredRegistry
from tallystick.store.checking.usage import StoredUsage
from tallystick.store.contracts import Contracts
from tallystick.store.engine import Clock, Database, Tx
from tallystick.store.invoices import Invoices
from tallystick.store.keys import Keys
from tallystick.store.registry import Registry
from tallystick.store.retention.archived import Archived
from tallystick.store.retention.sections import Retention
from tallystick.store.retention.too_late import TooLate
from tallystick.store.schema_version import SchemaMismatch, check_version, migrate
from tallystick.store.service.audit import Audit, Outbox
from tallystick.store.service.jobs import Jobs
from tallystick.store.service.log import Log
from tallystick.store.service.maintenance import Maintenance
from tallystick.store.service.repeats import Repeats, Settings
from tallystick.store.surrogates import Surrogates
from tallystick.store.turnstile import ServerLock, StoreInUse
from tallystick.store.usage.operations import Usage
from tallystick.store.usage.outages import Outages
from tallystick.store.usage.priced import Priced
from tallystick.store.watch.absences import Absences
from tallystick.store.watch.conflicts import Conflicts
from tallystick.store.watch.evidence import Witness
from tallystick.store.watch.listing import Gaps
from tallystick.store.watch.sequences import Sequences

__all__ = ["SchemaMismatch", "Store", "StoreFault", "StoreInUse", "Tx", "migrate", "open_store"]

Result = TypeVar("Result")


class Store:
    """An open store. Its parts' methods are a transaction each, unless they are given one as `tx`; it may be used by many threads."""

    def __init__(self, database: Database, clock: Clock, lock: ServerLock | None = None) -> None:
        surrogates = Surrogates()
        parts = (database, surrogates, clock)
        self._database = database
        self._lock = lock
        self.batches = Batches(database, surrogates)
        self.registry = Registry(*parts)
        self.usage = Usage(*parts)
        self.priced = Priced(*parts)
        self.outages = Outages(*parts)
        self.contracts = Contracts(*parts)
        self.coupons = Coupons(*parts)
        self.reservations = Reservations(*parts)
        self.invoices = Invoices(*parts)
        self.jobs = Jobs(*parts)
        self.keys = Keys(*parts)
        self.audit = Audit(*parts)
        self.outbox = Outbox(*parts)
        self.repeats = Repeats(*parts)
        self.settings = Settings(*parts)
        self.maintenance = Maintenance(*parts)
        self.log = Log(*parts)
        self.retention = Retention(*parts)
        self.archived = Archived(*parts)
        self.too_late = TooLate(*parts)
        self.stored_usage = StoredUsage(*parts)
        self.stored_money = StoredMoney(*parts)
        self.stored_registry = StoredRegistry(*parts)
        self.absences = Absences(*parts)
        self.sequences = Sequences(*parts)
        self.witness = Witness(*parts)
        self.gaps = Gaps(*parts)
        self.conflicts = Conflicts(*parts)

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self._database.url.render_as_string(hide_password=True)

    @contextmanager
    def write(self) -> Iterator[Tx]:
        """A write transaction, durable when the block ends, rolled back on any exception. Keep it short: 5 ms of work or less."""
        with self._database.write() as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A snapshot: all statements in the block see the same state."""
        with self._database.read() as tx:
            yield tx

    def transact(self, body: Callable[[Tx], Result]) -> Result:
        """`body` in a write transaction, run again if PostgreSQL ended it for a deadlock: so it must have no other effects."""
        return self._database.transact(body)

    def close(self) -> None:
        """Close every connection and let another server have the file."""
        self._database.close()
        if self._lock:
            self._lock.release()
            self._lock = None


def open_store(url: str, clock: Clock, *, server: bool = False) -> Store:
    """Open the store of a URL: `sqlite:////path/to/file.db` or `postgresql://host/name`; its schema must be there (`migrate`).

    `server` is true for the one server of an SQLite file; its worker processes and commands open it without.

    Raises:
        StoreUrlError: the URL names no database.
        StoreInUse: another server has the file open.
        SchemaMismatch: it has no schema, or one that is older than this release needs.

    """
    database = Database(url)
    if database.file and not database.file.exists():
        raise SchemaMismatch(f"{database.file} does not exist: run `tally migrate`")
    lock = ServerLock(database.file) if server and database.file else None
    try:
        check_version(database)
    except BaseException:
        database.close()
        if lock:
            lock.release()
        raise
    return Store(database, clock, lock)
