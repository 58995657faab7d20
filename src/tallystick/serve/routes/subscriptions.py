"""Routes of what is agreed with customers: subscriptions and what becomes of them, coupons, reservations."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response

from tallystick.model.billing.contracts import Subscription
from tallystick.model.instants import DAY_NS, HOUR_NS, hour_start, iso
from tallystick.serve.documents.reservations import (
    NewReservation,
    ShownReservation,
    ShownReservationReport,
    shown_report,
    shown_reservation,
)
from tallystick.serve.documents.subscriptions import (
    CancelOfSubscription,
    ChangeOfSubscription,
    NewCoupon,
    NewSubscription,
    PauseOfSubscription,
    Redemption,
    ResumeOfSubscription,
    ShownCoupon,
    ShownSubscription,
    UpcomingPeriods,
    shown_coupon,
    shown_subscription,
    shown_upcoming,
)
from tallystick.serve.documents.values import Id, Instant, Listing
from tallystick.serve.guard import Call, GuardedRoute, Reader, ReaderOfAll, Writer
from tallystick.serve.pages import Cursor, Limit, newest, page_of
from tallystick.serve.problems import conflict, invalid, not_found
from tallystick.serve.services import Amendment, AmendmentKind, WantedReservation

USUAL_REPORT_NS, LONGEST_REPORT_NS = 31 * DAY_NS, 366 * DAY_NS

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["subscriptions"])


@router.post("/subscriptions", summary="Put a customer on a plan", status_code=201)
def create_subscription(call: Writer, wanted: NewSubscription) -> ShownSubscription:
    """An unknown customer, plan, charge or coupon is refused, and so is coverage that ties with another subscription."""
    asked = wanted.value(wanted.id or call.desk.services.new_id(), call.desk.clock.now_ns())
    subscription = asked.subscription
    if subscription.end_ns is not None and subscription.end_ns <= subscription.start_ns:
        raise invalid("end", iso(subscription.end_ns), "end: is not after the start")
    return _shown(call, call.desk.services.subscribe(call.place, call.actor, asked))


@router.get("/subscriptions", summary="Subscriptions, newest first")
def list_subscriptions(
    call: Reader, customer_id: Id | None = None, limit: Limit = 100, cursor: Cursor = None
) -> Listing[ShownSubscription]:
    """Of all customers that the key may see, or of one."""
    fetch = partial(call.desk.store.contracts.subscriptions, call.place, customers=call.only(customer_id))
    page, following = newest(fetch, cursor, limit)
    return Listing(items=tuple(_shown(call, each.subscription) for each in page), next_cursor=following)


@router.get("/subscriptions/{subscription_id:path}/periods", summary="The billing periods that come, with the fees due then")
def upcoming_periods(
    call: Reader,
    subscription_id: Id,
    after: Annotated[Instant | None, Query(description="Runs that close after it; now.")] = None,
    count: Annotated[int, Query(ge=1, le=120, description="How many.")] = 12,
) -> UpcomingPeriods:
    """As far as it is agreed now: start, end, closing, the part in force, and what is due whatever is used."""
    _visible(call, subscription_id)
    after_ns = call.desk.clock.now_ns() if after is None else after
    found = call.desk.services.upcoming_runs(call.place, subscription_id, after_ns, count)
    return UpcomingPeriods(items=tuple(map(shown_upcoming, found)))


@router.get("/subscriptions/{subscription_id:path}", summary="A subscription")
def show_subscription(call: Reader, subscription_id: Id) -> ShownSubscription:
    """By its id."""
    return _shown(call, _visible(call, subscription_id))


@router.post("/subscriptions/{subscription_id:path}/change", summary="Put a subscription on another plan")
def change_subscription(call: Writer, subscription_id: Id, wanted: ChangeOfSubscription) -> ShownSubscription:
    """Both plans are billed for their part; the unused part of a fee in advance is credited when the period closes."""
    return _amended(call, subscription_id, Amendment(kind=AmendmentKind.CHANGE, at_ns=wanted.at, plan_id=wanted.plan_id))


@router.post("/subscriptions/{subscription_id:path}/pause", summary="Pause a subscription")
def pause_subscription(call: Writer, subscription_id: Id, wanted: PauseOfSubscription) -> ShownSubscription:
    """While it is paused usage is not charged and no fee is due."""
    return _amended(call, subscription_id, Amendment(kind=AmendmentKind.PAUSE, at_ns=wanted.at, until_ns=wanted.until))


@router.post("/subscriptions/{subscription_id:path}/resume", summary="Resume a subscription")
def resume_subscription(call: Writer, subscription_id: Id, wanted: ResumeOfSubscription) -> ShownSubscription:
    """Its pause ends."""
    return _amended(call, subscription_id, Amendment(kind=AmendmentKind.RESUME, at_ns=wanted.at))


@router.post("/subscriptions/{subscription_id:path}/cancel", summary="Cancel a subscription, now or at the period's end")
def cancel_subscription(call: Writer, subscription_id: Id, wanted: CancelOfSubscription) -> ShownSubscription:
    """Its last invoice is made once everything up to that instant is known."""
    return _amended(call, subscription_id, Amendment(kind=AmendmentKind.CANCEL, at_ns=wanted.at, at_period_end=wanted.at_period_end))


@router.post("/subscriptions/{subscription_id:path}/redeem", summary="Redeem a coupon with a subscription")
def redeem_coupon(call: Writer, subscription_id: Id, wanted: Redemption) -> ShownSubscription:
    """From the present period on; one that was redeemed too often is refused."""
    return _amended(call, subscription_id, Amendment(kind=AmendmentKind.REDEEM, coupon_id=wanted.coupon))


@router.post(
    "/coupons",
    summary="Create a coupon",
    status_code=201,
    responses={200: {"model": ShownCoupon, "description": "It was there already."}},
)
def create_coupon(call: Writer, wanted: NewCoupon, response: Response) -> ShownCoupon:
    """The same coupon again changes nothing and is answered 200; another under its id is a conflict."""
    coupons, offer = call.desk.store.coupons, wanted.value()
    made = coupons.create(call.place, offer, actor=call.actor)
    found = coupons.coupon(call.place, offer.id)
    if found is None or found.offer != offer:
        raise conflict("id", offer.id, f"coupon {offer.id!r} is there already, and other")
    response.status_code = 201 if made else 200
    return shown_coupon(found)


@router.get("/coupons", summary="Coupons, newest first")
def list_coupons(call: ReaderOfAll, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownCoupon]:
    """With how often each was redeemed."""
    page, following = newest(partial(call.desk.store.coupons.coupons, call.place), cursor, limit)
    return Listing(items=tuple(map(shown_coupon, page)), next_cursor=following)


@router.get("/coupons/{coupon_id:path}", summary="A coupon")
def show_coupon(call: ReaderOfAll, coupon_id: Id) -> ShownCoupon:
    """By its id."""
    found = call.desk.store.coupons.coupon(call.place, coupon_id)
    if found is None:
        raise not_found("coupon_id", coupon_id)
    return shown_coupon(found)


@router.post("/reservations", summary="Reserve capacity: a quantity of an offer", status_code=201)
def create_reservation(call: Writer, wanted: NewReservation) -> ShownReservation:
    """At the prices of the plan's offer as they are then; the invoices of the subscription bear it."""
    _visible(call, wanted.subscription_id)
    asked = WantedReservation(
        id=wanted.id or call.desk.services.new_id(),
        subscription_id=wanted.subscription_id,
        offer_id=wanted.offer_id,
        quantity=wanted.amount(),
        start_ns=wanted.start,
    )
    return shown_reservation(call.desk.services.reserve(call.place, call.actor, asked))


@router.get("/reservations", summary="Reservations, newest first")
def list_reservations(call: Reader, customer_id: Id | None = None, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownReservation]:
    """Of all customers that the key may see, or of one."""
    fetch = partial(call.desk.store.reservations.reservations, call.place, customers=call.only(customer_id))
    page, following = newest(fetch, cursor, limit)
    return Listing(items=tuple(map(shown_reservation, page)), next_cursor=following)


@router.get("/reservations/report", summary="How well reservations are used, and what they cover")
def report_reservations(
    call: Reader,
    customer_id: Id | None = None,
    start: Annotated[Instant | None, Query(alias="from", description="Included; without it: 31 days before the end.")] = None,
    until: Annotated[Instant | None, Query(description="Not included; at the latest, and without it: the last hour that is over.")] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Listing[ShownReservationReport]:
    """A report for each customer who has something reserved in the hours that begin in [from, until), at most 366 days."""
    wanted = call.only(customer_id)
    if customer_id is not None and call.desk.store.registry.customer(call.place, customer_id) is None:
        raise not_found("customer_id", customer_id)
    if start is not None and until is not None and until <= start:
        raise invalid("until", iso(until), "until: is not after from")
    over_ns = hour_start(call.desk.clock.now_ns())
    until_ns = over_ns if until is None else min(_next_hour(until), over_ns)
    from_ns = until_ns - USUAL_REPORT_NS if start is None else _next_hour(start)
    if until_ns - from_ns > LONGEST_REPORT_NS:
        raise invalid("from", iso(from_ns), "from: a span of more than 366 days")
    held = call.desk.store.reservations.reservations(call.place, customers=wanted)
    inside = [each for each in held if max(each.reservation.start_ns, from_ns) < min(each.reservation.end_ns, until_ns)]
    page, following = page_of(list({each.customer_id: each.row for each in inside}.items()), lambda each: (each[1],), (int,), cursor, limit)
    reports = (call.desk.services.report_reservations(call.place, name, from_ns, until_ns) for name, _ in page)
    return Listing(items=tuple(map(shown_report, reports)), next_cursor=following)


def _next_hour(at_ns: int) -> int:
    """The first whole hour that does not begin before an instant."""
    return -(-at_ns // HOUR_NS) * HOUR_NS


def _amended(call: Writer, subscription_id: str, amendment: Amendment) -> ShownSubscription:
    _visible(call, subscription_id)
    return _shown(call, call.desk.services.amend_subscription(call.place, call.actor, subscription_id, amendment))


def _shown(call: Call, subscription: Subscription) -> ShownSubscription:
    return shown_subscription(subscription, call.desk.clock.now_ns())


def _visible(call: Call, subscription_id: str) -> Subscription:
    found = call.desk.store.contracts.subscription(call.place, subscription_id)
    if found is None or not call.sees(found.customer_id):
        raise not_found("subscription_id", subscription_id)
    return found
