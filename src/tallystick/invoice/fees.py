"""The recurring fees of a run as lines: in arrears for its period, in advance for the period that begins when it closes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from tallystick.invoice.periods import period_at
from tallystick.invoice.proration import fee_share
from tallystick.model.billing.contracts import Contract, Period, Run, Subscription
from tallystick.model.billing.invoices import Derivation, Line, LineKind, Step, line_key
from tallystick.model.billing.money import exact_text, round_minor
from tallystick.model.billing.price_book import Fee, FeeTiming, PriceBook, PriceSpan, price_spans
from tallystick.model.instants import CELL_NS, cell_start


def fee_lines(contract: Contract, books: Sequence[PriceBook], run: Run) -> tuple[Line, ...]:
    """The fee lines of every subscription of the run, in order.

    A fee is that of the version in force when its service period begins, in proportion to the exact instants in which the
    subscription is in force: 31.00 a month from 2026-03-16T12:00:00Z is 15.50 for the rest of March.
    """
    own = {subscription.id: subscription for subscription in contract.subscriptions}
    return tuple(line for each in run.subscription_ids for line in _lines(own[each], contract, books, run))


def _lines(subscription: Subscription, contract: Contract, books: Sequence[PriceBook], run: Run) -> Iterator[Line]:
    past = Period(cycle=run.cycle, start_ns=run.period_start_ns, end_ns=run.period_end_ns)
    zone = contract.customer.time_zone
    if past.start_ns < past.end_ns and run.closes(subscription):
        yield from _timed(FeeTiming.ARREARS, subscription, past, books, zone)
    if subscription.start_ns <= run.closing_ns and (subscription.end_ns is None or run.closing_ns < subscription.end_ns):
        anchor_ns = subscription.start_ns if subscription.anchor_ns is None else subscription.anchor_ns
        coming = period_at(run.cycle, anchor_ns, zone, run.closing_ns)
        if run.closing_ns in (coming.start_ns, subscription.start_ns):
            yield from _timed(FeeTiming.ADVANCE, subscription, coming, books, zone)


def _timed(timing: FeeTiming, subscription: Subscription, period: Period, books: Sequence[PriceBook], zone: str) -> Iterator[Line]:
    from_ns = max(subscription.start_ns, period.start_ns)
    until_ns = period.end_ns if subscription.end_ns is None else min(subscription.end_ns, period.end_ns)
    begin_ns = cell_start(from_ns)
    spans = price_spans(books, subscription.plan_id, begin_ns, begin_ns + CELL_NS)
    if from_ns < until_ns and spans:
        for fee in spans[0].plan.fees:
            if fee.timing is timing:
                share = fee_share(fee.proration, period, from_ns, until_ns, zone)
                yield _line(subscription, fee, spans[0], (from_ns, until_ns), share)


def _line(subscription: Subscription, fee: Fee, span: PriceSpan, service: tuple[int, int], share: Fraction) -> Line:
    from_ns, until_ns = service
    plan = span.plan
    exact = fee.amount * share
    amount = round_minor(exact, plan.currency, plan.rounding)
    part = f"{exact_text(fee.amount)} {plan.currency} x {share} of the period ({fee.proration})"
    once = f"rounded once, {plan.rounding}, is {amount.text} {amount.currency}"
    steps = (
        Step(name="proration", text=part, before=fee.amount, after=exact, unit=plan.currency),
        Step(name="rounding", text=once, before=exact, after=amount.exact, unit=plan.currency),
    )
    return Line(
        key=line_key(subscription.id, fee.id, (), (1, 1), (from_ns, until_ns)),
        kind=LineKind.FEE,
        subscription_id=subscription.id,
        charge_id=fee.id,
        group=(),
        plan_id=plan.id,
        book_id=span.book.id,
        book_version=span.book.version,
        tier=1,
        service_start_ns=from_ns,
        service_end_ns=until_ns,
        description=fee.name,
        meter="",
        quantity=share,
        unit="period",
        unit_price=fee.amount,
        amount=amount,
        derivation=Derivation(steps=steps, unrounded=exact),
    )
