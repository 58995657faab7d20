"""Cycle dates, stubs and plan changes: parts add up to the whole, whatever the dates."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.invoice.cycles.changes import plan_change, unused_share
from tallystick.invoice.cycles.dates import (
    INTERVALS,
    advance,
    arrears_due,
    cycle_dates,
    elapsed_cycles,
    first_cycle_date,
    next_cycle_date,
    whole_periods,
)
from tallystick.invoice.cycles.stubs import DayShare, billed_in_advance, day_share
from tallystick.invoice.periods import next_period, period_at
from tallystick.invoice.proration import fee_share
from tallystick.model.billing.price_book import Cycle, Proration
from tallystick.model.calendar import day_start

DATES = st.dates(date(2000, 1, 1), date(2040, 12, 31))
CYCLES = st.sampled_from(list(INTERVALS.values()))
DAYS = st.integers(1, 31)
ZONE = "Europe/Berlin"


@given(DATES, CYCLES, DAYS)
def test_cycles_tile_the_line_and_keep_their_day(start: date, cycle: Cycle, billing_day: int) -> None:
    dates = list(islice(cycle_dates(start, cycle, billing_day), 6))
    assert dates[0] == first_cycle_date(start, cycle, billing_day) >= start
    assert all(next_cycle_date(a, cycle, billing_day) == b for a, b in pairwise(dates))
    if cycle.unit in ("month", "year"):
        assert all(each.day == min(billing_day, _last(each)) for each in dates)


def _last(day: date) -> int:
    return (advance(day.replace(day=1), Cycle(), 1) - timedelta(days=1)).day


@given(DATES, CYCLES, DAYS, st.integers(0, 800), st.integers(0, 800))
def test_elapsed_cycles_count_the_ends_passed(start: date, cycle: Cycle, billing_day: int, a: int, b: int) -> None:
    first, last = (start + timedelta(days=each) for each in sorted((a, b)))
    until_first = elapsed_cycles(start, first, cycle, billing_day)
    ends = [each for each in islice(cycle_dates(start, cycle, billing_day), 1000) if first < each <= last and each > start]
    assert elapsed_cycles(start, last, cycle, billing_day) == until_first + len(ends)
    assert elapsed_cycles(last, first, cycle, billing_day) == (0 if first <= last else None)


@given(DATES, CYCLES, DAYS, st.integers(0, 1500), st.integers(1, 1500))
def test_what_is_billed_in_advance_is_a_stub_and_whole_cycles(start: date, cycle: Cycle, billing_day: int, later: int, length: int) -> None:
    through, end = start + timedelta(days=later), start + timedelta(days=length)
    endless = billed_in_advance(start, None, through, cycle, billing_day)
    begun = [each for each in islice(cycle_dates(start, cycle, billing_day), 2000) if each <= through]
    stub = billed_in_advance(start, None, start, cycle, billing_day)
    on_its_day = first_cycle_date(start, cycle, billing_day) == start
    assert endless == len(begun) + (0 if on_its_day else stub)
    assert 0 < stub <= 1
    ended = billed_in_advance(start, end, through, cycle, billing_day)
    assert 0 < ended <= endless


@given(
    DATES,
    st.sampled_from([cycle for cycle in INTERVALS.values() if cycle.unit in ("month", "year")]),
    st.integers(1, 28),
    st.one_of(st.none(), st.integers(1, 900)),
    st.integers(0, 700),
)
def test_cycles_by_dates_are_the_periods_of_invoices(start: date, kind: Cycle, billing_day: int, length: int | None, later: int) -> None:
    """What is billed in advance by dates is what fees are billed by instants, period by period, from the stub on."""
    cycle, through = replace(kind, anniversary=True), start + timedelta(days=later)
    end = None if length is None else start + timedelta(days=length)
    anchor_ns, begin_ns = (day_start(day, ZONE) for day in (first_cycle_date(start, cycle, billing_day), start))
    period, shares = period_at(cycle, anchor_ns, ZONE, begin_ns), Fraction(0)
    while begin_ns <= day_start(through, ZONE) and (end is None or begin_ns < day_start(end, ZONE)):
        until_ns = period.end_ns if end is None else min(period.end_ns, day_start(end, ZONE))
        shares += fee_share(Proration.DAILY, period, begin_ns, until_ns, ZONE)
        period = next_period(period, anchor_ns, ZONE)
        begin_ns = period.start_ns
    assert billed_in_advance(start, end, through, cycle, billing_day) == shares


@given(DATES, CYCLES, DAYS, st.integers(1, 900), st.integers(0, 900), st.integers(0, 900))
def test_arrears_only_grow_until_all_is_due(start: date, cycle: Cycle, billing_day: int, length: int, a: int, b: int) -> None:
    end = start + timedelta(days=length)
    first, last = (start + timedelta(days=each) for each in sorted((a, b)))
    early, late = (arrears_due(start, end, as_of, cycle, billing_day) for as_of in (first, last))
    assert early.billed_until is None or (late.billed_until is not None and early.billed_until <= late.billed_until <= end)
    assert last < end or late.billed_until == end
    assert late.next_cycle_date > (late.billed_until or start)


@given(DATES, st.integers(1, 400), st.integers(0, 400), st.integers(0, 30))
def test_parts_of_a_period_add_up(begin: date, length: int, cut: int, trial: int) -> None:
    period = (begin, begin + timedelta(days=length))
    at = begin + timedelta(days=min(cut, length))
    before, after = day_share(period, (begin, at)), day_share(period, (at, period[1]))
    assert before.share + after.share == 1
    assert unused_share(period, at) == after.share
    assert day_share(period, period, trial).active == max(0, length - trial)


@given(st.fractions(0, 1000, max_denominator=100), st.fractions(0, 1, max_denominator=366))
def test_a_change_to_the_same_fee_changes_nothing(fee: Fraction, unused: Fraction) -> None:
    change = plan_change(fee, fee, unused, "USD")
    assert change.net.minor == 0
    assert change.given_back == change.charge


def test_whole_periods_are_counted_from_the_first_day() -> None:
    assert whole_periods(date(2026, 1, 31), date(2026, 4, 30), Cycle()) == 3
    assert whole_periods(date(2026, 1, 31), date(2026, 4, 29), Cycle()) == 2
    assert whole_periods(date(2026, 5, 1), date(2026, 4, 1), Cycle()) == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: billed_in_advance(date(2026, 2, 1), date(2026, 1, 1), date(2026, 3, 1), Cycle(), 1), "before it starts"),
        (lambda: billed_in_advance(date(2026, 2, 1), None, date(2026, 1, 1), Cycle(), 1), "before it starts"),
        (lambda: first_cycle_date(date(2026, 1, 1), Cycle(), 0), "billing day 0"),
        (lambda: first_cycle_date(date(2026, 1, 1), Cycle(), 32), "billing day 32"),
        (lambda: advance(date(2026, 1, 1), Cycle(unit="hour")), "cycle unit 'hour'"),
        (lambda: DayShare(active=1, whole=0), "no part of a period"),
        (lambda: day_share((date(2026, 1, 2), date(2026, 1, 1)), (date(2026, 1, 1), date(2026, 1, 2))), "no part of a period"),
    ],
)
def test_what_cannot_be_is_refused(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]  # each is a function
