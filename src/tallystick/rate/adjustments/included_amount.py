"""Included amount: the units that a plan's fee pays for, after what is free; what is above them is overage."""

from __future__ import annotations

from tallystick.rate.adjustments.units_taken import take
from tallystick.rate.slices import Slice, Terms

NAME = "included_amount"


def adjust(slices: tuple[Slice, ...], terms: Terms) -> tuple[Slice, ...]:
    """Take the amount included at the period's end: 730 hours for a fee of 9.00, and 744 used are 14 to pay."""
    return take(slices, terms, lambda charge: charge.included, NAME)
