"""The samples of segments that overlap, as one; and what to make of segments whose samples are gone.

A segment whose samples are gone (metering.md, Retention) stays whole: of what overlaps it, the samples inside its range are
ignored, those outside are taken. Where two of them overlap, one stays; of the other no more is told than its first and last sample.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tallystick.meter.fold import Folded, Ints, Runs, fold_runs
from tallystick.meter.samples import Columns, Samples, present
from tallystick.meter.segments import Tail, read_blocks
from tallystick.model.instants import CELL_NS
from tallystick.model.samples import COLUMNS
from tallystick.model.timeline import StoredSegment


@dataclass(frozen=True, slots=True, kw_only=True)
class United:
    """The samples of a cluster as one: [9, n] in order of time, each with its mask and interval.

    `closed` are the segments whose samples are gone, none of which overlaps another; no sample lies inside one of them.
    `ignored` is the first instant of each segment of which something was left out.
    """

    values: Columns
    masks: Ints
    intervals: Ints
    conflicts: list[int]
    closed: Sequence[StoredSegment] = ()
    ignored: Sequence[int] = ()


def unite(segments: Sequence[StoredSegment], samples: Mapping[int, Samples], gone: Collection[int]) -> United:
    """The samples of the segments of one cluster: of copies of one instant the one received first stays, then that of the smaller key.

    Raises:
        KeyError: the samples of a batch were not given, and it is not among those that are gone.

    """
    stored = sorted(segments, key=lambda one: (one.received_at_ns, one.batch_key))
    parts: list[tuple[Columns, int, int]] = []
    closed = _closed([one for one in stored if one.batch_key in gone]) if gone else []
    ignored: list[int] = []
    for one in stored:
        if one in closed:
            continue
        is_gone = one.batch_key in gone
        values, mask, interval_ns = _ends(one) if is_gone else _of_cell(samples[one.batch_key], one.segment.cell_ns)
        if closed:
            outside = _outside(values[0], closed)
            if is_gone:
                ignored.append(one.segment.first_at_ns)
            elif not outside.all():
                ignored.append(int(values[0, int(np.argmin(outside))]))
            values = values[:, outside]
        parts.append((values, mask, interval_ns))
    if not any(values.size for values, _, _ in parts):
        none = np.empty(0, np.int64)
        return United(
            values=np.empty((len(COLUMNS), 0), np.int64), masks=none, intervals=none, conflicts=[], closed=closed, ignored=ignored
        )
    counts = [values.shape[1] for values, _, _ in parts]
    values = np.concatenate([values for values, _, _ in parts], axis=1)
    masks = np.repeat(np.array([mask for _, mask, _ in parts], np.int64), counts)
    intervals = np.repeat(np.array([interval for _, _, interval in parts], np.int64), counts)
    order = np.argsort(values[0], kind="stable")
    values, masks, intervals = values[:, order], masks[order], intervals[order]
    starts = np.flatnonzero(np.append(True, values[0, 1:] != values[0, :-1]))
    if starts.size == values.shape[1]:
        return United(values=values, masks=masks, intervals=intervals, conflicts=[], closed=closed, ignored=ignored)
    conflicts = _conflicts(values, masks, starts)
    return United(
        values=values[:, starts],
        masks=masks[starts],
        intervals=intervals[starts],
        conflicts=conflicts,
        closed=closed,
        ignored=ignored,
    )


def _closed(gone: Sequence[StoredSegment]) -> list[StoredSegment]:
    """Of segments without samples those that stay, in order of time: of two that overlap the one received first."""
    kept: list[StoredSegment] = []
    for one in gone:
        first_at, last_at = one.segment.first_at_ns, one.segment.last_at_ns
        if all(last_at < each.segment.first_at_ns or each.segment.last_at_ns < first_at for each in kept):
            kept.append(one)
    return sorted(kept, key=lambda one: one.segment.first_at_ns)


def _of_cell(batch: Samples, cell_ns: int) -> tuple[Columns, int, int]:
    """The samples of a batch in a cell, with their mask and interval."""
    low, high = np.searchsorted(batch.values[0], [cell_ns, cell_ns + CELL_NS]).tolist()
    return batch.values[:, low:high], batch.mask, batch.interval_ns


def _ends(one: StoredSegment) -> tuple[Columns, int, int]:
    """The first and the last sample of a segment, which are all that is known of its samples, with their mask and interval.

    Without them a boot whose first or last sample lies there would have neither: counters between are exact with them, too.
    """
    segment = one.segment
    (record,), _ = read_blocks([segment.block])
    ends = [[segment.first_at_ns, *record["first"]], [segment.last_at_ns, *record["last"]]]
    values = np.array(ends[: min(segment.samples, 2)], np.int64).T
    return values, int(record["mask"]), segment.interval_ns


def _outside(at: Ints, closed: Sequence[StoredSegment]) -> NDArray[np.bool_]:
    """Of each instant, whether it lies outside of every closed segment."""
    outside = np.ones(at.size, np.bool_)
    for one in closed:
        low = int(np.searchsorted(at, one.segment.first_at_ns, "left"))
        outside[low : int(np.searchsorted(at, one.segment.last_at_ns, "right"))] = False
    return outside


def _conflicts(values: Columns, masks: Ints, starts: Ints) -> list[int]:
    """The instants of which two copies differ in a column that both have."""
    limits = np.iinfo(np.int64)
    differ = np.zeros(starts.size, np.bool_)
    for column in present(int(np.bitwise_or.reduce(masks))):
        has = (masks >> column & 1).astype(np.bool_)
        least = np.minimum.reduceat(np.where(has, values[column], limits.max), starts)
        most = np.maximum.reduceat(np.where(has, values[column], limits.min), starts)
        differ |= least < most
    return [int(at) for at in values[0, starts[differ]]]


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of a cluster that has closed segments in it."""

    first_at: int
    last_at: int
    record: NDArray[np.void]
    tail: Tail | None
    first_interval: int
    last_interval: int
    samples: int
    is_closed: bool


def pieces_of(whole: United, cuts: Sequence[int], known: bool, gap_after_intervals: int) -> list[Piece]:
    """The pieces of a cluster in order of time: its closed segments as they are, and between them what its samples fold into."""
    found = []
    records, tails = read_blocks([one.segment.block for one in whole.closed])
    for place, one in enumerate(whole.closed):
        segment = one.segment
        ends = (segment.first_at_ns, segment.last_at_ns)
        intervals = (segment.interval_ns, segment.interval_ns)
        found.append(Piece(*ends, records[place : place + 1], tails.get(place), *intervals, segment.samples, True))
    if whole.masks.size:
        at = whole.values[0]
        between = np.searchsorted(at, [one.segment.first_at_ns for one in whole.closed])
        starts = np.union1d(cut_places(whole, cuts), between[between < at.size])
        folded = folded_of(whole, starts, known, gap_after_intervals)
        ends_at = np.append(starts[1:], at.size) - 1
        for place, samples in enumerate(folded.samples):
            ends = (folded.first_at[place], folded.last_at[place])
            intervals = (int(whole.intervals[starts[place]]), int(whole.intervals[ends_at[place]]))
            found.append(Piece(*ends, folded.records[place : place + 1], folded.tails.get(place), *intervals, samples, False))
    return sorted(found, key=lambda piece: piece.first_at)


def uncut(whole: United, instants: Sequence[int]) -> Iterator[int]:
    """The starts and stops inside closed segments: nothing tells what lies on which side of them."""
    for at in sorted(set(instants)):
        if any(one.segment.first_at_ns < at < one.segment.last_at_ns for one in whole.closed):
            yield at


def cut_places(whole: United, cuts: Sequence[int]) -> Ints:
    """Where the pieces of united samples begin: on both sides of a cut, and where the columns change."""
    at = whole.values[0]
    near = np.array(cuts[bisect_left(cuts, int(at[0])) : bisect_right(cuts, int(at[-1]))], np.int64)
    places = np.concatenate([[0], np.searchsorted(at, near, "left"), np.searchsorted(at, near, "right")])
    changed = np.flatnonzero(whole.masks[1:] != whole.masks[:-1]) + 1
    every = np.union1d(places, changed)
    return np.asarray(every[every < at.size], np.int64)


def folded_of(whole: United, starts: Ints, known: bool, gap_after_intervals: int) -> Folded:
    """What the pieces of united samples fold into."""
    masks = whole.masks[starts].tolist()
    runs = Runs(values=whole.values, starts=starts, masks=masks, intervals=whole.intervals, known=[known] * len(masks))
    return fold_runs(runs, gap_after_intervals)
