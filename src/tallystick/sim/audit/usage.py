"""What every usage hour must be: metering.md once more, in plain whole numbers, one interval after the other.

Nothing of the product's meter is used here, nor of the tests' reference: three that agree were written three times.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

CELL_NS = 300 * 10**9
HOUR_NS = 12 * CELL_NS
DAY_NS = 24 * HOUR_NS
MEMORY = 1
METERS = {2: "cpu.used", 3: "disk.read", 4: "disk.write", 5: "disk.read_ops", 6: "disk.write_ops", 7: "network.rx", 8: "network.tx"}
"""Column -> meter of the counters."""
GAP_INTERVALS = 10


class Point(NamedTuple):
    """A sample, or what stands for one at a start or a stop."""

    at_ns: int
    interval_ns: int
    values: Mapping[int, int]


class Silence(NamedTuple):
    """A gap."""

    from_ns: int
    until_ns: int
    filled: str


@dataclass(slots=True)
class Life:
    """One incarnation: its samples in order, when it opened (`start`: None, or told), and the stops told of."""

    boot_id: str
    samples: list[Point]
    start_ns: int | None
    too_old: bool
    stops: list[int]

    @property
    def opened_ns(self) -> int:
        """When it opened."""
        return self.samples[0].at_ns if self.start_ns is None else self.start_ns

    @property
    def end_stop_ns(self) -> int | None:
        """The stop that ended it."""
        place = bisect_left(self.stops, self.samples[-1].at_ns)
        return self.stops[place] if place < len(self.stops) else None

    @property
    def ended_ns(self) -> int:
        """The last instant at which it is known."""
        stop = self.end_stop_ns
        return self.samples[-1].at_ns if stop is None else stop


@dataclass(slots=True)
class Reckoned:
    """Usage of one resource: amounts by (cell, meter), of which so much is estimated; and what else an hour says."""

    amounts: dict[tuple[int, str], int] = field(default_factory=dict)
    estimated: dict[tuple[int, str], int] = field(default_factory=dict)
    samples: dict[int, int] = field(default_factory=dict)
    """By hour."""
    peaks: dict[int, int] = field(default_factory=dict)
    runs: dict[int, list[int]] = field(default_factory=dict)
    gaps: list[Silence] = field(default_factory=list)
    hours: set[int] = field(default_factory=set)

    def add(self, meter: str, low: int, high: int, upto: Callable[[int], int], guessed: bool) -> None:
        """An amount over [low, high): the share of each cell is the difference of `upto` at its bounds."""
        at, before = low, upto(low)
        while at < high:
            cell = at - at % CELL_NS
            edge = min(cell + CELL_NS, high)
            share = upto(edge)
            self._put(cell, meter, share - before, guessed)
            at, before = edge, share

    def _put(self, cell: int, meter: str, amount: int, guessed: bool) -> None:
        if amount:
            key = (cell, meter)
            self.amounts[key] = self.amounts.get(key, 0) + amount
            if guessed:
                self.estimated[key] = self.estimated.get(key, 0) + amount
            self.hours.add(cell - cell % HOUR_NS)

    def count(self, meter: str, low: int, high: int, amount: int) -> None:
        """What a counter rose by, spread over [low, high), or at that instant."""
        if low >= high:
            self._put(low - low % CELL_NS, meter, amount, False)
        else:
            self.add(meter, low, high, lambda at: amount * (at - low) // (high - low), False)


class Sizes:
    """What a resource was given, over time: (instant, order of reception, vcpus, memory, disk) of facts that name any."""

    def __init__(self, facts: Iterable[tuple[int, int, int | None, int | None, int | None]]) -> None:
        self.steps: list[tuple[int, tuple[int, int, int]]] = []
        held = [0, 0, 0]
        for at_ns, _, *named in sorted(facts, key=lambda fact: fact[:2]):
            if any(size is not None for size in named):
                held = [old if size is None else size for old, size in zip(held, named, strict=True)]
                self.steps.append((at_ns, (held[0], held[1], held[2])))

    def spans(self, low: int, high: int) -> Iterable[tuple[int, int, tuple[int, int, int]]]:
        """The parts of [low, high) with what is held in each."""
        edges = [low, *(at for at, _ in self.steps if low < at < high), high]
        for begin, end in pairwise(edges):
            held = (0, 0, 0)
            for at_ns, sizes in self.steps:
                if at_ns <= begin:
                    held = sizes
            if begin < end:
                yield begin, end, held


def without(low: int, high: int, others: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of [low, high)."""
    left = [(low, high)]
    for begin, end in others:
        left = [part for one, two in left for part in ((one, min(two, begin)), (max(one, end), two)) if part[0] < part[1]]
    return [part for part in left if part[0] < part[1]]


def lives_of(samples: Mapping[str, list[Point]], starts: Mapping[str, list[int]], stops: Mapping[str, list[int]]) -> list[Life]:
    """The incarnations of a resource, the one that opened first before the others."""
    lives = []
    for boot_id, points in samples.items():
        start = min(starts.get(boot_id, ()), default=None)
        if start is not None and start > points[0].at_ns:
            start = None
        too_old = start is not None and points[0].at_ns - start > DAY_NS
        told = sorted(stop for stop in stops.get(boot_id, ()) if start is None or stop > start)
        lives.append(Life(boot_id, points, None if too_old else start, too_old, told))
    return sorted(lives, key=lambda life: (life.opened_ns, life.samples[0].at_ns, life.boot_id))


def reckon(lives: list[Life], sizes: Sizes) -> Reckoned:
    """The usage of one resource that has lived these lives."""
    out = Reckoned()
    newer: list[tuple[int, int]] = []
    for place in range(len(lives) - 1, -1, -1):
        life = lives[place]
        if place:
            _opening(out, life, lives[:place])
        newer += _live(out, life, sizes, list(newer))
    for life in lives:
        out.hours.add(life.opened_ns - life.opened_ns % HOUR_NS)
        out.runs.setdefault(life.opened_ns - life.opened_ns % HOUR_NS, []).append(life.opened_ns)
        for sample in life.samples:
            hour = sample.at_ns - sample.at_ns % HOUR_NS
            out.hours.add(hour)
            out.samples[hour] = out.samples.get(hour, 0) + 1
            if MEMORY in sample.values:
                out.peaks[hour] = max(out.peaks.get(hour, 0), sample.values[MEMORY])
    return out


def hold_disk(out: Reckoned, sizes: Sizes, until_ns: int) -> None:
    """A disk is held from the first fact on, up or not."""
    if sizes.steps:
        for begin, end, (_, _, disk) in sizes.spans(sizes.steps[0][0], until_ns):
            out.add("disk.allocated", begin, end, _evenly(disk, begin), False)


def _evenly(level: int, since_ns: int) -> Callable[[int], int]:
    """What a level adds up to from an instant on."""
    return lambda at: level * (at - since_ns)


def _opening(out: Reckoned, life: Life, older: list[Life]) -> None:
    first = life.samples[0]
    if life.start_ns is None and not life.too_old:
        known_ns = max(min(other.ended_ns, first.at_ns) for other in older)
        for column, meter in METERS.items():
            if column in first.values:
                out.count(meter, known_ns, first.at_ns, first.values[column])
    latest = max(other.ended_ns for other in older)
    last = next(other for other in older if other.ended_ns == latest)
    limit = GAP_INTERVALS * max(first.interval_ns, last.samples[-1].interval_ns)
    if life.opened_ns - latest > limit and (life.start_ns is None or last.end_stop_ns is None):
        out.gaps.append(Silence(latest, life.opened_ns, "unknown"))


def _points(life: Life) -> list[Point]:
    first, last, stop = life.samples[0], life.samples[-1], life.end_stop_ns
    points = list(life.samples)
    if life.start_ns is not None:
        zero = {column: value if column == MEMORY else 0 for column, value in first.values.items()}
        points.insert(0, Point(life.start_ns, first.interval_ns, zero))
    if stop is not None:
        points.append(Point(stop, last.interval_ns, last.values))
    return points


def _live(out: Reckoned, life: Life, sizes: Sizes, newer: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """All intervals of a life; when it was up."""
    up: list[tuple[int, int]] = []
    for a, b in pairwise(_points(life)):
        limit = GAP_INTERVALS * max(a.interval_ns, b.interval_ns)
        for column, meter in METERS.items():
            if column in a.values and column in b.values:
                out.count(meter, a.at_ns, b.at_ns, _rise(a.values[column], b.values[column], bool(life.boot_id)))
        place = bisect_left(life.stops, a.at_ns)
        stopped = place < len(life.stops) and life.stops[place] < b.at_ns
        until_ns = life.stops[place] if stopped else b.at_ns
        silent = until_ns - a.at_ns > limit
        if silent:
            out.gaps.append(Silence(a.at_ns, until_ns, "interpolated"))
        if stopped and b.at_ns - until_ns > limit:
            out.gaps.append(Silence(until_ns, b.at_ns, "unknown"))
        for begin, end in without(a.at_ns, until_ns, newer):
            _held(out, a, b.values if silent and not stopped else a.values, (begin, end, until_ns), silent)
            out.add("uptime", begin, end, _evenly(1, begin), silent)
            for low, high, (vcpus, memory, _) in sizes.spans(begin, end):
                out.add("cpu.allocated", low, high, _evenly(vcpus, low), silent)
                out.add("memory.allocated", low, high, _evenly(memory, low), silent)
        if a.at_ns < until_ns:
            up.append((a.at_ns, until_ns))
    return up


def _held(out: Reckoned, a: Point, upto: Mapping[int, int], span: tuple[int, int, int], silent: bool) -> None:
    """Memory over the part [begin, end) of [a, until): the level of `a`, in a gap a line to `upto`."""
    if MEMORY not in a.values or MEMORY not in upto:
        return
    begin, end, until_ns = span
    level, rise, whole = a.values[MEMORY], upto[MEMORY] - a.values[MEMORY], until_ns - a.at_ns

    def area(at: int) -> int:
        x = at - a.at_ns
        return level * x + rise * x * x // (2 * whole)

    out.add("memory.used", begin, end, area, silent)


def _rise(before: int, after: int, known_boot: bool) -> int:
    """What a counter was used by: it fell, and was reset, or (in one boot, by less than half) it only wobbled."""
    if after >= before:
        return after - before
    return 0 if known_boot and 2 * after > before else after
