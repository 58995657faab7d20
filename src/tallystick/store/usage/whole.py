"""What tells that the sums of a resource's hours say as much as the hours: which meters were not measured all the time, its disk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.store.engine import Tx
from tallystick.store.tables.usage import UNEVEN_METERS, uneven_hour, uneven_index

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Of one resource in a span: the meters that some hour lacks in which time is up; the disk, if it had one size all the time.

    `disk_bytes` None: it changed, nobody gave it, or something else measured it. `kept` is false where hours of the span were deleted.
    """

    lacking: frozenset[str] = frozenset()
    disk_bytes: int | None = None
    kept: bool = True


def whole(tx: Tx, scope_key: int, keys: Sequence[int], span: Span) -> dict[int, Whole]:
    """By resource number."""
    lacking, disks, deleted = _lacking(tx, scope_key, keys, span), _disks(tx, scope_key, keys, span), _deleted(tx, keys, span)
    return {key: Whole(lacking=lacking.get(key, frozenset()), disk_bytes=disks.get(key), kept=key not in deleted) for key in keys}


def _lacking(tx: Tx, scope_key: int, keys: Sequence[int], span: Span) -> dict[int, frozenset[str]]:
    clause, value = tx.each_of("resource_key", list(keys))
    counted = ", ".join(f"MAX(CASE WHEN {column} IS NULL THEN 1 ELSE 0 END)" for column in UNEVEN_METERS[tx.dialect].values())
    rows = tx.rows(
        f"SELECT resource_key, {counted} FROM usage_hour{uneven_index(tx.dialect)}"
        f" WHERE scope_key = ? AND {clause} AND hour_ns >= ? AND hour_ns < ? AND {uneven_hour(tx.dialect)} GROUP BY resource_key",
        (scope_key, value, *span),
    )
    return {row[0]: frozenset(meter for meter, lacks in zip(UNEVEN_METERS[tx.dialect], row[1:], strict=True) if lacks) for row in rows}


def _disks(tx: Tx, scope_key: int, keys: Sequence[int], span: Span) -> Mapping[int, int]:
    """The size of each disk that had one all through a span."""
    clause, value = tx.each_of("resource_key", list(keys))
    told = tx.rows(
        f"SELECT resource_key, at_ns, disk_bytes, deleted FROM resource_fact WHERE scope_key = ? AND {clause} AND at_ns < ?"
        " AND (disk_bytes IS NOT NULL OR deleted <> 0) ORDER BY at_ns, received_at_ns, fact_key",
        (scope_key, value, span[1]),
    )
    sizes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for key, at_ns, disk_bytes, deleted in told:
        sizes[key].append((max(at_ns, span[0]), 0 if deleted else disk_bytes))
    recorded = {
        row[0]
        for row in tx.rows(
            f"SELECT DISTINCT resource_key FROM usage_record WHERE scope_key = ? AND {clause} AND meter = 'disk.allocated'"
            " AND from_ns < ? AND until_ns >= ?",
            (scope_key, value, span[1], span[0]),
        )
    }
    found = {}
    for key, changes in sizes.items():
        at_first = [size for at_ns, size in changes if at_ns == span[0]]
        later = {size for at_ns, size in changes if at_ns > span[0]}
        if at_first and later <= {at_first[-1]} and key not in recorded:
            found[key] = at_first[-1]
    return found


def _deleted(tx: Tx, keys: Sequence[int], span: Span) -> set[int]:
    clause, value = tx.each_of("resource_key", list(keys))
    return {row[0] for row in tx.rows(f"SELECT resource_key FROM resource WHERE {clause} AND hours_until_ns > ?", (value, span[0]))}
