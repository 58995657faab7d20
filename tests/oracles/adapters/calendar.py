"""Calendar: dates and days under billing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from tallystick.invoice.cycles.dates import INTERVALS, advance
from tallystick.model import calendar
from tallystick.model.instants import parse_iso
from tests.oracles.adapters.period import interval
from tests.oracles.values import instant_text, local, seconds, step

TOPIC = "calendar"

Fields = Mapping[str, Any]


def add_months(inputs: Fields, policy: Fields) -> Fields:
    """Months later, on the anchor's day where there is one."""
    return {"date": calendar.add_months(date.fromisoformat(inputs["date"]), inputs["months"], inputs.get("anchor_day"))}


def add_thirty_days(inputs: Fields, policy: Fields) -> Fields:
    """Months that are taken as 30 days."""
    return {"date": advance(date.fromisoformat(inputs["date"]), INTERVALS["thirty_days"], inputs["count"])}


def day_length(inputs: Fields, policy: Fields) -> Fields:
    """The hours of a local day."""
    return {"hours": calendar.day_hours(date.fromisoformat(inputs["date"]), inputs["timezone"])}


def grid_floor(inputs: Fields, policy: Fields) -> Fields:
    """The point of a grid at or before a local time; the offset of the zone does not change it."""
    return {"at_local": calendar.grid_floor(local(inputs["at_local"]), step(inputs["step_seconds"]), calendar.A_SUNDAY)}


def grid_ceiling(inputs: Fields, policy: Fields) -> Fields:
    """The point of a grid at or after a local time."""
    return {"at_local": calendar.grid_ceiling(local(inputs["at_local"]), step(inputs["step_seconds"]), calendar.A_SUNDAY)}


def local_day_difference(inputs: Fields, policy: Fields) -> Fields:
    """The difference of two local dates."""
    return {"days": calendar.days_between(inputs["timezone"], parse_iso(inputs["from"]), parse_iso(inputs["to"]))}


def next_anniversary(inputs: Fields, policy: Fields) -> Fields:
    """The next begin of a period at the same local time."""
    start = local(inputs["period_start_local"])
    following = advance(start.date(), interval(inputs["interval"]), inputs["count"], inputs.get("anchor_day"))
    return {"next_local": datetime.combine(following, start.time())}


def split_window(inputs: Fields, policy: Fields) -> Fields:
    """A span in equal windows."""
    bounds = parse_iso(inputs["from"]), parse_iso(inputs["to"])
    windows = calendar.equal_windows(inputs.get("timezone") or "UTC", *bounds, seconds(inputs["step_seconds"]))
    return {"windows": [list(map(instant_text, window)) for window in windows]}


def time_of_day_window(inputs: Fields, policy: Fields) -> Fields:
    """Whether a minute lies in a daily window."""
    return {"inside": calendar.in_daily_window(inputs["minute_of_day"], *inputs["window_minutes"])}


KINDS = {
    "add_months": add_months,
    "add_thirty_days": add_thirty_days,
    "day_length": day_length,
    "grid_ceiling": grid_ceiling,
    "grid_floor": grid_floor,
    "local_day_difference": local_day_difference,
    "next_anniversary": next_anniversary,
    "split_window": split_window,
    "time_of_day_window": time_of_day_window,
}
