"""Bare quantities through the models: what came before is not in a quote, and what cannot be is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings

from tallystick.rate.models.graduated import GraduatedModel
from tallystick.rate.models.tiers import Tier
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.quotes.capacity import CapacityTier, capacity_tier
from tallystick.rate.quotes.durations import Align, billable_ns, hours_of_days, run_ns, samples_in
from tallystick.rate.quotes.quote import capped_from, discount_of, quoted
from tallystick.rate.totals.bounds import bounded
from tallystick.rate.units import Conversion, converted
from tests.unit.rate.worlds import ladders, prices, sizes

ONE = Fraction(1)
CHEAP = UnitModel(price=Fraction("0.007"))


@settings(max_examples=50)
@given(ladders(), sizes, sizes)
def test_a_quote_goes_on_where_the_one_before_ended(tiers: tuple[Tier, ...], first: Fraction, second: Fraction) -> None:
    model = GraduatedModel(tiers=tiers)
    whole = quoted(model, first + second).amount
    assert quoted(model, first).amount + quoted(model, second, before=first).amount == whole
    assert quoted(model, second, before=first).amount >= 0


@settings(max_examples=50)
@given(prices, prices, prices, prices)
def test_what_is_due_lies_within_the_bounds(amount: Fraction, before: Fraction, one: Fraction, other: Fraction) -> None:
    least, most = sorted((one, other))
    found = bounded(amount, before=before, minimum=least, maximum=most)
    assert before + found.total >= least
    assert before + found.total <= max(most, before)
    assert not (found.off and found.missing)


def test_a_monthly_price_takes_over() -> None:
    assert capped_from(CHEAP, Fraction(100), cap=Fraction(5), reached_at=Fraction(672)) == Fraction("0.7")
    assert capped_from(CHEAP, Fraction(672), cap=Fraction(5), reached_at=Fraction(672)) == 5


def test_runs_that_are_counted() -> None:
    assert run_ns((0, 61), 60) == 120
    assert run_ns((59, 61), 60, align=Align.CLOCK) == 120
    assert billable_ns([(0, 0), (5, 6)], 1, 60) == 60


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: quoted(CHEAP, -ONE), "quantity -1 is negative"),
        (lambda: quoted(GraduatedModel(tiers=(Tier(up_to=ONE),)), 2 * ONE), "no tier prices 2"),
        (lambda: discount_of(CHEAP, Fraction(0)), "nothing has no discount"),
        (lambda: capacity_tier([CapacityTier(amount=ONE, limits={"ram": ONE})], {"ram": 2 * ONE}), "no tier holds 2 of 'ram'"),
        (lambda: capacity_tier([CapacityTier(amount=ONE, limits={"ram": ONE})], {"cpu": ONE}), "no tier prices 'cpu'; there are: ram"),
        (lambda: converted(ONE, Conversion.DIVIDE, Fraction(0)), "factor 0 is not above 0"),
        (lambda: run_ns((2, 1)), "a run ends at 1, before its start 2"),
        (lambda: run_ns((1, 2), 0), "an increment of 0 ns is not above 0"),
        (lambda: hours_of_days(3, 2), "day 2 is before day 3"),
        (lambda: samples_in(1, 0), "an interval of 0 ns is not above 0"),
    ],
)
def test_what_cannot_be(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
