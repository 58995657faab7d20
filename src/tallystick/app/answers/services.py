"""The services that the API is handed: each a few lines from the store and the pure core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tallystick.app.answers.comparing import chosen_book, compare_books
from tallystick.app.answers.conflicts import resolve_conflict
from tallystick.app.answers.explaining import explain_line
from tallystick.app.answers.late import change_of, decide_late
from tallystick.app.answers.previews import preview
from tallystick.app.answers.reservations import report_reservations, reserve
from tallystick.app.answers.status import USUAL_LIMITS, AgentLimits, StatusBoard
from tallystick.app.answers.subscriptions import amend_subscription, subscribe, upcoming_runs
from tallystick.app.answers.usage.labels import usage_by_label
from tallystick.app.answers.usage.minutes import minutes_of
from tallystick.app.answers.usage.percentiles import usage_percentiles
from tallystick.app.answers.usage.periods import usage_periods
from tallystick.app.answers.usage.views import usage_views
from tallystick.app.clock import Clock, Ids
from tallystick.invoice.content import hashed_json
from tallystick.model.access import Place
from tallystick.model.billing.invoices import Invoice
from tallystick.model.billing.money import Money
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.findings import Severity
from tallystick.rate import estimate as pricing
from tallystick.rate.books.consistency import conflicts_between, default_plan
from tallystick.rate.load import load_book
from tallystick.render.pdf import pdf
from tallystick.render.text import text
from tallystick.serve.problems import conflict, invalid, not_found
from tallystick.serve.services import BookChoice, BookReading, Estimate, EstimateRequest, RecordUsage, Services
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
    record_usage: RecordUsage,
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
        subscribe=lambda place, actor, wanted: subscribe(store, place, actor, wanted.subscription, wanted.trial_days, wanted.coupons),
        amend_subscription=lambda place, actor, name, wanted: amend_subscription(store, clock, place, actor, name, wanted),
        upcoming_runs=lambda place, subscription_id, after_ns, count: upcoming_runs(store, place, subscription_id, after_ns, count),
        reserve=lambda place, actor, wanted: reserve(store, clock, place, actor, wanted),
        report_reservations=lambda place, customer_id, from_ns, until_ns: report_reservations(store, place, customer_id, from_ns, until_ns),
        preview_invoice=lambda place, customer_id, at_ns, choice: preview_invoice(store, ids, place, customer_id, at_ns, choice),
        invoice_json=hashed_json,
        invoice_pdf=pdf,
        invoice_text=text,
        estimate=lambda place, request: estimate(store, clock, place, request),
        explain_line=lambda place, invoice, number, depth, verify: explain_line(
            store, place, invoice, number, depth, verify=verify, archive=archive
        ),
        usage_minutes=lambda place, query, before, count: minutes_of(store, place, query, before, count, clock.now_ns(), archive),
        usage_days=lambda place, query: usage_periods(store, place, "day", query, clock.now_ns()),
        usage_months=lambda place, query: usage_periods(store, place, "month", query, clock.now_ns()),
        usage_views=lambda place, query, by: usage_views(store, ids, place, query, by, clock.now_ns()),
        usage_by_label=lambda place, name, query: usage_by_label(store, place, name, query),
        usage_percentiles=lambda place, query, percentile, method: usage_percentiles(store, place, query, percentile, method),
        record_usage=record_usage,
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
    return BookReading(book=book, mistakes=mistakes)


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


def preview_invoice(
    store: Store, ids: Ids, place: Place, customer_id: str, at_ns: int, choice: BookChoice | None = None
) -> tuple[Invoice, ...]:
    """The drafts of the periods open at an instant, perhaps as if another version of prices had always been in force.

    Raises:
        Problem: there is no such customer, no such version, or one that prices nothing of the customer.

    """
    book = None if choice is None else chosen_book(store, place, choice)
    try:
        drafts = preview(store, place, customer_id, at_ns, ids, book)
    except NotFound:
        raise not_found("customer_id", customer_id) from None
    priced = {line.book_id: line.plan_id for draft in drafts for line in draft.lines}
    if book is not None and priced and book.id not in priced:
        plans = ", ".join(plan.id for plan in book.plans)
        detail = (
            f"prices: none of the plans of {book.id!r} ({plans}) is one that this customer is billed by, such as {min(priced.values())!r}"
        )
        raise invalid("prices", book.id, detail)
    return drafts


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
        gpus=request.gpus,
        hours=request.hours,
        region=request.region,
        kind=request.kind,
    )
    try:
        rated = pricing.estimate(book, plan_id, machine)
    except ValueError as error:
        field = str(error).partition(":")[0]
        raise invalid(field, str(getattr(machine, field, "")), str(error)) from None
    plan = book.plan(plan_id)
    currency = plan.currency if plan else ""
    total = sum((line.amount for line in rated.lines), Money(minor=0, currency=currency))
    unpriced = tuple(finding.detail for finding in rated.findings if finding.severity is Severity.BLOCKING)
    return Estimate(plan_id=plan_id, book_id=book.id, book_version=book.version, lines=rated.lines, total=total, unpriced=unpriced)
