"""Batches that came when their hours were sealed: listed, and admitted or dismissed by a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.instants import HOUR_NS
from tallystick.model.samples import SampleSource, boot_of
from tallystick.model.timeline import Segment, StoredSegment
from tallystick.model.usage import UsageHour
from tallystick.store.batches.known import known_of
from tallystick.store.batches.marks import Marks, lock_resources, mark
from tallystick.store.engine import Tx, Values
from tallystick.store.records import Clash, NotFound
from tallystick.store.retention.folding import fold_batches
from tallystick.store.retention.late import keep_last
from tallystick.store.section import Section, newest
from tallystick.store.usage.hours import exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class LateBatch:
    """A batch of which something lies in sealed hours: [first_at_ns, last_at_ns] and `samples` are that part of it.

    `state` is `open`, `admitted` or `dismissed`; `change` is what admitting it changed.
    """

    batch_key: int
    resource_key: int
    resource_id: str
    boot_key: int
    boot_id: str
    source: SampleSource
    spool_id: str
    sequence: int
    first_at_ns: int
    last_at_ns: int
    samples: int
    sealed_until_ns: int
    received_at_ns: int
    state: str
    decided_at_ns: int | None
    decided_by: str | None
    reason: str | None
    change: Mapping[str, Mapping[str, int]] | None

    @property
    def row(self) -> int:
        """By which lists go on."""
        return self.batch_key


SELECT = (
    "SELECT l.batch_key, l.resource_key, r.resource_id, l.boot_key, t.boot_id, q.spool_id, COALESCE(b.sequence, 0), l.first_at_ns,"
    " l.last_at_ns, l.samples, l.sealed_until_ns, l.received_at_ns, l.state, l.decided_at_ns, l.decided_by, l.reason, l.change"
    " FROM late_batch l JOIN resource r ON r.resource_key = l.resource_key JOIN boot t ON t.boot_key = l.boot_key"
    " LEFT JOIN batch b ON b.batch_key = l.batch_key LEFT JOIN spool q ON q.spool_key = b.spool_key WHERE l.scope_key = ?"
)


class TooLate(Section):
    """What came too late to a place."""

    def entries(
        self, place: Place, *, state: str | None = None, before: int | None = None, limit: int | None = None, tx: Tx | None = None
    ) -> list[LateBatch]:
        """Late batches, the latest first; `before` goes on after one by its number."""
        some, which = ("", ()) if state is None else (" AND l.state = ?", (state,))
        with self._reading(tx) as reading:
            rows = newest(reading, f"{SELECT}{some}", (self._surrogates.scope(reading, place), *which), "l.batch_key", before, limit)
        return [_late(row) for row in rows]

    def get(self, place: Place, batch_key: int, *, tx: Tx | None = None) -> LateBatch | None:
        """One of them, or None."""
        with self._reading(tx) as reading:
            row = reading.row(f"{SELECT} AND l.batch_key = ?", (self._surrogates.scope(reading, place), batch_key))
        return None if row is None else _late(row)

    def count_open(self, *, tx: Tx | None = None) -> int:
        """How many wait for a person, of all places."""
        with self._reading(tx) as reading:
            row = reading.row("SELECT COUNT(*) FROM late_batch WHERE state = 'open'")
        return int(row[0]) if row else 0

    def segments(self, late: LateBatch, *, tx: Tx) -> list[StoredSegment]:
        """Its segments in sealed hours, in order."""
        rows = tx.rows(
            "SELECT cell_ns, first_at_ns, last_at_ns, samples, interval_ns, block FROM late_segment WHERE batch_key = ? ORDER BY cell_ns",
            (late.batch_key,),
        )
        return [
            StoredSegment(
                boot_id=late.boot_id,
                source=late.source,
                batch_key=late.batch_key,
                received_at_ns=late.received_at_ns,
                segment=Segment(
                    cell_ns=row[0], first_at_ns=row[1], last_at_ns=row[2], samples=row[3], interval_ns=row[4], block=bytes(row[5])
                ),
            )
            for row in rows
        ]

    def counted(self, place: Place, resource_key: int, *, tx: Tx) -> dict[str, tuple[int, int]]:
        """The first and the last sample of each boot, by its stored name, that a resource's sealed hours were made of."""
        rows = tx.rows(
            "SELECT t.boot_id, MIN(k.first_at_ns), MAX(k.last_at_ns) FROM kept_segment k JOIN boot t ON t.boot_key = k.boot_key"
            " WHERE k.scope_key = ? AND k.resource_key = ? AND k.late = 0 GROUP BY t.boot_id",
            (self._surrogates.scope(tx, place), resource_key),
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def dismiss(self, tx: Tx, place: Place, batch_key: int, *, actor: str, reason: str) -> None:
        """Decide that a late batch changes nothing; its identity is kept as of any other."""
        self._decide(tx, place, batch_key, "dismissed", actor, reason, None)

    def admit(
        self,
        tx: Tx,
        place: Place,
        late: LateBatch,
        hours: Sequence[UsageHour],
        change: Mapping[str, Mapping[str, int]],
        *,
        sealed_until_ns: int,
        actor: str,
        reason: str,
    ) -> None:
        """Put hours that hold a late batch in the place of those that are stored, and let its boot end where it does.

        Where the boot goes on after the seal, the hours there are computed again: the link to them has another beginning.

        Raises:
            Clash: it is decided already, or more was sealed since `hours` were made.

        """
        scope_key = self._surrogates.scope(tx, place)
        lock_resources(tx, [late.resource_key])
        row = tx.row("SELECT sealed_until_ns FROM resource WHERE resource_key = ?", (late.resource_key,))
        if row is None or row[0] != sealed_until_ns:
            raise Clash("more was sealed meanwhile: try again")
        segments = self.segments(late, tx=tx)
        exchange(tx, scope_key, {(late.resource_key, hour.hour_ns): hour for hour in hours}, self._clock.now_ns())
        before = tx.row(
            "SELECT MAX(last_at_ns) FROM kept_segment WHERE scope_key = ? AND resource_key = ? AND boot_key = ?",
            (scope_key, late.resource_key, late.boot_key),
        )
        first, last = segments[0].segment, segments[-1].segment
        keep_last(tx, scope_key, late.resource_key, late.boot_key, last, late=False)
        tx.run(
            "UPDATE boot SET first_interval_ns = CASE WHEN first_at_ns <= ? THEN first_interval_ns ELSE ? END,"
            " last_interval_ns = CASE WHEN last_at_ns >= ? THEN last_interval_ns ELSE ? END,"
            " first_at_ns = CASE WHEN first_at_ns <= ? THEN first_at_ns ELSE ? END,"
            " last_at_ns = CASE WHEN last_at_ns >= ? THEN last_at_ns ELSE ? END, sealed_until_ns = ? WHERE boot_key = ?",
            (
                *(first.first_at_ns, first.interval_ns, last.last_at_ns, last.interval_ns),
                *(first.first_at_ns, first.first_at_ns, last.last_at_ns, last.last_at_ns, sealed_until_ns, late.boot_key),
            ),
        )
        if before is None or before[0] is None or before[0] < last.last_at_ns:
            known, marks = known_of(tx, scope_key, late.resource_key, late.source), Marks()
            if known.end_ns() >= sealed_until_ns:
                marks.add(late.resource_key, sealed_until_ns, known.end_ns())
                mark(tx, scope_key, marks)
        self._decide(tx, place, late.batch_key, "admitted", actor, reason, change)

    def _decide(
        self, tx: Tx, place: Place, batch_key: int, state: str, actor: str, reason: str, change: Mapping[str, Mapping[str, int]] | None
    ) -> None:
        scope_key = self._surrogates.scope(tx, place)
        if self.get(place, batch_key, tx=tx) is None:
            raise NotFound(f"late batch {batch_key}")
        decided = tx.run(
            "UPDATE late_batch SET state = ?, decided_at_ns = ?, decided_by = ?, reason = ?, change = ?"
            " WHERE scope_key = ? AND batch_key = ? AND state = 'open'",
            (state, self._clock.now_ns(), actor, reason, None if change is None else json.dumps(change), scope_key, batch_key),
        )
        if not decided:
            raise Clash(f"late batch {batch_key} is decided already")
        row = tx.row(
            "SELECT resource_key, MAX(cell_ns) FROM late_segment WHERE batch_key = ? GROUP BY resource_key",
            (batch_key,),
        )
        tx.run("DELETE FROM late_segment WHERE batch_key = ?", (batch_key,))
        if row is not None:
            goes_on = tx.row(
                "SELECT 1 FROM segment WHERE scope_key = ? AND resource_key = ? AND cell_ns > ? AND cell_ns <= ? AND batch_key = ?",
                (scope_key, row[0], row[1], row[1] + HOUR_NS, batch_key),
            )
            if goes_on is None:
                fold_batches(tx, scope_key, [batch_key])


def _late(row: Values) -> LateBatch:
    return LateBatch(
        batch_key=row[0],
        resource_key=row[1],
        resource_id=row[2],
        boot_key=row[3],
        boot_id=boot_of(row[4])[0],
        source=boot_of(row[4])[1],
        spool_id=row[5] or "",
        sequence=row[6],
        first_at_ns=row[7],
        last_at_ns=row[8],
        samples=row[9],
        sealed_until_ns=row[10],
        received_at_ns=row[11],
        state=row[12],
        decided_at_ns=row[13],
        decided_by=row[14],
        reason=row[15],
        change=None if row[16] is None else json.loads(row[16]),
    )
