"""The services that the API is handed: each a few lines from the store and the pure core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tallystick.app.answers.comparing import compare_books
from tallystick.app.answers.conflicts import resolve_conflict
from tallystick.app.answers.explaining import explain_line
from tallystick.app.answers.late import change_of, decide_late
from tallystick.app.answers.previews import preview
from tallystick.app.answers.status import USUAL_LIMITS, AgentLimits, StatusBoard
from tallystick.app.answers.usage.labels import usage_by_label
from tallystick.app.answers.usage.percentiles import usage_percentiles
from tallystick.app.answers.usage.periods import usage_periods
from tallystick.app.answers.usage.views import usage_views
from tallystick.app.clock import Clock, Ids
from tallystick.invoice.codec import to_json
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.invoices import Invoice
from tallystick.model.billing.money import Money
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.instants import iso
from tallystick.rate import estimate as pricing
from tallystick.rate.agreements import refusals
from tallystick.rate.books.consistency import conflicts_between, default_plan
from tallystick.rate.load import load_book
from tallystick.render.pdf import pdf
from tallystick.render.text import text
from tallystick.serve.problems import conflict, invalid, not_found
from tallystick.serve.services import BookMistake, BookReading, Estimate, EstimateRequest, Services
from tallystick.store.records import Clash, NotFound
from tallystick.store.store import Store

BODY = "body"


def services_of(
    store: Store,
    clock: Clock,
    ids: Ids,
    *,
    metrics: Callable[[], str],
    not_ready: Callable[[], tuple[str, ...]],
    limits: AgentLimits = USUAL_LIMITS,
    archive: Path | None = None,
) -> Services:
    """The services of one server; `archive` is where raw samples were moved to."""
    board = StatusBoard(store, clock, ids, limits)
    return Services(
        new_id=ids.new_id,
        new_key=ids.new_key,
        read_book=read_book,
        add_book=lambda place, actor, text: add_book(store, place, actor, text),
        activate_book=lambda place, actor, book_id, version: activate_book(store, place, actor, book_id, version),
        compare_books=lambda place, before, after: compare_books(store, place, before, after),
        subscribe=lambda place, actor, subscription: subscribe(store, place, actor, subscription),
        end_subscription=lambda place, actor, subscription_id, end_ns: end_subscription(store, place, actor, subscription_id, end_ns),
        preview_invoice=lambda place, customer_id, at_ns: preview_invoice(store, ids, place, customer_id, at_ns),
        invoice_json=to_json,
        invoice_pdf=pdf,
        invoice_text=text,
        estimate=lambda place, request: estimate(store, clock, place, request),
        explain_line=lambda place, invoice, number, depth, verify: explain_line(
            store, place, invoice, number, depth, verify=verify, archive=archive
        ),
        usage_days=lambda place, query: usage_periods(store, place, "day", query, clock.now_ns()),
        usage_months=lambda place, query: usage_periods(store, place, "month", query, clock.now_ns()),
        usage_views=lambda place, query, by: usage_views(store, ids, place, query, by, clock.now_ns()),
        usage_by_label=lambda place, name, query: usage_by_label(store, place, name, query),
        usage_percentiles=lambda place, query, percentile, method: usage_percentiles(store, place, query, percentile, method),
        change_of=lambda place, late: change_of(store, place, late),
        decide_late=lambda place, actor, batch, reason, admit: decide_late(store, place, actor, batch, reason, admit=admit),
        status=board.status,
        agents=board.agents,
        resolve_conflict=lambda place, actor, row, takes_sent, reason: resolve_conflict(
            store, place, actor, row, takes_sent=takes_sent, reason=reason
        ),
        metrics=metrics,
        not_ready=not_ready,
    )


def read_book(text: str) -> BookReading:
    """A price-book document checked; its mistakes are all told."""
    book, mistakes = load_book(text, BODY)
    told = tuple(BookMistake(line=each.line, field=each.place, found=each.found, allowed=each.allowed) for each in mistakes)
    return BookReading(book=book, mistakes=told)


def add_book(store: Store, place: Place, actor: str, text: str) -> BookReading:
    """A document checked and, without mistakes, stored as the next draft of its id."""
    reading = read_book(text)
    if reading.book is None:
        return reading
    return replace(reading, book=store.contracts.add_book(place, reading.book, text, actor=actor))


def activate_book(store: Store, place: Place, actor: str, book_id: str, version: int) -> PriceBook:
    """A draft in force, unless it contradicts what is in force already.

    Raises:
        Problem: no such version, or it cannot be active beside the others.

    """
    found = store.contracts.book(place, book_id, version)
    if found is None:
        raise not_found("version", f"{book_id} version {version}")
    others = [book for book in store.contracts.books_in_force(place) if (book.id, book.version) != (book_id, version)]
    against = conflicts_between(found.book, others) if found.activated_at_ns is None else ()
    if against:
        raise conflict("version", f"{book_id} version {version}", "; ".join(against))
    try:
        return store.contracts.activate_book(place, book_id, version, actor=actor).book
    except Clash as clash:
        raise conflict("version", f"{book_id} version {version}", str(clash)) from None


def subscribe(store: Store, place: Place, actor: str, subscription: Subscription) -> Subscription:
    """A customer on a plan.

    Raises:
        Problem: the customer or plan is unknown, or its coverage ties with another's; every reason is told.

    """
    if store.registry.customer(place, subscription.customer_id) is None:
        raise invalid("customer_id", subscription.customer_id, f"customer_id: there is no customer {subscription.customer_id!r}")
    known = store.contracts.subscription(place, subscription.id)
    if known is not None:
        if known != subscription:
            raise conflict("id", subscription.id, f"subscription {subscription.id!r} is there already, and other")
        return known
    others = store.contracts.subscriptions(place, customers=frozenset({subscription.customer_id}))
    found = refusals(subscription, [each.subscription for each in others], store.contracts.books_in_force(place))
    if found:
        field = found[0].partition(":")[0]
        values = {"plan_id": subscription.plan_id, "id": subscription.id, "covers": ", ".join(subscription.covers.resources)}
        raise invalid(field, values.get(field, ""), "; ".join(found))
    if not store.contracts.create_subscription(place, subscription, actor=actor):
        raise conflict("id", subscription.id, f"subscription {subscription.id!r} is there already")
    return subscription


def end_subscription(store: Store, place: Place, actor: str, subscription_id: str, end_ns: int) -> Subscription:
    """A subscription with its end; the same end again changes nothing.

    Raises:
        Problem: there is none, it ends at another instant already, or the end is not after its start.

    """
    known = store.contracts.subscription(place, subscription_id)
    if known is None:
        raise not_found("subscription_id", subscription_id)
    if known.end_ns == end_ns:
        return known
    if known.end_ns is not None:
        raise conflict("at", iso(end_ns), f"at: it ends at {iso(known.end_ns)} already")
    if end_ns <= known.start_ns:
        raise invalid("at", iso(end_ns), f"at: is not after the start {iso(known.start_ns)}")
    ended = replace(known, end_ns=end_ns)
    store.contracts.change_subscription(place, ended, actor=actor, action="subscription.end")
    return ended


def preview_invoice(store: Store, ids: Ids, place: Place, customer_id: str, at_ns: int) -> tuple[Invoice, ...]:
    """The drafts of the periods open at an instant.

    Raises:
        Problem: there is no such customer.

    """
    try:
        return preview(store, place, customer_id, at_ns, ids)
    except NotFound:
        raise not_found("customer_id", customer_id) from None


def estimate(store: Store, clock: Clock, place: Place, request: EstimateRequest) -> Estimate:
    """What a machine would cost by the prices in force now.

    Raises:
        Problem: no such plan in force, no default plan, or a figure that cannot be.

    """
    now_ns = clock.now_ns()
    books = store.contracts.books_in_force(place)
    plan_id = request.plan_id or default_plan(books, now_ns)
    offered = [book for book in books if book.plan(plan_id) is not None and book.effective_from_ns <= now_ns]
    if not offered:
        known = sorted({plan.id for book in books for plan in book.plans})
        detail = (
            f"plan: no plan {plan_id!r} is in force; there are: {', '.join(known) or 'none'}"
            if plan_id
            else "plan: there is no default plan"
        )
        raise invalid("plan", plan_id, detail)
    book = max(offered, key=lambda each: (each.effective_from_ns, each.version))
    machine = pricing.Machine(
        vcpus=request.vcpus,
        memory_gib=request.memory_gib,
        disk_gib=request.disk_gib,
        network_out_gib=request.network_out_gib,
        hours=request.hours,
    )
    try:
        rated = pricing.estimate(book, plan_id, machine)
    except ValueError as error:
        field = str(error).partition(":")[0]
        raise invalid(field, str(getattr(machine, field, "")), str(error)) from None
    plan = book.plan(plan_id)
    currency = plan.currency if plan else ""
    total = sum((line.amount for line in rated.lines), Money(minor=0, currency=currency))
    return Estimate(plan_id=plan_id, book_id=book.id, book_version=book.version, lines=rated.lines, total=total)
