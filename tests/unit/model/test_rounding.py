"""Rounding in every mode, and shares that add up."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.model.billing.money import Rounding, is_whole_minor, largest_remainder, major_units, quotient, rounded, shared_decimals

NUMERATORS = st.integers(-(10**9), 10**9)
DENOMINATORS = st.integers(1, 10**6)
WEIGHTS = st.lists(st.fractions(min_value=0, max_value=1000, max_denominator=1000), min_size=1, max_size=8)

HALVES = """
           | -5/2 | -3/2 | -1/2 | 1/2 | 3/2 | 5/2 | 7/5 | 8/5 | -7/5 | -8/5
half_up    | -3   | -2   | -1   | 1   | 2   | 3   | 1   | 2   | -1   | -2
half_even  | -2   | -2   | 0    | 0   | 2   | 2   | 1   | 2   | -1   | -2
half_odd   | -3   | -1   | -1   | 1   | 1   | 3   | 1   | 2   | -1   | -2
half_towards_zero | -2 | -1 | 0 | 0   | 1   | 2   | 1   | 2   | -1   | -2
half_ceiling | -2 | -1   | 0    | 1   | 2   | 3   | 1   | 2   | -1   | -2
half_floor | -3   | -2   | -1   | 0   | 1   | 2   | 1   | 2   | -1   | -2
ceiling    | -2   | -1   | 0    | 1   | 2   | 3   | 2   | 2   | -1   | -1
floor      | -3   | -2   | -1   | 0   | 1   | 2   | 1   | 1   | -2   | -2
"""


def test_every_mode() -> None:
    head, *rows = [[cell.strip() for cell in line.split("|")] for line in HALVES.strip("\n").splitlines()]
    assert {row[0] for row in rows} == set(Rounding)
    for mode, *results in rows:
        for number, result in zip(map(Fraction, head[1:]), results, strict=True):
            assert quotient(number.numerator, number.denominator, Rounding(mode)) == int(result), (mode, number)


@given(NUMERATORS, DENOMINATORS, st.sampled_from(list(Rounding)))
def test_a_quotient_is_a_neighbour_and_the_sign_of_both_does_not_matter(numerator: int, denominator: int, rounding: Rounding) -> None:
    found = quotient(numerator, denominator, rounding)
    distance = abs(Fraction(numerator, denominator) - found)
    assert distance < 1
    assert rounding in (Rounding.CEILING, Rounding.FLOOR) or distance <= Fraction(1, 2)
    assert quotient(-numerator, -denominator, rounding) == found
    assert quotient(found, 1, rounding) == found


@given(NUMERATORS, DENOMINATORS)
def test_a_credit_mirrors_its_charge(numerator: int, denominator: int) -> None:
    assert quotient(-numerator, denominator) == -quotient(numerator, denominator)


def test_decimals_may_be_below_nothing() -> None:
    assert [rounded(Fraction("123.456"), digits) for digits in (-3, -2, -1, 0, 1, 2, 3)] == [
        0,
        100,
        120,
        123,
        Fraction("123.5"),
        Fraction("123.46"),
        Fraction("123.456"),
    ]


def test_a_quotient_by_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="7 / 0 is no quotient"):
        quotient(7, 0)


@given(st.integers(-(10**6), 10**6), WEIGHTS)
def test_shares_add_up_and_are_within_one_unit(total: int, weights: list[Fraction]) -> None:
    parts = largest_remainder(total, weights)
    assert sum(parts) == total
    if sum(weights):
        assert all(abs(part - total * weight / sum(weights)) < 1 for part, weight in zip(parts, weights, strict=True))
    cents = shared_decimals(Fraction(total, 100), weights, 2)
    assert cents == tuple(Fraction(part, 100) for part in parts)


def test_an_amount_with_more_decimals_is_not_shared() -> None:
    with pytest.raises(ValueError, match="more than 2 decimals"):
        shared_decimals(Fraction("0.001"), [Fraction(1)], 2)


def test_minor_units() -> None:
    assert major_units(Fraction(1, 2), "USD") == Fraction(1, 200)
    assert major_units(Fraction(5), "JPY") == 5
    assert is_whole_minor(Fraction("1.22"), "USD")
    assert not is_whole_minor(Fraction("1.225"), "USD")
    assert is_whole_minor(Fraction("1.225"), "KWD")
