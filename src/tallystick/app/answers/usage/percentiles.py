"""Percentiles of five-minute rates as the API tells them: of the cells of usage hours, day by day."""

from __future__ import annotations

from fractions import Fraction

from tallystick.meter.summaries.percentiles import Slots
from tallystick.model.access import Place
from tallystick.model.billing.ranks import interpolated, nearest_rank
from tallystick.model.instants import CELL_NS, DAY_NS, HOUR_NS, LATEST_NS, cell_end, hour_start
from tallystick.model.usage import UsageHour
from tallystick.serve.owners import hour_parts
from tallystick.serve.problems import invalid
from tallystick.serve.services import RankMethod, SlotSummary, UsagePercentiles, UsageQuery
from tallystick.store.engine import Tx
from tallystick.store.store import Store

LONGEST_NS = 31 * DAY_NS


def usage_percentiles(store: Store, place: Place, query: UsageQuery, percentile: Fraction, method: RankMethod) -> UsagePercentiles:
    """Over the slots that begin in the span; without an end up to the last usage hour, without a beginning the 31 days before its end.

    Raises:
        Problem: the span is longer than 31 days.

    """
    slots = Slots()
    with store.read() as tx:
        from_ns, until_ns = span_of(store, place, query, tx)
        resources = store.registry.resources(place, customers=query.customers, tx=tx)
        keys = [each.row for each in resources if query.resource_id in (None, each.id)]
        owners = store.registry.attributes(place, keys, tx=tx) if keys else {}
        for start_ns in range(hour_start(from_ns), until_ns if keys else 0, DAY_NS):
            for _, hour in store.usage.hours(place, start_ns, min(start_ns + DAY_NS, until_ns), resource_keys=keys, tx=tx):
                parts: list[UsageHour] = [
                    part
                    for customer, part, _ in hour_parts(hour, owners.get(hour.resource_id, ()))
                    if query.customers is None or customer in query.customers
                ]
                slots.add(parts, from_ns, until_ns)
    return UsagePercentiles(
        from_ns=from_ns,
        until_ns=until_ns,
        slots=max(0, cell_end(until_ns) - cell_end(from_ns)) // CELL_NS,
        network=_summary(slots.network_rates(), percentile, method),
        cpu=_summary(slots.cores(), percentile, method),
    )


def span_of(store: Store, place: Place, query: UsageQuery, tx: Tx) -> tuple[int, int]:
    """The span of a query, at most 31 days: without an end up to the last usage hour, without a beginning the 31 days before its end.

    Raises:
        Problem: it is longer.

    """
    until_ns = query.until_ns
    if until_ns >= LATEST_NS:
        last_ns = store.usage.last_hour(place, tx=tx)
        until_ns = max(query.from_ns, 0 if last_ns is None else last_ns + HOUR_NS)
    from_ns = query.from_ns or max(0, until_ns - LONGEST_NS)
    if until_ns - from_ns > LONGEST_NS:
        raise invalid("from", str(from_ns), "from: a span of more than 31 days")
    return from_ns, until_ns


def _summary(values: list[Fraction], percentile: Fraction, method: RankMethod) -> SlotSummary | None:
    if not values:
        return None
    of = nearest_rank if method is RankMethod.NEAREST_RANK else interpolated
    average = Fraction(sum(values, Fraction(0)), len(values))
    return SlotSummary(slots=len(values), percentile=of(values, percentile), maximum=max(values), average=average)
