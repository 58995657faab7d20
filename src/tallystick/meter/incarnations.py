"""Chains and notices into incarnations, oldest first (metering.md, Incarnations)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tallystick.meter.chains import Chain, Span, Window
from tallystick.meter.segments import LEVELS
from tallystick.model.findings import FindingCode
from tallystick.model.samples import DIFFERENCES, START_TOO_OLD_NS


class Point(NamedTuple):
    """A sample, or a start or stop told of: its instant, interval, presence mask, and memory and counters.

    A named tuple, as each cell has two: they are made three times faster.
    """

    at_ns: int
    interval_ns: int
    mask: int
    levels: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Incarnation:
    """One boot of a resource on one host, or what notices make of samples without a boot id.

    `pieces` [low, high) are those of its chain. `started` is None if nothing said so, or too long before (`baseline`).
    `stops` are those that belong to it: after its start, up to and with the next.
    """

    chain: Chain
    low: int
    high: int
    first_at_ns: int
    last_at_ns: int
    started_ns: int | None
    baseline: bool
    stops: tuple[int, ...]

    @property
    def opened_ns(self) -> int:
        """When it began: its start, or else its first sample."""
        return self.first_at_ns if self.started_ns is None else self.started_ns

    @property
    def stopped_ns(self) -> int | None:
        """The stop after which no sample came, if there was one."""
        place = bisect_left(self.stops, self.last_at_ns)
        return self.stops[place] if place < len(self.stops) else None

    @property
    def ended_ns(self) -> int:
        """The last instant at which it is known to have been up."""
        stopped = self.stopped_ns
        return self.last_at_ns if stopped is None else stopped

    @property
    def holds_first(self) -> bool:
        """Whether the piece with its first sample was loaded."""
        return self.low < self.high and self.chain.first_at[self.low] == self.first_at_ns

    @property
    def holds_last(self) -> bool:
        """Whether the piece with its last sample was loaded."""
        return self.low < self.high and self.chain.last_at[self.high - 1] == self.last_at_ns

    def first(self) -> Point:
        """Its first sample.

        Raises:
            ValueError: it was not loaded.

        """
        if not self.holds_first:
            raise ValueError(f"timeline lacks the first sample of boot {self.chain.boot_id!r}, at {self.first_at_ns}")
        return first_of(self.chain, self.low)

    def last(self) -> Point:
        """Its last sample.

        Raises:
            ValueError: it was not loaded.

        """
        if not self.holds_last:
            raise ValueError(f"timeline lacks the last sample of boot {self.chain.boot_id!r}, at {self.last_at_ns}")
        return last_of(self.chain, self.high - 1)

    def first_interval_ns(self) -> int:
        """The interval of its first sample, as loaded, or else as the extent of its boot tells."""
        return self.chain.first_interval[self.low] if self.holds_first else self.chain.extent.first_interval_ns

    def last_interval_ns(self) -> int:
        """The interval of its last sample, as loaded, or else as the extent of its boot tells."""
        return self.chain.last_interval[self.high - 1] if self.holds_last else self.chain.extent.last_interval_ns

    def downs(self) -> dict[int, int]:
        """The pieces before which it was stopped and went on, each with the first stop since the sample before it."""
        found: dict[int, int] = {}
        for stop in self.stops:
            if stop >= self.last_at_ns:
                break
            place = bisect_right(self.chain.last_at, stop)
            if self.low <= place < self.high and self.chain.first_at[place] > stop:
                after_start = place == self.low and self.holds_first and self.started_ns is not None
                if after_start or (place > self.low and self.chain.joined[place - 1]):
                    found.setdefault(place, stop)
        return found

    def lives(self, window: Window) -> list[Span]:
        """The spans in which it was up, clipped to the window: its gaps included, its known stops excluded."""
        since = self.opened_ns
        found = []
        for place, stop in self.downs().items():
            found.append((since, stop))
            since = self.chain.first_at[place]
        clipped = ((max(low, window.from_ns), min(high, window.until_ns)) for low, high in (*found, (since, self.ended_ns)))
        return [(low, high) for low, high in clipped if low < high]


Told = tuple[FindingCode, int, str]
"""A finding about a start: code, the instant told of, boot."""


def first_of(chain: Chain, place: int) -> Point:
    """The first sample of a piece."""
    record = chain.records[place]
    return Point(chain.first_at[place], chain.first_interval[place], int(record["mask"]), tuple(record["first"].tolist()))


def last_of(chain: Chain, place: int) -> Point:
    """The last sample of a piece."""
    record = chain.records[place]
    return Point(chain.last_at[place], chain.last_interval[place], int(record["mask"]), tuple(record["last"].tolist()))


def start_of(first: Point, at_ns: int) -> Point:
    """A start as a sample: all counters 0, the gauges of the first sample."""
    return Point(at_ns, first.interval_ns, first.mask, (first.levels[0], *(0,) * (LEVELS - 1)))


def incarnations(chains: Sequence[Chain]) -> tuple[list[Incarnation], list[Told]]:
    """All incarnations by opening, then first sample, then boot; and the findings about starts.

    Raises:
        ValueError: the samples around a start without boot id were not loaded, and other boots make it matter.

    """
    found: list[Incarnation] = []
    told: list[Told] = []
    for chain in chains:
        if chain.boot_id:
            _known(chain, found, told)
        else:
            _unknown(chain, len(chains) == 1, found, told)
    found.sort(key=lambda one: (one.opened_ns, one.first_at_ns, one.chain.boot_id))
    return found, told


def _known(chain: Chain, found: list[Incarnation], told: list[Told]) -> None:
    """A known boot is one incarnation: the earliest start counts, if it is not after the first sample."""
    start = chain.told.starts[0] if chain.told.starts else None
    if start is not None and start > chain.extent.first_at_ns:
        told.append((FindingCode.START_AFTER_SAMPLE, start, chain.boot_id))
        start = None
    _append(chain, (start, None), (chain.extent.first_at_ns, chain.extent.last_at_ns), found, told)


def _unknown(chain: Chain, alone: bool, found: list[Incarnation], told: list[Told]) -> None:
    """Without a boot id each start opens an incarnation, unless what runs was announced again."""
    openings: list[tuple[int, int | None, int | None]] = []  # start, last sample before it, first sample at or after it
    for start in chain.told.starts:
        around = _around(chain, start)
        if around is None:
            if start in chain.told.lasting("", alone):
                raise ValueError(f"timeline lacks the samples around the start at {start} without boot id")
            continue
        a, b = around
        if _inside(chain, start) or (a is not None and b is not None and _runs_on(chain, a)):
            told.append((FindingCode.START_WHILE_RUNNING, start, ""))
        else:
            openings.append((start, None if a is None else chain.last_at[a], None if b is None else chain.first_at[b]))
    first_at: int | None = chain.extent.first_at_ns
    start_ns: int | None = None
    for opening, before, after in openings:
        if first_at is not None and before is not None and first_at < opening:
            _append(chain, (start_ns, opening), (first_at, before), found, told)
        start_ns, first_at = opening, after
    if first_at is not None:
        _append(chain, (start_ns, None), (first_at, chain.extent.last_at_ns), found, told)


def _around(chain: Chain, start: int) -> tuple[int | None, int | None] | None:
    """The pieces that end before a start and begin at or after it (None: no sample there at all); None: not loaded."""
    place = bisect_left(chain.last_at, start)
    count = len(chain.last_at)
    if start > chain.extent.last_at_ns:
        return (count - 1, None) if count and chain.last_at[-1] == chain.extent.last_at_ns else None
    if start <= chain.extent.first_at_ns:
        return (None, 0) if count and chain.first_at[0] == chain.extent.first_at_ns else None
    if place < count and chain.first_at[place] < start:
        return place, place
    return (place - 1, place) if 0 < place < count and chain.joined[place - 1] else None


def _inside(chain: Chain, start: int) -> bool:
    """Whether a start lies inside a piece: nothing falls there and nothing stops, or the piece would have been cut."""
    place = bisect_left(chain.last_at, start)
    return place < len(chain.last_at) and chain.first_at[place] < start


def _runs_on(chain: Chain, place: int) -> bool:
    """Whether the samples beside a link show no restart: no stop between them, no counter below its value before."""
    a, b = last_of(chain, place), first_of(chain, place + 1)
    stop = bisect_left(chain.told.stops, a.at_ns)
    if stop < len(chain.told.stops) and chain.told.stops[stop] < b.at_ns:
        return False
    both = a.mask & b.mask
    if (a.mask | b.mask) & DIFFERENCES:
        return True
    pairs = zip(a.levels[1:], b.levels[1:], strict=True)
    return not any(x > y and both >> number & 1 for number, (x, y) in enumerate(pairs, start=2))


def _append(chain: Chain, span: tuple[int | None, int | None], samples: Span, found: list[Incarnation], told: list[Told]) -> None:
    """One incarnation from its start until the next (None: not told), with its first and last sample."""
    (start, until), (first_at, last_at) = span, samples
    too_old = start is not None and first_at - start > START_TOO_OLD_NS
    if start is not None and too_old:
        told.append((FindingCode.START_TOO_OLD, start, chain.boot_id))
    stops = chain.told.stops
    low = 0 if start is None else bisect_right(stops, start)
    high = len(stops) if until is None else bisect_right(stops, until)
    found.append(
        Incarnation(
            chain=chain,
            low=0 if start is None else bisect_left(chain.first_at, start),
            high=len(chain.first_at) if until is None else bisect_left(chain.first_at, until),
            first_at_ns=first_at,
            last_at_ns=last_at,
            started_ns=None if too_old else start,
            baseline=too_old,
            stops=stops[low:high],
        )
    )
