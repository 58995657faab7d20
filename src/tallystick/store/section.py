"""What every part of a store has: its database, its numbers, its clock, and transactions of its own where it is given none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tallystick.store.engine import Clock, Database, Tx
from tallystick.store.surrogates import Surrogates


class Section:
    """A part of a store. Its methods are a transaction each, unless they are given one as `tx`."""

    def __init__(self, database: Database, surrogates: Surrogates, clock: Clock) -> None:
        self._database = database
        self._surrogates = surrogates
        self._clock = clock

    @contextmanager
    def _reading(self, tx: Tx | None) -> Iterator[Tx]:
        if tx is not None:
            yield tx
        else:
            with self._database.read() as snapshot:
                yield snapshot

    @contextmanager
    def _writing(self, tx: Tx | None) -> Iterator[Tx]:
        if tx is None:
            with self._database.write() as own:
                yield own
        elif tx.writing:
            yield tx
        else:
            raise RuntimeError("a snapshot cannot write: open the transaction with Store.write()")


def one_of(tx: Tx, column: str, values: frozenset[str] | None) -> tuple[str, tuple[object, ...]]:
    """A further condition of a WHERE, that a column is one of some texts; none if `values` is None."""
    if values is None:
        return "", ()
    clause, value = tx.each_of(column, sorted(values))
    return f" AND {clause}", (value,)


def before_row(column: str, before: int | None) -> tuple[str, tuple[object, ...]]:
    """A further condition of a WHERE, that a row is older than one by its number; none if `before` is None."""
    return ("", ()) if before is None else (f" AND {column} < ?", (before,))
