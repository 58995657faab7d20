"""How long runs count: rounded up to an increment, never less than a minimum (billing.md, `increment` and `minimum` per run)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from tallystick.model.instants import DAY_NS, HOUR_NS

THIRTY_DAYS_NS = 30 * DAY_NS
"""A month where bills say that it is one of 30 days."""


class Align(StrEnum):
    """Where increments begin: with each run, or on the clock, where every one that a run touches counts in full."""

    START = "start"
    CLOCK = "clock"


def run_ns(run: tuple[int, int], increment_ns: int = 1, minimum_ns: int = 0, align: Align = Align.START) -> int:
    """The billed length of one run [start, end): 61 s by 60 s are 120 s, and at least `minimum_ns` of what ran at all.

    Raises:
        ValueError: it ends before it starts, or an increment that is not above 0.

    """
    start_ns, end_ns = run
    if end_ns < start_ns:
        raise ValueError(f"a run ends at {end_ns}, before its start {start_ns}")
    if increment_ns < 1:
        raise ValueError(f"an increment of {increment_ns} ns is not above 0")
    if start_ns == end_ns:
        return 0
    begin = start_ns if align is Align.START else start_ns - start_ns % increment_ns
    return max(-(-(end_ns - begin) // increment_ns) * increment_ns, minimum_ns)


def billable_ns(runs: Iterable[tuple[int, int]], increment_ns: int = 1, minimum_ns: int = 0, align: Align = Align.START) -> int:
    """The billed length of runs, each by itself: five of five minutes by the hour are five hours."""
    return sum(run_ns(run, increment_ns, minimum_ns, align) for run in runs)


def hours_of_days(first: int, last: int) -> int:
    """The hours of numbered days of 24 h, both ends in: day 13 to day 30 are 432.

    Raises:
        ValueError: the last is before the first.

    """
    if last < first:
        raise ValueError(f"day {last} is before day {first}")
    return (last - first + 1) * DAY_NS // HOUR_NS


def samples_in(span_ns: int, interval_ns: int) -> int:
    """How many samples at an even distance begin in a span: 600 in 60 s at 100 ms.

    Raises:
        ValueError: an interval that is not above 0.

    """
    if interval_ns < 1:
        raise ValueError(f"an interval of {interval_ns} ns is not above 0")
    return -(-span_ns // interval_ns)
