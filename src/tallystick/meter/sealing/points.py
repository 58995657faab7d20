"""What is kept of an incarnation when its segments go: the points that the hours that are not sealed still depend on.

Usage is a matter of neighbours, so an hour at or after an instant needs of each boot no more than its last sample before it. Its
first sample is kept too, for what comes too late; and of the boot without an id the samples around each start, which decide how
many incarnations it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from tallystick.meter.chains import Chain, Window, chains, strands
from tallystick.meter.incarnations import Point, first_of, last_of
from tallystick.meter.samples import Samples
from tallystick.meter.segments import HAS_TAIL, RECORD
from tallystick.meter.sources.combined import by_source
from tallystick.model.instants import cell_start
from tallystick.model.samples import GAP_AFTER_INTERVALS, boot_name
from tallystick.model.timeline import Segment, Timeline


def needs_samples_to_seal(timeline: Timeline, until_ns: int) -> frozenset[int]:
    """The batches whose samples must be opened for `kept_points`; none in the ordinary case."""
    window = Window(from_ns=until_ns, until_ns=until_ns)
    found = (strand for part in by_source(timeline) for strand in strands(part, window, among_others=True))
    return frozenset(key for strand in found for key in strand.batch_keys())


def kept_points(
    timeline: Timeline, until_ns: int, samples: Mapping[int, Samples], gone: Collection[int] = frozenset()
) -> dict[str, tuple[Segment, ...]]:
    """By name of boot what is kept of its samples before `until_ns`, in order of time: single samples, but for a piece with a start in it.

    The timeline is that of the empty window at `until_ns` with the cells of the first samples; what was kept before counts as segments.

    Raises:
        ValueError: the timeline lacks the samples around a start.

    """
    window = Window(from_ns=until_ns, until_ns=until_ns)
    kept: dict[str, tuple[Segment, ...]] = {}
    for part in by_source(timeline):
        for chain in chains(part, strands(part, window, among_others=True), samples, GAP_AFTER_INTERVALS, gone):
            points = {(point.first_at_ns, point.last_at_ns): point for point in _points(chain, until_ns)}
            wide = [(low, high) for low, high in points if low < high]
            inside = {at for at in points if any(low <= at[0] <= high for low, high in wide if (low, high) != at)}
            if points:
                kept[boot_name(chain.boot_id, chain.extent.source)] = tuple(points[at] for at in sorted(points.keys() - inside))
    return kept


def _points(chain: Chain, until_ns: int) -> Iterator[Segment]:
    count = bisect_left(chain.first_at, until_ns)
    if not count:
        return
    if chain.first_at[0] == chain.extent.first_at_ns:
        yield _of_point(first_of(chain, 0))
    yield _of_point(last_of(chain, count - 1))
    for start in () if chain.boot_id else chain.told.starts:
        place = bisect_left(chain.last_at, start)
        if place < len(chain.last_at) and chain.first_at[place] < start:
            if place < count:
                yield _whole(chain, place)
            continue
        if 0 < place < len(chain.last_at) and not chain.joined[place - 1]:
            raise ValueError(f"timeline lacks the samples around the start at {start} without boot id")
        if 0 < place <= count:
            yield _of_point(last_of(chain, place - 1))
        if place < count:
            yield _of_point(first_of(chain, place))


def _of_point(point: Point) -> Segment:
    """A segment of one sample."""
    record = np.zeros(1, RECORD)
    record["mask"], record["first"], record["last"] = point.mask, point.levels, point.levels
    record["peak"] = point.levels[0]
    return Segment(
        cell_ns=cell_start(point.at_ns),
        first_at_ns=point.at_ns,
        last_at_ns=point.at_ns,
        samples=1,
        interval_ns=point.interval_ns,
        block=record.tobytes(),
    )


def _whole(chain: Chain, place: int) -> Segment:
    """A piece with a start inside: nothing falls in it, or it would have been cut there."""
    record = chain.records[place : place + 1].copy()
    record["flags"] &= ~np.uint16(HAS_TAIL)
    return Segment(
        cell_ns=cell_start(chain.first_at[place]),
        first_at_ns=chain.first_at[place],
        last_at_ns=chain.last_at[place],
        samples=chain.samples[place],
        interval_ns=chain.first_interval[place],
        block=record.tobytes(),
    )
