"""Free allowance: the first units of a group in a period cost nothing, the earliest usage first."""

from __future__ import annotations

from tallystick.rate.adjustments.units_taken import take
from tallystick.rate.slices import Slice, Terms

NAME = "free_allowance"


def adjust(slices: tuple[Slice, ...], terms: Terms) -> tuple[Slice, ...]:
    """Take the allowance in force at the period's end: 10 core-hours over half a month are 5, so 8 used are 3 to pay."""
    return take(slices, terms, lambda charge: charge.free, NAME)
