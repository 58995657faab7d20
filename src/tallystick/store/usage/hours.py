"""Usage hours put in the place of those that were stored: of many resources with the same few statements."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tallystick.model.instants import HOUR_NS
from tallystick.model.usage import HourTotals, UsageHour
from tallystick.store.engine import Tx, Values
from tallystick.store.usage import integrals
from tallystick.store.usage.cells import write_cells

Slot = tuple[int, int]
"""A resource's number and an hour of it."""
Exchanged = Mapping[int, tuple[HourTotals | None, HourTotals | None]]
"""By hour what was stored of it and what is now, where the two differ."""


def unmark(tx: Tx, scope_key: int, marks: Iterable[tuple[int, int, int]]) -> set[Slot]:
    """Take away marks (resource, hour, generation) that are still those; which hours they were of. A newer mark stays."""
    rows = list(marks)
    if tx.is_sqlite:
        source = "(SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?))"
        values: tuple[Any, ...] = (json.dumps(rows),)
    else:
        source = "(SELECT * FROM unnest(?::int[], ?::bigint[], ?::bigint[]))"
        values = tuple([row[column] for row in rows] for column in range(3))
    taken = tx.rows(
        f"DELETE FROM dirty_hour WHERE scope_key = ? AND (resource_key, hour_ns, generation) IN {source} RETURNING resource_key, hour_ns",
        (scope_key, *values),
    )
    return {(row[0], row[1]) for row in taken}


def exchange(tx: Tx, scope_key: int, wanted: Mapping[Slot, UsageHour | None], now_ns: int) -> Mapping[int, Exchanged]:
    """Put hours in the place of those that are stored (None: there is nothing in it any more); by resource what changed."""
    if not wanted:
        return {}
    stored = _stored(tx, scope_key, wanted)
    found: dict[int, dict[int, tuple[HourTotals | None, HourTotals | None]]] = defaultdict(dict)
    gone: list[Values] = []
    rows: list[Values] = []
    for (key, hour_ns), hour in wanted.items():
        before = stored.get((key, hour_ns))
        block = None if hour is None else write_cells(hour.cells, hour.estimated, hour.runs)
        if before is None and hour is None:
            continue
        if before is not None:
            if hour is not None and (block, hour.samples, hour.memory_peak_bytes) == (
                before[0],
                before[1].samples,
                before[1].memory_peak_bytes,
            ):
                continue
            gone.append((scope_key, key, hour_ns))
        after = None if hour is None else _totals(hour)
        found[key][hour_ns] = (None if before is None else before[1], after)
        if after is not None:
            exact = integrals.written(tx, after.totals, after.estimated)
            rows.append((scope_key, key, hour_ns, *exact, after.samples, after.memory_peak_bytes, after.runs, block, now_ns))
    tx.many("DELETE FROM usage_hour WHERE scope_key = ? AND resource_key = ? AND hour_ns = ?", gone)
    names = (
        *("scope_key", "resource_key", "hour_ns"),
        *integrals.columns(tx),
        *("samples", "memory_peak_bytes", "runs", "cells", "computed_at_ns"),
    )
    tx.many(f"INSERT INTO usage_hour ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})", rows)
    return found


def _totals(hour: UsageHour) -> HourTotals:
    return HourTotals(
        hour_ns=hour.hour_ns,
        totals={meter: sum(cells) for meter, cells in hour.cells.items()},
        estimated={meter: sum(cells) for meter, cells in hour.estimated.items()},
        samples=hour.samples,
        memory_peak_bytes=hour.memory_peak_bytes,
        runs=len(hour.runs),
    )


def _stored(tx: Tx, scope_key: int, wanted: Iterable[Slot]) -> Mapping[Slot, tuple[bytes, HourTotals]]:
    slots = set(wanted)
    hours = [hour_ns for _, hour_ns in slots]
    rows = total_rows(tx, scope_key, sorted({key for key, _ in slots}), min(hours), max(hours) + HOUR_NS, further="cells")
    return {(row[0], row[1]): (bytes(row[5]), read_totals(tx, (*row[:5], *row[6:]))) for row in rows if (row[0], row[1]) in slots}


def total_rows(tx: Tx, scope_key: int, keys: Sequence[int], from_ns: int, until_ns: int, *, further: str = "") -> Sequence[Values]:
    """The rows of stored hours that `read_totals` reads, by resource and hour, with one `further` column after the fifth."""
    clause, value = tx.each_of("resource_key", keys)
    columns = (*("resource_key", "hour_ns", "samples", "memory_peak_bytes", "runs"), *filter(None, [further]), *integrals.columns(tx))
    return tx.rows(
        f"SELECT {', '.join(columns)} FROM usage_hour WHERE scope_key = ? AND {clause} AND hour_ns >= ? AND hour_ns < ?"
        " ORDER BY resource_key, hour_ns",
        (scope_key, value, from_ns, until_ns),
    )


def read_totals(tx: Tx, row: Values) -> HourTotals:
    """A row of `total_rows`."""
    totals, estimated = integrals.read(tx, row[5:])
    return HourTotals(hour_ns=row[1], totals=totals, estimated=estimated, samples=row[2], memory_peak_bytes=row[3], runs=row[4])


def noted(tx: Tx, scope_key: int, keys: Sequence[int], from_ns: int, until_ns: int) -> set[int]:
    """The resources with a gap that begins, or a finding that lies in [from_ns, until_ns): of most there is none."""
    clause, value = tx.each_of("resource_key", keys)
    rows = tx.rows(
        f"SELECT resource_key FROM gap WHERE scope_key = ? AND {clause} AND from_ns >= ? AND from_ns < ?"
        f" UNION SELECT resource_key FROM finding WHERE scope_key = ? AND {clause} AND at_ns >= ? AND at_ns < ?",
        (scope_key, value, from_ns, until_ns) * 2,
    )
    return {row[0] for row in rows}


def with_unknown_gaps(tx: Tx, scope_key: int, keys: Sequence[int], from_ns: int, until_ns: int) -> set[int]:
    """The resources of which something in [from_ns, until_ns) is unknown."""
    clause, value = tx.each_of("resource_key", keys)
    rows = tx.rows(
        f"SELECT DISTINCT resource_key FROM gap WHERE scope_key = ? AND {clause} AND from_ns < ? AND until_ns > ? AND filled = 'unknown'",
        (scope_key, value, until_ns, from_ns),
    )
    return {row[0] for row in rows}
