"""Samples into segments: one per batch and cell, with array arithmetic over all batches of a request at once.

All batches are laid side by side in one array and cut into runs, one per batch and cell. Sums over a run stay inside 64
bits because the time of a run is at most a cell: 300 s is below 2^39 ns, so a limb of 24 bits times it is below 2^63.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tallystick.meter.samples import Columns, Samples, side_by_side
from tallystick.meter.segments import HAS_TAIL, NO_TAIL, RECORD, Fall, Tail, halves, pack_tail
from tallystick.model.instants import CELL_NS
from tallystick.model.samples import COUNTERS, DIFFERENCES, GAP_AFTER_INTERVALS, LARGEST
from tallystick.model.timeline import Segment

Ints = NDArray[np.int64]
_LIMB_BITS = 24
_LIMB = 2**_LIMB_BITS - 1


def fold(
    batches: Sequence[Samples], boots_known: Sequence[bool], gap_after_intervals: int = GAP_AFTER_INTERVALS
) -> list[tuple[Segment, ...]]:
    """The segments of each batch, in order of time, one per cell that it has a sample in.

    `boots_known` tells of each batch whether its `boot_id` is known: a fall to more than half of a counter is then
    `counter_fell`, else always a reset. The batches must have been validated.
    """
    if not batches:
        return []
    values = side_by_side(batches)
    starts: list[int] = []
    owners: list[int] = []
    low = 0
    for place, batch in enumerate(batches):
        edges = _cell_edges(values[0, low : low + batch.count])
        starts += [low + edge for edge in edges]
        owners += [place] * len(edges)
        low += batch.count
    by_run = [batches[owner] for owner in owners]
    runs = Runs(
        values=values,
        starts=np.array(starts, np.int64),
        masks=[batch.mask for batch in by_run],
        intervals=np.repeat(np.array([batch.interval_ns for batch in batches], np.int64), [batch.count for batch in batches]),
        known=[boots_known[owner] for owner in owners],
    )
    folded = fold_runs(runs, gap_after_intervals)
    result: list[list[Segment]] = [[] for _ in batches]
    for owner, first_at, last_at, count, block in zip(
        owners, folded.first_at, folded.last_at, folded.samples, folded.blocks(), strict=True
    ):
        interval_ns = batches[owner].interval_ns
        cell_ns = first_at - first_at % CELL_NS
        segment = Segment(cell_ns=cell_ns, first_at_ns=first_at, last_at_ns=last_at, samples=count, interval_ns=interval_ns, block=block)
        result[owner].append(segment)
    return [tuple(segments) for segments in result]


def _cell_edges(at: Ints) -> list[int]:
    """The places in a rising row of instants at which another cell begins, 0 included."""
    first, last = int(at[0]) // CELL_NS, int(at[-1]) // CELL_NS
    if first == last:
        return [0]
    cells = at // CELL_NS
    return [0, *(np.flatnonzero(cells[1:] != cells[:-1]) + 1).tolist()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Samples cut into runs: `starts` are the places in `values`, [9, n], at which runs begin, the first one 0.

    The samples of a run lie in one cell, their instants rise, and they have the columns of its mask. `intervals` are
    those of the samples, ns.
    """

    values: Columns
    starts: Ints
    masks: Sequence[int]
    intervals: Ints
    known: Sequence[bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What runs fold into, place by place: `records` as in `segments`, `tails` for the unusual ones."""

    records: NDArray[np.void]
    tails: dict[int, Tail]
    first_at: list[int]
    last_at: list[int]
    samples: list[int]

    def blocks(self) -> list[bytes]:
        """The bytes that a store keeps of each run."""
        whole, size = self.records.tobytes(), RECORD.itemsize
        blocks = [whole[low : low + size] for low in range(0, len(whole), size)]
        for place, tail in self.tails.items():
            blocks[place] += pack_tail(tail)
        return blocks


def fold_runs(runs: Runs, gap_after_intervals: int) -> Folded:
    """Fold each run; gaps and falls are taken out and made one by one, in exact integers."""
    values, starts = runs.values, runs.starts
    count = values.shape[1]
    ends = np.append(starts[1:], count) - 1
    inside = np.ones(count, np.bool_)
    inside[ends] = False
    spans = np.zeros(count, np.int64)
    np.subtract(values[0, 1:], values[0, :-1], out=spans[:-1])
    spans[ends] = 0
    gaps = _gaps(spans, runs.intervals, gap_after_intervals)
    told = [run for run, mask in enumerate(runs.masks) if mask & DIFFERENCES]
    falls = _falls(values, _without_runs(inside, told, starts, ends) if told else inside)
    held = spans
    if gaps.size:
        held = spans.copy()
        held[gaps] = 0
    records = np.zeros(starts.size, RECORD)
    records["mask"] = runs.masks
    records["first"] = values[1:, starts].T
    records["last"] = values[1:, ends].T
    records["peak"] = np.maximum.reduceat(values[1], starts)
    records["area"] = _areas(values[1], held, starts)
    tails = _tails(runs, records, gaps, falls) if gaps.size or falls.size else {}
    for run in told:
        _count_differences(records, tails, run, values[2:, starts[run] : ends[run]])
    return Folded(
        records=records,
        tails=tails,
        first_at=values[0, starts].tolist(),
        last_at=values[0, ends].tolist(),
        samples=(ends - starts + 1).tolist(),
    )


def _gaps(spans: Ints, intervals: Ints, gap_after_intervals: int) -> Ints:
    """The places of the samples after which there is a gap: longer than the limit of the larger of the two intervals."""
    limits = np.minimum(intervals, LARGEST // max(gap_after_intervals, 1)) * gap_after_intervals
    larger = np.maximum(limits[:-1], limits[1:])
    return np.flatnonzero(spans[:-1] > larger)


def _falls(values: Columns, inside: NDArray[np.bool_]) -> Ints:
    """The places of the samples after which at least one counter is lower, in the same run."""
    lower = values[2:, 1:] < values[2:, :-1]
    if not lower.any():
        return np.empty(0, np.int64)
    return np.flatnonzero(lower.any(axis=0) & inside[:-1])


def _without_runs(inside: NDArray[np.bool_], runs: Sequence[int], starts: Ints, ends: Ints) -> NDArray[np.bool_]:
    """Where counters may fall: not in these runs."""
    rest = inside.copy()
    for run in runs:
        rest[starts[run] : ends[run]] = False
    return rest


def _count_differences(records: NDArray[np.void], tails: dict[int, Tail], run: int, before_last: Columns) -> None:
    """Make a run whose counters are differences rise by all of them but the first, whose link counts it: the sum of all after the
    first is last - first and the sum of all before the last.
    """  # noqa: D205 (the reason is one sentence)
    extra = tuple(sum(column.tolist()) for column in before_last)
    if any(extra):
        tail = tails.get(run, NO_TAIL)
        tails[run] = Tail(tail.gaps, tail.falls, tail.estimated, extra)
        records["flags"][run] = HAS_TAIL


def _areas(memory: Ints, spans: Ints, starts: Ints) -> NDArray[np.uint64]:
    """Held memory x time of each run, as low and high half: [runs, 2]. Three limbs of the level, each summed in 64 bits."""
    sums = [np.add.reduceat((memory & _LIMB) * spans, starts), np.add.reduceat((memory >> _LIMB_BITS & _LIMB) * spans, starts)]
    top = memory >> 2 * _LIMB_BITS
    if top.any():
        sums.append(np.add.reduceat(top * spans, starts))
    parts = zip(*(limb.tolist() for limb in sums), strict=True)
    areas = [sum(limb << _LIMB_BITS * place for place, limb in enumerate(part)) for part in parts]
    return np.array([halves(area) for area in areas], np.uint64)


def _tails(runs: Runs, records: NDArray[np.void], gaps: Ints, falls: Ints) -> dict[int, Tail]:
    """The tails of the runs with a gap or a fall; the areas of gaps are added to their records."""
    tails: dict[int, Tail] = {}
    silent, lower = set(gaps.tolist()), set(falls.tolist())
    for place in sorted(silent | lower):
        run = int(np.searchsorted(runs.starts, place, side="right")) - 1
        tail = tails.get(run, NO_TAIL)
        a, b = runs.values[:, place].tolist(), runs.values[:, place + 1].tolist()
        if place in silent:
            area = interpolated(a[1], b[1], b[0] - a[0])
            low, high = records["area"][run].tolist()
            records["area"][run] = halves((high << 64 | low) + area)
            tail = Tail((*tail.gaps, (a[0], b[0])), tail.falls, tail.estimated + area, tail.extra)
        if place in lower:
            reset, fell, extra = fallen(a[2:], b[2:], runs.known[run])
            both = tuple(map(int.__add__, tail.extra, extra))
            tail = Tail(tail.gaps, (*tail.falls, Fall(b[0], reset, fell)), tail.estimated, both)
        tails[run] = tail
        records["flags"][run] = HAS_TAIL
    return tails


def interpolated(low: int, high: int, span_ns: int) -> int:
    """The area under the line from `low` to `high` over `span_ns`, byte·ns, floored."""
    return low * span_ns + (high - low) * span_ns // 2


def fallen(a: Sequence[int], b: Sequence[int], known: bool) -> tuple[int, int, tuple[int, ...]]:
    """Which counters were reset and which fell a little between two samples, as masks; and what each adds to b - a.

    A reset counts from 0. Inside one known boot a fall to more than half of the value before is no restart: usage 0.
    """
    reset = fell = 0
    extra = [0] * len(COUNTERS)
    for place, (x, y) in enumerate(zip(a, b, strict=True)):
        if y >= x:
            continue
        if known and 2 * y > x:
            fell |= 1 << place
            extra[place] = x - y
        else:
            reset |= 1 << place
            extra[place] = x
    return reset, fell, tuple(extra)
