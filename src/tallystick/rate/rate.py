"""The one formula: usage, a contract and price-book versions into lines and findings (billing.md, One formula).

Invoice, preview, live estimate and explain all call `rate`, with different usage. It is pure and exact: integers and
rationals until the one rounding of each charge. What cannot be priced is a finding, never a price of 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from operator import add

from tallystick.model.billing.contracts import Contract, Run, Subscription
from tallystick.model.billing.invoices import Line, RatingResult, Usage, UsagePart, in_order
from tallystick.model.billing.money import Money
from tallystick.model.billing.price_book import Charge, PriceBook, PriceSpan
from tallystick.model.instants import cell_end
from tallystick.model.usage import Cells
from tallystick.rate.attribution import Window, active_share, covers_all_of, paid_shares, window_of
from tallystick.rate.charge import GroupUsage, price_charge
from tallystick.rate.events import parts_of
from tallystick.rate.pool import Pool, PoolKey, pools_of, usage_by_span
from tallystick.rate.reservations.lines import recurring_lines
from tallystick.rate.reservations.matching import covered_by, matches
from tallystick.rate.slices import Slice, Terms
from tallystick.rate.statement import statement_of
from tallystick.rate.terms.known import Known, known_of
from tallystick.rate.totals.bill import Bill, Side
from tallystick.rate.totals.steps import totalled
from tallystick.rate.totals.surcharges import surcharged


def rate(usage: Usage, contract: Contract, books: Sequence[PriceBook], run: Run) -> RatingResult:
    """The lines, usage statement and findings of one run.

    `usage` may hold more than the run bills: only cells of the customer, of the run's window and of its subscriptions
    count. `books` are the versions that are active or superseded, never drafts. 1,872 h of `uptime` at 0.01 are one line
    of 18.72, whose derivation holds every hour.

    Raises:
        ValueError: usage that would be billed twice, a run that the contract does not know, or versions of a charge that
            differ in meter or unit.

    """
    window = window_of(contract, books, run)
    spans = usage_by_span(usage, window)
    covered = covered_by(matches(usage, contract, books, window))
    pools, findings = pools_of(spans, usage.market, covered)
    known = known_of(usage, window)
    lines = [line for subscription_id in window.prices for line in _lines(window.subscription(subscription_id), pools, window, known)]
    lines += recurring_lines(contract, window)
    return RatingResult(lines=tuple(lines), statement=statement_of(spans), findings=findings)


def _lines(subscription: Subscription, pools: Mapping[PoolKey, Pool], window: Window, known: Known) -> Iterable[Line]:
    lines = tuple(_charged(subscription, pools, window, known))
    spans = window.prices[subscription.id]
    if not spans:
        return lines
    lines += surcharged(subscription, spans, lines)
    sums: dict[tuple[str, str], Money] = {}
    for line in lines:
        place = line.plan_id, line.charge_id
        sums[place] = sums.get(place, Money(minor=0, currency=line.amount.currency)) + line.amount
    shares = paid_shares(subscription, window.run)
    service = _service(subscription, window)
    bill = Bill(
        subscription=subscription,
        sides=tuple(_sides(spans, shares, service)),
        whole=Side(span=spans[-1], active=sum(shares.values(), Fraction(0)), service=service),
        period_start_ns=window.run.period_start_ns,
        sums=sums,
        outages=known.outages,
        used=lines,
    )
    return (*lines, *totalled(bill).lines)


def _sides(spans: Sequence[PriceSpan], shares: Mapping[str, Fraction], service: tuple[int, int]) -> Iterable[Side]:
    """Each plan of the period as it last stands in it, with the part of the period that is to be paid by it."""
    plans = dict.fromkeys(span.plan.id for span in spans)
    for plan_id in plans:
        own = [span for span in spans if span.plan.id == plan_id]
        part = (max(service[0], own[0].from_ns), min(service[1], own[-1].until_ns))
        if len(plans) == 1 or part[0] < part[1]:
            yield Side(span=own[-1], active=shares[plan_id], service=service if len(plans) == 1 else part)


def _charged(subscription: Subscription, pools: Mapping[PoolKey, Pool], window: Window, known: Known) -> Iterable[Line]:
    own = {key: pool for key, pool in pools.items() if key[0] == subscription.id}
    for charge in _charges(subscription, window):
        groups = sorted({key[2] for key, pool in own.items() if key[1] == charge.id and pool.used})
        used = [_group_usage(group, charge, own, subscription, window) for group in groups]
        terms = replace(_terms(charge, subscription, window), runs=known.runs, filled=known.filled_of(subscription.id, charge))
        yield from price_charge(subscription, used, terms)


def _terms(charge: Charge, subscription: Subscription, window: Window) -> Terms:
    active = active_share(subscription, window.run)
    if not subscription.changes and subscription.trial_end_ns is None:
        return Terms(charge=charge, active=active)
    shares = paid_shares(subscription, window.run)
    plans = {
        span.plan.id: (each, shares[span.plan.id])
        for span in window.prices[subscription.id]
        for each in span.plan.charges
        if each.id == charge.id
    }
    trial_until_ns = None if subscription.trial_end_ns is None else cell_end(subscription.trial_end_ns)
    return Terms(charge=charge, active=active, plans=plans, trial_until_ns=trial_until_ns)


def _charges(subscription: Subscription, window: Window) -> tuple[Charge, ...]:
    """Each charge as it stands at the end of the period (or last stood in it), in the order of the last plan, then older ones."""
    found: dict[str, Charge] = {}
    for span in reversed(window.prices[subscription.id]):
        for charge in span.plan.charges:
            latest = found.setdefault(charge.id, charge)
            if (latest.meter, latest.per) != (charge.meter, charge.per):
                was, now = f"{charge.meter} per {charge.per}", f"{latest.meter} per {latest.per}"
                raise ValueError(f"charge {charge.id!r} changes from {was} to {now}: that is another charge")
    return tuple(found.values())


def _group_usage(
    group: tuple[tuple[str, str], ...], charge: Charge, own: Mapping[PoolKey, Pool], subscription: Subscription, window: Window
) -> GroupUsage:
    slices, shares, service = [], [], []
    for ordinal, span in enumerate(window.prices[subscription.id], start=1):
        pool = own.get((subscription.id, charge.id, group, ordinal))
        if pool is not None and pool.used:
            events, market = in_order(pool.events), tuple(pool.market)
            slots = tuple((cell_ns, *moved) for cell_ns, moved in sorted(pool.slots.items()))
            found = sorted(pool.hours.items())
            parts = tuple(UsagePart(resource_id=name, divisor=per, hours=_by_hour(hours)) for (name, per), hours in found)
            parts += parts_of(events)
            quantity = sum((part.quantity for part in parts), Fraction(0))
            slices.append(
                Slice(
                    ordinal=ordinal,
                    span=span,
                    charge=pool.charge,
                    parts=parts,
                    quantity=quantity,
                    events=events,
                    market=market,
                    slots=slots,
                    covered=tuple((*names, units) for names, units in sorted(pool.covered.items())),
                )
            )
            shares.append(pool.share)
            begin, end = _service(subscription, window)
            service.append((max(begin, span.from_ns), min(end, span.until_ns)))
    return GroupUsage(group=group, slices=tuple(slices), shares=tuple(shares), service=tuple(service))


def _by_hour(spans: Sequence[Sequence[tuple[int, Cells]]]) -> Sequence[tuple[int, Cells]]:
    """Each hour once, in order of time: an hour in which an attribute changed came in two pieces."""
    if len(spans) == 1:
        return spans[0]
    hours: dict[int, Cells] = {}
    for hour_ns, cells in chain.from_iterable(spans):
        hours[hour_ns] = tuple(map(add, hours[hour_ns], cells)) if hour_ns in hours else cells
    return tuple(sorted(hours.items()))


def _service(subscription: Subscription, window: Window) -> tuple[int, int]:
    """The cells of the period in which a subscription may hold usage: those of its own instants, whatever was used.

    It begins with the next cell when another that covers all that it covers was in force before.
    """
    end_ns = window.until_ns if subscription.end_ns is None else min(cell_end(subscription.end_ns), window.until_ns)
    first_ns = subscription.first_cell_ns
    follows = any(
        other is not subscription
        and not other.implicit
        and other.start_ns <= first_ns
        and (other.end_ns is None or other.end_ns > first_ns)
        and covers_all_of(other.covers, subscription.covers)
        for other in window.contract.subscriptions
    )
    return max(cell_end(subscription.start_ns) if follows else first_ns, window.from_ns), end_ns
