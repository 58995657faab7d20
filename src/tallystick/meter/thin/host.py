"""Samples into what billing needs of them, in plain integers: for a host whose spool is full (docs/thinned.md).

The host's side of `fold`, without NumPy; both are held equal, block by block, by a property. What it makes is a claim: the server
checks it (`claims`) and derives from it what a segment holds.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from operator import gt, mul, sub
from struct import Struct

from tallystick.model.instants import CELL_NS
from tallystick.model.samples import COLUMNS, GAP_AFTER_INTERVALS

_MASK = Struct("<H")
_INTERVAL = Struct("<q")
_MEMORY = 1
FIRST_COUNTER = 2
"""Columns by number: instants, memory, then the counters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentPair:
    """Two neighbouring samples more than ten intervals apart: their instants and memory."""

    from_ns: int
    until_ns: int
    memory_from: int
    memory_until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FallenPair:
    """Two neighbouring samples of which counters fell: the later instant, which counters (bit i is counter i), and their values."""

    at_ns: int
    counters: int
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinnedSegment:
    """What the samples of one cell fold into; `first` and `last` are of the present columns after the instants, in their order.

    `held` is memory x time between samples that are not silent, byte·ns.
    """

    first_at_ns: int
    last_at_ns: int
    samples: int
    first: tuple[int, ...]
    last: tuple[int, ...]
    peak: int
    held: int
    gaps: tuple[SilentPair, ...] = ()
    falls: tuple[FallenPair, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinned:
    """A batch without its samples: the hash of its content, which columns it had, and a segment for each cell, in order."""

    content_hash: bytes
    presence: int
    segments: tuple[ThinnedSegment, ...]

    @property
    def samples(self) -> int:
        """How many samples there were."""
        return sum(segment.samples for segment in self.segments)


def thin(columns: Mapping[int, array[int]], interval_ns: int) -> Thinned:
    """Thin valid samples: values by the number of their column, all of one length of at least 1, column 0 the rising instants."""
    at = columns[0]
    segments = []
    low = 0
    while low < len(at):
        high = bisect_left(at, at[low] - at[low] % CELL_NS + CELL_NS, low)
        segments.append(_segment({number: values[low:high] for number, values in columns.items()}, interval_ns))
        low = high
    presence = sum(1 << number for number in columns)
    return Thinned(content_hash=_content_hash(columns, interval_ns), presence=presence, segments=tuple(segments))


def _content_hash(columns: Mapping[int, array[int]], interval_ns: int) -> bytes:
    """The hash of `content`, of values that are little-endian in memory, as on every host that is metered."""
    numbers = sorted(columns)
    digest = sha256(_MASK.pack(sum(1 << number for number in numbers)))
    for number in numbers:
        digest.update(columns[number])
    digest.update(_INTERVAL.pack(interval_ns))
    return digest.digest()


def _segment(columns: Mapping[int, array[int]], interval_ns: int) -> ThinnedSegment:
    at, memory = columns[0], columns.get(_MEMORY)
    numbers = [number for number in sorted(columns) if number]
    spans = list(map(sub, islice(at, 1, None), at))
    limit = GAP_AFTER_INTERVALS * interval_ns
    gaps = []
    if spans and max(spans) > limit:
        for place in [place for place, span in enumerate(spans) if span > limit]:
            levels = (memory[place], memory[place + 1]) if memory else (0, 0)
            gaps.append(SilentPair(from_ns=at[place], until_ns=at[place + 1], memory_from=levels[0], memory_until=levels[1]))
            spans[place] = 0
    return ThinnedSegment(
        first_at_ns=at[0],
        last_at_ns=at[-1],
        samples=len(at),
        first=tuple(columns[number][0] for number in numbers),
        last=tuple(columns[number][-1] for number in numbers),
        peak=max(memory) if memory else 0,
        held=sum(map(mul, memory, spans)) if memory else 0,
        gaps=tuple(gaps),
        falls=_falls(columns),
    )


def _falls(columns: Mapping[int, array[int]]) -> tuple[FallenPair, ...]:
    lower: dict[int, int] = {}
    for number in range(FIRST_COUNTER, len(COLUMNS)):
        values = columns.get(number)
        if values is not None and any(map(gt, values, islice(values, 1, None))):
            for place in range(1, len(values)):
                if values[place] < values[place - 1]:
                    lower[place] = lower.get(place, 0) | 1 << (number - FIRST_COUNTER)
    return tuple(_fall(columns, place, lower[place]) for place in sorted(lower))


def _fall(columns: Mapping[int, array[int]], place: int, counters: int) -> FallenPair:
    fallen = [columns[FIRST_COUNTER + counter] for counter in counters_of(counters)]
    before, after = (tuple(values[at] for values in fallen) for at in (place - 1, place))
    return FallenPair(at_ns=columns[0][place], counters=counters, before=before, after=after)


def counters_of(mask: int) -> Sequence[int]:
    """The counters that a mask names, in order."""
    return [counter for counter in range(len(COLUMNS) - FIRST_COUNTER) if mask >> counter & 1]
