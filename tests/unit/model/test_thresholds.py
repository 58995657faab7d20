"""Thresholds are told of once, however an amount rises."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.model.billing.thresholds import Thresholds, alerts, crossed, crossed_falling, progress, reached_percents

AMOUNTS = st.fractions(min_value=0, max_value=500, max_denominator=4)
STEPS = st.one_of(st.none(), st.sampled_from([Fraction(5), Fraction(7, 2), Fraction(100)]))
THRESHOLDS = st.builds(
    lambda fixed, recurring: Thresholds(fixed=tuple(fixed), recurring=recurring),
    st.lists(st.integers(1, 60).map(Fraction), max_size=5, unique=True),
    STEPS,
)


@given(THRESHOLDS, AMOUNTS, AMOUNTS, AMOUNTS)
def test_a_rise_in_two_parts_crosses_what_it_crosses_at_once(thresholds: Thresholds, a: Fraction, b: Fraction, c: Fraction) -> None:
    low, middle, high = sorted([a, b, c])
    at_once = crossed(thresholds, low, high)
    assert sorted(crossed(thresholds, low, middle) + crossed(thresholds, middle, high)) == sorted(at_once)
    assert list(at_once) == sorted(set(at_once))
    assert all(low < each <= high for each in at_once)


@given(THRESHOLDS, AMOUNTS, AMOUNTS)
def test_only_a_fall_crosses_falling(thresholds: Thresholds, a: Fraction, b: Fraction) -> None:
    low, high = sorted([a, b])
    assert crossed(thresholds, high, low) == ()
    assert crossed_falling(thresholds, low, high) == ()
    assert all(low <= each < high for each in crossed_falling(thresholds, high, low))


@given(THRESHOLDS, AMOUNTS)
def test_progress_lies_between_what_was_reached_and_what_comes(thresholds: Thresholds, amount: Fraction) -> None:
    found = progress(thresholds, amount)
    assert found.last is None or found.last <= amount
    if found.next is None:
        assert found.ratio is None
        assert thresholds.recurring is None
    else:
        assert found.ratio is not None
        assert 0 <= found.ratio < 1
        assert crossed(thresholds, amount, found.next) == (found.next,)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["01", "02"]), AMOUNTS), max_size=8))
def test_an_alert_comes_once_a_month_and_for_all_that_was_reached(spends: list[tuple[str, Fraction]]) -> None:
    percents = [Fraction(100), Fraction(50), Fraction(80)]
    found = alerts(Fraction(200), percents, spends)
    for month in ("01", "02"):
        told = [percent for (of, _), new in zip(spends, found, strict=True) if of == month for percent in new]
        highest = max((spend for of, spend in spends if of == month), default=Fraction(0))
        assert sorted(told) == list(reached_percents(Fraction(200), percents, highest))


def test_beyond_is_not_reached() -> None:
    assert reached_percents(Fraction(200), [Fraction(80)], Fraction(160)) == (80,)
    assert reached_percents(Fraction(200), [Fraction(80)], Fraction(160), beyond=True) == ()


def test_a_step_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="step above 0, got 0"):
        Thresholds(fixed=(), recurring=Fraction(0))
