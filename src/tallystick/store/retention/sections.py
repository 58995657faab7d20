"""Deleting by age, in small steps: each is one short transaction, and says what it left (docs/retention.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.timeline import Segment, Timeline
from tallystick.store.batches import timelines
from tallystick.store.batches.marks import lock_resources
from tallystick.store.engine import Tx
from tallystick.store.retention.folding import fold_batches
from tallystick.store.section import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is stored of a resource, as far as it decides what may go: None where there is nothing of it.

    `first_cell_ns` and `first_hour_ns` are those of its first segment and usage hour, `first_dirty_ns` its first hour to be computed,
    `first_conflict_ns` the first sample of a batch in an open conflict; `sealed_until_ns` 0 where nothing was sealed yet.
    """

    first_cell_ns: int | None = None
    first_hour_ns: int | None = None
    first_dirty_ns: int | None = None
    first_conflict_ns: int | None = None
    sealed_until_ns: int = 0
    generation: int = 0

    @property
    def first_ns(self) -> int | None:
        """The first instant of which there is a segment or an hour."""
        return min((each for each in (self.first_cell_ns, self.first_hour_ns) if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class OldPayload:
    """A payload that is old; `needed` says why it must stay, and is empty if nothing needs it. `orphaned`: its batch is gone."""

    batch_key: int
    received_at_ns: int
    needed: str
    orphaned: bool = False


NEEDED = (
    ("overlaps others", "EXISTS (SELECT 1 FROM needed_payload n WHERE n.batch_key = p.batch_key)"),
    (
        "is in an open conflict",
        "EXISTS (SELECT 1 FROM conflict c WHERE c.scope_key = b.scope_key AND c.batch_key = p.batch_key AND c.state = 'open')",
    ),
    ("came too late and waits for a person", "EXISTS (SELECT 1 FROM late_batch l WHERE l.batch_key = p.batch_key AND l.state = 'open')"),
    (
        "its hours are not computed",
        "EXISTS (SELECT 1 FROM dirty_hour d WHERE d.scope_key = b.scope_key AND d.resource_key = t.resource_key AND d.hour_ns < ?)",
    ),
)
"""Why an old payload must stay."""


class Retention(Section):
    """What is deleted by age. What may go is said by who asks: here it is done."""

    def held(self, place: Place, resource_keys: Sequence[int], *, tx: Tx | None = None) -> dict[int, Held]:
        """What is stored of resources, by number."""
        with self._reading(tx) as reading:
            scope_key = self._surrogates.scope(reading, place)
            clause, value = reading.each_of("r.resource_key", list(resource_keys))
            of = "x.scope_key = r.scope_key AND x.resource_key = r.resource_key"
            rows = reading.rows(
                "SELECT r.resource_key, r.sealed_until_ns, r.generation,"
                f" (SELECT MIN(x.cell_ns) FROM segment x WHERE {of}),"
                f" (SELECT MIN(x.hour_ns) FROM usage_hour x WHERE {of}),"
                f" (SELECT MIN(x.hour_ns) FROM dirty_hour x WHERE {of})"
                f" FROM resource r WHERE r.scope_key = ? AND {clause}",
                (scope_key, value),
            )
            conflicts: dict[int, int] = dict(
                reading.rows(
                    "SELECT t.resource_key, MIN(c.first_at_ns) FROM conflict c JOIN batch b ON b.batch_key = c.batch_key"
                    " JOIN boot t ON t.boot_key = b.boot_key WHERE c.scope_key = ? AND c.state = 'open' GROUP BY t.resource_key",
                    (scope_key,),
                )
            )
        return {
            row[0]: Held(
                sealed_until_ns=row[1] or 0,
                generation=row[2],
                first_cell_ns=row[3],
                first_hour_ns=row[4],
                first_dirty_ns=row[5],
                first_conflict_ns=conflicts.get(row[0]),
            )
            for row in rows
        }

    def to_seal(self, place: Place, resource_key: int, until_ns: int, *, tx: Tx) -> Timeline:
        """The timeline of the empty window at an instant, with the first cell of each boot: what `kept_points` is made of."""
        scope_key = self._surrogates.scope(tx, place)
        return timelines.timelines(tx, scope_key, [resource_key], until_ns, until_ns, with_firsts=True)[0]

    def seal(
        self, tx: Tx, place: Place, resource_key: int, until_ns: int, held: Held, kept: Mapping[str, Sequence[Segment]], now_ns: int
    ) -> bool:
        """Seal the hours of a resource before an instant: keep the points, and say that the segments are gone; they are deleted after.

        False, and nothing happens, if anything of the resource changed since `held` was read, or an hour before it is to be computed.
        """
        scope_key = self._surrogates.scope(tx, place)
        lock_resources(tx, [resource_key])
        row = tx.row("SELECT generation, sealed_until_ns FROM resource WHERE resource_key = ?", (resource_key,))
        if row is None or row[0] != held.generation or (row[1] or 0) >= until_ns:
            return False
        of = (scope_key, resource_key)
        if tx.row("SELECT 1 FROM dirty_hour WHERE scope_key = ? AND resource_key = ? AND hour_ns < ? LIMIT 1", (*of, until_ns)):
            return False
        rows = tx.rows("SELECT boot_id, boot_key FROM boot WHERE scope_key = ? AND resource_key = ?", of)
        boots: dict[str, int] = {row[0]: row[1] for row in rows}
        tx.run("DELETE FROM kept_segment WHERE scope_key = ? AND resource_key = ?", of)
        tx.many(
            "INSERT INTO kept_segment (scope_key, resource_key, boot_key, first_at_ns, last_at_ns, samples, interval_ns, block)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (*of, boots[boot_id], each.first_at_ns, each.last_at_ns, each.samples, each.interval_ns, each.block)
                for boot_id, points in sorted(kept.items())
                for each in points
            ],
        )
        tx.run("UPDATE resource SET sealed_until_ns = ? WHERE resource_key = ?", (until_ns, resource_key))
        tx.run(
            "UPDATE boot SET sealed_until_ns = ? WHERE scope_key = ? AND resource_key = ? AND first_at_ns < ?", (until_ns, *of, until_ns)
        )
        self._deleted(tx, "segment", scope_key, resource_key, until_ns, now_ns)
        return True

    def last_cells(self, place: Place, resource_key: int, *, tx: Tx | None = None) -> dict[int, int]:
        """The last cell of each batch of a resource that has segments."""
        with self._reading(tx) as reading:
            return dict(
                reading.rows(
                    "SELECT batch_key, MAX(cell_ns) FROM segment WHERE scope_key = ? AND resource_key = ? GROUP BY batch_key",
                    (self._surrogates.scope(reading, place), resource_key),
                )
            )

    def sealed_segments(self, place: Place, resource_key: int, limit: int, *, tx: Tx | None = None) -> list[tuple[int, int]]:
        """(cell, batch) of the first segments in sealed hours, which are to be deleted."""
        with self._reading(tx) as reading:
            rows = reading.rows(
                "SELECT s.cell_ns, s.batch_key FROM segment s WHERE s.scope_key = ? AND s.resource_key = ? AND s.cell_ns <"
                " (SELECT sealed_until_ns FROM resource WHERE resource_key = ?) ORDER BY s.cell_ns, s.batch_key LIMIT ?",
                (self._surrogates.scope(reading, place), resource_key, resource_key, limit),
            )
        return [(row[0], row[1]) for row in rows]

    def delete_segments(self, tx: Tx, place: Place, resource_key: int, segments: Sequence[tuple[int, int]], ended: Sequence[int]) -> int:
        """Delete segments by (cell, batch), which are the first of their resource; `ended` are the batches that have no other."""
        scope_key = self._surrogates.scope(tx, place)
        lock_resources(tx, [resource_key])
        deleted = tx.run(
            "DELETE FROM segment WHERE scope_key = ? AND resource_key = ? AND cell_ns >= ? AND (cell_ns, batch_key) <= (?, ?)",
            (scope_key, resource_key, segments[0][0], *segments[-1]),
        )
        fold_batches(tx, scope_key, ended)
        return deleted

    def old_payloads(self, before_ns: int, after_key: int, limit: int, *, tx: Tx | None = None) -> tuple[list[OldPayload], int | None]:
        """Payloads received before an instant, oldest first, of batches after one by its number; and where to go on, None at the end."""
        with self._reading(tx) as reading:
            needs = ", ".join(f"CASE WHEN {condition} THEN 1 ELSE 0 END" for _, condition in NEEDED)
            rows = reading.rows(
                f"SELECT p.batch_key, p.received_at_ns, b.batch_key IS NULL, {needs} FROM (SELECT batch_key, received_at_ns FROM payload"
                " WHERE batch_key > ? ORDER BY batch_key LIMIT ?) AS p LEFT JOIN batch b ON b.batch_key = p.batch_key"
                " LEFT JOIN boot t ON t.boot_key = b.boot_key ORDER BY p.batch_key",
                (before_ns, after_key, limit),
            )
        found = [
            OldPayload(row[0], row[1], next((NEEDED[n][0] for n, is_so in enumerate(row[3:]) if is_so), ""), bool(row[2]))
            for row in rows
            if row[1] < before_ns
        ]
        return found, rows[-1][0] if found and len(rows) == limit else None

    def not_remembered(self, batch_keys: Iterable[int], *, tx: Tx | None = None) -> list[int]:
        """Those batches of which nothing says yet that hours are made of their samples."""
        keys = sorted(batch_keys)
        with self._reading(tx) as reading:
            clause, value = reading.each_of("batch_key", keys)
            known = {row[0] for row in reading.rows(f"SELECT batch_key FROM needed_payload WHERE {clause}", (value,))}
        return [key for key in keys if key not in known]

    def need_payloads(self, tx: Tx, batch_keys: Sequence[int]) -> None:
        """Remember that hours are made of the samples of these batches: they stay as long as their segments."""
        clause, value = tx.each_of("b.batch_key", list(batch_keys))
        tx.run(
            "INSERT INTO needed_payload (batch_key, resource_key) SELECT b.batch_key, t.resource_key FROM batch b"
            f" JOIN boot t ON t.boot_key = b.boot_key WHERE {clause} ON CONFLICT DO NOTHING",
            (value,),
        )

    def delete_payloads(self, tx: Tx, payloads: Sequence[tuple[int, int]], *, unless_needed: bool = False) -> int:
        """Delete payloads by (batch, instant of reception); `unless_needed`: but those of which hours were made since they were listed."""
        needed = " AND NOT EXISTS (SELECT 1 FROM needed_payload n WHERE n.batch_key = payload.batch_key)" if unless_needed else ""
        return tx.many(f"DELETE FROM payload WHERE batch_key = ? AND received_at_ns = ?{needed}", payloads)

    def note_deletion(self, tx: Tx, kind: str, until_ns: int, now_ns: int) -> None:
        """Note up to where something of all resources was deleted, in the place of what was noted of the same day."""
        row = tx.row("SELECT MAX(until_ns) FROM deletion WHERE kind = ? AND scope_key = 0 AND resource_key = 0", (kind,))
        if row is None or row[0] is None or row[0] < until_ns:
            self._deleted(tx, kind, 0, 0, until_ns, now_ns)

    @staticmethod
    def _deleted(tx: Tx, kind: str, scope_key: int, resource_key: int, until_ns: int, now_ns: int) -> None:
        tx.run(
            "INSERT INTO deletion (kind, scope_key, resource_key, until_ns, at_ns) VALUES (?, ?, ?, ?, ?)",
            (kind, scope_key, resource_key, until_ns, now_ns),
        )

    def deleted_at(self, place: Place, kind: str, resource_key: int, at_ns: int, *, tx: Tx | None = None) -> int | None:
        """When the `payload`s received at an instant, or the `segment`s, `hour`s and `day`s of it of a resource, were deleted; or None."""
        with self._reading(tx) as reading:
            of = (0, 0) if kind == "payload" else (self._surrogates.scope(reading, place), resource_key)
            row = reading.row(
                "SELECT at_ns FROM deletion WHERE kind = ? AND scope_key = ? AND resource_key = ? AND until_ns > ?"
                " ORDER BY until_ns, deletion_key LIMIT 1",
                (kind, *of, at_ns),
            )
        return None if row is None else int(row[0])

    def delete_hours(self, tx: Tx, place: Place, resource_key: int, until_ns: int, limit: int, now_ns: int) -> int:
        """Delete the first usage hours of a resource before an instant; how many. Their first instant is kept."""
        scope_key = self._surrogates.scope(tx, place)
        of = (scope_key, resource_key)
        lock_resources(tx, [resource_key])
        rows = tx.rows(
            "SELECT hour_ns FROM usage_hour WHERE scope_key = ? AND resource_key = ? AND hour_ns < ? ORDER BY hour_ns LIMIT ?",
            (*of, until_ns, limit),
        )
        if not rows:
            return 0
        first_ns, last_ns = rows[0][0], rows[-1][0]
        tx.run(
            "UPDATE resource SET first_hour_ns = CASE WHEN first_hour_ns < ? THEN first_hour_ns ELSE ? END,"
            " hours_until_ns = ? WHERE resource_key = ?",
            (first_ns, first_ns, until_ns, resource_key),
        )
        deleted = tx.run(
            "DELETE FROM usage_hour WHERE scope_key = ? AND resource_key = ? AND hour_ns <= ? AND hour_ns >= ?", (*of, last_ns, first_ns)
        )
        if len(rows) < limit:
            self._deleted(tx, "hour", scope_key, resource_key, until_ns, now_ns)
        return deleted

    def delete_days(self, tx: Tx, place: Place, resource_key: int, zone: str, until_ns: int, now_ns: int) -> int:
        """Delete the usage days of a resource in a zone that end at an instant or before; how many."""
        scope_key = self._surrogates.scope(tx, place)
        deleted = tx.run(
            "DELETE FROM usage_day WHERE scope_key = ? AND resource_key = ? AND zone = ? AND end_ns <= ?",
            (scope_key, resource_key, zone, until_ns),
        )
        if deleted:
            self._deleted(tx, "day", scope_key, resource_key, until_ns, now_ns)
        return deleted

    def payloads_gone_until(self, tx: Tx) -> int:
        """Payloads received before this instant may be deleted; 0: none is."""
        row = tx.row("SELECT MAX(until_ns) FROM deletion WHERE kind = 'payload'")
        return 0 if row is None or row[0] is None else int(row[0])

    def gone_until(self, resource_key: int, tx: Tx) -> tuple[int, int]:
        """Up to where a resource's hours are sealed, and its usage hours are deleted; 0: nowhere."""
        row = tx.row("SELECT sealed_until_ns, hours_until_ns FROM resource WHERE resource_key = ?", (resource_key,))
        return (0, 0) if row is None else (row[0] or 0, row[1] or 0)

    def kept(self, tx: Tx) -> list[tuple[str, int, int | None]]:
        """Of each kind of rows how many there are, and the first instant that they are of."""
        found = []
        for kind, table, column in KEPT:
            row = tx.row(f"SELECT COUNT(*), MIN({column}) FROM {table}")
            found.append((kind, int(row[0]), row[1]) if row else (kind, 0, None))
        return found

    def delete_some(self, tx: Tx, kind: str, before_ns: int, limit: int) -> int:
        """Delete some `requests` (idempotency keys), `messages` (of the outbox, delivered) or `quarantined` samples that are old."""
        table, condition = OTHERS[kind]
        row = "rowid" if tx.is_sqlite else "ctid"
        some = f"SELECT {row} FROM {table} WHERE {condition} LIMIT ?"
        chosen = f"{row} IN ({some})" if tx.is_sqlite else f"{row} = ANY(ARRAY({some}))"
        return tx.run(f"DELETE FROM {table} WHERE {chosen}", (before_ns, limit))


OTHERS = {
    "requests": ("idempotency_key", "created_at_ns < ?"),
    "messages": ("outbox", "done_at_ns < ?"),
    "quarantined": ("quarantine", "received_at_ns < ?"),
}
"""What else is deleted by age: table and condition."""

KEPT = (
    ("payloads", "payload", "received_at_ns"),
    ("segments", "segment", "cell_ns"),
    ("points", "kept_segment", "first_at_ns"),
    ("batches", "batch", "received_at_ns"),
    ("ranges", "batch_range", "NULL"),
    ("too late", "late_batch", "first_at_ns"),
    ("hours", "usage_hour", "hour_ns"),
    ("days", "usage_day", "start_ns"),
    ("months", "usage_month", "start_ns"),
    ("requests", "idempotency_key", "created_at_ns"),
    ("messages", "outbox", "created_at_ns"),
    ("quarantined", "quarantine", "received_at_ns"),
)
"""What is told of: kind, table, and the instant that a row is of."""
