"""Coupons that a subscription has redeemed: a share or an amount off, never more than there is."""

from __future__ import annotations

from dataclasses import replace

from tallystick.model.billing.contracts import Coupon
from tallystick.model.billing.invoices import LineKind, Step
from tallystick.model.billing.money import Money, exact_text
from tallystick.rate.totals.bill import Bill, listed
from tallystick.rate.totals.discounts import share_off


def redeemed(bill: Bill) -> Bill:
    """The bill with each coupon that holds in the period, after discounts: 20.00 on 12.34 that are left are 12.34."""
    for coupon in bill.subscription.coupons:
        if coupon.from_ns <= bill.period_start_ns and (coupon.until_ns is None or bill.period_start_ns < coupon.until_ns):
            bill = _redeemed(bill, coupon)
    return bill


def _redeemed(bill: Bill, coupon: Coupon) -> Bill:
    if coupon.percent is not None:
        return share_off(bill, LineKind.COUPON, (coupon.id, coupon.name), bill.whole, (coupon.percent, coupon.charges))
    places, left = bill.of(coupon.charges, bill.whole)
    worth = coupon.amount or Money(minor=0, currency=bill.currency)
    if worth.currency != bill.currency:
        raise ValueError(f"coupon {coupon.id!r} is in {worth.currency}, its plan in {bill.currency}")
    exact = -min(worth.exact, left)
    text = f"{worth.text} {bill.currency}, at most the {exact_text(left)} for {listed(places)}"
    step = Step(name=LineKind.COUPON.value, text=text, before=left, after=exact, unit=bill.currency)
    line = bill.line(LineKind.COUPON, (coupon.id, coupon.name), bill.whole, exact, (step,))
    return replace(bill.taken(places, line.amount), lines=(*bill.lines, line)) if line.amount.minor else bill
