"""The dates on which cycles begin: from a start and a billing day, by local dates (billing.md, Subscriptions and periods).

A cycle date is the billing day of a month, the last day of a month that is too short, and the billing day again in the next. Cycles
of days and weeks know no billing day: they are counted from their start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count, takewhile

from tallystick.model.billing.price_book import Cycle
from tallystick.model.calendar import add_months

INTERVALS: Mapping[str, Cycle] = {
    "daily": Cycle(unit="day"),
    "weekly": Cycle(unit="week"),
    "biweekly": Cycle(unit="week", count=2),
    "thirty_days": Cycle(unit="day", count=30),
    "thirty_one_days": Cycle(unit="day", count=31),
    "sixty_days": Cycle(unit="day", count=60),
    "ninety_days": Cycle(unit="day", count=90),
    "monthly": Cycle(unit="month"),
    "bimonthly": Cycle(unit="month", count=2),
    "quarterly": Cycle(unit="month", count=3),
    "triannual": Cycle(unit="month", count=4),
    "semiannual": Cycle(unit="month", count=6),
    "annual": Cycle(unit="year"),
    "sesquiennial": Cycle(unit="month", count=18),
    "biennial": Cycle(unit="year", count=2),
    "triennial": Cycle(unit="year", count=3),
}
"""Cycles by the names that contracts have for them. A price book takes fewer: what has periods on the calendar."""

DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "year": 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is due in arrears: until which date (None: nothing is), and the next cycle date after it."""

    billed_until: date | None
    next_cycle_date: date

    @property
    def is_something(self) -> bool:
        """Whether there is anything to bill."""
        return self.billed_until is not None


def advance(day: date, cycle: Cycle, times: int = 1, billing_day: int | None = None) -> date:
    """The date so many cycles later, or earlier, on the same day of the month, or on `billing_day`.

    2026-01-31 and one month is 2026-02-28, and two are 2026-03-31.

    Raises:
        ValueError: the unit of the cycle has no dates.

    """
    if cycle.unit in DAYS:
        return day + timedelta(days=DAYS[cycle.unit] * cycle.count * times)
    if cycle.unit in MONTHS:
        return add_months(day, MONTHS[cycle.unit] * cycle.count * times, billing_day)
    raise ValueError(f"cycle unit {cycle.unit!r} is not one of {', '.join([*DAYS, *MONTHS])}")


def first_cycle_date(start: date, cycle: Cycle, billing_day: int) -> date:
    """The first cycle date on or after the start: the billing day of its month, or else of one cycle later.

    A year from 2012-01-31 with billing day 30 begins its first whole cycle on 2013-01-30.

    Raises:
        ValueError: the billing day is none of a month.

    """
    if cycle.unit in DAYS:
        return start
    if not 1 <= billing_day <= 31:
        raise ValueError(f"billing day {billing_day} is not one of 1 to 31")
    day = add_months(start, 0, billing_day)
    return day if day >= start else advance(day, cycle, 1, billing_day)


def cycle_dates(start: date, cycle: Cycle, billing_day: int) -> Iterator[date]:
    """Every cycle date on or after the start, in order, without end."""
    first = first_cycle_date(start, cycle, billing_day)
    return (advance(first, cycle, times, billing_day) for times in count())


def next_cycle_date(day: date, cycle: Cycle, billing_day: int) -> date:
    """Where the cycle ends that begins on a day, a whole one on a billing day, otherwise a stub: the first cycle date after it."""
    return next(each for each in cycle_dates(day, cycle, billing_day) if each > day)


def elapsed_cycles(start: date, at: date, cycle: Cycle, billing_day: int) -> int:
    """How many cycles are over at a date, a stub at the start being one: a cycle is over on the date of its end."""
    return sum(each > start for each in takewhile(lambda each: each <= at, cycle_dates(start, cycle, billing_day)))


def whole_periods(from_day: date, until_day: date, cycle: Cycle) -> int:
    """How many whole cycles fit between two dates, counted from the first."""
    return sum(1 for _ in takewhile(lambda times: advance(from_day, cycle, times) <= until_day, count(1)))


def arrears_due(start: date, end: date | None, as_of: date, cycle: Cycle, billing_day: int) -> Due:
    """What a service from `start` until `end` (not yet known: None) owes at a date when it is billed in arrears.

    All of it once it has ended, before that until the last cycle date. From 2012-01-16 with billing day 18, ended on 2012-02-16:
    at 2012-02-18 until that end, at 2012-02-01 until 2012-01-18.
    """
    dates = cycle_dates(start, cycle, billing_day)
    passed = [each for each in takewhile(lambda each: each <= as_of, dates) if each > start]
    until = passed[-1] if passed else None
    if end is not None and end <= as_of:
        until = end
    after = start if until is None else until
    return Due(billed_until=until, next_cycle_date=next(each for each in cycle_dates(start, cycle, billing_day) if each > after))
