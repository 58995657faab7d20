"""Usage days and months out of usage hours: sums of cells of the local dates of whose the resource was (metering.md, usage day)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.calendar import day_start, local_date, month_of, next_day
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, hour_start
from tallystick.model.resources import UNASSIGNED, Attributes
from tallystick.model.usage import Filled, Gap, UsageHour
from tallystick.store.engine import Tx
from tallystick.store.records import UsagePeriod
from tallystick.store.store import Store

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones:
    """Whose resources were, and the time zones of their customers; of nobody's resources that of the seller."""

    attributes: Mapping[str, tuple[Attributes, ...]]
    customers: Mapping[str, str]
    seller: str

    @staticmethod
    def read(store: Store, place: Place, resource_keys: Sequence[int], tx: Tx) -> Zones:
        """The zones of these resources, from a snapshot."""
        attributes = store.registry.attributes(place, resource_keys, tx=tx)
        owners = frozenset(each.customer_id for timeline in attributes.values() for each in timeline) - {UNASSIGNED}
        customers = store.registry.customers(place, customers=owners, tx=tx) if owners else []
        return Zones(
            attributes=attributes,
            customers={each.customer.id: each.customer.time_zone for each in customers},
            seller=store.contracts.seller(place, tx=tx).time_zone,
        )

    def owned(self, resource_id: str, from_ns: int, until_ns: int) -> Iterator[tuple[str, str, Span]]:
        """(customer, zone, span) of each stretch of [from_ns, until_ns) in which the resource was one customer's."""
        for each in self.attributes.get(resource_id, ()):
            since, until = max(each.from_ns, from_ns), min(each.until_ns, until_ns)
            if since < until:
                yield each.customer_id, self.customers.get(each.customer_id, self.seller), (since, until)


def write_days(
    tx: Tx, store: Store, *, place: Place, resource_key: int, resource_id: str, zones: Zones, from_ns: int, until_ns: int
) -> None:
    """Make the days and months anew that the hours of [from_ns, until_ns) lie in, in the transaction that replaced those hours."""
    spans = _spans(resource_id, zones, from_ns, until_ns)
    first = min((span[0] for span in spans.values()), default=from_ns)
    last = max((span[1] for span in spans.values()), default=until_ns)
    hours = [hour for _, hour in store.usage.hours(place, hour_start(first), last, resource_keys=[resource_key], tx=tx)]
    gaps = [gap for _, gap in store.usage.gaps(place, first, last, resource_keys=[resource_key], tx=tx)]
    days = sums_of_days(resource_id, zones, hours=hours, gaps=gaps, from_ns=from_ns, until_ns=until_ns)
    store.usage.drop_periods(tx, place, "day", resource_key, from_ns, until_ns)
    store.usage.replace_periods(tx, place, "day", [(resource_key, day) for day in days])
    touched = [month_of(at, owner[1]) for owner, span in spans.items() for at in (span[0], span[1] - 1)]
    if touched:
        start, end = min(month[0] for month in touched), max(month[1] for month in touched)
        stored = [day for _, day in store.usage.periods(place, "day", start, end, resource_keys=[resource_key], tx=tx)]
        again = [month for month in months_of(stored) if (month.start_ns, month.end_ns) in set(touched)]
        for month in set(touched):
            store.usage.drop_periods(tx, place, "month", resource_key, *month)
        store.usage.replace_periods(tx, place, "month", [(resource_key, month) for month in again])


def sums_of_days(
    resource_id: str, zones: Zones, *, hours: Sequence[UsageHour], gaps: Sequence[Gap], from_ns: int, until_ns: int
) -> list[UsagePeriod]:
    """The local days that [from_ns, until_ns) touches, per customer of the resource: sums of the cells of `hours`."""
    return [
        day
        for (customer, zone), (start, end) in sorted(_spans(resource_id, zones, from_ns, until_ns).items())
        for day in _days(
            resource_id,
            (customer, zone),
            owned=[span for owner, of, span in zones.owned(resource_id, start, end) if (owner, of) == (customer, zone)],
            whole=(start, end),
            hours=hours,
            gaps=[gap for gap in gaps if gap.filled is Filled.UNKNOWN],
        )
    ]


def months_of(days: Sequence[UsagePeriod]) -> list[UsagePeriod]:
    """The months of days, per customer and zone: each the sum of its days."""
    found: dict[tuple[str, str, int, int], list[UsagePeriod]] = defaultdict(list)
    for day in days:
        found[day.customer_id, day.zone, *month_of(day.start_ns, day.zone)].append(day)
    return [_month((start, end), found[customer, zone, start, end]) for customer, zone, start, end in sorted(found)]


def _spans(resource_id: str, zones: Zones, from_ns: int, until_ns: int) -> dict[tuple[str, str], Span]:
    """The whole local days around a span, by (customer, zone)."""
    owners = {(customer, zone) for customer, zone, _ in zones.owned(resource_id, from_ns, until_ns)}
    return {owner: _whole_days(owner[1], from_ns, until_ns) for owner in owners}


def _whole_days(zone: str, from_ns: int, until_ns: int) -> Span:
    """From the beginning of the local day that holds the first instant to the end of that which holds the last."""
    return day_start(local_date(from_ns, zone), zone), day_start(next_day(local_date(until_ns - 1, zone)), zone)


def _days(
    resource_id: str, owner: tuple[str, str], *, owned: Sequence[Span], whole: Span, hours: Sequence[UsageHour], gaps: Sequence[Gap]
) -> Iterator[UsagePeriod]:
    customer, zone = owner
    start = whole[0]
    while start < whole[1]:
        today = local_date(start, zone)
        end = day_start(next_day(today), zone)
        mine = [(max(since, start), min(until, end)) for since, until in owned if since < end and until > start]
        found = _sum(mine, hours)
        if found is not None:
            unknown_ns = sum(max(0, min(gap.until_ns, until) - max(gap.from_ns, since)) for gap in gaps for since, until in mine)
            yield UsagePeriod(
                resource_id=resource_id,
                customer_id=customer,
                zone=zone,
                date=today.isoformat(),
                start_ns=start,
                end_ns=end,
                unknown_ns=unknown_ns,
                totals=found.totals,
                estimated=found.estimated,
                samples=found.samples,
                memory_peak_bytes=found.memory_peak_bytes,
                runs=found.runs,
            )
        start = end


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    totals: Mapping[str, int]
    estimated: Mapping[str, int]
    samples: int
    memory_peak_bytes: int | None
    runs: int


def _sum(mine: Sequence[Span], hours: Sequence[UsageHour]) -> _Sums | None:
    """The cells that are in `mine`; None without any. Samples and peaks are kept by hour: those of hours that begin in it."""
    totals: dict[str, int] = defaultdict(int)
    estimated: dict[str, int] = defaultdict(int)
    samples, runs, peaks, found = 0, 0, [], False
    for hour in hours:
        inside = [place for place in range(CELLS_PER_HOUR) if _covers(mine, hour.hour_ns + place * CELL_NS)]
        if not inside:
            continue
        found = True
        for sums, by_meter in ((totals, hour.cells), (estimated, hour.estimated)):
            for meter, cells in by_meter.items():
                sums[meter] += sum(cells[place] for place in inside)
        if inside[0] == 0:
            samples += hour.samples
            peaks += [hour.memory_peak_bytes] if hour.memory_peak_bytes is not None else []
        runs += sum(_covers(mine, at) for at in hour.runs)
    if not found:
        return None
    return _Sums(totals=dict(totals), estimated=dict(estimated), samples=samples, memory_peak_bytes=max(peaks, default=None), runs=runs)


def _covers(spans: Iterable[Span], at_ns: int) -> bool:
    return any(since <= at_ns < until for since, until in spans)


def _month(whole: Span, days: Sequence[UsagePeriod]) -> UsagePeriod:
    totals: dict[str, int] = defaultdict(int)
    estimated: dict[str, int] = defaultdict(int)
    for day in days:
        for meter, amount in day.totals.items():
            totals[meter] += amount
        for meter, amount in day.estimated.items():
            estimated[meter] += amount
    first = days[0]
    return UsagePeriod(
        resource_id=first.resource_id,
        customer_id=first.customer_id,
        zone=first.zone,
        date=local_date(whole[0], first.zone).isoformat()[:7],
        start_ns=whole[0],
        end_ns=whole[1],
        totals=dict(totals),
        estimated=dict(estimated),
        samples=sum(day.samples for day in days),
        memory_peak_bytes=max((day.memory_peak_bytes for day in days if day.memory_peak_bytes is not None), default=None),
        runs=sum(day.runs for day in days),
        unknown_ns=sum(day.unknown_ns for day in days),
    )
