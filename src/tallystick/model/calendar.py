"""Local calendars by IANA zones: where local dates and months begin, as instants (metering.md, usage day; billing.md, Periods).

A local day is all instants of its date and begins at the first of them: in some zones midnight comes twice or not at all.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

from tallystick.model.instants import CELL_NS, DAY_NS, HOUR_NS, SECOND_NS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_SKIP_SECONDS = 26 * 3600
A_SUNDAY = date(1970, 1, 4)
"""Where a grid of weeks that begin on Sunday is hung up."""


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name.

    Raises:
        ValueError: no such zone.

    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"time zone {name!r} is not an IANA name such as Europe/Berlin") from None


def _local(second: int, where: ZoneInfo) -> datetime:
    return (EPOCH + timedelta(seconds=second)).astimezone(where)


def local_date(at_ns: int, zone_name: str) -> date:
    """The local date of an instant."""
    return _local(at_ns // SECOND_NS, zone(zone_name)).date()


@lru_cache(maxsize=65536)
def day_start(day: date, zone_name: str) -> int:
    """The first instant of a local date; of a date that a zone skips, the first instant after it.

    America/Sao_Paulo 2018-11-04, where 00:00 did not exist, begins at 01:00 local, 03:00 UTC.

    Raises:
        ValueError: no such zone, or the day begins inside a five-minute cell (local mean times before about 1920).

    """
    where = zone(zone_name)
    midnight = datetime(day.year, day.month, day.day, tzinfo=where)
    since = midnight.replace(tzinfo=UTC) - (midnight.utcoffset() or timedelta()) - EPOCH
    second = since.days * 86400 + since.seconds
    if _local(second - 1, where).date() >= day:
        # Midnight fell into a gap that began before it: the day begins where the clock jumped.
        low, second = second - LONGEST_SKIP_SECONDS, second - 1
        while second - low > 1:
            middle = (low + second) // 2
            low, second = (low, middle) if _local(middle, where).date() >= day else (middle, second)
    if second * SECOND_NS % CELL_NS:
        raise ValueError(f"time zone {zone_name!r}: the day {day} begins inside a five-minute cell, which no period can")
    return second * SECOND_NS


def next_day(day: date) -> date:
    """The date after it."""
    return day + timedelta(days=1)


@lru_cache(maxsize=4096)
def month_of(at_ns: int, zone_name: str) -> tuple[int, int]:
    """The calendar month [start, end) of a zone that holds an instant, as instants: 743 h for a March with a clock change."""
    first = local_date(at_ns, zone_name).replace(day=1)
    return day_start(first, zone_name), day_start(add_months(first, 1), zone_name)


def add_months(day: date, months: int, day_of_month: int | None = None) -> date:
    """The date `months` later on the same day, or on `day_of_month`; the last day of a month that is too short.

    2024-01-31 + 1 is 2024-02-29, + 2 is 2024-03-31: count from the anchor, and the 31st returns.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    last = (following - timedelta(days=1)).day
    return date(year, month + 1, min(day_of_month or day.day, last))


def local_days(zone_name: str, from_ns: int, until_ns: int) -> int:
    """How many local dates have an instant in [from_ns, until_ns)."""
    if from_ns >= until_ns:
        return 0
    return days_between(zone_name, from_ns, until_ns - 1) + 1


def days_between(zone_name: str, from_ns: int, until_ns: int) -> int:
    """How many local dates an instant is after another: 0 on one date, 1 from one minute before midnight to one after it."""
    return (local_date(until_ns, zone_name) - local_date(from_ns, zone_name)).days


def day_hours(day: date, zone_name: str) -> Fraction:
    """How long a local day is, in hours: 24, or 23, 25, 47/2 and so on where the clock changes; 0 for a date that a zone skips.

    Raises:
        ValueError: no such zone, or a day that begins inside a five-minute cell.

    """
    return Fraction(day_start(next_day(day), zone_name) - day_start(day, zone_name), HOUR_NS)


def grid_floor(at: datetime, step: timedelta, first: date) -> datetime:
    """The last point at or before a local time, of those every `step` from local midnight of `first` on, in both directions.

    Days for a step of a day, weeks from Sunday for seven days and a Sunday.

    Raises:
        ValueError: the step is not above 0.

    """
    if step <= timedelta():
        raise ValueError(f"a grid needs a step above 0, got {step}")
    return at - (at - datetime.combine(first, time())) % step


def grid_ceiling(at: datetime, step: timedelta, first: date) -> datetime:
    """The first point of that grid at or after a local time: itself if it is one."""
    below = grid_floor(at, step, first)
    return at if at == below else below + step


def equal_windows(zone_name: str, from_ns: int, until_ns: int, step_ns: int) -> tuple[tuple[int, int], ...]:
    """[from_ns, until_ns) in windows of one length, the first of which begins on the grid of local midnight.

    Raises:
        ValueError: the step is not above 0, the span is no multiple of it, or begins off the grid.

    """
    if step_ns <= 0:
        raise ValueError(f"windows need a length above 0, got {step_ns} ns")
    if from_ns > until_ns or (until_ns - from_ns) % step_ns:
        raise ValueError(f"a span of {until_ns - from_ns} ns is no multiple of {step_ns} ns")
    since_midnight_ns = from_ns - day_start(local_date(from_ns, zone_name), zone_name)
    if since_midnight_ns % min(step_ns, DAY_NS):
        raise ValueError(f"a span that begins {since_midnight_ns} ns after local midnight is off the grid of {step_ns} ns")
    return tuple((begin_ns, begin_ns + step_ns) for begin_ns in range(from_ns, until_ns, step_ns))


def in_daily_window(minute: int, from_minute: int, until_minute: int) -> bool:
    """Whether a minute of the day lies in a window of every day, [from, until): 22:00 to 06:00 goes over midnight.

    Equal bounds hold nothing; the whole day is from 0 to 1440.
    """
    if from_minute <= until_minute:
        return from_minute <= minute < until_minute
    return minute >= from_minute or minute < until_minute
