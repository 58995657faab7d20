"""Percentage discounts of a plan: a share of what charges come to, taken off in a line of its own."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tallystick.model.billing.invoices import LineKind, Step
from tallystick.model.billing.money import exact_text
from tallystick.rate.totals.bill import Bill, Side, listed


def discounted(bill: Bill) -> Bill:
    """The bill with each discount, on what those before it left: 10 % of 73.50 are 7.35 off.

    One that names nothing takes no part of a true-up: what was agreed as a minimum is paid, unless the discount names it.
    """
    for side in bill.sides:
        for discount in side.span.plan.discounts:
            bill = share_off(bill, LineKind.DISCOUNT, (discount.id, discount.name), side, (discount.percent, discount.charges))
    return bill


def share_off(bill: Bill, kind: LineKind, named: tuple[str, str], side: Side, reduction: tuple[Fraction, tuple[str, ...]]) -> Bill:
    """The bill with a percentage of some sums of a side taken off."""
    percent, charges = reduction
    places, base = bill.of(charges, side)
    exact = -base * percent / 100
    text = f"{exact_text(percent)} % of {exact_text(base)} {bill.currency} for {listed(places)}"
    step = Step(name=kind.value, text=text, before=base, after=exact, unit=bill.currency)
    line = bill.line(kind, named, side, exact, (step,))
    return replace(bill.taken(places, line.amount), lines=(*bill.lines, line)) if line.amount.minor else bill
