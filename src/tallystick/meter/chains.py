"""Stored segments into chains: per boot its pieces around a window, in order of time, none of which overlaps another.

A piece is a stored segment, or a part of the united samples of segments that had to be opened again: because they overlap,
or because a stop, a restart, a deletion or the boundary of another boot lies strictly inside. A segment whose samples are gone
(metering.md, Retention) stays whole: of what overlaps it, the samples inside its range are ignored, those outside are taken.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import ge, gt

import numpy as np
from numpy.typing import NDArray

from tallystick.meter.samples import Samples
from tallystick.meter.sealing.united import United, cut_places, folded_of, pieces_of, uncut, unite
from tallystick.meter.segments import HAS_TAIL, Tail, read_blocks
from tallystick.model.instants import CELL_NS
from tallystick.model.samples import BOUNDARIES, LifecycleEvent, LifecycleKind
from tallystick.model.timeline import BootExtent, StoredSegment, Timeline

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The instants [from_ns, until_ns) of the hours that are computed."""

    from_ns: int
    until_ns: int

    def holds(self, at_ns: int) -> bool:
        """Whether an instant lies in it."""
        return self.from_ns <= at_ns < self.until_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the notices tell of one boot: instants of starts and of stops, each in order and once."""

    starts: tuple[int, ...] = ()
    stops: tuple[int, ...] = ()

    def lasting(self, boot_id: str, alone: bool) -> tuple[int, ...]:
        """The starts that matter however far the window is: without boot id, they decide which of several boots opened last.

        Of one boot `alone` only those with a stop at the same instant, which belongs to the older incarnation.
        """
        if boot_id:
            return ()
        return tuple(start for start in self.starts if start in self.stops) if alone else self.starts


@dataclass(slots=True, kw_only=True)
class Strand:
    """The stored segments of one boot that matter to a window, in order of time, as clusters of overlapping ones.

    `edges` are the places at which clusters begin, with the number of segments at the end; `first_at` and `last_at` are
    those of the clusters. `opened` are the clusters whose samples are needed; `parted` those after which clusters that do
    not matter were left out.
    """

    extent: BootExtent
    told: Told
    segments: list[StoredSegment]
    edges: list[int]
    first_at: list[int]
    last_at: list[int]
    opened: set[int] = field(default_factory=set)
    parted: list[int] = field(default_factory=list)

    def inside(self, at_ns: int) -> int | None:
        """The cluster with first_at < at_ns < last_at, if there is one."""
        place = bisect_right(self.last_at, at_ns)
        return place if place < len(self.first_at) and self.first_at[place] < at_ns else None

    def batch_keys(self) -> Iterable[int]:
        """The batches of the opened clusters."""
        for cluster in self.opened:
            for stored in self.segments[self.edges[cluster] : self.edges[cluster + 1]]:
                yield stored.batch_key


def told_of(events: Iterable[LifecycleEvent]) -> dict[str, Told]:
    """Starts and stops by boot; a repeated notice is one, and other notices tell nothing here."""
    instants: dict[str, tuple[set[int], set[int]]] = {}
    for event in events:
        if event.kind in BOUNDARIES:
            instants.setdefault(event.boot_id, (set(), set()))[event.kind is LifecycleKind.STOPPED].add(event.at_ns)
    return {boot: Told(starts=tuple(sorted(starts)), stops=tuple(sorted(stops))) for boot, (starts, stops) in instants.items()}


def deletions(timeline: Timeline) -> list[int]:
    """The instants from which the resource is declared deleted."""
    return [fact.at_ns for fact in timeline.facts if fact.deleted]


def strands(timeline: Timeline, window: Window, *, among_others: bool = False) -> list[Strand]:
    """The strands of all boots, with the clusters that must be opened marked.

    With `among_others` also of a boot that is alone so much is taken as would matter if others were there; and its first sample.
    """
    by_boot: dict[str, list[StoredSegment]] = {extent.boot_id: [] for extent in timeline.boots}
    for stored in timeline.segments:
        by_boot[stored.boot_id].append(stored)
    told = told_of(timeline.events)
    alone = len(by_boot) == 1 and not among_others
    found = []
    for extent in timeline.boots:
        mine = told.get(extent.boot_id, _NOTHING_TOLD)
        around = (*mine.lasting(extent.boot_id, alone), *((extent.first_at_ns,) if among_others else ()))
        found.append(_strand(extent, mine, by_boot[extent.boot_id], window, around))
    for strand in found:
        _open_own(strand, window, deletions(timeline), alone)
    if not alone:
        for strand in found:
            _open_for_others(strand, [other for other in found if other is not strand], window)
    return found


_NOTHING_TOLD = Told()


def _strand(extent: BootExtent, told: Told, segments: list[StoredSegment], window: Window, around: Sequence[int]) -> Strand:
    """The clusters of the window, the nearest on each side of it, and those around the given instants."""
    begins = [stored.segment.first_at_ns for stored in segments]
    ends = [stored.segment.last_at_ns for stored in segments]
    if not around and all(map(gt, begins[1:], ends)):
        # Nothing overlaps, as nearly always: each segment is a cluster, and those that matter follow each other.
        low = max(bisect_left(begins, window.from_ns) - 1, 0)
        high = min(bisect_left(begins, window.until_ns) + 1, len(begins))
        first_at, last_at = begins[low:high], ends[low:high]
        edges = list(range(high - low + 1))
        return Strand(extent=extent, told=told, segments=segments[low:high], edges=edges, first_at=first_at, last_at=last_at)
    if any(map(ge, begins, begins[1:])):
        segments = sorted(segments, key=lambda stored: (stored.segment.first_at_ns, stored.received_at_ns, stored.batch_key))
    edges, first_at, last_at = [], [], []
    until = -1
    for place, stored in enumerate(segments):
        segment = stored.segment
        if segment.first_at_ns > until:
            edges.append(place)
            first_at.append(segment.first_at_ns)
            last_at.append(segment.last_at_ns)
            until = segment.last_at_ns
        elif segment.last_at_ns > until:
            last_at[-1] = until = segment.last_at_ns
    edges.append(len(segments))
    low = max(bisect_left(first_at, window.from_ns) - 1, 0)
    high = min(bisect_left(first_at, window.until_ns) + 1, len(first_at))
    keep = set(range(low, high))
    for at in around:
        place = bisect_left(last_at, at)
        keep.update(range(max(place - 1, 0), min(place + 2, len(first_at))))
    if len(keep) == len(first_at):
        return Strand(extent=extent, told=told, segments=segments, edges=edges, first_at=first_at, last_at=last_at)
    kept = sorted(keep)
    chosen = [segments[edges[cluster] : edges[cluster + 1]] for cluster in kept]
    return Strand(
        extent=extent,
        told=told,
        segments=[stored for cluster in chosen for stored in cluster],
        edges=[0, *np.cumsum([len(cluster) for cluster in chosen]).tolist()],
        first_at=[first_at[cluster] for cluster in kept],
        last_at=[last_at[cluster] for cluster in kept],
        parted=[place for place, (one, other) in enumerate(pairwise(kept)) if other - one > 1],
    )


def _open_own(strand: Strand, window: Window, deleted: Sequence[int], alone: bool) -> None:
    """Open what overlaps, and what a stop, a restart without boot id or a deletion cuts."""
    if len(strand.segments) > len(strand.first_at):
        strand.opened.update(place for place, (low, high) in enumerate(pairwise(strand.edges)) if high - low > 1)
    lasting = strand.told.lasting(strand.extent.boot_id, alone)
    for stop in strand.told.stops:
        place = bisect_right(strand.last_at, stop)
        if place < len(strand.first_at) and strand.first_at[place] <= stop and (lasting or window.holds(strand.first_at[place])):
            strand.opened.add(place)
    for start in () if strand.extent.boot_id else strand.told.starts:
        place = bisect_left(strand.last_at, start)
        if place < len(strand.first_at) and strand.first_at[place] < start and (start in lasting or window.holds(strand.first_at[place])):
            first = strand.segments[strand.edges[place]].segment
            if _has_tail(first.block):
                strand.opened.add(place)
    for at in deleted:
        place = bisect_left(strand.last_at, at)
        if place < len(strand.first_at) and strand.first_at[place] < at and window.holds(strand.first_at[place]):
            strand.opened.add(place)


def _has_tail(block: bytes) -> bool:
    return bool(block[2] & HAS_TAIL)


def _open_for_others(strand: Strand, others: Sequence[Strand], window: Window) -> None:
    """Open what the boundary of another boot's life cuts: of two that are up, the time counts for one."""
    for other in others:
        boundaries = {other.extent.first_at_ns, other.extent.last_at_ns}
        for at in (*other.told.starts, *other.told.stops):
            place = bisect_left(other.last_at, at)
            boundaries.update((at, *other.last_at[max(place - 1, 0) : place + 1], *other.first_at[place : place + 2]))
        places = {strand.inside(at) for at in boundaries}
        for cluster in other.opened:
            low = bisect_left(strand.last_at, other.first_at[cluster])
            places.update(range(low, bisect_right(strand.first_at, other.last_at[cluster])))
        strand.opened.update(place for place in places if place is not None and window.holds(strand.first_at[place]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The pieces of one boot around a window, in order of time; `records` and `tails` as in `segments`.

    `first_interval` and `last_interval` are those of the first and last sample of each piece. `joined[i]` tells that
    pieces i and i+1 are neighbours in all that is stored. `conflicts` are the instants whose copies disagree; `closed` the
    pieces that should have been opened and whose samples are gone, `ignored` the instants at which something was left out for it.
    """

    extent: BootExtent
    told: Told
    records: NDArray[np.void]
    tails: Mapping[int, Tail]
    first_at: list[int]
    last_at: list[int]
    first_interval: list[int]
    last_interval: list[int]
    samples: list[int]
    joined: list[bool]
    conflicts: list[int]
    closed: frozenset[int] = frozenset()
    ignored: Sequence[int] = ()

    @property
    def boot_id(self) -> str:
        """The id of the boot; empty where the source knows none."""
        return self.extent.boot_id


def chains(
    timeline: Timeline,
    found: Sequence[Strand],
    samples: Mapping[int, Samples],
    gap_after_intervals: int,
    gone: Collection[int] = frozenset(),
    cell_ns: int = CELL_NS,
) -> list[Chain]:
    """The chains of strands, with the opened clusters united, cut and folded again; `gone` are batches without samples.

    What is opened is cut at the boundaries of cells, too, where these are shorter than those of segments.

    Raises:
        KeyError: the samples of a batch that `needs_samples` names were not given, and it is not among those that are gone.

    """
    united = [
        {
            cluster: unite(strand.segments[strand.edges[cluster] : strand.edges[cluster + 1]], samples, gone)
            for cluster in sorted(strand.opened)
        }
        for strand in found
    ]
    cuts = _cuts(timeline, found, united, cell_ns) if any(united) else []
    spans = merged(timeline.complete)
    return [_chain(strand, whole, cuts, spans, gap_after_intervals) for strand, whole in zip(found, united, strict=True)]


def _cuts(timeline: Timeline, found: Sequence[Strand], united: Sequence[Mapping[int, United]], cell_ns: int) -> list[int]:
    """Every instant at which an opened cluster may have to be cut. One too many changes nothing: links join what is cut."""
    cuts = set(deletions(timeline))
    for strand, whole in zip(found, united, strict=True):
        instants = (*strand.told.starts, *strand.told.stops)
        cuts.update(instants)
        if len(found) > 1:
            cuts.update((strand.extent.first_at_ns, strand.extent.last_at_ns))
            for at in instants:
                place = bisect_left(strand.last_at, at)
                cuts.update(strand.last_at[max(place - 1, 0) : place + 1] + strand.first_at[place : place + 2])
        for one in whole.values():
            if cell_ns < CELL_NS and one.masks.size:
                first, last = one.values[0, [0, -1]].tolist()
                cuts.update(range(first - first % cell_ns + cell_ns, last + 1, cell_ns))
            for at in instants:
                low, high = np.searchsorted(one.values[0], [at, at + 1]).tolist()
                cuts.update(one.values[0, max(low - 1, 0) : high + 1].tolist())
    return sorted(cuts)


def _chain(strand: Strand, united: Mapping[int, United], cuts: Sequence[int], spans: Sequence[Span], gap_after_intervals: int) -> Chain:
    segments = [stored.segment for stored in strand.segments]
    records, tails = read_blocks([segment.block for segment in segments])
    intervals = [segment.interval_ns for segment in segments]
    first_at = [segment.first_at_ns for segment in segments]
    last_at = [segment.last_at_ns for segment in segments]
    counts = [segment.samples for segment in segments]
    chain = Chain(
        extent=strand.extent, told=strand.told, records=records, tails=tails, first_at=first_at, last_at=last_at,
        first_interval=intervals, last_interval=intervals, samples=counts, joined=[], conflicts=[],
    )  # fmt: skip
    if united:
        chain = _spliced(chain, strand, united, cuts, gap_after_intervals)
    chain.joined.extend(_joined(chain, merged((*spans, *strand.extent.complete)) if strand.extent.complete else spans))
    for cluster in strand.parted:
        chain.joined[bisect_right(chain.first_at, strand.last_at[cluster]) - 1] = False
    return chain


def _spliced(chain: Chain, strand: Strand, united: Mapping[int, United], cuts: Sequence[int], gap_after_intervals: int) -> Chain:
    """The chain with the pieces of united clusters in the place of their segments."""
    records: list[NDArray[np.void]] = []
    tails: dict[int, Tail] = {}
    first_at: list[int] = []
    last_at: list[int] = []
    first_interval: list[int] = []
    last_interval: list[int] = []
    counts: list[int] = []
    closed: set[int] = set()
    for cluster, (low, high) in enumerate(pairwise(strand.edges)):
        begin = len(first_at)
        if cluster in united and united[cluster].closed:
            for piece in pieces_of(united[cluster], cuts, strand.extent.boot_id != "", gap_after_intervals):
                closed.update((len(first_at),) if piece.is_closed else ())
                tails |= {} if piece.tail is None else {len(first_at): piece.tail}
                records.append(piece.record)
                first_at.append(piece.first_at)
                last_at.append(piece.last_at)
                first_interval.append(piece.first_interval)
                last_interval.append(piece.last_interval)
                counts.append(piece.samples)
        elif cluster in united:
            whole = united[cluster]
            starts = cut_places(whole, cuts)
            folded = folded_of(whole, starts, strand.extent.boot_id != "", gap_after_intervals)
            ends = np.append(starts[1:], whole.values.shape[1]) - 1
            records.append(folded.records)
            tails |= {begin + place: tail for place, tail in folded.tails.items()}
            first_at += folded.first_at
            last_at += folded.last_at
            first_interval += whole.intervals[starts].tolist()
            last_interval += whole.intervals[ends].tolist()
            counts += folded.samples
        else:
            records.append(chain.records[low:high])
            tails |= {begin + place - low: chain.tails[place] for place in range(low, high) if place in chain.tails}
            first_at += chain.first_at[low:high]
            last_at += chain.last_at[low:high]
            first_interval += chain.first_interval[low:high]
            last_interval += chain.last_interval[low:high]
            counts += chain.samples[low:high]
    return Chain(
        extent=chain.extent, told=chain.told, records=np.concatenate(records), tails=tails, first_at=first_at, last_at=last_at,
        first_interval=first_interval, last_interval=last_interval, samples=counts, joined=[],
        conflicts=[at for one in united.values() for at in one.conflicts], closed=frozenset(closed),
        ignored=[at for one in united.values() for at in (*one.ignored, *uncut(one, (*strand.told.starts, *strand.told.stops)))],
    )  # fmt: skip


def _joined(chain: Chain, spans: Sequence[Span]) -> list[bool]:
    """Of each two neighbouring pieces, whether one span of complete cells holds both."""
    count = len(chain.first_at)
    if count < 2:
        return []
    begins = [low for low, _ in spans]
    place = bisect_right(begins, chain.first_at[0]) - 1
    if place >= 0 and chain.last_at[-1] < spans[place][1]:
        return [True] * (count - 1)
    held = [bisect_right(begins, at) - 1 for at in chain.first_at]
    return [a == b >= 0 and chain.first_at[place + 1] < spans[b][1] for place, (a, b) in enumerate(pairwise(held))]


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that touch or overlap as one."""
    result: list[Span] = []
    for low, high in sorted(spans):
        if result and low <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], high))
        elif low < high:
            result.append((low, high))
    return result
