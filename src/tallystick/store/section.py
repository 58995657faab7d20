"""What every part of a store has: its database, its numbers, its clock, and transactions of its own where it is given none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tallystick.store.engine import Clock, Database, Tx, Values
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


def newest(tx: Tx, select: str, values: Values, key: str, before: int | None, limit: int | None) -> Sequence[Values]:
    """The rows of a SELECT that ends with its WHERE, newest first by their number `key`; `before` goes on after the row of that number."""
    older, number = ("", ()) if before is None else (f" AND {key} < ?", (before,))
    return tx.rows(f"{select}{older} ORDER BY {key} DESC{limited(limit)}", (*values, *number))


def limited(limit: int | None) -> str:
    """The end of a statement that returns at most so many rows."""
    return "" if limit is None else f" LIMIT {limit:d}"
