"""Thinned batches on the server: a claim of a host, checked as far as it can be, and made into segments (docs/thinned.md)."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

from tallystick.meter.fold import fallen, interpolated
from tallystick.meter.segments import HAS_TAIL, NO_TAIL, Fall, Tail, halves, pack_tail
from tallystick.meter.thin.host import FallenPair, SilentPair, Thinned, ThinnedSegment, counters_of
from tallystick.model.instants import CELL_NS, cell_end, cell_start
from tallystick.model.outcomes import Refusal, RefusalCode
from tallystick.model.samples import ALL_COLUMNS_MASK, COLUMNS, COUNTERS, FUTURE_LIMIT_NS, GAP_AFTER_INTERVALS, LARGEST
from tallystick.model.timeline import Segment

HASH_BYTES = 32
_RECORD = Struct("<HHI8q8qq2Q")
"""As `segments.RECORD`: mask, flags, pad, first, last, peak, area."""
_HAS_MEMORY = 2
_COUNTER_BITS = 2


def refusal(
    claim: Thinned, interval_ns: int, received_at_ns: int, *, most_samples: int, future_limit_ns: int = FUTURE_LIMIT_NS
) -> Refusal | None:
    """The first thing in a claim that no valid samples could fold into, by segment, or None.

    The interval is positive. An index is the number of the segment.
    """
    if len(claim.content_hash) != HASH_BYTES:
        return _no("content_hash", f"{len(claim.content_hash)} bytes, not {HASH_BYTES}")
    if not claim.presence & 1 or claim.presence & ~ALL_COLUMNS_MASK:
        return _no("presence", f"{claim.presence:#x}")
    if not claim.segments:
        return Refusal(code=RefusalCode.WRONG_LENGTH, field="thinned.segments", value="0")
    if claim.samples > most_samples:
        return Refusal(code=RefusalCode.TOO_LARGE, field="thinned", value=f"{claim.samples} samples")
    for index, segment in enumerate(claim.segments):
        checked = _Checked(segment, claim.presence, GAP_AFTER_INTERVALS * interval_ns)
        earlier = claim.segments[index - 1] if index else None
        fault = next(checked.faults(earlier), None)
        if fault is not None:
            return Refusal(code=RefusalCode.OUT_OF_RANGE, field=f"thinned.segments.{fault[0]}", index=index, value=fault[1])
        if segment.last_at_ns > received_at_ns + future_limit_ns:
            return Refusal(code=RefusalCode.FUTURE, field="thinned.segments.last_at", index=index, value=str(segment.last_at_ns))
    return None


def _no(field: str, value: str) -> Refusal:
    return Refusal(code=RefusalCode.OUT_OF_RANGE, field=f"thinned.{field}", value=value)


class _Checked:
    """One segment of a claim while it is looked through."""

    def __init__(self, segment: ThinnedSegment, presence: int, limit_ns: int) -> None:
        self._one = segment
        self._limit_ns = limit_ns
        self._columns = (presence >> 1).bit_count()
        self._has_memory = bool(presence & _HAS_MEMORY)
        self._counters = presence >> _COUNTER_BITS

    def faults(self, earlier: ThinnedSegment | None) -> Iterator[tuple[str, str]]:
        """What is wrong, as (field, value); what follows relies on what was found right before."""
        yield from self._time(earlier)
        yield from self._values()
        yield from self._gaps()
        yield from self._falls()
        yield from self._memory()

    def _time(self, earlier: ThinnedSegment | None) -> Iterator[tuple[str, str]]:
        one = self._one
        if not 0 < one.first_at_ns <= LARGEST or (earlier is not None and one.first_at_ns < cell_end(earlier.last_at_ns)):
            yield "first_at", str(one.first_at_ns)
        if not one.first_at_ns <= one.last_at_ns < min(cell_start(one.first_at_ns) + CELL_NS, LARGEST + 1):
            yield "last_at", str(one.last_at_ns)
        steps = one.samples - 1
        if steps < 0 or (steps == 0) != (one.first_at_ns == one.last_at_ns) or steps > one.last_at_ns - one.first_at_ns:
            yield "samples", str(one.samples)

    def _values(self) -> Iterator[tuple[str, str]]:
        one = self._one
        for name, values in (("first", one.first), ("last", one.last)):
            if len(values) != self._columns:
                yield name, f"{len(values)} values, not {self._columns}"
            yield from ((name, str(value)) for value in values if not 0 <= value <= LARGEST)
        if one.samples == 1 and one.first != one.last:
            yield "last", str(one.last[0] if one.last else 0)

    def _gaps(self) -> Iterator[tuple[str, str]]:
        one, rest_ns, steps = self._one, self._one.last_at_ns - self._one.first_at_ns, self._one.samples - 1
        known = (one.first_at_ns, self._level(one.first))
        for gap in one.gaps:
            if not known[0] <= gap.from_ns < gap.until_ns <= one.last_at_ns or gap.until_ns - gap.from_ns <= self._limit_ns:
                yield "gaps", f"{gap.from_ns} to {gap.until_ns}"
                return
            ends = [known, (one.last_at_ns, self._level(one.last))]
            for at_ns, level in ((gap.from_ns, gap.memory_from), (gap.until_ns, gap.memory_until)):
                if not 0 <= level <= one.peak or any(at_ns == end_ns and level != wanted for end_ns, wanted in ends):
                    yield "gaps", f"memory {level} at {at_ns}"
            rest_ns -= gap.until_ns - gap.from_ns
            steps -= 1
            known = (gap.until_ns, gap.memory_until)
        if not steps <= rest_ns <= steps * self._limit_ns:
            yield "gaps", f"{rest_ns} ns in {steps} steps"

    def _falls(self) -> Iterator[tuple[str, str]]:
        one = self._one
        numbers = counters_of(self._counters)
        skip = int(self._has_memory)
        level = dict(zip(numbers, one.first[skip:], strict=True))
        last = dict(zip(numbers, one.last[skip:], strict=True))
        before_ns = one.first_at_ns
        for fall in one.falls:
            named = counters_of(fall.counters)
            hidden = any(gap.from_ns < fall.at_ns < gap.until_ns for gap in one.gaps)
            if not before_ns < fall.at_ns <= one.last_at_ns or hidden or not fall.counters or fall.counters & ~self._counters:
                yield "falls", f"counters {fall.counters:#x} at {fall.at_ns}"
                return
            if not len(fall.before) == len(fall.after) == len(named):
                yield "falls", f"{len(fall.before)} values before and {len(fall.after)} after, not {len(named)}"
                return
            for counter, before, after in zip(named, fall.before, fall.after, strict=True):
                is_end = fall.at_ns == one.last_at_ns and after != last[counter]
                if not level[counter] <= before <= LARGEST or not 0 <= after < before or is_end:
                    yield "falls", f"{COUNTERS[counter]} {before} to {after} at {fall.at_ns}"
                level[counter] = after
            before_ns = fall.at_ns
        if len(one.falls) >= one.samples:
            yield "falls", f"{len(one.falls)} among {one.samples} samples"
        for number in numbers:
            if last[number] < level[number]:
                yield "last", f"{COUNTERS[number]} {last[number]}"

    def _memory(self) -> Iterator[tuple[str, str]]:
        one = self._one
        shown = [self._level(one.first), self._level(one.last)]
        shown += [level for gap in one.gaps for level in (gap.memory_from, gap.memory_until)]
        if not max(shown) <= one.peak <= LARGEST or (one.samples <= 2 and one.peak > max(shown)) or (one.peak and not self._has_memory):
            yield "memory_peak", str(one.peak)
        rest_ns = one.last_at_ns - one.first_at_ns - sum(gap.until_ns - gap.from_ns for gap in one.gaps)
        is_known = one.samples == 2 and one.held != self._level(one.first) * rest_ns
        if not 0 <= one.held <= one.peak * rest_ns or is_known:
            yield "memory_held", str(one.held)

    def _level(self, values: tuple[int, ...]) -> int:
        return values[0] if self._has_memory and values else 0


def segments_of(claim: Thinned, interval_ns: int, boot_known: bool) -> tuple[Segment, ...]:
    """The segments of a claim that was not refused: what its samples would have folded into."""
    return tuple(
        Segment(
            cell_ns=cell_start(one.first_at_ns),
            first_at_ns=one.first_at_ns,
            last_at_ns=one.last_at_ns,
            samples=one.samples,
            interval_ns=interval_ns,
            block=_block(one, claim.presence, boot_known),
        )
        for one in claim.segments
    )


def _block(one: ThinnedSegment, presence: int, boot_known: bool) -> bytes:
    tail = NO_TAIL
    estimated = sum(map(_area, one.gaps))
    extra = [0] * len(COUNTERS)
    falls = []
    for fall in one.falls:
        reset, fell, more = _fallen(fall, boot_known)
        falls.append(Fall(fall.at_ns, reset, fell))
        extra = [a + b for a, b in zip(extra, more, strict=True)]
    if one.gaps or falls:
        tail = Tail(tuple((gap.from_ns, gap.until_ns) for gap in one.gaps), tuple(falls), estimated, tuple(extra))
    flags = HAS_TAIL if tail is not NO_TAIL else 0
    first, last = _all_levels(one.first, presence), _all_levels(one.last, presence)
    record = _RECORD.pack(presence, flags, 0, *first, *last, one.peak, *halves(one.held + estimated))
    return record + (pack_tail(tail) if flags else b"")


def _area(gap: SilentPair) -> int:
    return interpolated(gap.memory_from, gap.memory_until, gap.until_ns - gap.from_ns)


def _fallen(fall: FallenPair, boot_known: bool) -> tuple[int, int, tuple[int, ...]]:
    values = [[0] * len(COUNTERS), [0] * len(COUNTERS)]
    for counter, before, after in zip(counters_of(fall.counters), fall.before, fall.after, strict=True):
        values[0][counter], values[1][counter] = before, after
    return fallen(values[0], values[1], boot_known)


def _all_levels(values: tuple[int, ...], presence: int) -> list[int]:
    """Memory and all counters; what is absent is 0."""
    given = iter(values)
    return [next(given) if presence >> number & 1 else 0 for number in range(1, len(COLUMNS))]
