"""Many customers' contracts and usage of one span, read together, to be rated: where sums say as much as hours, only sums are read.

A local month that nothing parts is one row for a resource. Its hours are read only for a charge that asks for them, for what cannot be
told from sums, and where somebody looks into a line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tallystick.app.accounts import (
    Agreed,
    bill_name,
    declared_outages,
    follows_market,
    market_of,
    read_agreed,
    usage_until,
)
from tallystick.app.answers.earlier import open_runs, tier_fills
from tallystick.model.access import Place
from tallystick.model.attributes import attributes
from tallystick.model.billing.contracts import Contract, Customer
from tallystick.model.billing.invoices import MarketPrice, Outage, TierFill, Usage, UsageEvent
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.billing.runs import OpenRun
from tallystick.model.instants import CELL_NS, DAY_NS, HOUR_NS
from tallystick.model.resources import Attributes, Fact
from tallystick.model.usage import RECORDED_METERS, Gap, HourSums, UsageHour, UsagePeriod
from tallystick.store.engine import Tx
from tallystick.store.store import Store
from tallystick.store.usage.queries import Owned

DISK = "disk.allocated"
LONGEST_MONTH_NS = 33 * DAY_NS
Span = tuple[int, int]


@dataclass(slots=True)
class _Found:
    """What is found of one customer, scope by scope."""

    hours: list[UsageHour] = field(default_factory=list)
    sums: list[HourSums] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    events: list[UsageEvent] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    attributes: dict[str, tuple[Attributes, ...]] = field(default_factory=dict)
    open_runs: list[OpenRun] = field(default_factory=list)
    tier_fills: tuple[TierFill, ...] = ()
    market: tuple[MarketPrice, ...] = ()

    def usage(self) -> Usage:
        """All of it."""
        return Usage(
            hours=tuple(self.hours),
            sums=tuple(self.sums),
            gaps=tuple(self.gaps),
            attributes=self.attributes,
            open_runs=tuple(self.open_runs),
            tier_fills=self.tier_fills,
            events=tuple(self.events),
            market=self.market,
            outages=tuple(self.outages),
        )


def read_together(
    store: Store, place: Place, customers: Sequence[str], span: Span, *, at_ns: int, currency: str = ""
) -> Iterator[tuple[Contract, tuple[PriceBook, ...], Usage]]:
    """Contract, price books and usage in a span of whole hours of some customers, in their order, from one snapshot.

    The default plan is the one in force at `at_ns`. Names that are no customer's are left out.
    """
    with store.read() as tx:
        agreed = read_agreed(store, place, customers, at_ns, tx)
        found = read_usage(tx, store, place, agreed, span, currency=currency)
    for name in customers:
        if name in found:
            yield agreed.contracts[name], agreed.books, found[name]


def read_usage(
    tx: Tx, store: Store, place: Place, agreed: Agreed, span: Span, *, currency: str = "", known_until_ns: int | None = None
) -> dict[str, Usage]:
    """The usage of customers in a span of whole hours, by their ids: that of hours which began before `known_until_ns` (the end).

    Market prices are those in `currency`; without one, those of customers whose plans have one.
    """
    known_ns = span[1] if known_until_ns is None else min(known_until_ns, span[1])
    found = {name: _Found() for name in agreed.contracts}
    scopes: dict[Place, list[Owned]] = defaultdict(list)
    for each in agreed.owned:
        scopes[each.place].append(each)
    for where, owned in scopes.items():
        _read_scope(tx, store, where, owned, agreed, found, (span, known_ns))
    charges = [charge for book in agreed.books for plan in book.plans for charge in plan.charges]
    lifetime, follows = any(charge.lifetime for charge in charges), follows_market(agreed.books)
    for name, one in found.items() if lifetime or follows else ():
        contract = agreed.contracts[name]
        one.tier_fills = tier_fills(store, place, contract, agreed.books, span[0], tx)
        one.market = market_of(tx, store, place, contract, one.attributes, follows=follows, span=span, currency=currency)
    return {name: one.usage() if known_until_ns is None else usage_until(one.usage(), known_ns) for name, one in found.items()}


def _read_scope(
    tx: Tx,
    store: Store,
    place: Place,
    owned: Sequence[Owned],
    agreed: Agreed,
    found: Mapping[str, _Found],
    asked: tuple[Span, int],
) -> None:
    """The usage of the customers' resources in one scope: what is `asked` for is a span, and the instant until which it is known."""
    span, known_ns = asked
    prefix = bill_name(place, "")
    owners: dict[int, list[str]] = defaultdict(list)
    for each in owned:
        owners[each.key].append(each.customer_id)
    keys = list(owners)
    charges = [charge for book in agreed.books for plan in book.plans for charge in plan.charges]
    opened = open_runs(store, place, keys, charges, span[0], tx)
    facts = store.registry.facts_of(tx, place, {each.key: each.resource_id for each in owned})
    timelines = {each.resource_id: attributes(facts.get(each.key, ())) for each in owned}
    for each in owned:
        if each.key in opened:
            found[each.customer_id].open_runs.append(OpenRun(resource_id=prefix + each.resource_id, up_ns=opened[each.key]))
        found[each.customer_id].attributes[prefix + each.resource_id] = timelines[each.resource_id]
    for key, gap in store.usage.gaps(place, *span, resource_keys=keys, tx=tx):
        for customer_id in owners[key]:
            found[customer_id].gaps.append(replace(gap, resource_id=prefix + gap.resource_id))
    held = [(each.customer_id, each.key, each.resource_id) for each in owned]
    for customer_id, outage in declared_outages(tx, store, place, held, timelines, span):
        found[customer_id].outages.append(replace(outage, resource_id=prefix + outage.resource_id))
    for customer_id, event in _events(tx, store, place, held, span):
        found[customer_id].events.append(replace(event, resource_id=prefix + event.resource_id))
    alone = {each.key: each for each in owned if len(owners[each.key]) == 1 and (each.hours_until_ns or 0) <= span[0]}
    zones = {key: agreed.contracts[each.customer_id].customer for key, each in alone.items()}
    summed = _sums(tx, store, place, zones, facts, asked)
    for key, sums in summed.items():
        reader = _reader(store, place, key, (span[0], known_ns), prefix)
        found[owners[key][0]].sums.append(replace(sums, resource_id=prefix + sums.resource_id, hours=reader))
    others = [key for key in keys if key not in summed]
    for key, hour in store.usage.hours(place, span[0], known_ns, resource_keys=others, tx=tx) if others else ():
        for customer_id in owners[key]:
            found[customer_id].hours.append(replace(hour, resource_id=prefix + hour.resource_id) if prefix else hour)


def _events(tx: Tx, store: Store, place: Place, owned: Sequence[tuple[str, int, str]], span: Span) -> Iterator[tuple[str, UsageEvent]]:
    """The events of some resources, each with everybody whose they are or were."""
    owners: dict[str, list[str]] = defaultdict(list)
    for customer_id, _, resource_id in owned:
        owners[resource_id].append(customer_id)
    for event in store.priced.events(place, [key for _, key, _ in owned], *span, tx=tx):
        yield from ((customer_id, event) for customer_id in owners[event.resource_id])


def _sums(
    tx: Tx, store: Store, place: Place, customers: Mapping[int, Customer], facts: Mapping[int, Sequence[Fact]], asked: tuple[Span, int]
) -> dict[int, HourSums]:
    """The sums of the resources, each of one customer only, whose span is one month of that customer's zone and of nothing else."""
    span, known_ns = asked
    since_ns = span[0] - LONGEST_MONTH_NS
    months: dict[int, list[UsagePeriod]] = defaultdict(list)
    for key, month in store.usage.periods(place, "month", since_ns, span[1], resource_keys=list(customers), end_after_ns=span[0], tx=tx):
        months[key].append(month)
    mine = {key: each[0] for key, each in months.items() if len(each) == 1 and _is_all(each[0], customers[key], span)}
    if not mine:
        return {}
    told = store.usage.whole(tx, place, list(mine), span, known_ns)
    mine = {key: month for key, month in mine.items() if not told[key].goes_on and not told[key].lacking & month.totals.keys()}
    sizes = {key: _disk_size(facts.get(key, ()), span) for key in mine if not told[key].disk_recorded}
    held = _held(tx, store, place, {key: (month, sizes.get(key)) for key, month in mine.items()}, span)
    return {
        key: HourSums(
            resource_id=month.resource_id,
            from_ns=span[0],
            until_ns=span[1],
            totals=month.totals,
            estimated=month.estimated,
            held_ns=held[key],
            hours=lambda: (),
        )
        for key, month in mine.items()
    }


def _disk_size(facts: Sequence[Fact], span: Span) -> int | None:
    """The size of a disk that had one all through a span; None: it changed, or nobody gave it."""
    sized = [fact for fact in facts if fact.at_ns < span[1] and (fact.deleted or fact.disk_bytes is not None)]
    changes = [(max(fact.at_ns, span[0]), 0 if fact.deleted else fact.disk_bytes) for fact in sized]
    at_first = [size for at_ns, size in changes if at_ns == span[0]]
    later = {size for at_ns, size in changes if at_ns > span[0]}
    return at_first[-1] if at_first and later <= {at_first[-1]} else None


def _held(tx: Tx, store: Store, place: Place, disks: Mapping[int, tuple[UsagePeriod, int | None]], span: Span) -> dict[int, int | None]:
    """How long each disk was held, in whole cells, of a month and its one size; None: only the hours of all the month can tell.

    No cell holds more than the size, so what adds up to that was there all the time: the month, or a day or an hour of it. Of other
    hours the cells are read, as on the day that is not over.
    """
    found: dict[int, int | None] = {}
    sizes: dict[int, int] = {}
    for key, (month, size) in disks.items():
        disk = month.totals.get(DISK, 0)
        found[key] = 0 if not disk else span[1] - span[0] if size and disk == size * (span[1] - span[0]) else None
        if found[key] is None and size:
            sizes[key] = size
    days: dict[int, list[UsagePeriod]] = defaultdict(list)
    for key, day in store.usage.periods(place, "day", *span, resource_keys=list(sizes), tx=tx) if sizes else ():
        days[key].append(day)
    uneven: dict[Span, list[int]] = defaultdict(list)
    for key, own in days.items():
        if sum(day.totals.get(DISK, 0) for day in own) == disks[key][0].totals[DISK]:
            held = {day.start_ns: _all_or_nothing(day.totals, sizes[key], day.end_ns - day.start_ns) for day in own}
            found[key] = sum(each or 0 for each in held.values())
            for day in own:
                if held[day.start_ns] is None:
                    uneven[day.start_ns, day.end_ns].append(key)
    for day_span, keys in uneven.items():
        for key, hour in store.usage.hour_totals(place, *day_span, resource_keys=keys, tx=tx):
            told = _all_or_nothing(hour.totals, sizes[key], HOUR_NS)
            if told is None:
                ((_, opened),) = store.usage.hours(place, hour.hour_ns, hour.hour_ns + 1, resource_keys=[key], tx=tx)
                told = CELL_NS * sum(1 for cell in opened.cells[DISK] if cell)
            found[key] = (found[key] or 0) + told
    return found


def _all_or_nothing(totals: Mapping[str, int], size: int, length_ns: int) -> int | None:
    """How long a disk was held in a time, if it was all the time or never."""
    disk = totals.get(DISK, 0)
    return length_ns if disk == size * length_ns else None if disk else 0


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
