"""Minimum and maximum commitments: what is missing to the one, or goes beyond the other, is a line of its own (billing.md, Order)."""

from __future__ import annotations

from dataclasses import replace

from tallystick.model.billing.invoices import LineKind, Step
from tallystick.model.billing.money import Money, exact_text
from tallystick.model.billing.price_book import Commitment
from tallystick.rate.totals.bill import Bill


def settled(bill: Bill) -> Bill:
    """The bill with the true-up of each minimum, and what each maximum takes off: 100.00 agreed and 87.34 used are 12.66 more."""
    for commitment in bill.span.plan.commitments:
        bill = _settled(bill, commitment)
    return bill


def _settled(bill: Bill, commitment: Commitment) -> Bill:
    ids, used = bill.of(commitment.charges)
    share = bill.active if commitment.prorate else 1
    part = "" if share == 1 else f" x {share} of the period"
    agreed, word = None, ""
    if commitment.minimum is not None and used < commitment.minimum * share:
        agreed, word = commitment.minimum, "minimum"
    elif commitment.maximum is not None and used > commitment.maximum * share:
        agreed, word = commitment.maximum, "maximum"
    if agreed is None:
        return bill
    exact = agreed * share - used
    text = f"{word} {exact_text(agreed)} {bill.currency}{part} - {exact_text(used)} for {', '.join(ids) or 'nothing'}"
    step = Step(name=word, text=text, before=used, after=exact, unit=bill.currency)
    line = bill.line(LineKind.COMMITMENT, commitment.id, commitment.name, exact, (step,))
    if not line.amount.minor:
        return bill
    if word == "maximum":
        return replace(bill.taken(ids, line.amount), lines=(*bill.lines, line))
    sums = {**bill.sums, commitment.id: Money(minor=line.amount.minor, currency=bill.currency)}
    return replace(bill, sums=sums, lines=(*bill.lines, line))
