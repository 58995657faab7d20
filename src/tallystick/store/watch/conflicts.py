"""Batches that were sent again with other content: kept aside until a person says which of the two counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.samples import boot_of
from tallystick.model.timeline import PayloadForm, Segment
from tallystick.store.batches.identities import FORMS
from tallystick.store.batches.known import known_by_source, previous_cell, settle_intervals
from tallystick.store.batches.marks import Marks, lock_resources, mark
from tallystick.store.batches.reach import Extent
from tallystick.store.batches.write import INSERT_PAYLOAD, INSERT_SEGMENT
from tallystick.store.engine import Tx, Values
from tallystick.store.records import Clash, Conflict, NotFound
from tallystick.store.section import Section, newest
from tallystick.store.service.audit import append, tell

COLUMNS = (
    "c.conflict_key, r.resource_id, t.boot_id, p.spool_id, b.sequence, c.stored_hash, c.sent_hash, c.received_at_ns, c.body, c.interval_ns,"
    " c.first_at_ns, c.last_at_ns, c.samples, c.state, c.resolved_at_ns, c.resolved_by, c.reason, c.form"
)
FROM = (
    "FROM conflict c JOIN batch b ON b.batch_key = c.batch_key JOIN boot t ON t.boot_key = b.boot_key"
    " JOIN resource r ON r.resource_key = t.resource_key LEFT JOIN spool p ON p.spool_key = b.spool_key"
)
TOO_LATE = 1
"""The state of a batch that came after its hours were sealed."""
OPEN, KEPT, REPLACED = "open", "kept", "replaced"
"""Nobody looked at it yet; the stored content goes on counting; the content that was sent counts in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the batch of a conflict stands: its numbers, and when the content that counts was received."""

    scope_key: int
    resource_key: int
    boot_key: int
    batch_key: int
    received_at_ns: int


class Conflicts(Section):
    """Contradictions and what became of them. Raw samples are never overwritten: of a batch that was replaced both payloads stay, and
    its `received_at_ns` says which counts.
    """  # noqa: D205 (the reason is one sentence)

    def list(
        self,
        place: Place,
        *,
        only_open: bool = False,
        row: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> Sequence[Conflict]:
        """The batches that were sent again with other content, newest first; `row` asks for one."""
        with self._reading(tx) as reading:
            waiting = f" AND c.state = '{OPEN}'" if only_open else ""
            one, which = ("", ()) if row is None else (" AND c.conflict_key = ?", (row,))
            select = f"SELECT {COLUMNS} {FROM} WHERE c.scope_key = ?{waiting}{one}"
            rows = newest(reading, select, (self._surrogates.scope(reading, place), *which), "c.conflict_key", before, limit)
        return [_conflict(each) for each in rows]

    def get(self, place: Place, row: int, *, tx: Tx | None = None) -> Conflict:
        """A conflict by its number.

        Raises:
            NotFound: there is none.

        """
        found = self.list(place, row=row, tx=tx)
        if not found:
            raise NotFound(f"conflict {row}")
        return found[0]

    def keep(self, place: Place, row: int, *, actor: str, reason: str) -> Conflict:
        """Say that the stored content counts on. Saying it again changes nothing.

        Raises:
            NotFound: there is no such conflict.
            Clash: it was resolved otherwise.

        """

        def body(tx: Tx) -> Conflict:
            self._lock(tx, place, row)
            return self._resolve(tx, place, row, KEPT, actor, reason)

        return self._database.transact(body)

    def replace(self, place: Place, row: int, segments: Sequence[Segment], *, actor: str, reason: str) -> Conflict:
        """Let the content that was sent count in the place of the stored one: `segments` are what it folds into.

        The hours that it touches are marked. Doing it again changes nothing.

        Raises:
            NotFound: there is no such conflict.
            Clash: it was resolved otherwise, or the segments of the stored batch are gone: its hours are sealed.

        """

        def body(tx: Tx) -> Conflict:
            self._lock(tx, place, row)
            before = self.get(place, row, tx=tx)
            if before.state == OPEN:
                self._exchange(tx, place, before, segments, actor, reason)
            return self._resolve(tx, place, row, REPLACED, actor, reason)

        return self._database.transact(body)

    def _lock(self, tx: Tx, place: Place, row: int) -> None:
        """Let nobody else resolve a conflict of the same resource, or write for it: what is read after holds until the end."""
        found = tx.row(
            "SELECT t.resource_key FROM conflict c JOIN batch b ON b.batch_key = c.batch_key JOIN boot t ON t.boot_key = b.boot_key"
            " WHERE c.scope_key = ? AND c.conflict_key = ?",
            (self._surrogates.scope(tx, place), row),
        )
        if found is not None:
            lock_resources(tx, [found[0]])

    def _resolve(self, tx: Tx, place: Place, row: int, state: str, actor: str, reason: str) -> Conflict:
        now_ns = self._clock.now_ns()
        done = tx.run(
            "UPDATE conflict SET state = ?, resolved_at_ns = ?, resolved_by = ?, reason = ?"
            f" WHERE scope_key = ? AND conflict_key = ? AND state = '{OPEN}'",
            (state, now_ns, actor, reason, self._surrogates.scope(tx, place), row),
        )
        found = self.get(place, row, tx=tx)
        if found.state != state:
            raise Clash(f"conflict {row} was resolved already: {found.state}")
        if done:
            identity = {"resource": found.resource_id, "boot": found.boot_id, "spool": found.spool_id, "sequence": found.sequence}
            hashes = {"stored": found.stored_hash.hex(), "sent": found.sent_hash.hex()}
            details = {**identity, **hashes, "reason": reason, "counts": "sent" if state == REPLACED else "stored"}
            append(tx, self._surrogates.seller(tx, place), now_ns, actor, "conflict.resolve", str(row), details)
            tell(tx, self._surrogates.scope(tx, place), "metering.conflict_resolved", found.resource_id, details, now_ns)
        return found

    def _exchange(self, tx: Tx, place: Place, found: Conflict, segments: Sequence[Segment], actor: str, reason: str) -> None:
        scope_key = self._surrogates.scope(tx, place)
        row = tx.row(
            "SELECT b.boot_key, t.resource_key, b.received_at_ns, b.state, c.batch_key FROM conflict c"
            " JOIN batch b ON b.batch_key = c.batch_key JOIN boot t ON t.boot_key = b.boot_key WHERE c.conflict_key = ?",
            (found.row,),
        )
        if row is None:
            raise NotFound(f"conflict {found.row}")
        where = _Place(scope_key=scope_key, resource_key=row[1], boot_key=row[0], batch_key=row[4], received_at_ns=row[2])
        old = tx.rows(
            "SELECT cell_ns, first_at_ns, last_at_ns FROM segment WHERE scope_key = ? AND resource_key = ? AND batch_key = ?"
            " ORDER BY cell_ns",
            (scope_key, where.resource_key, where.batch_key),
        )
        if not old or row[3] == TOO_LATE:
            raise Clash(f"conflict {found.row}: the hours of the stored batch are sealed, its segments are gone")
        # Its instant is what makes it another payload of the same batch.
        received_at_ns = found.received_at_ns + (found.received_at_ns == where.received_at_ns)
        self._set_aside(tx, where, found, actor, reason)
        tx.many(
            "DELETE FROM segment WHERE scope_key = ? AND resource_key = ? AND cell_ns = ? AND batch_key = ?",
            [(scope_key, where.resource_key, cell_ns, where.batch_key) for cell_ns, _, _ in old],
        )
        tx.many(INSERT_SEGMENT, [_segment_row(where, each, received_at_ns) for each in segments])
        tx.run(INSERT_PAYLOAD, (where.batch_key, received_at_ns, 1, found.interval_ns, found.body))
        tx.run(
            "UPDATE batch SET content_hash = ?, received_at_ns = ?, state = 0 WHERE batch_key = ?",
            (found.sent_hash, received_at_ns, where.batch_key),
        )
        first_ns = min(old[0][1], segments[0].first_at_ns)
        last_ns = max(old[-1][2], segments[-1].last_at_ns)
        _settle_boot(tx, where)
        known_end_ns = max(known.end_ns() for known in known_by_source(tx, scope_key, where.resource_key))
        before_ns = previous_cell(tx, scope_key, where.resource_key, first_ns, None)
        marks = Marks()
        marks.add(where.resource_key, first_ns if before_ns is None else before_ns, max(last_ns, known_end_ns))
        mark(tx, scope_key, marks)

    def _set_aside(self, tx: Tx, where: _Place, found: Conflict, actor: str, reason: str) -> None:
        """Keep the content that counted so far as the second one: when it is sent again, that is no new conflict."""
        old = tx.row(
            "SELECT form, interval_ns, body FROM payload WHERE batch_key = ? AND received_at_ns = ?",
            (where.batch_key, where.received_at_ns),
        )
        if old is None:
            return
        extent = tx.row(
            "SELECT MIN(first_at_ns), MAX(last_at_ns), SUM(samples) FROM segment"
            " WHERE scope_key = ? AND resource_key = ? AND batch_key = ?",
            (where.scope_key, where.resource_key, where.batch_key),
        )
        told = (0, 0, 0) if extent is None else (extent[0], extent[1], int(extent[2]))
        tx.run(
            "INSERT INTO conflict (scope_key, batch_key, stored_hash, sent_hash, received_at_ns, first_at_ns, last_at_ns, samples, form,"
            " interval_ns, body, state, resolved_at_ns, resolved_by, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (
                *(where.scope_key, where.batch_key, found.sent_hash, found.stored_hash, where.received_at_ns, *told),
                *(old[0], old[1], bytes(old[2]), KEPT, self._clock.now_ns(), actor, reason),
            ),
        )


def _segment_row(where: _Place, segment: Segment, received_at_ns: int) -> Values:
    return (
        *(where.scope_key, where.resource_key, segment.cell_ns, where.batch_key, where.boot_key, segment.first_at_ns, segment.last_at_ns),
        *(segment.samples, segment.interval_ns, received_at_ns, segment.block),
    )


def _settle_boot(tx: Tx, where: _Place) -> None:
    """The extent of the boot anew, over its segments; of a boot whose first ones are gone only its end can have changed."""
    row = tx.row("SELECT boot_id, first_at_ns, sealed_until_ns FROM boot WHERE boot_key = ?", (where.boot_key,))
    found = tx.row(
        "SELECT MIN(first_at_ns), MAX(last_at_ns) FROM segment WHERE scope_key = ? AND resource_key = ? AND boot_key = ?",
        (where.scope_key, where.resource_key, where.boot_key),
    )
    if row is None or found is None:
        return
    first_ns = found[0] if row[2] is None else min(row[1], found[0])
    extent = Extent(where.boot_key, row[0], first_ns, found[1], None, None)
    settle_intervals(tx, where.scope_key, where.resource_key, extent)
    intervals = {"first_interval_ns": extent.first_interval_ns, "last_interval_ns": extent.last_interval_ns}
    known = {name: value for name, value in intervals.items() if value is not None}
    names = ("first_at_ns", "last_at_ns", *known)
    tx.run(
        f"UPDATE boot SET {', '.join(f'{name} = ?' for name in names)} WHERE boot_key = ?",
        (extent.first_at_ns, extent.last_at_ns, *known.values(), where.boot_key),
    )
    tx.run("UPDATE resource SET latest_boot_key = 0 WHERE resource_key = ?", (where.resource_key,))


def _conflict(row: Values) -> Conflict:
    return Conflict(
        row=row[0],
        resource_id=row[1],
        boot_id=boot_of(row[2])[0],
        spool_id=row[3] or "",
        sequence=row[4],
        stored_hash=bytes(row[5]),
        sent_hash=bytes(row[6]),
        received_at_ns=row[7],
        body=bytes(row[8]),
        interval_ns=row[9],
        first_at_ns=row[10],
        last_at_ns=row[11],
        samples=row[12],
        state=row[13],
        resolved_at_ns=row[14],
        resolved_by=row[15] or "",
        reason=row[16] or "",
        is_thinned=row[17] == FORMS[PayloadForm.THINNED],
    )
