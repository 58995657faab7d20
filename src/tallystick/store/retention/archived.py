"""What was moved to files: which files there are, of which batches, and which of those still have their rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import pack, unpack

from tallystick.model.access import Place
from tallystick.model.samples import boot_of
from tallystick.store.engine import Tx
from tallystick.store.section import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedPayload:
    """The samples of a batch with all that tells which batch it is."""

    batch_key: int
    scope_key: int
    place: Place
    resource_id: str
    boot_id: str
    spool_id: str
    sequence: int
    received_at_ns: int
    interval_ns: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedFile:
    """A file of samples measured on the UTC day that begins at `day_ns`: its path below the archive's directory, its SHA-256."""

    scope_key: int
    day_ns: int
    path: str
    batch_keys: tuple[int, ...]
    samples: int
    size_bytes: int
    digest: str


class Archived(Section):
    """The files of the archive. A file is known before the rows of its batches go."""

    def payloads(self, batch_keys: Sequence[int], *, tx: Tx | None = None) -> list[ArchivedPayload]:
        """The samples of batches that are kept, by batch."""
        with self._reading(tx) as reading:
            clause, value = reading.each_of("b.batch_key", sorted(batch_keys))
            rows = reading.rows(
                "SELECT b.batch_key, b.scope_key, s.seller_id, c.scope_id, r.resource_id, t.boot_id, q.spool_id, b.sequence,"
                " b.received_at_ns, p.interval_ns, p.body FROM batch b"
                " JOIN payload p ON p.batch_key = b.batch_key AND p.received_at_ns = b.received_at_ns"
                " JOIN boot t ON t.boot_key = b.boot_key JOIN resource r ON r.resource_key = t.resource_key"
                " JOIN scope c ON c.scope_key = b.scope_key JOIN seller s ON s.seller_key = c.seller_key"
                f" LEFT JOIN spool q ON q.spool_key = b.spool_key WHERE {clause} ORDER BY b.batch_key",
                (value,),
            )
        return [
            ArchivedPayload(
                batch_key=row[0],
                scope_key=row[1],
                place=Place(seller_id=row[2], scope_id=row[3]),
                resource_id=row[4],
                boot_id=boot_of(row[5])[0],
                spool_id=row[6] or "",
                sequence=row[7],
                received_at_ns=row[8],
                interval_ns=row[9],
                body=bytes(row[10]),
            )
            for row in rows
        ]

    def add(self, tx: Tx, files: Iterable[ArchivedFile], now_ns: int) -> None:
        """Know files that are in their place on the disk: from now on the rows of their batches may go."""
        tx.many(
            "INSERT INTO archive_file (scope_key, day_ns, path, batches, samples, bytes, digest, written_at_ns, batch_keys)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(each.scope_key, each.day_ns, each.path, len(each.batch_keys), each.samples, each.size_bytes, each.digest, now_ns),
                    pack(f"<{len(each.batch_keys)}q", *each.batch_keys),
                )
                for each in files
            ],
        )

    def unfinished(self, *, tx: Tx | None = None) -> list[tuple[str, tuple[int, ...]]]:
        """The files of whose batches rows may still be there, with those batches."""
        with self._reading(tx) as reading:
            rows = reading.rows("SELECT path, batch_keys FROM archive_file WHERE batch_keys IS NOT NULL ORDER BY file_key")
        return [(row[0], unpack(f"<{len(bytes(row[1])) // 8}q", bytes(row[1]))) for row in rows]

    def rows(self, batch_keys: Sequence[int], *, tx: Tx | None = None) -> list[tuple[int, int]]:
        """(batch, instant of reception) of those batches whose samples are still kept as rows."""
        with self._reading(tx) as reading:
            clause, value = reading.each_of("p.batch_key", sorted(batch_keys))
            rows = reading.rows(f"SELECT p.batch_key, p.received_at_ns FROM payload p WHERE {clause} ORDER BY p.batch_key", (value,))
        return [(row[0], row[1]) for row in rows]

    def finish(self, tx: Tx, paths: Iterable[str]) -> None:
        """No batch of these files has its rows any more."""
        tx.many("UPDATE archive_file SET batch_keys = NULL WHERE path = ?", [(path,) for path in paths])

    def knows(self, path: str, *, tx: Tx | None = None) -> bool:
        """Whether a file is known."""
        with self._reading(tx) as reading:
            return reading.row("SELECT 1 FROM archive_file WHERE path = ?", (path,)) is not None

    def files(self, place: Place, from_ns: int, until_ns: int, *, tx: Tx | None = None) -> list[str]:
        """The files of a place with samples of days that begin in [from_ns, until_ns), oldest first."""
        with self._reading(tx) as reading:
            rows = reading.rows(
                "SELECT path FROM archive_file WHERE scope_key = ? AND day_ns >= ? AND day_ns < ? ORDER BY day_ns, file_key",
                (self._surrogates.scope(reading, place), from_ns, until_ns),
            )
        return [row[0] for row in rows]

    def totals(self, *, tx: Tx | None = None) -> tuple[int, int, int]:
        """How many files there are, samples in them, and bytes."""
        with self._reading(tx) as reading:
            row = reading.row("SELECT COUNT(*), COALESCE(SUM(samples), 0), COALESCE(SUM(bytes), 0) FROM archive_file")
        return (0, 0, 0) if row is None else (int(row[0]), int(row[1]), int(row[2]))
