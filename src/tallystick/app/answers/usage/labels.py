"""Usage by the values of a label: what resources used while they had a value; by cells where it changed inside an hour."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from tallystick.app.answers.usage.percentiles import span_of
from tallystick.model.access import Place
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, DAY_NS, HOUR_NS, hour_start
from tallystick.model.resources import Attributes
from tallystick.model.usage import METERS, HourTotals, UsageHour, total_of
from tallystick.serve.services import LabelTotal, UsageQuery
from tallystick.store.store import Store

Held = tuple[str, str]
"""A customer, and the value of the label; empty: nobody, or it has none."""


def usage_by_label(store: Store, place: Place, name: str, query: UsageQuery) -> tuple[LabelTotal, ...]:
    """The totals of each value, by value, over the hours that begin in the query's span; usage without the label has the value "".

    Raises:
        Problem: the span is longer than 31 days.

    """
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    holders: dict[str, set[str]] = defaultdict(set)
    with store.read() as tx:
        from_ns, until_ns = span_of(store, place, query, tx)
        resources = {each.row: each.id for each in store.registry.resources(place, customers=query.customers, tx=tx)}
        keys = [key for key, resource_id in resources.items() if query.resource_id in (None, resource_id)]
        timelines = store.registry.attributes(place, keys, tx=tx) if keys else {}
        for start_ns in range(hour_start(from_ns), until_ns if keys else 0, DAY_NS):
            for key, hour in store.usage.hour_totals(place, start_ns, min(start_ns + DAY_NS, until_ns), resource_keys=keys, tx=tx):
                timeline = timelines.get(resources[key], ())
                parted = any(hour.hour_ns < each.from_ns < hour.hour_ns + HOUR_NS for each in timeline)
                cells = range(CELLS_PER_HOUR if parted else 1)
                held = [_held(timeline, hour.hour_ns + cell * CELL_NS, name) for cell in cells]
                opened = None
                if len(set(held)) > 1:
                    ((_, opened),) = store.usage.hours(place, hour.hour_ns, hour.hour_ns + HOUR_NS, resource_keys=[key], tx=tx)
                for (customer_id, value), amounts in _parts(hour, opened, held):
                    if query.customers is None or customer_id in query.customers:
                        holders[value].add(resources[key])
                        for meter, amount in amounts.items():
                            sums[value][meter] += amount
    found = []
    for value in sorted(sums):
        totals = {meter: total_of(sums[value], meter) for meter in METERS}
        measured = tuple((meter, total) for meter, total in totals.items() if total is not None)
        found.append(LabelTotal(value=value, resources=len(holders[value]), amounts=measured))
    return tuple(found)


def _held(timeline: Sequence[Attributes], at_ns: int, name: str) -> Held:
    return next(((each.customer_id, each.labels.get(name, "")) for each in timeline if each.from_ns <= at_ns < each.until_ns), ("", ""))


def _parts(hour: HourTotals, opened: UsageHour | None, held: Sequence[Held]) -> Iterator[tuple[Held, dict[str, int]]]:
    if opened is None:
        yield held[0], dict(hour.totals)
        return
    for each in dict.fromkeys(held):
        yield (
            each,
            {meter: sum(cell for cell, whose in zip(cells, held, strict=True) if whose == each) for meter, cells in opened.cells.items()},
        )
