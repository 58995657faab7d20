"""Sequence numbers that no stored batch has, between the first and the last of a resource, boot and spool.

They are followed behind the ingest, not in it: each batch is looked at once, in the order of its key, and moves the run of its boot and
spool on, opens a hole, or fills one. So a list of what is missing reads the holes only, however many batches there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from tallystick.model.access import Place
from tallystick.model.samples import boot_of
from tallystick.store.engine import Tx
from tallystick.store.section import Section, limited

POSITION = "sequences"
FRESH = "sequences.fresh"
SEEN_BY = "sequences.seen_by"
"""How far every batch was looked at. On PostgreSQL batches become visible in another order than their keys: `FRESH` is how far those were
that could be seen, and `SEEN_BY` the transaction that looked. Once all before it have ended, those are looked at again, and are all."""
BATCHES_AT_ONCE = 500
"""What is followed in one transaction: 500 batches, of as many boots, are 5 ms on SQLite."""
LOCK = 0x7A13
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingNumbers:
    """Numbers first..last of a resource, boot and spool, missing since they were noticed; `row` and the boot and spool key order lists."""

    resource_key: int
    resource_id: str
    boot_id: str
    spool_id: str
    first: int
    last: int
    noticed_at_ns: int


@dataclass(frozen=True, slots=True)
class Run:
    """The numbers seen of a boot and spool: from first to last, but for the holes, in order."""

    first: int
    last: int
    holes: tuple[Span, ...] = ()


def absorbed(run: Run | None, seen: Iterable[Span]) -> Run:
    """The run with more numbers seen, as spans first..last; again, it changes nothing.

    Worked: 1..4 and then 7 opens the hole 5..6; then 5 leaves 6..6.

    Raises:
        ValueError: there is neither a run nor a number.

    """
    first, last, holes = (0, -1, ()) if run is None else (run.first, run.last, run.holes)
    for low, high in seen:
        if last < first:
            first, last = low, high
            continue
        if high < first - 1:
            holes = ((high + 1, first - 1), *holes)
        elif low > last + 1:
            holes = (*holes, (last + 1, low - 1))
        else:
            holes = tuple(part for hole in holes for part in _without(hole, low, high))
        first, last = min(first, low), max(last, high)
    if last < first:
        raise ValueError("no number was seen")
    return Run(first, last, holes)


def _without(hole: Span, low: int, high: int) -> Iterable[Span]:
    return [(a, b) for a, b in ((hole[0], min(hole[1], low - 1)), (max(hole[0], high + 1), hole[1])) if a <= b]


class Sequences(Section):
    """Sequence numbers and their holes."""

    def follow(self, now_ns: int) -> int:
        """Look at every batch that was not looked at; how many there were. Some at a time are one short transaction."""
        with self._database.read() as reading:
            after, fresh = _position(reading, POSITION), _position(reading, FRESH)
            whole = fresh > after and _all_ended(reading)
        done, count = 0, BATCHES_AT_ONCE
        while count == BATCHES_AT_ONCE:
            with self._database.read() as reading:
                if reading.row("SELECT 1 FROM batch WHERE batch_key > ? LIMIT 1", (after,)) is None:
                    break
            count, after = self._database.transact(partial(self._follow, after=after, whole_until=fresh if whole else 0, now_ns=now_ns))
            done += count
        return done

    def _follow(self, tx: Tx, after: int, whole_until: int, now_ns: int) -> tuple[int, int]:
        """Some batches after a key: how many, and the last one's key."""
        if not tx.is_sqlite and not tx.rows("SELECT 1 WHERE pg_try_advisory_xact_lock(?)", (LOCK,)):
            return 0, after  # another worker follows them now
        after = max(after, _position(tx, POSITION)) if tx.is_sqlite else after
        groups = tx.rows(
            "SELECT scope_key, boot_key, spool_key, MIN(sequence), MAX(sequence), COUNT(*), MAX(batch_key) FROM (SELECT batch_key,"
            " scope_key, boot_key, spool_key, sequence FROM batch WHERE batch_key > ? ORDER BY batch_key LIMIT ?) AS fresh"
            " GROUP BY scope_key, boot_key, spool_key",
            (after, BATCHES_AT_ONCE),
        )
        if not groups:
            return 0, after
        numbered = [row for row in groups if row[4] > 0]
        runs = _runs(tx, sorted({row[1] for row in numbered}))
        for scope_key, boot_key, spool_key, low, high, count, _ in numbered:
            place = (scope_key, boot_key, spool_key)
            seen = [(low, high)] if low > 0 and high - low + 1 == count else _stored(tx, place, max(low, 1), high)
            before = runs.get(place)
            self._keep(tx, place, before, absorbed(before, seen), now_ns)
        count, reached = sum(row[5] for row in groups), max(row[6] for row in groups)
        _reach(tx, reached, whole_until, last=count < BATCHES_AT_ONCE)
        return count, reached

    def _keep(self, tx: Tx, place: tuple[int, int, int], before: Run | None, after: Run, now_ns: int) -> None:
        if before is None or (before.first, before.last) != (after.first, after.last):
            tx.run(
                "INSERT INTO sequence_run (scope_key, boot_key, spool_key, first_sequence, last_sequence) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (scope_key, boot_key, spool_key) DO UPDATE SET first_sequence = excluded.first_sequence,"
                " last_sequence = excluded.last_sequence",
                (*place, after.first, after.last),
            )
        old = () if before is None else before.holes
        if old == after.holes:
            return
        where = "scope_key = ? AND boot_key = ? AND spool_key = ?"
        since = tx.rows(f"SELECT first_sequence, last_sequence, noticed_at_ns FROM missing_sequence WHERE {where}", place)
        tx.run(f"DELETE FROM missing_sequence WHERE {where}", place)
        rows = [
            (*place, low, high, min((at_ns for a, b, at_ns in since if a <= low and high <= b), default=now_ns))
            for low, high in after.holes
        ]
        tx.many(
            "INSERT INTO missing_sequence (scope_key, boot_key, spool_key, first_sequence, last_sequence, noticed_at_ns)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            rows,
        )

    def missing(
        self,
        place: Place,
        *,
        resource_keys: Sequence[int] | None = None,
        before: tuple[int, int, int, int] | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> list[tuple[tuple[int, int, int, int], MissingNumbers]]:
        """What is missing, noticed last first, each with its place in the list: `before` goes on after it."""
        order = "m.noticed_at_ns, m.boot_key, m.spool_key, m.first_sequence"
        with self._reading(tx) as reading:
            which, keys = ("", ()) if resource_keys is None else _each(reading, "t.resource_key", resource_keys)
            older = "" if before is None else f" AND ({order}) < (?, ?, ?, ?)"
            falling = ", ".join(f"{name} DESC" for name in order.split(", "))
            rows = reading.rows(
                f"SELECT {order}, m.last_sequence, t.resource_key, r.resource_id, t.boot_id, s.spool_id FROM missing_sequence m"
                " JOIN boot t ON t.boot_key = m.boot_key JOIN resource r ON r.resource_key = t.resource_key"
                f" JOIN spool s ON s.spool_key = m.spool_key WHERE m.scope_key = ?{which}{older} ORDER BY {falling}{limited(limit)}",
                (self._surrogates.scope(reading, place), *keys, *(before or ())),
            )
        return [
            (
                (row[0], row[1], row[2], row[3]),
                MissingNumbers(
                    resource_key=row[5],
                    resource_id=row[6],
                    boot_id=boot_of(row[7])[0],
                    spool_id=row[8],
                    first=row[3],
                    last=row[4],
                    noticed_at_ns=row[0],
                ),
            )
            for row in rows
        ]


def _each(tx: Tx, column: str, keys: Sequence[int]) -> tuple[str, tuple[object, ...]]:
    clause, value = tx.each_of(column, list(keys))
    return f" AND {clause}", (value,)


def _position(tx: Tx, name: str) -> int:
    row = tx.row("SELECT position FROM watch_progress WHERE name = ?", (name,))
    return int(row[0]) if row else 0


def _put(tx: Tx, name: str, position: int) -> None:
    tx.run(
        "INSERT INTO watch_progress (name, position) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET position = excluded.position",
        (name, position),
    )


def _all_ended(tx: Tx) -> bool:
    """Whether every transaction that began before the look at what was fresh has ended: then all batches up to it can be seen now."""
    row = tx.row("SELECT (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint > ?", (_position(tx, SEEN_BY),))
    return row is not None and bool(row[0])


def _reach(tx: Tx, batch_key: int, whole_until: int, *, last: bool) -> None:
    """Note how far batches were looked at. On PostgreSQL those after `whole_until` will be once more, when none before can come."""
    if tx.is_sqlite:
        _put(tx, POSITION, batch_key)
        return
    if 0 < whole_until <= batch_key and _position(tx, POSITION) < whole_until:
        _put(tx, POSITION, whole_until)
    if last and _position(tx, FRESH) <= _position(tx, POSITION) < batch_key:
        row = tx.row("SELECT (pg_current_xact_id()::text)::bigint")
        _put(tx, FRESH, batch_key)
        _put(tx, SEEN_BY, int(row[0]) if row else 0)


def _runs(tx: Tx, boot_keys: Sequence[int]) -> dict[tuple[int, int, int], Run]:
    """What was seen of boots, by scope, boot and spool."""
    if not boot_keys:
        return {}
    clause, value = tx.each_of("boot_key", list(boot_keys))
    holes: dict[tuple[int, int, int], list[Span]] = {}
    for scope_key, boot_key, spool_key, low, high in tx.rows(
        f"SELECT scope_key, boot_key, spool_key, first_sequence, last_sequence FROM missing_sequence WHERE {clause}"
        " ORDER BY first_sequence",
        (value,),
    ):
        holes.setdefault((scope_key, boot_key, spool_key), []).append((low, high))
    return {
        (row[0], row[1], row[2]): Run(row[3], row[4], tuple(holes.get((row[0], row[1], row[2]), ())))
        for row in tx.rows(
            f"SELECT scope_key, boot_key, spool_key, first_sequence, last_sequence FROM sequence_run WHERE {clause}", (value,)
        )
    }


def _stored(tx: Tx, place: tuple[int, int, int], low: int, high: int) -> list[Span]:
    """The numbers in low..high that are stored, as spans; the condition on the sequence is what the index is for."""
    found: list[list[int]] = []
    for (number,) in tx.rows(
        "SELECT sequence FROM batch WHERE scope_key = ? AND boot_key = ? AND spool_key = ? AND sequence BETWEEN ? AND ? AND sequence > 0"
        " ORDER BY sequence",
        (*place, low, high),
    ):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return [(a, b) for a, b in found]
