"""Minimum and maximum commitments: what is missing to the one, or goes beyond the other, is a line of its own (billing.md, Order)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tallystick.model.billing.invoices import LineKind, Step
from tallystick.model.billing.money import Money, exact_text
from tallystick.model.billing.price_book import Commitment
from tallystick.rate.totals.bill import OWN, Bill, Side, listed
from tallystick.rate.totals.bounds import bounded


def settled(bill: Bill) -> Bill:
    """The bill with the true-up of each minimum, and what each maximum takes off: 100.00 agreed and 87.34 used are 12.66 more.

    A plan's are on what was used under it, for its part of the period; the subscription's own on all of it.
    """
    for side in bill.sides:
        for commitment in side.span.plan.commitments:
            bill = _settled(bill, commitment, side, side.span.plan.id)
    for commitment in bill.subscription.commitments:
        bill = _settled(bill, commitment, bill.whole, OWN)
    return bill


def _settled(bill: Bill, commitment: Commitment, side: Side, plan_id: str) -> Bill:
    places, used = bill.of(commitment.charges, side)
    share = side.active if commitment.prorate else Fraction(1)
    part = "" if share == 1 else f" x {share} of the period"
    found = bounded(used, minimum=commitment.minimum, maximum=commitment.maximum, share=share)
    word, agreed = ("maximum", commitment.maximum) if found.off else ("minimum", commitment.minimum)
    exact = found.total - used
    if agreed is None or not exact:
        return bill
    text = f"{word} {exact_text(agreed)} {bill.currency}{part} - {exact_text(used)} for {listed(places)}"
    step = Step(name=word, text=text, before=used, after=exact, unit=bill.currency)
    line = bill.line(LineKind.COMMITMENT, (commitment.id, commitment.name), side, exact, (step,))
    if not line.amount.minor:
        return bill
    if word == "maximum":
        return replace(bill.taken(places, line.amount), lines=(*bill.lines, line))
    sums = {**bill.sums, (plan_id, commitment.id): Money(minor=line.amount.minor, currency=bill.currency)}
    return replace(bill, sums=sums, lines=(*bill.lines, line))
