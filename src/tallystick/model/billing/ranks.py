"""Percentiles of exact values: by nearest rank, and linear between ranks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def nearest_rank(values: Sequence[Fraction], percentile: Fraction) -> Fraction:
    """The smallest value such that at least `percentile` (above 0, at most 100) hundredths of all are at most it.

    The 95th percentile of 1, 2, ..., 20 is 19, that of 1, 2, ..., 21 is 20.

    Raises:
        ValueError: no values, or no such percentile.

    """
    _check(values, percentile)
    rank = -(-percentile * len(values) // 100)
    return sorted(values)[max(int(rank), 1) - 1]


def interpolated(values: Sequence[Fraction], percentile: Fraction) -> Fraction:
    """Linear between the closest ranks: the 50th percentile of 0 and 1 is 1/2.

    Raises:
        ValueError: no values, or no such percentile.

    """
    _check(values, percentile)
    ordered = sorted(values)
    place = Fraction(percentile * (len(ordered) - 1), 100)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _check(values: Sequence[Fraction], percentile: Fraction) -> None:
    if not values:
        raise ValueError("no values have no percentile")
    if not 0 <= percentile <= 100:
        raise ValueError(f"percentile {percentile}: from 0 to 100")
