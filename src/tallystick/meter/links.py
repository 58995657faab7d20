"""Incarnations into a ledger: pieces whole, and every link between two neighbours (metering.md, Between two samples).

Of pieces in one cell that are joined by nothing but ordinary links, a whole run is added at once: its rises are its last
counters less its first. Every other link, over a cell boundary, a gap, a fall, a stop, is made by itself in exact integers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import add, sub
from typing import NamedTuple

import numpy as np

from tallystick.meter.chains import Chain, Span, Window, merged
from tallystick.meter.fold import fallen
from tallystick.meter.incarnations import Incarnation, Point, start_of
from tallystick.meter.ledger import MEMORY, MEMORY_ESTIMATED, WIDTH, Ledger, without
from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.model.instants import CELL_NS
from tallystick.model.samples import ALL_COLUMNS_MASK, COLUMNS, COUNTERS, DIFFERENCES, LARGEST
from tallystick.model.usage import Filled, Gap, GapCause

_MEMORY_BIT = 2
_NOTES = frozenset({FindingCode.COUNTER_RESET, FindingCode.START_WHILE_RUNNING, FindingCode.CLOCK_STEPPED})
_FIRST_COUNTER = len(COLUMNS) - len(COUNTERS)


@dataclass(slots=True, kw_only=True)
class Meter:
    """One resource while its hours are computed: what is counted, and what is noticed. `newer`: when newer incarnations were up."""

    resource_id: str
    window: Window
    ledger: Ledger
    gap_after_intervals: int
    gaps: list[Gap] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    newer: list[Span] = field(default_factory=list)

    def finding(self, code: FindingCode, at_ns: int, boot_id: str, counters: int = 0) -> None:
        """Note a finding of the window; bit i of `counters` is counter i."""
        if self.window.holds(at_ns):
            names = tuple(name for place, name in enumerate(COUNTERS) if counters >> place & 1)
            severity = Severity.NOTE if code in _NOTES else Severity.WARNING
            self.findings.append(
                Finding(code=code, severity=severity, resource_id=self.resource_id, boot_id=boot_id, at_ns=at_ns, counters=names)
            )

    def limit(self, *intervals_ns: int) -> int:
        """How long a silence may be before it is a gap, ns."""
        return self.gap_after_intervals * max(intervals_ns)

    def gap(self, from_ns: int, until_ns: int, filled: Filled, cause: GapCause = GapCause.UNSTATED) -> None:
        """Note a gap, in the window of its start."""
        if self.window.holds(from_ns):
            self.gaps.append(Gap(resource_id=self.resource_id, from_ns=from_ns, until_ns=until_ns, filled=filled, cause=cause))


def count(meter: Meter, found: Sequence[Incarnation]) -> None:
    """Count all incarnations, given oldest first. The newest goes first: of two that are up, it is the one whose time counts."""
    window = meter.window
    for index in reversed(range(len(found))):
        one = found[index]
        meter.ledger.opened(one.opened_ns)
        if one.ended_ns < window.from_ns:
            continue
        if index:
            _before(meter, one, found[:index])
        if one.started_ns is None and (not index or one.baseline):
            _first_difference(meter, one)
        if one.opened_ns >= window.until_ns:
            continue
        lives = one.lives(window)
        estimated = _walk(meter, one)
        meter.ledger.up((part for span in lives for part in without(span, meter.newer)), estimated=False)
        meter.ledger.up((part for span in estimated for part in without(span, meter.newer)), estimated=True)
        if index:
            meter.newer = merged((*meter.newer, *lives))


def _before(meter: Meter, one: Incarnation, older: Sequence[Incarnation]) -> None:
    """What an incarnation that follows others used before its first sample, and how long is unknown."""
    last = max(older, key=lambda other: other.ended_ns)
    if one.started_ns is None and not one.baseline:
        since = max(min(other.ended_ns, one.first_at_ns) for other in older)
        if since < meter.window.until_ns and one.first_at_ns >= meter.window.from_ns:
            first = one.first()
            meter.ledger.spread(since, first.at_ns, first.levels[1:], first.mask)
            meter.finding(FindingCode.COUNTER_RESET, first.at_ns, one.chain.boot_id, first.mask >> _FIRST_COUNTER)
    if (one.started_ns is None or last.stopped_ns is None) and meter.window.holds(last.ended_ns):
        limit = meter.limit(one.first_interval_ns(), last.last_interval_ns())
        if one.opened_ns - last.ended_ns > limit:
            cause = GapCause.RESTART if last.stopped_ns is None else GapCause.RESOURCE_DOWN
            meter.gap(last.ended_ns, one.opened_ns, Filled.UNKNOWN, cause)


def _first_difference(meter: Meter, one: Incarnation) -> None:
    """A first sample that nothing comes before is a baseline, but where counters are differences it tells what was used: then
    it counts at its instant, as it is not said since when.
    """  # noqa: D205 (the reason is one sentence)
    if meter.window.holds(one.first_at_ns):
        first = one.first()
        if first.mask & DIFFERENCES:
            meter.ledger.spread(first.at_ns, first.at_ns, first.levels[1:], first.mask)


def _walk(meter: Meter, one: Incarnation) -> list[Span]:
    """Count the pieces and links of one incarnation in the window; the spans of its gaps that are filled."""
    chain, window = one.chain, meter.window
    downs = one.downs()
    estimated: list[Span] = []
    if one.started_ns is not None and one.first_at_ns >= window.from_ns:
        first = one.first()
        _link(meter, one, (start_of(first, one.started_ns), first), downs.get(one.low), estimated)
    _deleted_at_first(meter, one)
    runs = _runs(chain, one.low, one.high, _special(meter, one, downs))
    for run, following in zip(runs, (*runs[1:], None), strict=True):
        if window.holds(run.first.at_ns):
            _run(meter, chain, run, estimated)
        if following and _touches(run.last.at_ns, following.first.at_ns, window):
            if not chain.joined[run.end]:
                raise ValueError(f"timeline lacks segments of boot {chain.boot_id!r} after {run.last.at_ns}")
            _link(meter, one, (run.last, following.first), downs.get(following.begin), estimated)
    _edges_loaded(one, window)
    stopped = one.stopped_ns
    if stopped is not None and _touches(one.last_at_ns, stopped, window):
        last = one.last()
        levels = start_of(last, stopped).levels if last.mask & DIFFERENCES else last.levels
        end_point = Point(stopped, last.interval_ns, last.mask, levels)
        _link(meter, one, (last, end_point), None, estimated)
    return estimated


def _touches(a_ns: int, b_ns: int, window: Window) -> bool:
    """Whether a link can change the window: its usage, or what is found at its end."""
    return b_ns >= window.from_ns and a_ns < window.until_ns


def _edges_loaded(one: Incarnation, window: Window) -> None:
    """Nothing is lost in silence: an incarnation that goes on beyond the window must have its neighbours there loaded."""
    chain = one.chain
    if one.first_at_ns < window.from_ns <= one.last_at_ns and not (one.low < one.high and chain.first_at[one.low] < window.from_ns):
        raise ValueError(f"timeline lacks the sample of boot {chain.boot_id!r} before {window.from_ns}")
    if one.first_at_ns < window.until_ns <= one.last_at_ns and not (one.low < one.high and chain.last_at[one.high - 1] >= window.until_ns):
        raise ValueError(f"timeline lacks the sample of boot {chain.boot_id!r} after {window.until_ns}")


def _special(meter: Meter, one: Incarnation, downs: Iterable[int]) -> list[int]:
    """The pieces, by place, after which the link is not ordinary, in order."""
    chain, low, high = one.chain, one.low, one.high
    if high - low < 2:
        return []
    overlapped = any(begin < chain.last_at[high - 1] and end > chain.first_at[low] for begin, end in meter.newer)
    if overlapped:
        return list(range(low, high - 1))
    records = chain.records[low:high]
    first_at = np.array(chain.first_at[low:high], np.int64)
    last_at = np.array(chain.last_at[low:high], np.int64)
    larger = np.maximum(np.array(chain.last_interval[low : high - 1], np.int64), np.array(chain.first_interval[low + 1 : high], np.int64))
    limits = np.minimum(larger, LARGEST // max(meter.gap_after_intervals, 1)) * meter.gap_after_intervals
    unusual = first_at[1:] - last_at[:-1] > limits
    cell_ns = meter.ledger.cell_ns
    unusual |= first_at[1:] // cell_ns != last_at[:-1] // cell_ns
    if cell_ns < CELL_NS:  # then a piece may itself reach over a boundary
        over = first_at // cell_ns != last_at // cell_ns
        unusual |= over[1:] | over[:-1]
    unusual |= (records["first"][1:, 1:] < records["last"][:-1, 1:]).any(axis=1)
    unusual |= records["mask"][1:] != records["mask"][:-1]
    unusual |= (records["mask"][1:] & DIFFERENCES).astype(np.bool_)
    unusual |= ~np.array(chain.joined[low : high - 1], np.bool_)
    places = set((np.flatnonzero(unusual) + low).tolist())
    places.update(place - 1 for place in downs if place > low)
    for level in meter.ledger.levels:
        if level.deleted:
            place = bisect_left(chain.first_at, level.from_ns)
            if low < place < high:
                places.add(place - 1)
    return sorted(places)


class _Run(NamedTuple):
    """The pieces [begin, end] of one cell, which only ordinary links join: their first and last sample, and what they add up to."""

    begin: int
    end: int
    first: Point
    last: Point
    samples: int
    peak: int
    area: int


def _runs(chain: Chain, low: int, high: int, special: Sequence[int]) -> list[_Run]:
    """The pieces [low, high) as runs, each ending with a piece after which the link is special: one pass over all of them."""
    if low >= high:
        return []
    begins, ends = [low, *(place + 1 for place in special)], [*special, high - 1]
    records = chain.records[low:high]
    starts = np.array(begins, np.int64) - low
    firsts, lasts = chain.records["first"][begins].tolist(), chain.records["last"][ends].tolist()
    masks, peaks = chain.records["mask"][begins].tolist(), np.maximum.reduceat(records["peak"], starts).tolist()
    held = [
        level * (b - a)
        for level, a, b in zip(records["last"][:-1, 0].tolist(), chain.last_at[low:], chain.first_at[low + 1 : high], strict=False)
    ]
    areas = [small | large << 64 for small, large in records["area"].tolist()]
    return [
        _Run(
            begin,
            end,
            Point(chain.first_at[begin], chain.first_interval[begin], mask, first),
            Point(chain.last_at[end], chain.last_interval[end], mask, last),
            sum(chain.samples[begin : end + 1]),
            peak,
            sum(areas[begin - low : end + 1 - low]) + sum(held[begin - low : end - low]),
        )
        for begin, end, mask, first, last, peak in zip(begins, ends, masks, firsts, lasts, peaks, strict=True)
    ]


def _run(meter: Meter, chain: Chain, run: _Run, estimated: list[Span]) -> None:
    """Add a run of pieces."""
    ledger, first_at, last_at = meter.ledger, run.first.at_ns, run.last.at_ns
    cell_ns = ledger.cell_ns
    cell = first_at - first_at % cell_ns
    is_parted = last_at >= cell + cell_ns
    if not is_parted:
        ledger.measured(cell, run.first.mask, run.samples, run.peak)
    rises = list(map(sub, run.last.levels[1:], run.first.levels[1:]))
    counted = without((first_at, last_at), meter.newer)
    share, of = 1, 1
    if counted and counted != [(first_at, last_at)] and first_at < last_at:
        if run.begin != run.end or run.begin not in chain.closed:
            raise ValueError(f"the samples from {first_at} to {last_at} of boot {chain.boot_id!r} must be opened")
        # Its samples are gone: of its area as much is counted as of its time.
        share, of = sum(until - since for since, until in counted), last_at - first_at
        meter.finding(FindingCode.SAMPLES_GONE, first_at, chain.boot_id)
    row = [0] * WIDTH if is_parted else ledger.row(cell)
    if counted:
        row[MEMORY] += run.area * share // of
    for place in range(run.begin, run.end + 1) if chain.tails else ():
        tail = chain.tails.get(place)
        if tail is None:
            continue
        rises = list(map(add, rises, tail.extra))
        row[MEMORY_ESTIMATED] += tail.estimated * share // of if counted else 0
        estimated.extend(tail.gaps)
        for low, high in tail.gaps:
            meter.gap(low, high, Filled.INTERPOLATED)
        for fall in tail.falls:
            _fell(meter, chain.boot_id, fall.at_ns, fall.reset, fall.fell)
    for place, rise in enumerate(rises):
        row[place] += rise
    if is_parted:
        ledger.piece((first_at, last_at), run.first.mask, run.samples, run.peak, row)


def _fell(meter: Meter, boot_id: str, at_ns: int, reset: int, fell: int) -> None:
    if reset:
        meter.finding(FindingCode.COUNTER_RESET, at_ns, boot_id, reset)
    if fell:
        meter.finding(FindingCode.COUNTER_FELL, at_ns, boot_id, fell)


def _link(meter: Meter, one: Incarnation, ends: tuple[Point, Point], stop: int | None, estimated: list[Span]) -> None:
    """Count what lies between two neighbours; `stop` is the first stop at or after `a` and before `b`, if there is one."""
    a, b = ends
    boot_id, mask = one.chain.boot_id, a.mask & b.mask
    if (a.mask | b.mask) & DIFFERENCES:
        rises, counted = _told(a, b)
    else:
        before, reached = _counters(a, mask), _counters(b, mask)
        rises, counted = list(map(sub, reached, before)), mask
        if min(rises) < 0:
            reset, fell, extra = fallen(before, reached, boot_id != "")
            rises = list(map(add, rises, extra))
            _fell(meter, boot_id, b.at_ns, reset, fell)
    _deleted_between(meter, one, a, b)
    limit = meter.limit(a.interval_ns, b.interval_ns)
    until = b.at_ns if stop is None else stop
    silent = until - a.at_ns > limit
    is_plain = stop is None and not silent and not meter.newer and mask & _MEMORY_BIT
    if is_plain and meter.ledger.crossed(a.at_ns, b.at_ns, rises, a.levels[0], counted):
        return
    meter.ledger.spread(a.at_ns, b.at_ns, rises, counted)
    if silent:
        meter.gap(a.at_ns, until, Filled.INTERPOLATED)
        estimated.append((a.at_ns, until))
    if stop is not None:
        meter.finding(FindingCode.SAMPLE_AFTER_STOP, b.at_ns, boot_id)
        if b.at_ns - stop > limit:
            meter.gap(stop, b.at_ns, Filled.UNKNOWN, GapCause.RESOURCE_DOWN)
    if mask & _MEMORY_BIT and a.at_ns < until:
        high = b.levels[0] if silent and stop is None else a.levels[0]
        whole = (a.at_ns, until)
        meter.ledger.held(whole, without(whole, meter.newer), a.levels[0], high, silent)


def _counters(point: Point, mask: int) -> Sequence[int]:
    """The counters of a point; 0 of those that are not in a mask."""
    if mask == ALL_COLUMNS_MASK:
        return point.levels[1:]
    return [level if mask >> place & 1 else 0 for place, level in enumerate(point.levels[1:], start=_FIRST_COUNTER)]


def _told(a: Point, b: Point) -> tuple[list[int], int]:
    """What counters rose by where at least one of two neighbours tells differences, and which are counted.

    A difference tells the whole link. A sum after a difference is a baseline: nothing is known that it continues.
    """
    if not b.mask & DIFFERENCES:
        return [0] * len(COUNTERS), a.mask & b.mask
    return list(b.levels[1:]), b.mask


def _deleted_between(meter: Meter, one: Incarnation, a: Point, b: Point) -> None:
    """The first sample of an incarnation after the resource was deleted is a finding."""
    if meter.ledger.deletes and one.first_at_ns <= a.at_ns and b.at_ns <= one.last_at_ns:
        deleted = _deleted(meter, b.at_ns)
        if deleted is not None and deleted > a.at_ns:
            meter.finding(FindingCode.SAMPLE_AFTER_DELETE, b.at_ns, one.chain.boot_id)


def _deleted_at_first(meter: Meter, one: Incarnation) -> None:
    if _deleted(meter, one.first_at_ns) is not None:
        meter.finding(FindingCode.SAMPLE_AFTER_DELETE, one.first_at_ns, one.chain.boot_id)


def _deleted(meter: Meter, at_ns: int) -> int | None:
    """Since when the resource is deleted at an instant; None: it is not."""
    levels = meter.ledger.levels
    place = bisect_left(levels, at_ns + 1, key=lambda level: level.from_ns) - 1
    return levels[place].from_ns if place >= 0 and levels[place].deleted else None
