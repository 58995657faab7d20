"""Billing periods: a table of cycles, anchors and zones, and that periods follow each other without a hole."""

from __future__ import annotations

from datetime import date
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.invoice.periods import anchor_of, next_period, period_at, previous_period
from tallystick.invoice.proration import fee_share
from tallystick.model.billing.contracts import Period
from tallystick.model.billing.price_book import Cycle, Proration
from tallystick.model.calendar import add_months, day_start, local_date, local_days, month_of, zone
from tallystick.model.instants import CELL_NS, DAY_NS, HOUR_NS, iso, parse_iso

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Chatham"]
ZONES += ["America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia"]

PERIODS = """
cycle          | anchor     | zone              | at                    | from                  | to
hour           | -          | UTC               | 2026-06-01T10:59:59Z  | 2026-06-01T10:00:00Z  | 2026-06-01T11:00:00Z
hour           | -          | Asia/Kolkata      | 2026-06-01T10:29:59Z  | 2026-06-01T09:30:00Z  | 2026-06-01T10:30:00Z
hour           | -          | Australia/Lord_Howe | 2026-10-03T15:30:00Z | 2026-10-03T15:30:00Z | 2026-10-03T16:30:00Z
day            | -          | Europe/Berlin     | 2026-03-29T12:00:00Z  | 2026-03-28T23:00:00Z  | 2026-03-29T22:00:00Z
day            | -          | America/Sao_Paulo | 2018-11-04T12:00:00Z  | 2018-11-04T03:00:00Z  | 2018-11-05T02:00:00Z
day            | -          | Pacific/Apia      | 2011-12-30T09:59:59Z  | 2011-12-29T10:00:00Z  | 2011-12-30T10:00:00Z
week           | -          | UTC               | 2026-06-07T23:59:59Z  | 2026-06-01T00:00:00Z  | 2026-06-08T00:00:00Z
week anniv     | 2026-06-03 | UTC               | 2026-06-09T00:00:00Z  | 2026-06-03T00:00:00Z  | 2026-06-10T00:00:00Z
month          | -          | Europe/Berlin     | 2026-03-31T22:00:00Z  | 2026-03-31T22:00:00Z  | 2026-04-30T22:00:00Z
month          | -          | Pacific/Chatham   | 2026-03-31T10:14:59Z  | 2026-02-28T10:15:00Z  | 2026-03-31T10:15:00Z
3 month        | -          | UTC               | 2026-05-15T00:00:00Z  | 2026-04-01T00:00:00Z  | 2026-07-01T00:00:00Z
5 month        | -          | UTC               | 2026-05-15T00:00:00Z  | 2026-04-01T00:00:00Z  | 2026-09-01T00:00:00Z
month anniv    | 2026-01-31 | UTC               | 2026-02-27T23:59:59Z  | 2026-01-31T00:00:00Z  | 2026-02-28T00:00:00Z
month anniv    | 2026-01-31 | UTC               | 2026-02-28T00:00:00Z  | 2026-02-28T00:00:00Z  | 2026-03-31T00:00:00Z
month anniv    | 2026-01-31 | UTC               | 2026-04-29T00:00:00Z  | 2026-03-31T00:00:00Z  | 2026-04-30T00:00:00Z
month anniv    | 2026-01-31 | UTC               | 2025-11-30T00:00:00Z  | 2025-11-30T00:00:00Z  | 2025-12-31T00:00:00Z
2 month anniv  | 2025-12-30 | America/New_York  | 2026-03-01T00:00:00Z  | 2026-02-28T05:00:00Z  | 2026-04-30T04:00:00Z
year           | -          | Asia/Kolkata      | 2026-12-31T18:29:59Z  | 2025-12-31T18:30:00Z  | 2026-12-31T18:30:00Z
year anniv     | 2024-02-29 | UTC               | 2026-03-01T00:00:00Z  | 2026-02-28T00:00:00Z  | 2027-02-28T00:00:00Z
year anniv     | 2024-02-29 | UTC               | 2028-02-28T00:00:00Z  | 2027-02-28T00:00:00Z  | 2028-02-29T00:00:00Z
"""


def cycle(text: str) -> Cycle:
    """`2 month anniv`."""
    words = text.split()
    count = int(words.pop(0)) if words[0].isdigit() else 1
    return Cycle(unit=words[0], count=count, anniversary="anniv" in words)


@pytest.mark.parametrize("row", PERIODS.strip().splitlines()[1:])
def test_a_period(row: str) -> None:
    """The period that holds an instant."""
    written, anchor, zone_name, at, begin, end = (part.strip() for part in row.split("|"))
    anchor_ns = 0 if anchor == "-" else day_start(date.fromisoformat(anchor), zone_name)
    found = period_at(cycle(written), anchor_ns, zone_name, parse_iso(at))
    assert (iso(found.start_ns), iso(found.end_ns)) == (begin, end)


@settings(max_examples=150)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(["hour", "day", "week", "week anniv", "month", "month anniv", "7 month", "7 month anniv", "year", "year anniv"]),
    st.integers(parse_iso("2009-01-01T00:00:00Z"), parse_iso("2035-01-01T00:00:00Z")),
    st.integers(parse_iso("2009-01-01T00:00:00Z"), parse_iso("2035-01-01T00:00:00Z")),
)
def test_periods_hold_their_instants_and_follow_each_other(zone_name: str, written: str, anchor_ns: int, at_ns: int) -> None:
    kind = cycle(written)
    period = period_at(kind, anchor_ns, zone_name, at_ns)
    assert period.start_ns <= at_ns < period.end_ns
    assert period.start_ns % CELL_NS == period.end_ns % CELL_NS == 0
    assert period_at(kind, anchor_ns, zone_name, period.start_ns) == period
    assert period_at(kind, anchor_ns, zone_name, period.end_ns - 1) == period
    following = next_period(period, anchor_ns, zone_name)
    assert following.start_ns == period.end_ns < following.end_ns
    assert period_at(kind, anchor_of(kind, anchor_ns, zone_name), zone_name, at_ns) == period


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(available_timezones() - {"Factory", "localtime"})),
    st.sampled_from(["day", "week", "month", "3 month anniv", "year"]),
    st.integers(0, DAY_NS * 365 * 60),
    st.integers(DAY_NS * 365 * 5, DAY_NS * 365 * 67),
)
def test_periods_tile_the_line_in_every_zone(zone_name: str, written: str, anchor_ns: int, at_ns: int) -> None:
    # Years after 1972, when Liberia gave up a local time whose days began inside a cell: such a day is refused.
    period = period_at(cycle(written), anchor_ns, zone_name, at_ns)
    before, after = previous_period(period, anchor_ns, zone_name), next_period(period, anchor_ns, zone_name)
    assert before.start_ns < before.end_ns == period.start_ns <= at_ns < period.end_ns == after.start_ns < after.end_ns


def test_several_weeks_have_no_place_on_the_calendar() -> None:
    with pytest.raises(ValueError, match="a cycle of 2 weeks has no periods"):
        period_at(Cycle(unit="week", count=2), 0, "UTC", 0)


@settings(max_examples=100)
@given(st.sampled_from([*ZONES, "America/Havana", "America/Toronto", "Africa/Casablanca"]), st.dates(date(1971, 1, 1), date(2037, 12, 31)))
def test_a_local_day_is_all_instants_of_its_date(zone_name: str, day: date) -> None:
    begin, end = day_start(day, zone_name), day_start(day.fromordinal(day.toordinal() + 1), zone_name)
    assert local_date(begin - 1, zone_name) < day
    if begin < end:
        assert local_date(begin, zone_name) == local_date(end - 1, zone_name) == day
        assert local_days(zone_name, begin, end) == 1


def test_days_that_are_not_ordinary() -> None:
    """Midnight inside a gap, midnight twice, a date that never was."""
    assert iso(day_start(date(1919, 3, 31), "America/Toronto")) == "1919-03-31T04:30:00Z"
    assert iso(day_start(date(2026, 11, 1), "America/Havana")) == "2026-11-01T04:00:00Z"
    assert day_start(date(2011, 12, 30), "Pacific/Apia") == day_start(date(2011, 12, 31), "Pacific/Apia")
    with pytest.raises(ValueError, match="inside a five-minute cell"):
        day_start(date(1900, 1, 1), "Europe/Amsterdam")
    with pytest.raises(ValueError, match="'Mars/Base' is not an IANA name"):
        zone("Mars/Base")
    with pytest.raises(ValueError, match="cycle unit 'decade'"):
        period_at(Cycle(unit="decade"), 0, "UTC", 0)


def test_months() -> None:
    assert [str(add_months(date(2024, 1, 31), months)) for months in (0, 1, 2, 3, -2)] == [
        "2024-01-31",
        "2024-02-29",
        "2024-03-31",
        "2024-04-30",
        "2023-11-30",
    ]
    begin, end = month_of(parse_iso("2026-03-15T00:00:00Z"), "Europe/Berlin")
    assert (end - begin) // HOUR_NS == 743


SHARES = """
exact | 2026-03-01T00:00:00Z .. 2026-04-01T00:00:00Z | 1
exact | 2026-03-16T12:00:00Z .. 2026-04-01T00:00:00Z | 1/2
exact | 2026-03-01T00:00:00Z .. 2026-03-01T00:00:01Z | 1/2678400
daily | 2026-03-16T12:00:00Z .. 2026-04-01T00:00:00Z | 16/31
daily | 2026-03-16T12:00:00Z .. 2026-03-16T12:00:01Z | 1/31
daily | 2026-03-16T12:00:00Z .. 2026-03-17T00:00:00Z | 1/31
none  | 2026-03-16T12:00:00Z .. 2026-03-16T12:00:01Z | 1
none  | 2026-03-16T12:00:00Z .. 2026-03-16T12:00:00Z | 0
"""


@pytest.mark.parametrize("row", SHARES.strip().splitlines())
def test_a_share_of_a_fee(row: str) -> None:
    """Of March 2026, in UTC."""
    kind, active, share = (part.strip() for part in row.split("|"))
    begin, end = (parse_iso(text) for text in active.split(" .. "))
    march = Period(cycle=Cycle(), start_ns=parse_iso("2026-03-01T00:00:00Z"), end_ns=parse_iso("2026-04-01T00:00:00Z"))
    assert str(fee_share(Proration(kind), march, begin, end, "UTC")) == share
    with pytest.raises(ValueError, match="is not inside the period"):
        fee_share(Proration(kind), march, march.start_ns - 1, end, "UTC")


def test_no_instants_have_no_days() -> None:
    assert local_days("UTC", DAY_NS, DAY_NS) == 0
