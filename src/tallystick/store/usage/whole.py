"""What tells that the sums of a resource's hours say as much as the hours: which meters were not measured all the time, and more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.store.engine import Tx
from tallystick.store.tables.usage import UNEVEN_METERS, uneven_hour, uneven_index

Span = tuple[int, int]
RECORDED, GOES_ON = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """Of one resource in a span: the meters that some hour lacks in which time is up, whether a usage record tells of its disk.

    It `goes_on` if any hour of the span begins at the instant until which usage is asked for, or later: sums hold that, too.
    """

    lacking: frozenset[str]
    disk_recorded: bool
    goes_on: bool


def whole(tx: Tx, scope_key: int, keys: Sequence[int], span: Span, known_until_ns: int) -> dict[int, Whole]:
    """By resource number."""
    lacking, marks = _lacking(tx, scope_key, keys, span), _marks(tx, scope_key, keys, span, known_until_ns)
    return {
        key: Whole(lacking=lacking.get(key, frozenset()), disk_recorded=RECORDED in marks[key], goes_on=GOES_ON in marks[key])
        for key in keys
    }


def _lacking(tx: Tx, scope_key: int, keys: Sequence[int], span: Span) -> dict[int, frozenset[str]]:
    clause, value = tx.each_of("resource_key", list(keys))
    counted = ", ".join(f"MAX(CASE WHEN {column} IS NULL THEN 1 ELSE 0 END)" for column in UNEVEN_METERS[tx.dialect].values())
    rows = tx.rows(
        f"SELECT resource_key, {counted} FROM usage_hour{uneven_index(tx.dialect)}"
        f" WHERE scope_key = ? AND {clause} AND hour_ns >= ? AND hour_ns < ? AND {uneven_hour(tx.dialect)} GROUP BY resource_key",
        (scope_key, value, *span),
    )
    return {row[0]: frozenset(meter for meter, lacks in zip(UNEVEN_METERS[tx.dialect], row[1:], strict=True) if lacks) for row in rows}


def _marks(tx: Tx, scope_key: int, keys: Sequence[int], span: Span, known_until_ns: int) -> dict[int, set[int]]:
    clause, value = tx.each_of("resource_key", list(keys))
    rows = tx.rows(
        f"SELECT resource_key, {RECORDED} FROM usage_record WHERE scope_key = ? AND {clause} AND meter = 'disk.allocated'"
        f" AND from_ns < ? AND until_ns >= ? UNION SELECT resource_key, {GOES_ON} FROM usage_hour WHERE scope_key = ? AND {clause}"
        " AND hour_ns >= ? AND hour_ns < ?",
        (scope_key, value, span[1], span[0], scope_key, value, known_until_ns, span[1]),
    )
    found: dict[int, set[int]] = defaultdict(set)
    for key, mark in rows:
        found[key].add(mark)
    return found
