"""What the store holds of resources around a window of time, as the meter needs it: few statements for many resources."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from operator import itemgetter
from typing import Any, cast

from tallystick.model.instants import CELL_NS, LATEST_NS, cell_end, cell_start
from tallystick.model.timeline import BootExtent, LoadedSegments, SegmentRow, Timeline
from tallystick.store.batches.known import extent_of
from tallystick.store.batches.notices import events_of, facts_of
from tallystick.store.batches.reach import STRUCTURAL, Extent
from tallystick.store.batches.usage_records import records_of
from tallystick.store.engine import Tx, Values

SEGMENT_COLUMNS = (
    "s.resource_key, s.boot_key, s.batch_key, s.received_at_ns, s.first_at_ns, s.last_at_ns, s.samples, s.interval_ns, s.block"
)
"""Those of a `SegmentRow`: the cell is that of the first sample."""
FIRST_AT = itemgetter(4)
Span = tuple[int, int]


@dataclass(slots=True)
class _Boot:
    """A boot while its neighbourhood is gathered: `cells` are to be loaded besides the window, `complete` what that makes whole."""

    extent: Extent
    spans: list[Span]
    cells: set[int] = field(default_factory=set)
    complete: list[Span] = field(default_factory=list)


@dataclass(slots=True)
class _Part:
    """One resource while its timeline is gathered."""

    resource_id: str
    sealed_until_ns: int = 0
    boots: list[_Boot] = field(default_factory=list)
    rows: list[SegmentRow] = field(default_factory=list)

    def segments(self) -> LoadedSegments:
        """What was loaded of it, in order of time."""
        self.rows.sort(key=FIRST_AT)
        return LoadedSegments(self.rows, {boot.extent.boot_key: (boot.extent.boot_id, boot.extent.source) for boot in self.boots})


def timelines(
    tx: Tx, scope_key: int, resource_keys: Sequence[int], from_ns: int, until_ns: int, *, with_firsts: bool = False
) -> list[Timeline]:
    """The timelines of resources of one scope around [from_ns, until_ns), in the order asked for: what `Timeline` says is needed.

    The cells beside the window are loaded with it: there most boots have their neighbours. A boot that ended before the window, or
    began after it, has its nearest cell in its extent; only for another without a neighbour there the index is asked. Of hours that
    are sealed the points that are kept stand for the segments. `with_firsts`: the cell of the first sample of each boot is loaded too.
    """
    parts = _parts(tx, scope_key, resource_keys)
    ids = {key: part.resource_id for key, part in parts.items()}
    events, facts = events_of(tx, scope_key, ids), facts_of(tx, scope_key, ids)
    window = (cell_start(from_ns), cell_end(until_ns))
    records = records_of(tx, scope_key, ids, *window)
    crossings: list[tuple[int, _Boot, Span]] = []
    for key, part in parts.items():
        told = [cell_start(event.at_ns) for event in events.get(key, ()) if not event.boot_id and event.kind.value in STRUCTURAL]
        for boot in part.boots:
            boot.spans = [window, *((cell_ns, cell_ns + CELL_NS) for cell_ns in sorted(set(told)))] if not boot.extent.boot_id else [window]
            crossings.extend((key, boot, span) for span in boot.spans)
    loaded = (window[0] - CELL_NS, window[1] + CELL_NS)
    _load(tx, scope_key, parts, loaded)
    _find_neighbours(tx, scope_key, parts, crossings, window)
    if with_firsts:
        for part in parts.values():
            for boot in part.boots:
                boot.cells.add(cell_start(boot.extent.first_at_ns or 0))
    _load_cells(tx, scope_key, parts, loaded)
    _load_points(tx, scope_key, parts)
    return [
        Timeline(
            resource_id=parts[key].resource_id,
            boots=tuple(map(_boot_extent, parts[key].boots)),
            segments=parts[key].segments(),
            complete=(window,),
            events=tuple(events.get(key, ())),
            facts=tuple(facts.get(key, ())),
            records=tuple(records.get(key, ())),
        )
        for key in resource_keys
    ]


def _parts(tx: Tx, scope_key: int, resource_keys: Sequence[int]) -> dict[int, _Part]:
    clause, value = tx.each_of("resource_key", list(resource_keys))
    names = tx.rows(f"SELECT resource_key, resource_id, sealed_until_ns FROM resource WHERE scope_key = ? AND {clause}", (scope_key, value))
    parts = {key: _Part(resource_id, sealed_until_ns or 0) for key, resource_id, sealed_until_ns in names}
    missing = [key for key in resource_keys if key not in parts]
    if missing:
        raise LookupError(f"scope {scope_key} has no resources {missing}")
    rows = tx.rows(
        "SELECT resource_key, boot_key, boot_id, first_at_ns, last_at_ns, first_interval_ns, last_interval_ns FROM boot"
        f" WHERE scope_key = ? AND {clause} AND first_at_ns IS NOT NULL ORDER BY first_at_ns, boot_id",
        (scope_key, value),
    )
    for row in rows:
        parts[row[0]].boots.append(_Boot(extent_of(row[1:]), []))
    return parts


def _find_neighbours(
    tx: Tx, scope_key: int, parts: Mapping[int, _Part], crossings: Sequence[tuple[int, _Boot, Span]], window: Span
) -> None:
    """Of each boot the nearest cell with a sample before each span and after it, and the cells of the span itself."""
    beside = _beside(parts, window)
    asked: list[tuple[int, int, int, int]] = []
    answers: dict[int, tuple[int | None, int | None]] = {}
    for number, (key, boot, span) in enumerate(crossings):
        begin, end = span
        first, last, boot_key = boot.extent.first_at_ns or 0, boot.extent.last_at_ns or 0, boot.extent.boot_key
        crosses_begin, crosses_end = first < begin <= last, first < end <= last
        if span == window and (boot_key in beside[0] or not crosses_begin) and (boot_key in beside[1] or not crosses_end):
            answers[number] = (begin - CELL_NS, end)
        elif crosses_begin or crosses_end:
            asked.append((number, key, boot_key, begin))
    answers.update((number, (before, after)) for number, before, after in _nearest(tx, scope_key, asked, crossings))
    for number, (_, boot, (begin, end)) in enumerate(crossings):
        first, last = boot.extent.first_at_ns or 0, boot.extent.last_at_ns or 0
        before = None if first >= begin else cell_start(last) if last < begin else answers[number][0]
        after = None if last < end else cell_start(first) if first >= end else answers[number][1]
        boot.complete.append((before if before is not None else 0, after + CELL_NS if after is not None else LATEST_NS))
        boot.cells.update(each for each in (before, after) if each is not None)
        if len(boot.spans) > 1 and end - begin == CELL_NS:
            boot.cells.add(begin)


def _beside(parts: Mapping[int, _Part], window: Span) -> tuple[set[int], set[int]]:
    """The boots with a sample in the cell before a window, and in the cell after it."""
    found: tuple[set[int], set[int]] = (set(), set())
    for part in parts.values():
        found[0].update(row[1] for row in takewhile(lambda row: row[4] < window[0], part.rows))
        found[1].update(row[1] for row in takewhile(lambda row: row[4] >= window[1], reversed(part.rows)))
    return found


def _nearest(
    tx: Tx, scope_key: int, asked: Sequence[tuple[int, int, int, int]], crossings: Sequence[tuple[int, _Boot, Span]]
) -> Iterable[tuple[int, int | None, int | None]]:
    if not asked:
        return []
    rows = [(number, key, boot_key, begin, crossings[number][2][1]) for number, key, boot_key, begin in asked]
    source, values = _table(tx, "nkbac", rows)
    answers = tx.rows(
        "SELECT p.n, (SELECT s.cell_ns FROM segment s WHERE s.scope_key = ? AND s.resource_key = p.k AND s.cell_ns < p.a"
        " AND s.boot_key = p.b ORDER BY s.cell_ns DESC LIMIT 1),"
        " (SELECT s.cell_ns FROM segment s WHERE s.scope_key = ? AND s.resource_key = p.k"
        f" AND s.cell_ns >= p.c AND s.boot_key = p.b ORDER BY s.cell_ns LIMIT 1) FROM {source}",
        (scope_key, scope_key, *values),
    )
    return [(row[0], row[1], row[2]) for row in answers]


def _table(tx: Tx, columns: str, rows: Sequence[tuple[int, ...]]) -> tuple[str, tuple[Any, ...]]:
    """Rows of whole numbers as a table `p` to join with, its columns named by one letter each."""
    if tx.is_sqlite:
        picked = ", ".join(f"json_extract(value, '$[{place}]') AS {column}" for place, column in enumerate(columns))
        return f"(SELECT {picked} FROM json_each(?)) AS p", (json.dumps(rows),)
    arrays = ", ".join("?::bigint[]" for _ in columns)
    return f"unnest({arrays}) AS p ({', '.join(columns)})", tuple([row[place] for row in rows] for place in range(len(columns)))


def _load(tx: Tx, scope_key: int, parts: Mapping[int, _Part], window: Span) -> None:
    """The segments of a window of all resources at once, in order of cells."""
    living = [key for key, part in parts.items() if part.boots]
    if not living:
        return
    clause, value = tx.each_of("s.resource_key", living)
    rows = tx.rows(
        f"SELECT {SEGMENT_COLUMNS} FROM segment s WHERE s.scope_key = ? AND {clause} AND s.cell_ns >= ? AND s.cell_ns < ?"
        " ORDER BY s.resource_key, s.cell_ns, s.batch_key",
        (scope_key, value, *window),
    )
    _keep(parts, rows)


def _load_cells(tx: Tx, scope_key: int, parts: Mapping[int, _Part], loaded: Span) -> None:
    """The segments of single cells of boots that are not in the window which is loaded."""
    cells = [
        (key, boot.extent.boot_key, cell_ns)
        for key, part in parts.items()
        for boot in part.boots
        for cell_ns in sorted(boot.cells)
        if not loaded[0] <= cell_ns < loaded[1]
    ]
    if cells:
        source, values = _table(tx, "kbc", cells)
        rows = tx.rows(
            f"SELECT {SEGMENT_COLUMNS} FROM {source} CROSS JOIN segment s"
            " WHERE s.scope_key = ? AND s.resource_key = p.k AND s.cell_ns = p.c AND s.boot_key = p.b"
            " ORDER BY s.resource_key, s.cell_ns, s.batch_key",
            (*values, scope_key),
        )
        _keep(parts, rows)


def _keep(parts: Mapping[int, _Part], rows: Sequence[Values]) -> None:
    """Segments by resource, but for those of sealed hours."""
    for key, of_resource in groupby(cast("Sequence[SegmentRow]", rows), key=itemgetter(0)):
        part, mine = parts[key], list(of_resource)
        part.rows += [row for row in mine if row[4] >= part.sealed_until_ns] if part.sealed_until_ns else mine


def _load_points(tx: Tx, scope_key: int, parts: dict[int, _Part]) -> None:
    """The points that are kept of segments in sealed hours; each has a number of its boot's in the place of its batch's."""
    sealed = [key for key, part in parts.items() if part.sealed_until_ns]
    if not sealed:
        return
    clause, value = tx.each_of("resource_key", sealed)
    rows = tx.rows(
        "SELECT resource_key, boot_key, -boot_key, 0, first_at_ns, last_at_ns, samples, interval_ns, block FROM kept_segment"
        f" WHERE scope_key = ? AND {clause}",
        (scope_key, value),
    )
    for row in cast("Sequence[SegmentRow]", rows):
        parts[row[0]].rows.append(row)


def _boot_extent(boot: _Boot) -> BootExtent:
    extent = boot.extent
    return BootExtent(
        boot_id=extent.boot_id,
        first_at_ns=extent.first_at_ns or 0,
        last_at_ns=extent.last_at_ns or 0,
        first_interval_ns=extent.first_interval_ns or 0,
        last_interval_ns=extent.last_interval_ns or 0,
        complete=tuple(sorted(boot.complete)),
        source=extent.source,
    )
