"""Subscriptions as they are agreed: created, changed, paused, cancelled, with coupons; each in one transaction, or refused whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from tallystick.app.accounts import read_contract
from tallystick.app.clock import Clock
from tallystick.invoice.periods import next_period, period_at
from tallystick.invoice.runs import billing_terms
from tallystick.invoice.upcoming import upcoming
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Contract, Coupon, CouponOffer, Customer, Period, Subscription
from tallystick.model.billing.invoices import UpcomingRun
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.calendar import day_start, local_date
from tallystick.model.instants import iso
from tallystick.rate.agreements import refusals
from tallystick.rate.terms.amendments import Amended, cancelled, changed, paused, resumed
from tallystick.serve.problems import conflict, invalid, not_found
from tallystick.serve.services import Amendment, AmendmentKind
from tallystick.store.engine import Tx
from tallystick.store.records import Clash
from tallystick.store.store import Store


def subscribe(
    store: Store, place: Place, actor: str, wanted: Subscription, trial_days: int = 0, coupons: Sequence[str] = ()
) -> Subscription:
    """A customer on a plan, its coupons counted with it; the same again changes nothing.

    Raises:
        Problem: the customer, plan, charge or coupon is unknown, its coverage ties with another's, a coupon was redeemed too often;
            nothing is stored then.

    """
    customer = store.registry.customer(place, wanted.customer_id)
    if customer is None:
        raise invalid("customer_id", wanted.customer_id, f"customer_id: there is no customer {wanted.customer_id!r}")
    books = store.contracts.books_in_force(place)
    offers = [_offer(store, place, coupon_id) for coupon_id in coupons]
    subscription = _with_trial(wanted, trial_days, customer)
    first = _period(store, place, customer, subscription, books, subscription.start_ns)
    subscription = replace(subscription, coupons=tuple(_redeemed(offer, first, subscription, customer) for offer in offers))

    def create(tx: Tx) -> Subscription:
        store.contracts.one_at_a_time(place, tx)
        known = store.contracts.subscription(place, subscription.id, tx=tx)
        if known is not None:
            if known != subscription:
                raise conflict("id", subscription.id, f"subscription {subscription.id!r} is there already, and other")
            return known
        others = store.contracts.subscriptions(place, customers=frozenset({customer.id}), tx=tx)
        _refuse(refusals(subscription, [each.subscription for each in others], books), subscription)
        if not store.contracts.create_subscription(place, subscription, actor=actor, tx=tx):
            raise conflict("id", subscription.id, f"subscription {subscription.id!r} is there already")
        for offer in offers:
            _count(store, place, actor, offer, subscription, tx)
        return subscription

    return store.transact(create)


def amend_subscription(store: Store, clock: Clock, place: Place, actor: str, subscription_id: str, wanted: Amendment) -> Subscription:
    """A subscription as it becomes; the same again changes nothing.

    Raises:
        Problem: there is none, or what is asked cannot be: by the terms of `rate/terms/amendments.py`, or because the time that it
            would change is invoiced.

    """
    known = store.contracts.subscription(place, subscription_id)
    customer = None if known is None else store.registry.customer(place, known.customer_id)
    if known is None or customer is None:
        raise not_found("subscription_id", subscription_id)
    books = store.contracts.books_in_force(place)
    now_ns = clock.now_ns()
    period = _period(store, place, customer, known, books, max(now_ns, known.start_ns))
    at_ns = period.end_ns if wanted.at_period_end else now_ns if wanted.at_ns is None else wanted.at_ns
    offer = _offer(store, place, wanted.coupon_id) if wanted.kind is AmendmentKind.REDEEM else None

    def amend(tx: Tx) -> Subscription:
        store.contracts.one_at_a_time(place, tx)
        before = store.contracts.subscription(place, subscription_id, tx=tx)
        if before is None:
            raise not_found("subscription_id", subscription_id)
        if offer is not None:
            after = replace(before, coupons=(*before.coupons, _redeemed(offer, period, before, customer)))
            _count(store, place, actor, offer, before, tx)
            _refuse([why for why in refusals(after, (), books) if why.startswith("coupons")], after)
        else:
            after, refused = _amended(before, wanted, at_ns, now_ns, books)
            _refuse(refused, after, {"at": iso(at_ns), "plan_id": wanted.plan_id})
        if after == before:
            return before
        number = None if offer is not None else store.invoices.billed_after(place, before, at_ns, tx=tx)
        if number is not None:
            raise conflict("at", iso(at_ns), f"at: what comes after {iso(at_ns)} is invoiced by {number}: choose a later instant")
        store.contracts.change_subscription(place, after, actor=actor, action=f"subscription.{wanted.kind}", tx=tx)
        return after

    return store.transact(amend)


def upcoming_runs(store: Store, place: Place, subscription_id: str, after_ns: int, count: int) -> tuple[UpcomingRun, ...]:
    """The next runs of a subscription that close after an instant, with the fees due then.

    Raises:
        Problem: there is none.

    """
    known = store.contracts.subscription(place, subscription_id)
    if known is None:
        raise not_found("subscription_id", subscription_id)
    with store.read() as tx:
        contract, books = read_contract(store, place, known.customer_id, after_ns, tx)
    return upcoming(contract, known, books, after_ns, count)


def _amended(before: Subscription, wanted: Amendment, at_ns: int, now_ns: int, books: Sequence[PriceBook]) -> Amended:
    match wanted.kind:
        case AmendmentKind.CHANGE:
            return changed(before, wanted.plan_id, at_ns, now_ns, books)
        case AmendmentKind.PAUSE:
            return paused(before, at_ns, wanted.until_ns, now_ns)
        case AmendmentKind.RESUME:
            return resumed(before, at_ns, now_ns)
        case AmendmentKind.CANCEL:
            return cancelled(before, at_ns, now_ns)
        case AmendmentKind.REDEEM:
            raise ValueError("a coupon is redeemed where it is counted")
        case _:
            assert_never(wanted.kind)


def _period(store: Store, place: Place, customer: Customer, subscription: Subscription, books: Sequence[PriceBook], at_ns: int) -> Period:
    contract = Contract(seller=store.contracts.seller(place), customer=customer, subscriptions=(subscription,))
    terms = billing_terms(contract, subscription, books)
    return period_at(terms.cycle, _anchor(subscription), customer.time_zone, at_ns)


def _anchor(subscription: Subscription) -> int:
    return subscription.start_ns if subscription.anchor_ns is None else subscription.anchor_ns


def _with_trial(subscription: Subscription, trial_days: int, customer: Customer) -> Subscription:
    """The trial ends as long after the beginning of its last local day as the subscription starts after that of the first."""
    if not trial_days:
        return subscription
    zone, start_ns = customer.time_zone, subscription.start_ns
    first = local_date(start_ns, zone)
    last = first.fromordinal(first.toordinal() + trial_days)
    return replace(subscription, trial_end_ns=day_start(last, zone) + start_ns - day_start(first, zone))


def _offer(store: Store, place: Place, coupon_id: str) -> CouponOffer:
    found = store.coupons.coupon(place, coupon_id)
    if found is None:
        raise invalid("coupons", coupon_id, f"coupons: there is no coupon {coupon_id!r}")
    return found.offer


def _redeemed(offer: CouponOffer, first: Period, subscription: Subscription, customer: Customer) -> Coupon:
    """The coupon as a subscription has it: from the period in which it is redeemed, in as many as it holds for."""
    last = first
    for _ in range((offer.periods or 1) - 1):
        last = next_period(last, _anchor(subscription), customer.time_zone)
    return Coupon(
        id=offer.id,
        name=offer.name,
        percent=offer.percent,
        amount=offer.amount,
        charges=offer.charges,
        from_ns=first.start_ns,
        until_ns=None if offer.periods is None else last.end_ns,
    )


def _count(store: Store, place: Place, actor: str, offer: CouponOffer, subscription: Subscription, tx: Tx) -> None:
    try:
        store.coupons.redeem(tx, place, offer, customer_id=subscription.customer_id, subscription_id=subscription.id, actor=actor)
    except Clash as clash:
        raise conflict("coupons", offer.id, f"coupons: {clash}") from None


def _refuse(refused: Sequence[str], subscription: Subscription, values: dict[str, str] | None = None) -> None:
    """Say all that is wrong, with the field and value of the first.

    Raises:
        Problem: anything is.

    """
    if not refused:
        return
    field = refused[0].partition(":")[0]
    told = {"plan_id": subscription.plan_id, "id": subscription.id, "covers": ", ".join(subscription.covers.resources)}
    told["end"] = "" if subscription.end_ns is None else iso(subscription.end_ns)
    raise invalid(field, (told | (values or {})).get(field, ""), "; ".join(refused))
