"""The recurring fees of a run as lines: in arrears for its period, in advance for the period that begins when it closes.

What was billed in advance of a period and became otherwise inside of it, as the plan was changed, paused or cancelled, is settled by
the run that closes it: credit for what was not used, and what is due instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from tallystick.invoice.cycles.stubs import dates_of
from tallystick.invoice.periods import period_at
from tallystick.invoice.proration import fee_share
from tallystick.model.billing.contracts import Contract, Period, Run, Subscription
from tallystick.model.billing.invoices import Derivation, Line, LineKind, Step, line_key
from tallystick.model.billing.money import exact_text, round_minor
from tallystick.model.billing.phases import Phase, as_known, phases
from tallystick.model.billing.price_book import Fee, FeeTiming, PriceBook, PriceSpan, Proration, price_spans
from tallystick.model.instants import CELL_NS, cell_start

TRIAL = "trial"
CREDIT = "credit for what was not used"

Stretch = tuple[int, int]
"""Instants [from, until)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is due of a fee of one plan in a period: its share, in the stretches [from, until) in which the plan is in force.

    `ordinal` is the plan's place in the period, from 1; `trial` is a part that costs nothing.
    """

    ordinal: int
    span: PriceSpan
    fee: Fee
    trial: bool
    share: Fraction
    stretches: tuple[Stretch, ...]

    @property
    def key(self) -> tuple[str, str, bool]:
        """What it is for: a plan's fee, in the trial or after it."""
        return self.span.plan.id, self.fee.id, self.trial


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
        yield from (_line(subscription, due) for due in _due(FeeTiming.ARREARS, subscription, past, books, zone))
        yield from _settled(subscription, past, books, zone)
    if subscription.start_ns <= run.closing_ns and (subscription.end_ns is None or run.closing_ns < subscription.end_ns):
        anchor_ns = subscription.start_ns if subscription.anchor_ns is None else subscription.anchor_ns
        coming = period_at(run.cycle, anchor_ns, zone, run.closing_ns)
        if run.closing_ns in (coming.start_ns, subscription.start_ns):
            known = as_known(subscription, run.closing_ns)
            yield from (_line(subscription, due) for due in _due(FeeTiming.ADVANCE, known, coming, books, zone))


def _settled(subscription: Subscription, period: Period, books: Sequence[PriceBook], zone: str) -> Iterator[Line]:
    """What was billed in advance of a period, against what is due of it now: 30.00 billed and 16.57 due are 13.43 of credit."""
    known = as_known(subscription, max(subscription.start_ns, period.start_ns))
    if known == subscription:
        return
    billed = {due.key: due for due in _due(FeeTiming.ADVANCE, known, period, books, zone)}
    owed = {due.key: due for due in _due(FeeTiming.ADVANCE, subscription, period, books, zone)}
    for key in dict.fromkeys((*billed, *owed)):
        before, after = billed.get(key), owed.get(key)
        share = (after.share if after else Fraction(0)) - (before.share if before else Fraction(0))
        told = before or after
        if share and told is not None and not told.trial:
            stretch = _difference(before.stretches if before else (), after.stretches if after else ())
            yield _line(subscription, replace(told, share=share, stretches=stretch))


def _difference(one: Sequence[Stretch], other: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """The stretches that lie in one of two sequences and not in the other."""
    bounds = sorted({instant for stretch in (*one, *other) for instant in stretch})
    return tuple((begin, end) for begin, end in pairwise(bounds) if _holds(one, begin) != _holds(other, begin))


def _holds(stretches: Sequence[Stretch], at_ns: int) -> bool:
    return any(begin <= at_ns < end for begin, end in stretches)


def _due(timing: FeeTiming, subscription: Subscription, period: Period, books: Sequence[PriceBook], zone: str) -> Iterator[Due]:
    """The fees of every plan that is in force in a period, by plan: in the trial, then after it."""
    found = phases(subscription, period.start_ns, period.end_ns)
    for ordinal, plan_id in enumerate(dict.fromkeys(phase.plan_id for phase in found), start=1):
        for trial in (True, False):
            own = [phase for phase in found if (phase.plan_id, phase.trial) == (plan_id, trial)]
            if not own:
                continue
            begin_ns = cell_start(own[0].from_ns)
            span = next(iter(price_spans(books, plan_id, begin_ns, begin_ns + CELL_NS)), None)
            for fee in span.plan.fees if span is not None else ():
                if fee.timing is timing and span is not None:
                    stretches = tuple((phase.from_ns, phase.until_ns) for phase in own)
                    share = _share(fee, period, own, found, zone)
                    yield Due(ordinal=ordinal, span=span, fee=fee, trial=trial, share=share, stretches=stretches)


def _share(fee: Fee, period: Period, own: Sequence[Phase], found: Sequence[Phase], zone: str) -> Fraction:
    """The part of a fee for some phases of a period: a date that several phases share is that of the last of them."""
    if fee.proration is Proration.NONE:
        return Fraction(1)
    if fee.proration is Proration.EXACT:
        return sum((fee_share(fee.proration, period, phase.from_ns, phase.until_ns, zone) for phase in own), Fraction(0))
    owners: dict[int, Phase] = {}
    for phase in found:
        first, past = dates_of(phase.from_ns, phase.until_ns, zone)
        owners.update(dict.fromkeys(range(first.toordinal(), past.toordinal()), phase))
    first, past = dates_of(period.start_ns, period.end_ns, zone)
    return Fraction(sum(phase in own for phase in owners.values()), (past - first).days)


def _line(subscription: Subscription, due: Due) -> Line:
    fee, share, plan = due.fee, due.share, due.span.plan
    service = due.stretches[0][0], due.stretches[-1][1]
    exact = Fraction(0) if due.trial else fee.amount * share
    amount = round_minor(exact, plan.currency, plan.rounding)
    part = f"{exact_text(fee.amount)} {plan.currency} x {share} of the period ({fee.proration})"
    steps = [Step(name="proration", text=part, before=fee.amount, after=fee.amount * share, unit=plan.currency)]
    if due.trial:
        steps.append(Step(name=TRIAL, text="in the trial: nothing to pay", before=fee.amount * share, after=exact, unit=plan.currency))
    once = f"rounded once, {plan.rounding}, is {amount.text} {amount.currency}"
    steps.append(Step(name="rounding", text=once, before=exact, after=amount.exact, unit=plan.currency))
    note = TRIAL if due.trial else CREDIT if share < 0 else ""
    return Line(
        key=line_key(subscription.id, fee.id, (), (due.ordinal, 1), service),
        kind=LineKind.FEE,
        subscription_id=subscription.id,
        charge_id=fee.id,
        group=(),
        plan_id=plan.id,
        book_id=due.span.book.id,
        book_version=due.span.book.version,
        tier=1,
        service_start_ns=service[0],
        service_end_ns=service[1],
        description=" · ".join(filter(None, (fee.name, note))),
        meter="",
        quantity=share,
        unit="period",
        unit_price=fee.amount,
        fixed=exact - fee.amount * share,
        amount=amount,
        derivation=Derivation(steps=tuple(steps), unrounded=exact),
    )
