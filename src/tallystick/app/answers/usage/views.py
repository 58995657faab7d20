"""Hours, days and months of resources as a person reads them, with what they cost (requirements P2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from tallystick.app.accounts import Holdings
from tallystick.app.answers.previews import preview
from tallystick.app.answers.usage.percentiles import span_of
from tallystick.app.clock import Ids
from tallystick.meter.days import local_days
from tallystick.meter.summaries.views import Piece, view_of, view_of_period
from tallystick.model.access import Place
from tallystick.model.billing.invoices import DocumentState, Invoice, UsagePart
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, DAY_NS, HOUR_NS, hour_start, iso
from tallystick.model.resources import UNASSIGNED
from tallystick.model.usage import UsageView
from tallystick.serve.owners import hour_parts
from tallystick.serve.services import UsageBy, UsageQuery, UsageSummary
from tallystick.store.records import NotFound
from tallystick.store.store import Store

SENT = frozenset({DocumentState.FINALIZED})
Of = tuple[str, str, str, str, int, int]
"""Resource, customer, zone, name of the time, its beginning and end."""


def usage_views(store: Store, ids: Ids, place: Place, query: UsageQuery, by: UsageBy, now_ns: int) -> tuple[UsageSummary, ...]:
    """A summary of each hour or local day that has an hour which begins in the query's span, at most 31 days; or of each local month.

    Days and months of a named resource or customer have their cost: a resource's part of the lines of the running periods, and of
    invoices, by quantity.

    Raises:
        Problem: the span is longer than 31 days.

    """
    found = list(_months(store, place, query) if by is UsageBy.MONTH else _from_hours(store, place, query, by))
    if by is UsageBy.HOUR or (query.resource_id is None and query.customers is None):
        return tuple(found)
    costs = _Costs.read(store, ids, place, {each.customer_id for each in found} - {UNASSIGNED}, now_ns)
    return tuple(costs.added(each, Holdings(place=place, resources=()).name(each.resource_id)) for each in found)


def _months(store: Store, place: Place, query: UsageQuery) -> Iterator[UsageSummary]:
    with store.read() as tx:
        resources = store.registry.resources(place, customers=query.customers, tx=tx)
        keys = [each.row for each in resources if query.resource_id in (None, each.id)]
        months = store.usage.periods(place, "month", query.from_ns, query.until_ns, resource_keys=keys, tx=tx) if keys else []
    for _, month in months:
        if query.customers is None or month.customer_id in query.customers:
            of = (month.resource_id, month.customer_id, month.zone, month.date, month.start_ns, month.end_ns)
            yield _summary(of, view_of_period(month))


def _from_hours(store: Store, place: Place, query: UsageQuery, by: UsageBy) -> Iterator[UsageSummary]:
    pieces: dict[Of, list[Piece]] = defaultdict(list)
    with store.read() as tx:
        from_ns, until_ns = span_of(store, place, query, tx)
        resources = store.registry.resources(place, customers=query.customers, tx=tx)
        keys = [each.row for each in resources if query.resource_id in (None, each.id)]
        owners = store.registry.attributes(place, keys, tx=tx) if keys else {}
        names = frozenset(each.customer_id for timeline in owners.values() for each in timeline) - {UNASSIGNED}
        zones = {each.customer.id: each.customer.time_zone for each in store.registry.customers(place, customers=names, tx=tx)}
        seller = store.contracts.seller(place, tx=tx).time_zone
        for start_ns in range(hour_start(from_ns), until_ns if keys else 0, DAY_NS):
            for _, hour in store.usage.hours(place, start_ns, min(start_ns + DAY_NS, until_ns), resource_keys=keys, tx=tx):
                for customer_id, part, _ in hour_parts(hour, owners.get(hour.resource_id, ())):
                    if query.customers is None or customer_id in query.customers:
                        zone = zones.get(customer_id, seller)
                        for name, begin_ns, end_ns in _times(zone, hour.hour_ns, by):
                            first = max(begin_ns - hour.hour_ns, 0) // CELL_NS
                            past = min(max(end_ns - hour.hour_ns, 0) // CELL_NS, CELLS_PER_HOUR)
                            of = (hour.resource_id, customer_id, zone if by is UsageBy.DAY else "UTC", name, begin_ns, end_ns)
                            pieces[of].append((part, first, past))
    return (_summary(of, view_of(found)) for of, found in pieces.items())


def _times(zone: str, hour_ns: int, by: UsageBy) -> Iterable[tuple[str, int, int]]:
    return [(iso(hour_ns), hour_ns, hour_ns + HOUR_NS)] if by is UsageBy.HOUR else local_days(zone, hour_ns, hour_ns + HOUR_NS)


def _summary(of: Of, view: UsageView) -> UsageSummary:
    resource_id, customer_id, zone, date, start_ns, end_ns = of
    return UsageSummary(resource_id=resource_id, customer_id=customer_id, zone=zone, date=date, start_ns=start_ns, end_ns=end_ns, view=view)


@dataclass(frozen=True, slots=True)
class _Costs:
    """The drafts of running periods and the invoices of some customers, by customer."""

    drafts: Mapping[str, tuple[Invoice, ...]]
    invoices: Mapping[str, tuple[Invoice, ...]]

    @staticmethod
    def read(store: Store, ids: Ids, place: Place, customers: Iterable[str], now_ns: int) -> _Costs:
        drafts, invoices = {}, {}
        for name in customers:
            try:
                drafts[name] = preview(store, place, name, now_ns, ids)
            except NotFound:  # agents may name a customer before it is created
                continue
            invoices[name] = tuple(each.invoice for each in store.invoices.list(place, customers=frozenset({name}), states=SENT))
        return _Costs(drafts, invoices)

    def added(self, summary: UsageSummary, bill_name: str) -> UsageSummary:
        """A summary with what it costs: estimated of drafts and of what was invoiced before its rounding, billed of invoices only."""
        span = (summary.start_ns, summary.end_ns)
        sent = self.invoices.get(summary.customer_id, ())
        estimated = [part for each in (*sent, *self.drafts.get(summary.customer_id, ())) for part in _parts(each, bill_name, span)]
        billed = [(each, part) for each in sent for part in _parts(each, bill_name, span)]
        currencies = {currency for currency, _, _ in estimated}
        if len(currencies) != 1:  # none, or several: sums of them say nothing
            return summary
        return replace(
            summary,
            currency=currencies.pop(),
            cost_estimated=sum((unrounded for _, unrounded, _ in estimated), Fraction(0)),
            cost_billed=sum((amount for _, (_, _, amount) in billed), Fraction(0)) if billed else None,
            invoices=tuple(dict.fromkeys(each.number or each.id for each, _ in billed)),
        )


def _parts(invoice: Invoice, name: str, span: tuple[int, int]) -> Iterator[tuple[str, Fraction, Fraction]]:
    """Of each line that a resource has a part of: currency, and its part in a span of what is unrounded and of the amount."""
    for line in invoice.lines:
        if line.service_start_ns < span[1] and line.service_end_ns > span[0]:
            mine = [part for part in line.derivation.parts if part.resource_id == name]
            whole = sum((part.quantity for part in line.derivation.parts), Fraction(0)) if mine else Fraction(0)
            if whole:
                share = sum((_quantity(part, span) for part in mine), Fraction(0)) / whole
                yield invoice.currency, line.derivation.unrounded * share, line.amount.exact * share


def _quantity(part: UsagePart, span: tuple[int, int]) -> Fraction:
    amount = 0
    for hour_ns, cells in part.hours:
        if span[0] <= hour_ns and hour_ns + HOUR_NS <= span[1]:
            amount += sum(cells)
        elif hour_ns < span[1] and hour_ns + HOUR_NS > span[0]:
            amount += sum(cell for place, cell in enumerate(cells) if span[0] <= hour_ns + place * CELL_NS < span[1])
    return amount / part.divisor
