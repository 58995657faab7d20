"""Which runs are due: one customer, one cycle, its anchor, one closing instant (billing.md, Invoices)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tallystick.invoice.periods import anchor_of, period_at
from tallystick.invoice.upfront import upfront_of
from tallystick.model.billing.contracts import Contract, Run, Seller, Subscription
from tallystick.model.billing.price_book import Cycle, FeeTiming, PriceBook, price_spans
from tallystick.model.instants import HOUR_NS, cell_end, hour_start


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingTerms:
    """How a plan is billed: what no version of it may change."""

    cycle: Cycle
    currency: str


def billing_terms(contract: Contract, subscription: Subscription, books: Sequence[PriceBook]) -> BillingTerms:
    """The cycle and currency of a subscription's plan; of an unknown plan, calendar months in the customer's currency.

    A plan that no book has is still closed: its usage is unpriced, and the invoice is parked.
    """
    versions = sorted(books, key=lambda book: (book.effective_from_ns, book.version))
    plans = [plan for book in versions if (plan := book.plan(subscription.plan_id)) is not None]
    if not plans:
        return BillingTerms(cycle=Cycle(), currency=contract.customer.currency)
    return BillingTerms(cycle=plans[-1].cycle, currency=plans[-1].currency)


def due(contract: Contract, books: Sequence[PriceBook], now_ns: int, after_ns: int = 0) -> tuple[Run, ...]:
    """The runs that close in (after_ns, now_ns], in order of closing; whether one may be closed yet says `ready`.

    Subscriptions of one cycle, anchor, closing instant and currency are one run. A subscription whose plan has a fee in
    advance has a run at its start, one that bears a reservation's upfront part a run at that start.
    """
    found: dict[tuple[int, str, str], Run] = {}
    for subscription in sorted(contract.subscriptions, key=lambda each: (each.start_ns, each.id)):
        for run in runs_of(subscription, contract, books, now_ns, after_ns):
            same = found.setdefault((run.closing_ns, run.key, run.currency), run)
            if same is not run:
                ids = tuple(dict.fromkeys((*same.subscription_ids, subscription.id)))
                # A start of one may be the end of another's period: the run then has that period.
                longer = min(same, run, key=lambda each: each.period_start_ns)
                found[run.closing_ns, run.key, run.currency] = replace(longer, subscription_ids=ids)
    return tuple(run for _, run in sorted(found.items(), key=lambda item: item[0]))


def current(contract: Contract, books: Sequence[PriceBook], at_ns: int) -> tuple[Run, ...]:
    """The runs whose period holds an instant, to preview them: they close at their period's or subscription's end."""
    found: dict[tuple[int, str, str], Run] = {}
    for subscription in sorted(contract.subscriptions, key=lambda each: (each.start_ns, each.id)):
        if subscription.start_ns <= at_ns and (subscription.end_ns is None or at_ns < subscription.end_ns):
            run = _run(subscription, contract, billing_terms(contract, subscription, books), at_ns)
            same = found.get((run.closing_ns, run.key, run.currency))
            ids = (*same.subscription_ids, subscription.id) if same else run.subscription_ids
            found[run.closing_ns, run.key, run.currency] = replace(run, subscription_ids=ids)
    return tuple(run for _, run in sorted(found.items(), key=lambda item: item[0]))


def usage_window(run: Run) -> tuple[int, int]:
    """The whole UTC hours [from_ns, until_ns) that hold the run's cells: those usage hours are its evidence."""
    until_ns = min(run.period_end_ns, cell_end(run.closing_ns))
    return hour_start(run.period_start_ns), -(-until_ns // HOUR_NS) * HOUR_NS


def ready(run: Run, seller: Seller, now_ns: int, reported_until_ns: int | None) -> bool:
    """Whether a due run may be closed: every agent of the customer has reported past its end, after the grace; or the limit has passed.

    `reported_until_ns` is the instant up to which every agent of the customer has reported; None: there is no agent to wait for.
    """
    if now_ns < run.closing_ns + seller.grace_ns:
        return False
    reported = reported_until_ns is None or reported_until_ns >= run.closing_ns
    return reported or now_ns >= run.closing_ns + max(seller.grace_limit_ns, seller.grace_ns)


def runs_of(subscription: Subscription, contract: Contract, books: Sequence[PriceBook], now_ns: int, after_ns: int) -> Iterator[Run]:
    """The runs of a subscription that close in (after_ns, now_ns]: those at starts first, then those of periods, in order."""
    terms = billing_terms(contract, subscription, books)
    for at_ns in _paid_at_start(subscription, contract, books):
        if after_ns < at_ns <= now_ns:
            run = _run(subscription, contract, terms, at_ns)
            yield replace(run, period_start_ns=at_ns, period_end_ns=at_ns, closing_ns=at_ns)
    at_ns = max(subscription.start_ns, after_ns)
    while subscription.end_ns is None or at_ns < subscription.end_ns:
        run = _run(subscription, contract, terms, at_ns)
        if run.closing_ns > now_ns:
            return
        yield run
        at_ns = run.closing_ns


def _run(subscription: Subscription, contract: Contract, terms: BillingTerms, at_ns: int) -> Run:
    """The run of the period that holds an instant in which the subscription is in force."""
    zone = contract.customer.time_zone
    anchor_ns = subscription.start_ns if subscription.anchor_ns is None else subscription.anchor_ns
    period = period_at(terms.cycle, anchor_ns, zone, at_ns)
    return Run(
        customer_id=contract.customer.id,
        cycle=terms.cycle,
        anchor_ns=anchor_of(terms.cycle, anchor_ns, zone),
        period_start_ns=period.start_ns,
        period_end_ns=period.end_ns,
        closing_ns=period.end_ns if subscription.end_ns is None else min(period.end_ns, subscription.end_ns),
        currency=terms.currency,
        subscription_ids=(subscription.id,),
    )


def _paid_at_start(subscription: Subscription, contract: Contract, books: Sequence[PriceBook]) -> list[int]:
    """Where something is due that is not paid when a period ends: first fees in advance, and upfront parts of reservations."""
    starts = {contract.reserved(each)[0] for each in upfront_of(contract, subscription.id)}
    return sorted(starts | ({subscription.start_ns} if _fee_in_advance(subscription, books) else set()))


def _fee_in_advance(subscription: Subscription, books: Sequence[PriceBook]) -> bool:
    spans = price_spans(books, subscription.plan_id, subscription.first_cell_ns, cell_end(subscription.start_ns + 1))
    return any(fee.timing is FeeTiming.ADVANCE for span in spans for fee in span.plan.fees)
