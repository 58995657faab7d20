"""Billing periods in the customer's zone, computed with IANA zones: calendar or anniversary (billing.md, Subscriptions and periods)."""

from __future__ import annotations

from datetime import date, timedelta

from tallystick.model.billing.contracts import Period
from tallystick.model.billing.price_book import Cycle
from tallystick.model.calendar import add_months, day_start, local_date, next_day
from tallystick.model.instants import HOUR_NS

MONTHS = {"month": 1, "year": 12}


def period_at(cycle: Cycle, anchor_ns: int, zone: str, at_ns: int) -> Period:
    """The billing period that holds an instant.

    Periods begin at the first instant of a local date (hourly ones at each hour of the local day). On the calendar: weeks
    on Monday, n months where the months since January of year 0 divide by n, years in January. On an anniversary: the
    anchor's local date; the 31st becomes the last day of a short month, and returns.

    Raises:
        ValueError: no such zone, an unknown unit of the cycle, or several hours, days or weeks, which have no place on a calendar.

    """
    if cycle.count != 1 and cycle.unit not in MONTHS:
        raise ValueError(f"a cycle of {cycle.count} {cycle.unit}s has no periods: only months and years come in counts")
    today = local_date(at_ns, zone)
    match cycle.unit:
        case "hour":
            return _hour(cycle, today, zone, at_ns)
        case "day":
            first, following = today, next_day(today)
        case "week":
            weekday = local_date(anchor_ns, zone).weekday() if cycle.anniversary else 0
            first = today - timedelta(days=(today.weekday() - weekday) % 7)
            following = first + timedelta(days=7)
        case "month" | "year":
            first, following = _months(cycle, local_date(anchor_ns, zone), today)
        case _:
            raise ValueError(f"cycle unit {cycle.unit!r} is not one of hour, day, week, month, year")
    return Period(cycle=cycle, start_ns=day_start(first, zone), end_ns=day_start(following, zone))


def next_period(period: Period, anchor_ns: int, zone: str) -> Period:
    """The period after it."""
    return period_at(period.cycle, anchor_ns, zone, period.end_ns)


def previous_period(period: Period, anchor_ns: int, zone: str) -> Period:
    """The period before it."""
    return period_at(period.cycle, anchor_ns, zone, period.start_ns - 1)


def anchor_of(cycle: Cycle, anchor_ns: int, zone: str) -> int:
    """The anchor that subscriptions share: 0 on the calendar, else the first instant of the anchor's local date."""
    return day_start(local_date(anchor_ns, zone), zone) if cycle.anniversary else 0


def _hour(cycle: Cycle, today: date, zone: str, at_ns: int) -> Period:
    """Whole hours from the local day's beginning; the last ends with the day, where a clock change is no whole hour."""
    begin, end = day_start(today, zone), day_start(next_day(today), zone)
    start_ns = begin + (at_ns - begin) // HOUR_NS * HOUR_NS
    return Period(cycle=cycle, start_ns=start_ns, end_ns=min(start_ns + HOUR_NS, end))


def _months(cycle: Cycle, anchor: date, today: date) -> tuple[date, date]:
    length = MONTHS[cycle.unit] * cycle.count
    since = today.year * 12 + today.month - 1
    if not cycle.anniversary:
        first = add_months(today.replace(day=1), -(since % length))
        return first, add_months(first, length)
    begun = anchor.year * 12 + anchor.month - 1
    months = (since - begun) // length * length
    if add_months(anchor, months) > today:
        months -= length
    return add_months(anchor, months), add_months(anchor, months + length)
