"""Reservations: made of an offer of the plan that a subscription is on, or refused; and what is reported of them."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.app.accounts import read_account, read_contract, read_progress
from tallystick.app.clock import Clock
from tallystick.invoice.runs import billing_terms
from tallystick.model.access import Place
from tallystick.model.billing.phases import plan_at
from tallystick.model.billing.price_book import Offer, PriceBook, price_spans
from tallystick.model.instants import CELL_NS, DAY_NS, cell_start, iso
from tallystick.rate.reservations.agreements import reservation_refusals, reserved_from
from tallystick.rate.reservations.matching import Match
from tallystick.rate.reservations.report import matches_between, reservation_report
from tallystick.serve.problems import conflict, invalid, not_found
from tallystick.serve.services import ReportOfReservations, WantedReservation
from tallystick.store.agreed.reservations import StoredReservation
from tallystick.store.engine import Tx
from tallystick.store.store import Store

AT_ONCE_NS = 7 * DAY_NS
"""How much usage is in memory at once."""


def reserve(store: Store, clock: Clock, place: Place, actor: str, wanted: WantedReservation) -> StoredReservation:
    """A quantity of an offer for its months; the same again changes nothing.

    Raises:
        Problem: there is no such subscription or offer, or it could not be billed; nothing is stored then.

    """
    bearer = store.contracts.subscription(place, wanted.subscription_id)
    if bearer is None:
        raise not_found("subscription_id", wanted.subscription_id)
    start_ns = clock.now_ns() if wanted.start_ns is None else wanted.start_ns
    with store.read() as tx:
        contract, books = read_contract(store, place, bearer.customer_id, start_ns, tx)
    offer = _offer(books, plan_at(bearer, start_ns), wanted.offer_id, start_ns)
    made = reserved_from(offer, bearer, wanted.quantity, start_ns, contract.customer.time_zone, reservation_id=wanted.id)

    def create(tx: Tx) -> StoredReservation:
        store.contracts.one_at_a_time(place, tx)
        known = store.reservations.reservation(place, wanted.id, tx=tx)
        if known is not None and known.reservation == made:
            return known
        if known is not None:
            raise conflict("id", wanted.id, f"reservation {wanted.id!r} is there already, and other")
        refused = reservation_refusals(made, contract, books)
        if refused:
            field = refused[0].partition(":")[0]
            values = {"id": made.id, "start": iso(made.start_ns), "end": iso(made.end_ns), "quantity": str(made.quantity)}
            raise invalid(field, values.get(field, ""), "; ".join(refused))
        store.reservations.create(place, bearer.customer_id, made, actor=actor, tx=tx)
        stored = store.reservations.reservation(place, wanted.id, tx=tx)
        if stored is None:
            raise conflict("id", wanted.id, f"reservation {wanted.id!r} is there already")
        return stored

    return store.transact(create)


def report_reservations(store: Store, place: Place, customer_id: str, from_ns: int, until_ns: int) -> ReportOfReservations:
    """How well a customer's reservations were used in whole hours, read week by week: an hour is matched by itself.

    Raises:
        NotFound: there is no such customer.

    """
    with store.read() as tx:
        contract, books = read_contract(store, place, customer_id, until_ns, tx)
        waiting, _ = read_progress(store, place, contract, until_ns, tx)
    currencies = {each.id: billing_terms(contract, each, books).currency for each in contract.subscriptions}

    def found() -> Iterator[Match]:
        for start_ns in range(from_ns, until_ns, AT_ONCE_NS):
            end_ns = min(start_ns + AT_ONCE_NS, until_ns)
            usage = read_account(store, place, customer_id, start_ns, end_ns).usage
            yield from matches_between(usage, contract, books, start_ns, end_ns)

    return ReportOfReservations(
        customer_id=customer_id,
        from_ns=from_ns,
        until_ns=until_ns,
        hours_waiting=waiting,
        report=reservation_report(contract, found()),
        currencies={each.id: currencies[each.subscription_id] for each in contract.reservations},
    )


def _offer(books: tuple[PriceBook, ...], plan_id: str, offer_id: str, at_ns: int) -> Offer:
    spans = price_spans(books, plan_id, cell_start(at_ns), cell_start(at_ns) + CELL_NS)
    offers = {offer.id: offer for offer in spans[-1].plan.reservations} if spans else {}
    if offer_id not in offers:
        known = ", ".join(offers) or "none"
        raise invalid("offer_id", offer_id, f"offer_id: plan {plan_id!r} has no offer {offer_id!r} at {iso(at_ns)}; there are: {known}")
    return offers[offer_id]
