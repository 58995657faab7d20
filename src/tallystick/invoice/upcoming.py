"""The runs that come for a subscription: periods, when they close, what fees are due then (billing.md, Subscriptions and periods)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import islice

from tallystick.invoice.fees import fee_lines
from tallystick.invoice.runs import runs_of
from tallystick.invoice.upfront import upfront_lines
from tallystick.model.billing.contracts import Contract, Run, Subscription
from tallystick.model.billing.invoices import UpcomingRun
from tallystick.model.billing.money import Money
from tallystick.model.billing.phases import phases
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.instants import LATEST_NS


def upcoming(
    contract: Contract, subscription: Subscription, books: Sequence[PriceBook], after_ns: int, count: int
) -> tuple[UpcomingRun, ...]:
    """The next `count` runs of a subscription that close after an instant, as far as it is agreed now."""
    starts = 1 + len(contract.reservations)
    found = islice(runs_of(subscription, contract, books, LATEST_NS, after_ns), count + starts)
    return tuple(_upcoming(contract, subscription, books, run) for run in sorted(found, key=lambda run: run.closing_ns)[:count])


def _upcoming(contract: Contract, subscription: Subscription, books: Sequence[PriceBook], run: Run) -> UpcomingRun:
    found = phases(subscription, run.period_start_ns, run.period_end_ns)
    length_ns = run.period_end_ns - run.period_start_ns
    fees = (*fee_lines(contract, books, run), *upfront_lines(contract, books, run))
    return UpcomingRun(
        run=run,
        share=Fraction(sum(phase.until_ns - phase.from_ns for phase in found), length_ns) if length_ns else Fraction(0),
        plan_ids=tuple(dict.fromkeys(phase.plan_id for phase in found)),
        fees=fees,
        due=sum((line.amount for line in fees), Money(minor=0, currency=run.currency)),
    )
