"""Many customers' contracts and usage of one span, read together, to be rated: where sums say as much as hours, only sums are read.

A local month that nothing parts is one row for a resource. Its hours are read only for a charge that asks for them, for what cannot be
told from sums, and where somebody looks into a line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tallystick.app.accounts import HOME_SCOPE, contracts_of, declared_outages, follows_market, market_of
from tallystick.app.answers.earlier import open_runs, tier_fills
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Contract, Customer
from tallystick.model.billing.invoices import MarketPrice, Outage, TierFill, Usage, UsageEvent
from tallystick.model.billing.price_book import Charge, PriceBook
from tallystick.model.billing.runs import OpenRun
from tallystick.model.instants import CELL_NS, DAY_NS
from tallystick.model.resources import Attributes
from tallystick.model.usage import RECORDED_METERS, Gap, HourSums, UsageHour, UsagePeriod
from tallystick.rate.agreements import with_default
from tallystick.store.engine import Tx
from tallystick.store.store import Store

DISK = "disk.allocated"
LONGEST_MONTH_NS = 33 * DAY_NS
Span = tuple[int, int]


@dataclass(slots=True)
class _Found:
    """What is found of one customer, scope by scope."""

    contract: Contract
    first_ns: int | None = None
    hours: list[UsageHour] = field(default_factory=list)
    sums: list[HourSums] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    events: list[UsageEvent] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    attributes: dict[str, tuple[Attributes, ...]] = field(default_factory=dict)
    open_runs: list[OpenRun] = field(default_factory=list)
    tier_fills: tuple[TierFill, ...] = ()
    market: tuple[MarketPrice, ...] = ()


def read_together(
    store: Store, place: Place, customers: Sequence[str], span: Span, *, at_ns: int, currency: str = ""
) -> Iterator[tuple[Contract, tuple[PriceBook, ...], Usage]]:
    """Contract, price books and usage in a span of whole hours of some customers, in their order, from one snapshot.

    The default plan is the one in force at `at_ns`. Names that are no customer's are left out. Market prices are those in
    `currency`; without one, those of customers whose plans have one.
    """
    with store.read() as tx:
        books = store.contracts.books_in_force(place, tx=tx)
        found = {name: _Found(contract) for name, contract in contracts_of(store, place, frozenset(customers), tx).items()}
        charges = [charge for book in books for plan in book.plans for charge in plan.charges]
        for where in store.registry.places(tx=tx):
            if where.seller_id == place.seller_id:
                _read_scope(tx, store, where, found, span, charges)
        for each in found.values() if any(charge.lifetime for charge in charges) else ():
            each.tier_fills = tier_fills(store, place, each.contract, books, span[0], tx)
        follows = follows_market(books)
        for each in found.values() if follows else ():
            contract = with_default(each.contract, books, each.first_ns, at_ns)
            each.market = market_of(tx, store, place, contract, each.attributes, follows=follows, span=span, currency=currency)
    for name in customers:
        one = found.get(name)
        if one is not None:
            usage = Usage(
                hours=tuple(one.hours),
                sums=tuple(one.sums),
                gaps=tuple(one.gaps),
                attributes=one.attributes,
                open_runs=tuple(one.open_runs),
                tier_fills=one.tier_fills,
                events=tuple(one.events),
                market=one.market,
                outages=tuple(one.outages),
            )
            yield with_default(one.contract, books, one.first_ns, at_ns), books, usage


def _read_scope(tx: Tx, store: Store, place: Place, found: Mapping[str, _Found], span: Span, charges: Sequence[Charge]) -> None:
    """The usage of the customers' resources in one scope."""
    owned = store.usage.owned_by(tx, place, sorted(found))
    if not owned:
        return
    prefix = "" if place.scope_id == HOME_SCOPE else f"{place.scope_id}/"
    owners: dict[int, list[str]] = defaultdict(list)
    for customer_id, key, _, first_ns in owned:
        one = found[customer_id]
        owners[key].append(customer_id)
        if first_ns is not None:
            one.first_ns = first_ns if one.first_ns is None else min(one.first_ns, first_ns)
    keys = list(owners)
    opened = open_runs(store, place, keys, charges, span[0], tx)
    timelines = store.registry.attributes(place, keys, tx=tx)
    for customer_id, key, resource_id, _ in owned:
        if key in opened:
            found[customer_id].open_runs.append(OpenRun(resource_id=prefix + resource_id, up_ns=opened[key]))
        found[customer_id].attributes[prefix + resource_id] = timelines[resource_id]
    for key, gap in store.usage.gaps(place, *span, resource_keys=keys, tx=tx):
        for customer_id in owners[key]:
            found[customer_id].gaps.append(replace(gap, resource_id=prefix + gap.resource_id))
    held = [each[:3] for each in owned]
    for customer_id, outage in declared_outages(tx, store, place, held, timelines, span):
        found[customer_id].outages.append(replace(outage, resource_id=prefix + outage.resource_id))
    for customer_id, event in _events(tx, store, place, held, span):
        found[customer_id].events.append(replace(event, resource_id=prefix + event.resource_id))
    zones = {key: found[names[0]].contract.customer for key, names in owners.items() if len(names) == 1}
    summed = _sums(tx, store, place, zones, span)
    for key, sums in summed.items():
        reader = _reader(store, place, key, span, prefix)
        found[owners[key][0]].sums.append(replace(sums, resource_id=prefix + sums.resource_id, hours=reader))
    others = [key for key in keys if key not in summed]
    for key, hour in store.usage.hours(place, *span, resource_keys=others, tx=tx) if others else ():
        for customer_id in owners[key]:
            found[customer_id].hours.append(replace(hour, resource_id=prefix + hour.resource_id) if prefix else hour)


def _events(tx: Tx, store: Store, place: Place, owned: Sequence[tuple[str, int, str]], span: Span) -> Iterator[tuple[str, UsageEvent]]:
    """The events of some resources, each with everybody whose they are or were."""
    owners: dict[str, list[str]] = defaultdict(list)
    for customer_id, _, resource_id in owned:
        owners[resource_id].append(customer_id)
    for event in store.priced.events(place, [key for _, key, _ in owned], *span, tx=tx):
        yield from ((customer_id, event) for customer_id in owners[event.resource_id])


def _sums(tx: Tx, store: Store, place: Place, customers: Mapping[int, Customer], span: Span) -> dict[int, HourSums]:
    """The sums of the resources, each of one customer only, whose span is one month of that customer's zone and of nothing else."""
    since_ns = span[0] - LONGEST_MONTH_NS
    months: dict[int, list[UsagePeriod]] = defaultdict(list)
    for key, month in store.usage.periods(place, "month", since_ns, span[1], resource_keys=list(customers), end_after_ns=span[0], tx=tx):
        months[key].append(month)
    mine = {key: each[0] for key, each in months.items() if len(each) == 1 and _is_all(each[0], customers[key], span)}
    if not mine:
        return {}
    told = store.usage.whole(tx, place, list(mine), span)
    held = _held(tx, store, place, {key: (month, told[key].disk_bytes) for key, month in mine.items()}, span)
    found = {}
    for key, month in mine.items():
        one = told[key]
        if one.kept and not one.lacking & month.totals.keys():
            found[key] = HourSums(
                resource_id=month.resource_id,
                from_ns=span[0],
                until_ns=span[1],
                totals=month.totals,
                estimated=month.estimated,
                held_ns=held[key],
                hours=lambda: (),
            )
    return found


def _held(tx: Tx, store: Store, place: Place, disks: Mapping[int, tuple[UsagePeriod, int | None]], span: Span) -> dict[int, int | None]:
    """How long each disk was held, in whole cells, of a month and its one size; None: only the hours of all the month can tell.

    No cell holds more than the size, so what adds up to that was there all the time: the month, or a day of it. Of other days the
    hours are read, as on the day that is not over.
    """
    found: dict[int, int | None] = {}
    days: dict[int, list[UsagePeriod]] = defaultdict(list)
    for key, (month, size) in disks.items():
        disk = month.totals.get(DISK, 0)
        found[key] = 0 if not disk else span[1] - span[0] if size and disk == size * (span[1] - span[0]) else None
    asked = [key for key, held_ns in found.items() if held_ns is None and disks[key][1]]
    for key, day in store.usage.periods(place, "day", *span, resource_keys=asked, tx=tx) if asked else ():
        days[key].append(day)
    for key in asked:
        month, size = disks[key]
        if size and sum(day.totals.get(DISK, 0) for day in days[key]) == month.totals[DISK]:
            found[key] = sum(_held_of_day(tx, store, place, key, day, size) for day in days[key])
    return found


def _held_of_day(tx: Tx, store: Store, place: Place, key: int, day: UsagePeriod, size: int) -> int:
    disk = day.totals.get(DISK, 0)
    if disk in (0, size * (day.end_ns - day.start_ns)):
        return day.end_ns - day.start_ns if disk else 0
    hours = store.usage.hours(place, day.start_ns, day.end_ns, resource_keys=[key], tx=tx)
    return sum(CELL_NS for _, hour in hours for cell in hour.cells.get(DISK, ()) if cell)


def _is_all(month: UsagePeriod, customer: Customer, span: Span) -> bool:
    """Whether a month is the whole span, the customer's, and something ran in it of which agents tell all."""
    whose = (month.customer_id, month.zone) == (customer.id, customer.time_zone)
    measured = month.totals.get("uptime", 0) > 0 and not any(meter in month.totals for meter in RECORDED_METERS)
    return whose and measured and (month.start_ns, month.end_ns) == span


def _reader(store: Store, place: Place, key: int, span: Span, prefix: str) -> Callable[[], Sequence[UsageHour]]:
    """What reads the hours of one resource when they are asked for."""

    def read() -> Sequence[UsageHour]:
        found = store.usage.hours(place, *span, resource_keys=[key])
        return [replace(hour, resource_id=prefix + hour.resource_id) if prefix else hour for _, hour in found]

    return read
