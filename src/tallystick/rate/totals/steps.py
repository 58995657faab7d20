"""What happens to the charges of a subscription after each was priced, in the order of billing.md."""

from __future__ import annotations

from tallystick.rate.totals.bill import Bill
from tallystick.rate.totals.commitments import settled
from tallystick.rate.totals.coupons import redeemed
from tallystick.rate.totals.discounts import discounted
from tallystick.rate.totals.service_levels import credited

STEPS = (
    # A commitment is on what was used at the prices agreed: a reduction must not raise a true-up.
    settled,
    # A discount is part of the price, so a coupon is worth the same with and without it.
    discounted,
    # What was given away comes last: it takes what is left, and no more.
    redeemed,
    # What was not delivered is credited of what is left to pay for it.
    credited,
)
"""Each `step(bill) -> bill`."""


def totalled(bill: Bill) -> Bill:
    """The bill after all steps."""
    for step in STEPS:
        bill = step(bill)
    return bill
