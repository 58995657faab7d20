"""What single readings of a counter or gauge tell of a window, without a guess between them (metering.md, Between two samples).

These are for values that arrive as readings of their own (a query of another system, an event). Samples of agents are folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tallystick.meter.summaries.events import Event, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A value at an instant. `started_ns`: since when a counter counts, from 0; None: not told."""

    at_ns: int
    value: Fraction
    started_ns: int | None = None


def growth(before: Fraction, value: Fraction) -> Fraction:
    """How much a counter grew from one reading to the next: a lower value was counted from 0."""
    return value if value < before else value - before


def increase(readings: Iterable[Reading], from_ns: int, until_ns: int) -> Fraction | None:
    """How much a counter grew in (from_ns, until_ns]; None without a reading inside.

    It is counted from the last reading at or before the window's start, and where there is none from the first inside. A start that
    was told of and lies after the reading before is a reading of 0.
    """
    anchored = _anchored(_with_starts(readings), from_ns, until_ns)
    if anchored is None:
        return None
    return sum((growth(a.value, b.value) for a, b in pairwise(anchored)), Fraction(0))


def change(readings: Iterable[Reading], from_ns: int, until_ns: int) -> Fraction | None:
    """How much a gauge changed in (from_ns, until_ns], from the same reading on; None without a reading inside."""
    anchored = _anchored(_ordered(readings), from_ns, until_ns)
    return None if anchored is None else anchored[-1].value - anchored[0].value


def resets(readings: Iterable[Reading], from_ns: int, until_ns: int) -> int:
    """How often a counter fell between neighbours that are both in (from_ns, until_ns]."""
    window = Window(from_ns=from_ns, until_ns=until_ns, until_included=True)
    inside = [reading for reading in _ordered(readings) if window.holds(reading.at_ns)]
    return sum(b.value < a.value for a, b in pairwise(inside))


def steps(readings: Iterable[Reading]) -> list[Event]:
    """The change from each reading to the next, at the instant of the later."""
    return [Event(at_ns=b.at_ns, value=b.value - a.value) for a, b in pairwise(_ordered(readings))]


def _ordered(readings: Iterable[Reading]) -> list[Reading]:
    return sorted(readings, key=lambda reading: reading.at_ns)


def _with_starts(readings: Iterable[Reading]) -> list[Reading]:
    """The readings in order, with one of 0 at each start that lies after the reading before."""
    found: list[Reading] = []
    for reading in _ordered(readings):
        start_ns = reading.started_ns
        if start_ns is not None and (not found or found[-1].at_ns < start_ns) and start_ns < reading.at_ns:
            found.append(Reading(at_ns=start_ns, value=Fraction(0)))
        found.append(reading)
    return found


def _anchored(readings: Sequence[Reading], from_ns: int, until_ns: int) -> list[Reading] | None:
    """The readings inside, behind the last one at or before the start; None without any inside."""
    inside = [reading for reading in readings if from_ns < reading.at_ns <= until_ns]
    before = [reading for reading in readings if reading.at_ns <= from_ns]
    return [*before[-1:], *inside] if inside else None
