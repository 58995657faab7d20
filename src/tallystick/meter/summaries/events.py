"""From single events to a quantity: a function over their values, of all, of a window, or of every window (metering.md, custom meters).

All is exact but the standard deviation, which is irrational and is rounded half up at 12 decimals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from tallystick.model.billing.ranks import interpolated

Value = Fraction | str
"""A number, or an id where only different ones are counted."""

DEVIATION_DECIMALS = 12
PERCENTILE = re.compile(r"p([0-9]{1,3}(?:\.[0-9]+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A value at an instant; `group` where groups are told apart."""

    at_ns: int
    value: Value
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The instants in [from_ns, until_ns); with `until_included` those in (from_ns, until_ns], as Prometheus looks back."""

    from_ns: int
    until_ns: int
    until_included: bool = False

    def holds(self, at_ns: int) -> bool:
        """Whether an instant is inside: one on a boundary is in one of two neighbours, never in both."""
        if self.until_included:
            return self.from_ns < at_ns <= self.until_ns
        return self.from_ns <= at_ns < self.until_ns


def aggregate(function: str, events: Iterable[Event], window: Window | None = None) -> Fraction | None:
    """A function over the values of events, of all or of those in a window; None where there is nothing that it could tell.

    `count`, `sum` and `unique` of nothing are 0. `first` and `last` go by instant, and by order where that is the same. `p95` is a
    percentile with linear interpolation, `deviation` that of a sample, of two values or more.

    Raises:
        ValueError: no such function, or a value that is no number for one that needs numbers.

    """
    inside = [event for event in events if window is None or window.holds(event.at_ns)]
    return of_values(function, [event.value for event in sorted(inside, key=lambda event: event.at_ns)])


def quantity(function: str, events: Iterable[Event], window: Window | None = None) -> Fraction:
    """What events come to when they are billed: as `aggregate`, and 0 where nothing came.

    Raises:
        ValueError: as `aggregate` says.

    """
    return aggregate(function, events, window) or Fraction(0)


def of_values(function: str, values: Sequence[Value]) -> Fraction | None:
    """The same over bare values, in order of time."""
    if function in COUNTS:
        return Fraction(COUNTS[function](values))
    if wrong := next((value for value in values if isinstance(value, str)), None):
        raise ValueError(f"value {wrong!r} is no number, which {function!r} needs")
    numbers = [value for value in values if isinstance(value, Fraction)]
    if function == "sum":
        return sum(numbers, Fraction(0))
    rule = NUMBERS.get(function)
    if rule is None:
        percentile = PERCENTILE.fullmatch(function)
        if percentile is None:
            known = ", ".join([*COUNTS, "sum", *NUMBERS])
            raise ValueError(f"function {function!r} is none of {known}, nor a percentile such as p95")
        return interpolated(numbers, Fraction(percentile[1])) if numbers else None
    return rule(numbers) if numbers else None


def windowed(function: str, events: Iterable[Event], width_ns: int) -> list[tuple[int, Fraction]]:
    """A function over each window of a width, as (start, value), in order. Windows begin at multiples of the width since 1970.

    A window without events is not there, nor one of which the function can tell nothing.

    Raises:
        ValueError: the width is not above 0, or as `aggregate` says.

    """
    if width_ns <= 0:
        raise ValueError(f"windows need a width above 0, got {width_ns} ns")
    parted: dict[int, list[Event]] = {}
    for event in events:
        parted.setdefault(event.at_ns // width_ns * width_ns, []).append(event)
    values = ((start_ns, aggregate(function, parted[start_ns])) for start_ns in sorted(parted))
    return [(start_ns, value) for start_ns, value in values if value is not None]


def windowed_by_group(function: str, events: Iterable[Event], width_ns: int) -> list[tuple[int, Fraction]]:
    """As `windowed`, with the function over each group of a window, and the groups added up: the peaks of many machines together."""
    groups: dict[str, list[Event]] = {}
    for event in events:
        groups.setdefault(event.group, []).append(event)
    sums: dict[int, Fraction] = {}
    for group in groups.values():
        for start_ns, value in windowed(function, group, width_ns):
            sums[start_ns] = sums.get(start_ns, Fraction(0)) + value
    return sorted(sums.items())


def evenly_spaced(first_ns: int, last_ns: int, every_ns: int) -> range:
    """The instants of a source that reads every `every_ns`, from the first until the last, both of them being readings.

    Raises:
        ValueError: the distance is not above 0.

    """
    if every_ns <= 0:
        raise ValueError(f"readings need a distance above 0, got {every_ns} ns")
    return range(first_ns, last_ns + 1, every_ns)


def _mean(values: Sequence[Fraction]) -> Fraction:
    return Fraction(sum(values, Fraction(0)), len(values))


def _deviation(values: Sequence[Fraction]) -> Fraction | None:
    if len(values) < 2:
        return None
    mean = _mean(values)
    variance = Fraction(sum(((value - mean) ** 2 for value in values), Fraction(0)), len(values) - 1)
    scale = 10**DEVIATION_DECIMALS
    return Fraction((isqrt(int(4 * variance * scale * scale)) + 1) // 2, scale)


COUNTS: Mapping[str, Callable[[Sequence[Value]], int]] = {"count": len, "unique": lambda values: len(set(values))}
NUMBERS: Mapping[str, Callable[[Sequence[Fraction]], Fraction | None]] = {
    "min": min,
    "max": max,
    "mean": _mean,
    "median": lambda values: interpolated(values, Fraction(50)),
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "deviation": _deviation,
}
