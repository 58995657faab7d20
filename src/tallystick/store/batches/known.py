"""What is stored of one resource, as far as it decides how far something new reaches."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.model.instants import cell_start
from tallystick.model.samples import SampleSource, boot_of
from tallystick.store.batches.reach import STRUCTURAL, Extent, Known, Notice
from tallystick.store.engine import Tx, Values, integers

SIZED = "(deleted = 1 OR vcpus IS NOT NULL OR memory_bytes IS NOT NULL OR disk_bytes IS NOT NULL OR gpus IS NOT NULL)"
"""The facts that usage depends on: an assignment years before the first sample makes no hour dirty."""


def known_of(tx: Tx, scope_key: int, resource_key: int, source: SampleSource) -> Known:
    """Everything that decides the reach of a sample of a source: what another source measured does not."""
    boots = extents_of(tx, scope_key, resource_key)
    return _known(tx, scope_key, resource_key, boots, source)


def known_by_source(tx: Tx, scope_key: int, resource_key: int) -> list[Known]:
    """The same of each source of a resource, at least of one: a notice and a size concern all of them."""
    boots = extents_of(tx, scope_key, resource_key)
    sources = sorted({boot.source for boot in boots}) or [SampleSource.NATIVE]
    return [_known(tx, scope_key, resource_key, boots, source) for source in sources]


def _known(tx: Tx, scope_key: int, resource_key: int, boots: Sequence[Extent], source: SampleSource) -> Known:
    mine = [boot for boot in boots if boot.source is source]
    others = [boot.boot_key for boot in boots if boot.source is not source]

    def last_before(boot_key: int | None, at_ns: int) -> int | None:
        return previous_cell(tx, scope_key, resource_key, at_ns, boot_key, others if boot_key is None else ())

    return Known(
        boots=mine,
        notices=[
            Notice(boot_id, kind, at_ns)
            for boot_id, kind, at_ns in tx.rows(
                "SELECT boot_id, kind, at_ns FROM lifecycle_event WHERE scope_key = ? AND resource_key = ? AND kind IN (?, ?)"
                " AND late = 0 ORDER BY at_ns, kind, boot_id",
                (scope_key, resource_key, *STRUCTURAL),
            )
        ],
        facts=[
            row[0]
            for row in tx.rows(
                f"SELECT at_ns FROM resource_fact WHERE scope_key = ? AND resource_key = ? AND {SIZED}", (scope_key, resource_key)
            )
        ],
        usage_until_ns=_usage_until(tx, scope_key, resource_key),
        last_before=last_before,
    )


def extents_of(tx: Tx, scope_key: int, resource_key: int) -> list[Extent]:
    """The extents of the boots of a resource that have samples."""
    rows = tx.rows(
        "SELECT boot_key, boot_id, first_at_ns, last_at_ns, first_interval_ns, last_interval_ns FROM boot"
        " WHERE scope_key = ? AND resource_key = ? AND first_at_ns IS NOT NULL ORDER BY first_at_ns, boot_id",
        (scope_key, resource_key),
    )
    return [extent_of(row) for row in rows]


def extent_of(row: Values) -> Extent:
    """An extent from a row: number, stored name, first and last sample, their intervals."""
    boot_id, source = boot_of(row[1])
    return Extent(row[0], boot_id, row[2], row[3], row[4], row[5], source)


def _usage_until(tx: Tx, scope_key: int, resource_key: int) -> int:
    found = tx.row(
        "SELECT MAX(hour_ns) FROM (SELECT MAX(hour_ns) AS hour_ns FROM usage_hour WHERE scope_key = ? AND resource_key = ?"
        " UNION ALL SELECT MAX(hour_ns) FROM dirty_hour WHERE scope_key = ? AND resource_key = ?) AS hours",
        (scope_key, resource_key, scope_key, resource_key),
    )
    return int(found[0]) if found and found[0] is not None else 0


def previous_cell(tx: Tx, scope_key: int, resource_key: int, at_ns: int, boot_key: int | None, others: Sequence[int] = ()) -> int | None:
    """The cell of the last sample before an instant, of one boot or of any but `others`; None: there is none.

    A segment that begins before the instant holds a sample before it, in its own cell: no later cell can.
    """
    of_boot, values = ("AND boot_key = ?", (boot_key,)) if boot_key is not None else ("", ())
    if others:
        clause, value = tx.each_of("boot_key", others)
        of_boot, values = f"AND NOT ({clause})", (value,)
    row = tx.row(
        f"SELECT cell_ns FROM segment WHERE scope_key = ? AND resource_key = ? AND cell_ns <= ? AND first_at_ns < ? {of_boot}"
        " ORDER BY cell_ns DESC LIMIT 1",
        (scope_key, resource_key, at_ns, at_ns, *values),
    )
    return _kept_cell(tx, scope_key, resource_key, at_ns, boot_key) if row is None else int(row[0])


def _kept_cell(tx: Tx, scope_key: int, resource_key: int, at_ns: int, boot_key: int | None) -> int | None:
    """The cell of the last sample before an instant of which only a point is kept."""
    of_boot, values = ("AND boot_key = ?", (boot_key,)) if boot_key is not None else ("", ())
    row = tx.row(
        f"SELECT MAX(last_at_ns) FROM kept_segment WHERE scope_key = ? AND resource_key = ? AND first_at_ns < ? {of_boot}",
        (scope_key, resource_key, at_ns, *values),
    )
    return None if row is None or row[0] is None else cell_start(row[0])


def next_cell(tx: Tx, scope_key: int, resource_key: int, at_ns: int, boot_key: int) -> int | None:
    """The cell of the first sample after an instant of one boot; None: there is none."""
    row = tx.row(
        "SELECT cell_ns FROM segment WHERE scope_key = ? AND resource_key = ? AND cell_ns >= ? AND last_at_ns > ? AND boot_key = ?"
        " ORDER BY cell_ns LIMIT 1",
        (scope_key, resource_key, cell_start(at_ns), at_ns, boot_key),
    )
    return None if row is None else int(row[0])


AROUND = (
    "SELECT (SELECT s.cell_ns FROM segment s WHERE s.scope_key = ? AND s.resource_key = n.resource_key AND s.cell_ns <= n.first_at_ns"
    " AND s.first_at_ns < n.first_at_ns AND s.boot_key = n.boot_key ORDER BY s.cell_ns DESC LIMIT 1),"
    " (SELECT s.cell_ns FROM segment s WHERE s.scope_key = ? AND s.resource_key = n.resource_key AND s.cell_ns >= n.last_cell_ns"
    " AND s.last_at_ns > n.last_at_ns AND s.boot_key = n.boot_key ORDER BY s.cell_ns LIMIT 1)"
    " FROM unnest(?::int[], ?::int[], ?::bigint[], ?::bigint[], ?::bigint[]) WITH ORDINALITY"
    " AS n (resource_key, boot_key, first_at_ns, last_at_ns, last_cell_ns, place) ORDER BY n.place"
)


def cells_around(tx: Tx, scope_key: int, spans: Sequence[tuple[int, int, int, int]]) -> list[tuple[int | None, int | None]]:
    """The previous cell and the next one of each span (resource, boot, first and last instant) in its boot.

    On PostgreSQL all of them in one statement: each by itself would cost as much there as a batch.
    """
    if not spans:
        return []
    if tx.is_sqlite:
        return [
            (previous_cell(tx, scope_key, key, first_at_ns, boot_key), next_cell(tx, scope_key, key, last_at_ns, boot_key))
            for key, boot_key, first_at_ns, last_at_ns in spans
        ]
    columns = [integers([each[number] for each in spans]) for number in range(4)]
    found = tx.rows(AROUND, (scope_key, scope_key, *columns, integers([cell_start(each[3]) for each in spans])))
    return [
        (_kept_cell(tx, scope_key, span[0], span[2], span[1]) if before is None else before, after)
        for span, (before, after) in zip(spans, found, strict=True)
    ]


def settle_intervals(tx: Tx, scope_key: int, resource_key: int, extent: Extent) -> None:
    """Of several batches with a boot's first or last sample, take the interval of the one received first (metering.md, Gap)."""

    def interval(column: str, at_ns: int | None) -> int | None:
        row = tx.row(
            f"SELECT interval_ns FROM segment WHERE scope_key = ? AND resource_key = ? AND cell_ns = ? AND boot_key = ? AND {column} = ?"
            " ORDER BY received_at_ns, batch_key LIMIT 1",
            (scope_key, resource_key, cell_start(at_ns or 0), extent.boot_key, at_ns),
        )
        return None if row is None else int(row[0])

    extent.first_interval_ns = interval("first_at_ns", extent.first_at_ns) or extent.first_interval_ns
    extent.last_interval_ns = interval("last_at_ns", extent.last_at_ns) or extent.last_interval_ns
