"""Usage days and months as the API tells them."""

from __future__ import annotations

from tallystick.model.access import Place
from tallystick.model.usage import METERS, UsagePeriod
from tallystick.serve.services import UsageQuery, UsageTotal
from tallystick.store.store import Store


def usage_periods(store: Store, place: Place, kind: str, query: UsageQuery, now_ns: int) -> tuple[UsageTotal, ...]:
    """The usage days (`day`) or months (`month`) that begin in the query's span, of its resource and customers.

    Of a resource of which nothing comes the time since is unknown, too.
    """
    with store.read() as tx:
        resources = store.registry.resources(place, customers=query.customers, tx=tx)
        keys = [each.row for each in resources if query.resource_id in (None, each.id)]
        silent = {each.resource_key: each.absence.since_ns for each in store.absences.open(place, tx=tx)}
        found = store.usage.periods(place, kind, query.from_ns, query.until_ns, resource_keys=keys, tx=tx) if keys else []
    return tuple(
        _total(each, silent.get(key, now_ns), now_ns)
        for key, each in found
        if query.customers is None or each.customer_id in query.customers
    )


def _total(period: UsagePeriod, silent_since_ns: int, now_ns: int) -> UsageTotal:
    silent_ns = max(0, min(now_ns, period.end_ns) - max(silent_since_ns, period.start_ns))
    guessed_ns = period.estimated.get("uptime", 0)
    amounts = {meter: period.total(meter) for meter in METERS}
    return UsageTotal(
        resource_id=period.resource_id,
        customer_id=period.customer_id,
        zone=period.zone,
        date=period.date,
        start_ns=period.start_ns,
        end_ns=period.end_ns,
        amounts=tuple((meter, amount) for meter, amount in amounts.items() if amount is not None),
        estimated=tuple((meter, period.estimated[meter]) for meter in METERS if meter in period.estimated),
        samples=period.samples,
        memory_peak_bytes=period.memory_peak_bytes,
        measured_ns=period.totals.get("uptime", 0) - guessed_ns,
        estimated_ns=guessed_ns,
        unknown_ns=period.unknown_ns + silent_ns,
    )
