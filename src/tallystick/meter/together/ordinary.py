"""The hours of many resources at once where nothing unusual happens: counted as one array, of all pieces and links of all of them.

Ordinary is a resource with one boot that was up before the hours and until its last sample, whose neighbours follow each other without a
gap, a fall or an overlap, with the same columns, one declared size, and neither starts, stops nor records. Everything else is left to
`hours`; a law holds both equal. No integer here exceeds 64 bits: a counter that only rises stays below the largest one, memory is
summed in limbs (as in `fold`), and a product that may be larger is made of Python's integers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tallystick.meter.chains import Window
from tallystick.meter.ledger import ALLOCATED, MEASURED, Level, levels
from tallystick.meter.segments import HAS_TAIL, read_blocks
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, HOUR_NS, hour_start
from tallystick.model.samples import BOUNDARIES, COUNTERS, DIFFERENCES, GAP_AFTER_INTERVALS, LARGEST, LifecycleKind
from tallystick.model.timeline import LoadedSegments, SegmentRow, Timeline
from tallystick.model.usage import Cells, HoursResult, UsageHour

Ints = NDArray[np.int64]
_LIMB_BITS, _HALF_BITS = 24, 32
_LIMB, _HALF = 2**_LIMB_BITS - 1, 2**_HALF_BITS - 1
_MEMORY_BIT = 2
_TELLING = BOUNDARIES | {LifecycleKind.CLOCK_STEPPED}
_NOTHING = Level(0, 0, 0, 0, 0, False)


def ordinary_hours(
    timelines: Sequence[Timeline],
    from_ns: int,
    until_ns: int,
    disk_until_ns: Sequence[int],
    *,
    gap_after_intervals: int = GAP_AFTER_INTERVALS,
) -> list[HoursResult | None]:
    """What `usage_hours` says of the hours in [from_ns, until_ns) of resources of which nothing is unusual; None: something may be."""
    window = Window(from_ns=from_ns, until_ns=until_ns)
    found: list[HoursResult | None] = [None] * len(timelines)
    asked = [(place, rows) for place, timeline in enumerate(timelines) if (rows := _rows(timeline, window))]
    if not asked:
        return found
    pieces = _usual(_pieces([rows for _, rows in asked]), gap_after_intervals)
    usual = set(np.unique(pieces.owner).tolist())
    if usual:
        runs = _runs(pieces)
        tables = _tables(runs, window, len(asked))
        for owner in usual:
            place = asked[owner][0]
            found[place] = _result(timelines[place], window, disk_until_ns[place], tables, owner)
    return found


def _rows(timeline: Timeline, window: Window) -> Sequence[SegmentRow]:
    """The rows of a resource that may be ordinary as far as its notices, sizes and extent tell; none of another."""
    if not isinstance(timeline.segments, LoadedSegments) or len(timeline.boots) != 1 or timeline.records or not timeline.segments:
        return ()
    (boot,), rows = timeline.boots, timeline.segments.rows
    first_ns, last_ns = rows[0][4], rows[-1][5]
    is_up = first_ns < window.from_ns and hour_start(boot.last_at_ns) + HOUR_NS >= window.until_ns > window.from_ns
    is_whole = (last_ns >= window.until_ns or last_ns == boot.last_at_ns) and any(
        low <= first_ns and last_ns < high for low, high in (*boot.complete, *timeline.complete)
    )
    if not is_up or not is_whole or any(window.from_ns < fact.at_ns < window.until_ns or fact.deleted for fact in timeline.facts):
        return ()
    telling = [event.at_ns for event in timeline.events if event.kind in _TELLING]
    far = boot.boot_id and all(at < first_ns or (at > last_ns >= window.until_ns) for at in telling)
    return () if telling and not far else rows


@dataclass(frozen=True, slots=True)
class _Pieces:
    """The stored segments of all resources in order of resource and time; `owner` numbers the resources."""

    owner: Ints
    first_at: Ints
    last_at: Ints
    samples: Ints
    interval: Ints
    records: NDArray[np.void]


def _pieces(of_resources: Sequence[Sequence[SegmentRow]]) -> _Pieces:
    columns = list(zip(*[row for rows in of_resources for row in rows], strict=True))
    first_at, last_at, samples, interval = (np.array(column, np.int64) for column in columns[4:8])
    owner = np.repeat(np.arange(len(of_resources)), [len(rows) for rows in of_resources])
    return _Pieces(owner, first_at, last_at, samples, interval, read_blocks(columns[8])[0])


def _usual(pieces: _Pieces, gap_after_intervals: int) -> _Pieces:
    """The pieces of the resources of which no piece and no link is unusual."""
    records, mask = pieces.records, pieces.records["mask"]
    first, last = records["first"][:, 1:], records["last"][:, 1:]
    odd = (records["flags"] & HAS_TAIL | mask & DIFFERENCES).astype(np.bool_) | (last < first).any(axis=1)
    odd |= pieces.first_at // CELL_NS != pieces.last_at // CELL_NS
    larger = np.maximum(pieces.interval[1:], pieces.interval[:-1])
    limits = np.minimum(larger, LARGEST // max(gap_after_intervals, 1)) * gap_after_intervals
    spans = pieces.first_at[1:] - pieces.last_at[:-1]
    apart = (spans <= 0) | (spans > limits) | (first[1:] < last[:-1]).any(axis=1) | (mask[1:] != mask[:-1])
    apart |= pieces.first_at[1:] // CELL_NS - pieces.last_at[:-1] // CELL_NS > 1
    odd[1:] |= apart & (pieces.owner[1:] == pieces.owner[:-1])
    if not odd.any():
        return pieces
    kept = ~np.isin(pieces.owner, pieces.owner[odd])
    return _Pieces(
        pieces.owner[kept], pieces.first_at[kept], pieces.last_at[kept], pieces.samples[kept], pieces.interval[kept], records[kept]
    )


@dataclass(frozen=True, slots=True)
class _Runs:
    """What each resource used in each cell in which it has pieces: `rises` of counters, [n, 7], and byte·ns of memory."""

    owner: Ints
    cell: Ints
    mask: Ints
    rises: Ints
    memory: list[int]
    samples: Ints
    peak: Ints


def _runs(pieces: _Pieces) -> _Runs:
    """Pieces and links by cell: a link over a boundary is parted by the floor of its running share."""
    owner, records = pieces.owner, pieces.records
    cells = pieces.first_at - pieces.first_at % CELL_NS
    joined = owner[1:] == owner[:-1]
    starts = np.flatnonzero(np.append(True, ~joined | (cells[1:] != cells[:-1])))
    ends = np.append(starts[1:], owner.size) - 1
    spans = np.append(np.where(joined, pieces.first_at[1:] - pieces.last_at[:-1], 0), 0)
    inside = np.minimum(spans, cells + CELL_NS - pieces.last_at)
    first, last = records["first"], records["last"]
    rises = last[ends, 1:] - first[starts, 1:]
    crossing = np.flatnonzero(owner[starts[1:]] == owner[starts[:-1]])
    a, b = ends[crossing], starts[crossing + 1]
    amounts = first[b, 1:] - last[a, 1:]
    shares = _shares(amounts, inside[a], spans[a])
    rises[crossing] += shares
    rises[crossing + 1] += amounts - shares
    beyond = np.zeros(starts.size, np.int64)
    beyond[crossing + 1] = spans[a] - inside[a]
    return _Runs(
        owner=owner[starts],
        cell=cells[starts],
        mask=records["mask"][starts].astype(np.int64),
        rises=rises,
        memory=_memory(records, inside, beyond, starts),
        samples=np.add.reduceat(pieces.samples, starts),
        peak=np.maximum.reduceat(records["peak"], starts),
    )


def _shares(amounts: Ints, before: Ints, spans: Ints) -> Ints:
    """Of amounts, [n, 7], that were used over spans, the floor of what lies `before` a boundary."""
    shares = amounts * before[:, None] // spans[:, None]
    for place in np.flatnonzero((amounts > LARGEST // spans[:, None]).any(axis=1)).tolist():
        share, span = int(before[place]), int(spans[place])
        shares[place] = [amount * share // span for amount in amounts[place].tolist()]
    return shares


def _memory(records: NDArray[np.void], inside: Ints, beyond: Ints, starts: Ints) -> list[int]:
    """The memory integral of each run: of its pieces, of the level held after each `inside` the cell, and of the one before it `beyond`.

    Limbs of 24 bits times the time of a cell, which is below 2^39 ns, stay inside 64 bits; so do the sums of halves of areas.
    """
    held, area = records["last"][:, 0], records["area"]
    sums = [
        np.add.reduceat(part, starts).tolist() for part in (area[:, 0] & np.uint64(_HALF), area[:, 0] >> np.uint64(_HALF_BITS), area[:, 1])
    ]
    before = held[starts - 1]
    for shift in (0, _LIMB_BITS, 2 * _LIMB_BITS):
        limbs = np.add.reduceat((held >> shift & _LIMB) * inside, starts) + (before >> shift & _LIMB) * beyond
        sums.append(limbs.tolist())
    return [
        low + (middle << _HALF_BITS) + (high << 2 * _HALF_BITS) + small + (large << _LIMB_BITS) + (top << 2 * _LIMB_BITS)
        for low, middle, high, small, large, top in zip(*sums, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Tables:
    """By resource and hour of the window: the cells of each measured meter, in the order of a ledger's row; mask, samples and peak."""

    cells: Sequence[Sequence[Sequence[Sequence[int]]]]
    mask: Sequence[int]
    samples: Sequence[Sequence[int]]
    peak: Sequence[Sequence[int]]


def _tables(runs: _Runs, window: Window, resources: int) -> _Tables:
    hours = (window.until_ns - window.from_ns) // HOUR_NS
    inside = (runs.cell >= window.from_ns) & (runs.cell < window.until_ns)
    owner, place = runs.owner[inside], (runs.cell[inside] - window.from_ns) // CELL_NS
    shape = (resources, hours * CELLS_PER_HOUR)
    samples, peak = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    samples[owner, place], peak[owner, place] = runs.samples[inside], runs.peak[inside]
    counters = np.zeros((len(COUNTERS), *shape), np.int64)
    counters[:, owner, place] = runs.rises[inside].T
    memory = np.zeros(shape, object)
    memory[owner, place] = np.array(runs.memory, object)[inside]
    by_hour = (resources, hours, CELLS_PER_HOUR)
    mask = np.zeros(resources, np.int64)
    mask[runs.owner] = runs.mask
    return _Tables(
        cells=[*counters.reshape(len(COUNTERS), *by_hour).tolist(), memory.reshape(by_hour).tolist()],
        mask=mask.tolist(),
        samples=samples.reshape(by_hour).sum(axis=2).tolist(),
        peak=peak.reshape(by_hour).max(axis=2).tolist(),
    )


def _result(timeline: Timeline, window: Window, disk_until_ns: int, tables: _Tables, owner: int) -> HoursResult:
    mask, last_ns = tables.mask[owner], timeline.boots[0].last_at_ns
    sizes = levels(timeline.facts)
    size = next((level for level in reversed(sizes) if level.from_ns <= window.from_ns), _NOTHING)
    hours = []
    for number, hour_ns in enumerate(range(window.from_ns, window.until_ns, HOUR_NS)):
        up, held = _until(hour_ns, last_ns), _until(hour_ns, disk_until_ns)
        cells = {meter: tuple(tables.cells[place][owner][number]) for meter, place, column in MEASURED if mask >> column & 1}
        cells["uptime"] = up
        if sizes:
            cells.update(_allocated(size, up, held))
        hours.append(
            UsageHour(
                resource_id=timeline.resource_id,
                hour_ns=hour_ns,
                cells=cells,
                estimated={},
                samples=tables.samples[owner][number],
                memory_peak_bytes=tables.peak[owner][number] if mask & _MEMORY_BIT else None,
            )
        )
    return HoursResult(hours=tuple(hours), gaps=(), findings=())


_WHOLE = (CELL_NS,) * CELLS_PER_HOUR


def _until(hour_ns: int, until_ns: int) -> Cells:
    """How much of each cell of an hour lies before an instant, ns."""
    if until_ns >= hour_ns + HOUR_NS:
        return _WHOLE
    return tuple(min(max(until_ns - cell, 0), CELL_NS) for cell in range(hour_ns, hour_ns + HOUR_NS, CELL_NS))


def _allocated(size: Level, up: Cells, held: Cells) -> Mapping[str, Cells]:
    """Sizes x time: of the disk while it is held, of the others while the resource is up."""
    amounts = (size.vcpus, size.memory_bytes, size.gpus, size.disk_bytes)
    spans = (up, up, up, held)
    return {
        meter: (amount * CELL_NS,) * CELLS_PER_HOUR if span is _WHOLE else tuple([amount * each for each in span])
        for (meter, _), amount, span in zip(ALLOCATED, amounts, spans, strict=True)
    }
