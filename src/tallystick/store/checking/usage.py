"""Stored usage as it stands in its rows, for whoever computes it again: hours with their columns, boots, batches, dirty hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.instants import cell_start, hour_start
from tallystick.model.samples import boot_of
from tallystick.model.usage import UsageHour
from tallystick.store.batches.known import SIZED
from tallystick.store.engine import Tx, Values
from tallystick.store.section import Section
from tallystick.store.usage import integrals
from tallystick.store.usage.cells import DamagedCells, read_cells

THINNED = 2
"""The state of a batch that came without its samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HourRow:
    """A usage hour as its row has it: `hour` is None where its cells cannot be read, and `damage` says why.

    `totals` and `estimated` are the columns of its meters, `runs` the column that counts them.
    """

    hour_ns: int
    hour: UsageHour | None
    damage: str
    totals: Mapping[str, int]
    estimated: Mapping[str, int]
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRow:
    """What a batch says of itself."""

    batch_key: int
    boot_id: str
    sequence: int
    content_hash: bytes
    received_at_ns: int
    state: int = 0

    def may_lack_samples(self, deleted_until_ns: int) -> bool:
        """Whether its samples may be gone: it was thinned on its host, or is as old as those that were deleted."""
        return self.state == THINNED or self.received_at_ns < deleted_until_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRow:
    """The extent that a boot's row tells, and the one that its segments have; None where there is no sample.

    `sealed_until_ns`: segments before it are gone.
    """

    boot_id: str
    told: tuple[int | None, int | None, int | None, int | None]
    found: tuple[int | None, int | None, int | None, int | None]
    sealed_until_ns: int | None


class StoredUsage(Section):
    """The rows of usage of one resource at a time, from a snapshot that is given."""

    def span(self, place: Place, resource_key: int, tx: Tx) -> tuple[int, int] | None:
        """The first and the last instant of which the store has anything of it: samples, notices, sizes, records, usage; or None."""
        which = (self._surrogates.scope(tx, place), resource_key)
        found: list[int] = []
        for table, first, last in (
            ("boot", "first_at_ns", "last_at_ns"),
            ("usage_hour", "hour_ns", "hour_ns"),
            ("gap", "from_ns", "from_ns"),
            ("finding", "at_ns", "at_ns"),
            ("lifecycle_event", "at_ns", "at_ns"),
            (f"(SELECT * FROM resource_fact WHERE {SIZED}) AS sized", "at_ns", "at_ns"),
            ("segment", "cell_ns", "cell_ns"),
            ("usage_record", "from_ns", "until_ns"),
        ):
            row = tx.row(f"SELECT MIN({first}), MAX({last}) FROM {table} WHERE scope_key = ? AND resource_key = ?", which)
            found += [] if row is None or row[0] is None else [int(row[0]), int(row[1])]
        return (min(found), max(found)) if found else None

    def waiting(self, place: Place, resource_key: int, from_ns: int, until_ns: int, tx: Tx) -> frozenset[int]:
        """The hours that begin in [from_ns, until_ns) and wait to be computed."""
        rows = tx.rows(
            "SELECT hour_ns FROM dirty_hour WHERE scope_key = ? AND resource_key = ? AND hour_ns >= ? AND hour_ns < ?",
            (self._surrogates.scope(tx, place), resource_key, from_ns, until_ns),
        )
        return frozenset(row[0] for row in rows)

    def segments_by_hour(self, place: Place, resource_key: int, from_ns: int, until_ns: int, tx: Tx) -> dict[int, int]:
        """How many segments each hour of [from_ns, until_ns) has that has any."""
        rows = tx.rows(
            "SELECT cell_ns, COUNT(*) FROM segment WHERE scope_key = ? AND resource_key = ? AND cell_ns >= ? AND cell_ns < ?"
            " GROUP BY cell_ns",
            (self._surrogates.scope(tx, place), resource_key, from_ns, until_ns),
        )
        found: dict[int, int] = {}
        for cell_ns, count in rows:
            found[hour_start(cell_ns)] = found.get(hour_start(cell_ns), 0) + count
        return found

    def hours(self, place: Place, resource_key: int, resource_id: str, from_ns: int, until_ns: int, tx: Tx) -> dict[int, HourRow]:
        """The usage hours of a resource that begin in [from_ns, until_ns)."""
        columns = ", ".join(integrals.columns(tx))
        rows = tx.rows(
            f"SELECT hour_ns, cells, samples, memory_peak_bytes, runs, {columns} FROM usage_hour"
            " WHERE scope_key = ? AND resource_key = ? AND hour_ns >= ? AND hour_ns < ?",
            (self._surrogates.scope(tx, place), resource_key, from_ns, until_ns),
        )
        found = {}
        for hour_ns, block, samples, peak, runs, *exact in rows:
            hour, damage = None, ""
            try:
                cells, parts, instants = read_cells(bytes(block))
                hour = UsageHour(
                    resource_id=resource_id,
                    hour_ns=hour_ns,
                    cells=cells,
                    estimated=parts,
                    samples=samples,
                    memory_peak_bytes=peak,
                    runs=instants,
                )
            except (DamagedCells, IndexError) as error:
                damage = str(error)
            totals, estimated = integrals.read(tx, exact)
            found[hour_ns] = HourRow(hour_ns=hour_ns, hour=hour, damage=damage, totals=totals, estimated=estimated, runs=runs)
        return found

    def batches(self, batch_keys: Sequence[int], tx: Tx) -> dict[int, BatchRow]:
        """Batches by their keys; those that are not there are left out."""
        clause, value = tx.each_of("b.batch_key", sorted(batch_keys))
        rows = tx.rows(
            "SELECT b.batch_key, t.boot_id, b.sequence, b.content_hash, b.received_at_ns, b.state FROM batch b"
            f" JOIN boot t ON t.boot_key = b.boot_key WHERE {clause}",
            (value,),
        )
        return {
            row[0]: BatchRow(
                batch_key=row[0],
                boot_id=boot_of(row[1])[0],
                sequence=row[2],
                content_hash=bytes(row[3]),
                received_at_ns=row[4],
                state=row[5],
            )
            for row in rows
        }

    def count_hours(self, place: Place, resource_key: int, from_ns: int, until_ns: int, tx: Tx) -> int:
        """How many usage hours of a resource begin in [from_ns, until_ns)."""
        row = tx.row(
            "SELECT COUNT(*) FROM usage_hour WHERE scope_key = ? AND resource_key = ? AND hour_ns >= ? AND hour_ns < ?",
            (self._surrogates.scope(tx, place), resource_key, from_ns, until_ns),
        )
        return int(row[0]) if row else 0

    def without_segments(self, place: Place, resource_key: int, tx: Tx) -> list[BatchRow]:
        """Batches of a resource that count and whose samples are kept, without a single segment."""
        scope_key = self._surrogates.scope(tx, place)
        rows = tx.rows(
            "SELECT b.batch_key, t.boot_id, b.sequence, b.content_hash, b.received_at_ns FROM boot t"
            " JOIN batch b ON b.scope_key = t.scope_key AND b.boot_key = t.boot_key"
            " JOIN payload p ON p.batch_key = b.batch_key AND p.received_at_ns = b.received_at_ns"
            " WHERE t.scope_key = ? AND t.resource_key = ? AND b.state = 0 AND b.batch_key NOT IN"
            " (SELECT batch_key FROM segment WHERE scope_key = ? AND resource_key = ?) ORDER BY b.batch_key",
            (scope_key, resource_key, scope_key, resource_key),
        )
        return [_batch(row) for row in rows]

    def boots(self, place: Place, resource_key: int, tx: Tx) -> list[BootRow]:
        """The boots of a resource, each with the extent that its segments have: of samples at one instant the one received first."""
        scope_key = self._surrogates.scope(tx, place)
        rows = tx.rows(
            "SELECT boot_key, boot_id, first_at_ns, last_at_ns, first_interval_ns, last_interval_ns, sealed_until_ns FROM boot"
            " WHERE scope_key = ? AND resource_key = ? ORDER BY boot_key",
            (scope_key, resource_key),
        )
        ends = {
            row[0]: (row[1], row[2])
            for row in tx.rows(
                "SELECT boot_key, MIN(first_at_ns), MAX(last_at_ns) FROM segment WHERE scope_key = ? AND resource_key = ?"
                " GROUP BY boot_key",
                (scope_key, resource_key),
            )
        }
        found = []
        for boot_key, boot_id, *told, sealed_until_ns in rows:
            first, last = ends.get(boot_key, (None, None))
            of_boot = (scope_key, resource_key, boot_key)
            extent = (first, last, _interval(tx, of_boot, "first_at_ns", first), _interval(tx, of_boot, "last_at_ns", last))
            found.append(
                BootRow(
                    boot_id=boot_of(boot_id)[0], told=(told[0], told[1], told[2], told[3]), found=extent, sealed_until_ns=sealed_until_ns
                )
            )
        return found

    def disk_marked_until_ns(self, resource_key: int, tx: Tx) -> int:
        """Until when the hours of a resource that holds disk were marked by the clock; 0: not yet."""
        row = tx.row("SELECT disk_marked_ns FROM resource WHERE resource_key = ?", (resource_key,))
        return 0 if row is None or row[0] is None else int(row[0])


def _interval(tx: Tx, of_boot: tuple[int, int, int], column: str, at_ns: int | None) -> int | None:
    if at_ns is None:
        return None
    row = tx.row(
        f"SELECT interval_ns FROM segment WHERE scope_key = ? AND resource_key = ? AND boot_key = ? AND {column} = ? AND cell_ns = ?"
        " ORDER BY received_at_ns, batch_key LIMIT 1",
        (*of_boot, at_ns, cell_start(at_ns)),
    )
    return None if row is None else int(row[0])


def _batch(row: Values) -> BatchRow:
    return BatchRow(batch_key=row[0], boot_id=boot_of(row[1])[0], sequence=row[2], content_hash=bytes(row[3]), received_at_ns=row[4])
