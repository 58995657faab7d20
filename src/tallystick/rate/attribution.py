"""Which subscription and price version each cell of each resource belongs to (billing.md, Subscriptions and periods)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from tallystick.model.billing.contracts import Contract, Coverage, Run, Subscription
from tallystick.model.billing.phases import paused_cells, phases, plan_spans
from tallystick.model.billing.price_book import PriceBook, PriceSpan
from tallystick.model.calendar import month_of
from tallystick.model.instants import CELL_NS, cell_end, cell_start
from tallystick.model.resources import Attributes
from tallystick.rate.terms.overrides import agreed


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is rated: whole cells [from_ns, until_ns) of a period, with the subscriptions of the run and their price versions.

    `prices` holds the versions of each subscription's plans over the whole period, with what it agreed otherwise: their
    ordinals do not change with the closing instant.
    """

    from_ns: int
    until_ns: int
    contract: Contract
    run: Run
    prices: dict[str, tuple[PriceSpan, ...]]

    def subscription(self, subscription_id: str) -> Subscription:
        """The subscription of the run with that id."""
        return next(each for each in self.contract.subscriptions if each.id == subscription_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Cells [from_ns, until_ns) of one resource in which nothing changes that prices depend on.

    `price` is None when no version of the plan is in force, or the subscription is `paused`; `ordinal` is the version's place in
    the period, from 1. `tied` names the subscriptions that claim these cells with equal right; `month_ns` is the length of their month.
    """

    resource_id: str
    from_ns: int
    until_ns: int
    subscription: Subscription
    price: PriceSpan | None
    ordinal: int
    attributes: Attributes
    month_ns: int
    tied: tuple[str, ...] = ()
    paused: bool = False


def window_of(contract: Contract, books: Sequence[PriceBook], run: Run) -> Window:
    """The cells of a run, and the price versions of its subscriptions.

    Raises:
        ValueError: the run names a subscription that the contract does not have, or its period is not made of whole cells.

    """
    known = {subscription.id: subscription for subscription in contract.subscriptions}
    missing = [each for each in run.subscription_ids if each not in known]
    if missing:
        raise ValueError(f"run {run.key} names subscriptions {missing} that the contract does not have")
    if run.period_start_ns < run.period_end_ns and (run.period_start_ns % CELL_NS or run.period_end_ns % CELL_NS):
        raise ValueError(f"run {run.key}: its period [{run.period_start_ns}, {run.period_end_ns}) is not made of whole cells")
    # What is in a run for fees in advance or an upfront part has its usage billed by its own period's run.
    rated = [known[each] for each in run.subscription_ids if run.closes(known[each])]
    prices = {each.id: prices_of(each, books, run.period_start_ns, run.period_end_ns) for each in rated}
    until_ns = min(run.period_end_ns, cell_end(run.closing_ns))
    return Window(from_ns=run.period_start_ns, until_ns=until_ns, contract=contract, run=run, prices=prices)


def prices_of(subscription: Subscription, books: Sequence[PriceBook], from_ns: int, until_ns: int) -> tuple[PriceSpan, ...]:
    """The versions of a subscription's plans in cells [from_ns, until_ns), with what it agreed otherwise."""
    return tuple(agreed(span, subscription) for span in plan_spans(subscription, books, from_ns, until_ns))


def active_share(subscription: Subscription, run: Run) -> Fraction:
    """The part of the run's period in which a subscription is in force and not paused, by exact instants: 1 for all of it."""
    found = phases(subscription, run.period_start_ns, run.period_end_ns)
    return Fraction(sum(phase.until_ns - phase.from_ns for phase in found), run.period_end_ns - run.period_start_ns)


def paid_shares(subscription: Subscription, run: Run) -> dict[str, Fraction]:
    """The part of the run's period in which each plan of a subscription is in force and to be paid: not its trial."""
    whole_ns = run.period_end_ns - run.period_start_ns
    found = {plan_id: Fraction(0) for plan_id in subscription.plan_ids}
    for phase in phases(subscription, run.period_start_ns, run.period_end_ns):
        found[phase.plan_id] += Fraction(0 if phase.trial else phase.until_ns - phase.from_ns, whole_ns)
    return found


def spans_of(resource_id: str, timeline: Sequence[Attributes], window: Window) -> tuple[Span, ...]:
    """The spans of one resource that the run bills, in order of time."""
    cuts = sorted(_cuts(timeline, window))
    spans: list[Span] = []
    for from_ns, until_ns in pairwise(cuts):
        attributes = _attributes_at(timeline, from_ns)
        if attributes is None or attributes.customer_id != window.contract.customer.id:
            continue
        owners = owners_at(window.contract.subscriptions, resource_id, attributes, from_ns)
        if owners and owners[0].id in window.prices:
            span = _span(resource_id, (from_ns, until_ns), owners, attributes, window)
            if spans and _goes_on(spans[-1], span):
                spans[-1] = replace(spans[-1], until_ns=until_ns)
            else:
                spans.append(span)
    return tuple(spans)


def _goes_on(before: Span, after: Span) -> bool:
    """Whether nothing changes between two spans that meet: a cut without a change is none."""
    held = replace(after.attributes, from_ns=before.attributes.from_ns, until_ns=before.attributes.until_ns)
    return before.until_ns == after.from_ns and before == replace(after, from_ns=before.from_ns, until_ns=before.until_ns, attributes=held)


def owners_at(subscriptions: Sequence[Subscription], resource_id: str, attributes: Attributes, cell_ns: int) -> tuple[Subscription, ...]:
    """Who owns a cell of a resource: the one subscription, several when they tie, none when nobody does.

    In force at the cell's start: named before labels before all, then the seller's default plan. When none is, the first
    that begins inside the cell holds it from its start; what follows another takes effect at the next cell.
    """
    claims = [(rank(each, resource_id, attributes), each) for each in subscriptions]
    explicit = [(claim, each) for claim, each in claims if claim is not None and not each.implicit]
    in_force = [(claim, each) for claim, each in explicit if each.start_ns <= cell_ns and (each.end_ns is None or each.end_ns > cell_ns)]
    if in_force:
        best = min(claim for claim, _ in in_force)
        return tuple(each for claim, each in in_force if claim == best)
    entering = [(each.start_ns, claim, each) for claim, each in explicit if cell_ns < each.start_ns < cell_ns + CELL_NS]
    if entering:
        first = min(entry[:2] for entry in entering)
        return tuple(each for *entry, each in entering if tuple(entry) == first)
    return tuple(each for claim, each in claims if claim is not None and each.implicit and each.first_cell_ns <= cell_ns)[:1]


def rank(subscription: Subscription, resource_id: str, attributes: Attributes) -> int | None:
    """How closely a subscription covers a resource: 0 named, 1 by labels, 2 all; None: not at all."""
    covers = subscription.covers
    if covers.resources:
        return 0 if resource_id in covers.resources else None
    if covers.labels:
        return 1 if all(attributes.labels.get(name) == value for name, value in covers.labels.items()) else None
    return 2


def covers_all_of(one: Coverage, other: Coverage) -> bool:
    """Whether every resource that `other` covers is covered by `one`."""
    if one.resources:
        return bool(other.resources) and set(other.resources) <= set(one.resources)
    if one.labels:
        return not other.resources and all(other.labels.get(name) == value for name, value in one.labels.items())
    return True


def _cuts(timeline: Sequence[Attributes], window: Window) -> set[int]:
    """Every cell boundary of the window at which an owner, a price, an attribute or the month may change."""
    instants = {window.from_ns, window.until_ns}
    for attributes in timeline:
        instants |= _both(attributes.from_ns) | _both(attributes.until_ns)
    for subscription in window.contract.subscriptions:
        instants |= _both(subscription.start_ns) | (set() if subscription.end_ns is None else _both(subscription.end_ns))
        instants |= {cell for pause in paused_cells(subscription) for cell in pause if cell is not None}
    for spans in window.prices.values():
        instants |= {instant for span in spans for instant in (span.from_ns, span.until_ns)}
    at_ns = window.from_ns
    while at_ns < window.until_ns:
        _, at_ns = month_of(at_ns, window.contract.customer.time_zone)
        instants.add(at_ns)
    return {instant for instant in instants if window.from_ns <= instant <= window.until_ns}


def _both(at_ns: int) -> set[int]:
    return {cell_start(at_ns), cell_end(at_ns)}


def _attributes_at(timeline: Sequence[Attributes], cell_ns: int) -> Attributes | None:
    """What holds in a cell: the attributes in force at its start, else the first that begin inside it."""
    for attributes in timeline:
        if attributes.from_ns <= cell_ns < attributes.until_ns:
            return attributes
    return next((each for each in timeline if cell_ns < each.from_ns < cell_ns + CELL_NS), None)


def _span(resource_id: str, cells: tuple[int, int], owners: tuple[Subscription, ...], attributes: Attributes, window: Window) -> Span:
    from_ns, until_ns = cells
    prices = window.prices[owners[0].id]
    paused = any(begin <= from_ns and (end is None or from_ns < end) for begin, end in paused_cells(owners[0]))
    place = None if paused else next((place for place, span in enumerate(prices) if span.from_ns <= from_ns < span.until_ns), None)
    month_start, month_end = month_of(from_ns, window.contract.customer.time_zone)
    return Span(
        resource_id=resource_id,
        from_ns=from_ns,
        until_ns=until_ns,
        subscription=owners[0],
        price=None if place is None else prices[place],
        ordinal=0 if place is None else place + 1,
        attributes=attributes,
        month_ns=month_end - month_start,
        tied=tuple(sorted(each.id for each in owners)) if len(owners) > 1 else (),
        paused=paused,
    )
