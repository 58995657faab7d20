"""Reservations as they may be agreed: made of an offer of a plan, refused where they could not be billed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tallystick.model.billing.contracts import Contract, Reservation, Subscription
from tallystick.model.billing.money import exact_text
from tallystick.model.billing.price_book import Offer, PriceBook
from tallystick.model.calendar import add_months, day_start, local_date
from tallystick.model.instants import iso
from tallystick.rate.units import HOURLY, units_of


def reserved_from(
    offer: Offer, subscription: Subscription, quantity: Fraction, start_ns: int, zone_name: str, *, reservation_id: str
) -> Reservation:
    """A quantity of an offer for its months, from an instant on: its prices are agreed, whatever later versions say.

    It ends as long after the beginning of the last day as it began after that of the first: 2026-01-31T09:00 for one month
    ends on 2026-02-28 at 09:00.
    """
    first = local_date(start_ns, zone_name)
    last = add_months(first, offer.months)
    return Reservation(
        id=reservation_id,
        name=offer.name,
        subscription_id=subscription.id,
        meter=offer.meter,
        per=offer.per,
        quantity=quantity,
        start_ns=start_ns,
        end_ns=day_start(last, zone_name) + start_ns - day_start(first, zone_name),
        region=offer.region,
        kind=offer.kind,
        upfront=offer.upfront * quantity,
        recurring=offer.recurring,
    )


def reservation_refusals(reservation: Reservation, contract: Contract, books: Sequence[PriceBook]) -> tuple[str, ...]:
    """Why a reservation cannot be added to a contract: one sentence each, none if it can."""
    found = []
    if reservation.quantity <= 0:
        found.append(f"quantity: {exact_text(reservation.quantity)} is not above 0")
    found += [f"{name}: {exact_text(price)} is negative" for name, price in _prices(reservation) if price < 0]
    if reservation.end_ns <= reservation.start_ns:
        found.append(f"end: {iso(reservation.end_ns)} is not after the start {iso(reservation.start_ns)}")
    fitting = [unit.name for unit in units_of(reservation.meter) if unit in HOURLY]
    if reservation.per not in fitting:
        found.append(f"per: {reservation.per!r} cannot be reserved of {reservation.meter!r}; there are: {', '.join(fitting) or 'none'}")
    if any(each.id == reservation.id for each in contract.reservations):
        found.append(f"id: {reservation.id!r} exists")
    bearer = next((each for each in contract.subscriptions if each.id == reservation.subscription_id), None)
    if bearer is None:
        return (*found, f"subscription_id: {reservation.subscription_id!r} is no subscription of {contract.customer.id}")
    if reservation.start_ns < bearer.start_ns:
        found.append(f"start: {iso(reservation.start_ns)} is before that of subscription {bearer.id!r}, {iso(bearer.start_ns)}")
    if bearer.end_ns is not None and reservation.end_ns > bearer.end_ns:
        found.append(f"end: {iso(reservation.end_ns)} is after that of subscription {bearer.id!r}, {iso(bearer.end_ns)}")
    plans = [plan for book in books for plan_id in bearer.plan_ids if (plan := book.plan(plan_id)) is not None]
    billed = {coupon.id for coupon in bearer.coupons}
    for plan in plans:
        billed |= {each.id for each in plan.charges} | {each.id for each in plan.fees}
        billed |= {each.id for each in plan.commitments} | {each.id for each in plan.discounts}
    if reservation.id in billed:
        found.append(f"id: {reservation.id!r} is the id of what a plan or a coupon of {bearer.id!r} bills")
    return tuple(found)


def _prices(reservation: Reservation) -> Sequence[tuple[str, Fraction]]:
    return (("upfront", reservation.upfront), ("recurring", reservation.recurring))
