"""Days, grids and windows of local calendars; that months are clamped and windows tile."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.model.calendar import (
    A_SUNDAY,
    add_months,
    day_hours,
    days_between,
    equal_windows,
    grid_ceiling,
    grid_floor,
    in_daily_window,
    local_days,
)
from tallystick.model.instants import HOUR_NS, SECOND_NS, parse_iso

DATES = st.dates(date(1990, 1, 1), date(2100, 12, 31))
LOCAL = st.datetimes(datetime(1990, 1, 1), datetime(2100, 12, 31))


@given(DATES, st.integers(-600, 600), st.one_of(st.none(), st.integers(1, 31)))
def test_months_are_added_to_the_same_day_or_the_last(day: date, months: int, anchor: int | None) -> None:
    found = add_months(day, months, anchor)
    assert found.year * 12 + found.month - (day.year * 12 + day.month) == months
    assert found.day == min(anchor or day.day, monthrange(found.year, found.month)[1])


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ("2026-03-29", "Europe/Berlin", "23"),
        ("2026-10-25", "Europe/Berlin", "25"),
        ("2026-10-04", "Australia/Lord_Howe", "23.5"),
        ("2018-11-04", "America/Sao_Paulo", "23"),
        ("2011-12-30", "Pacific/Apia", "0"),
        ("2026-06-01", "Asia/Kolkata", "24"),
    ],
)
def test_the_length_of_a_day(day: str, zone: str, hours: str) -> None:
    assert day_hours(date.fromisoformat(day), zone) == Fraction(hours)


def test_days_between_and_days_touched() -> None:
    evening, morning = parse_iso("2026-05-01T21:59:00Z"), parse_iso("2026-05-01T22:00:00Z")
    assert days_between("Europe/Berlin", evening, morning) == 1
    assert days_between("UTC", evening, morning) == 0
    assert days_between("Europe/Berlin", morning, evening) == -1
    assert local_days("Europe/Berlin", evening, morning) == 1
    assert local_days("Europe/Berlin", evening, morning + 1) == 2
    assert local_days("UTC", morning, morning) == 0


@given(LOCAL, st.sampled_from([timedelta(hours=1), timedelta(days=1), timedelta(days=7)]))
def test_a_grid_has_one_point_within_a_step_on_either_side(at: datetime, step: timedelta) -> None:
    below, above = grid_floor(at, step, A_SUNDAY), grid_ceiling(at, step, A_SUNDAY)
    assert below <= at <= above
    assert above - below == (timedelta() if at == below else step)
    assert grid_floor(below, step, A_SUNDAY) == below == grid_ceiling(below, step, A_SUNDAY)
    if step == timedelta(days=7):
        assert (below.isoweekday(), below.time()) == (7, datetime.min.time())


@given(st.integers(0, 10**6), st.integers(1, 48), st.sampled_from([1, 2, 3, 4, 6, 8, 12, 24]))
def test_windows_tile_their_span(begin: int, count: int, hours: int) -> None:
    from_ns, step_ns = begin * hours * HOUR_NS, hours * HOUR_NS
    windows = equal_windows("UTC", from_ns, from_ns + count * step_ns, step_ns)
    assert len(windows) == count
    assert (windows[0][0], windows[-1][1]) == (from_ns, from_ns + count * step_ns)
    assert all(before[1] == after[0] and before[1] - before[0] == step_ns for before, after in pairwise(windows))


@pytest.mark.parametrize(
    ("zone", "begin", "end", "seconds", "said"),
    [
        ("UTC", "2026-01-01T00:01:00Z", "2026-01-01T01:01:00Z", 3600, "off the grid"),
        ("UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z", 3600, "no multiple"),
        ("UTC", "2026-01-01T02:00:00Z", "2026-01-01T01:00:00Z", 3600, "no multiple"),
        ("UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", 0, "above 0"),
        ("Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", 86400, "off the grid"),
        ("Europe/Atlantis", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", 86400, "is not an IANA name"),
    ],
)
def test_a_span_that_has_no_equal_windows(zone: str, begin: str, end: str, seconds: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        equal_windows(zone, parse_iso(begin), parse_iso(end), seconds * SECOND_NS)


@given(st.integers(0, 1439), st.integers(0, 1440), st.integers(0, 1440))
def test_a_daily_window_and_its_opposite_are_the_day(minute: int, begin: int, end: int) -> None:
    if begin == end:
        assert not in_daily_window(minute, begin, end)
    else:
        assert in_daily_window(minute, begin, end) != in_daily_window(minute, end, begin) or {begin, end} == {0, 1440}


def test_a_grid_without_a_step_is_none() -> None:
    with pytest.raises(ValueError, match="step above 0"):
        grid_floor(datetime(2026, 1, 1), timedelta(), A_SUNDAY)
