"""Usage days and months kept with the hours that they are made of, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.meter.days import Hour, Owned, exchanged, local_days, parted_hours, sole_owner, usage_days, usage_months
from tallystick.model.access import Place
from tallystick.model.calendar import month_of
from tallystick.model.instants import DAY_NS, HOUR_NS, hour_start
from tallystick.model.resources import UNASSIGNED, Attributes
from tallystick.model.usage import HourTotals, UsagePeriod
from tallystick.store.engine import Tx
from tallystick.store.store import Store

LONGEST_NS = {"day": 3 * DAY_NS, "month": 33 * DAY_NS}
"""No local day or month is longer: how far before an instant one that reaches it may begin."""
Named = tuple[str, str, int]
"""What names a day or month of a resource: customer, zone and start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones:
    """Whose resources were, and the time zones of their customers; of nobody's resources that of the seller."""

    attributes: Mapping[str, tuple[Attributes, ...]]
    customers: Mapping[str, str]
    seller: str

    @staticmethod
    def read(store: Store, place: Place, resource_keys: Sequence[int], tx: Tx) -> Zones:
        """The zones of these resources, from a snapshot."""
        return Zones.of(store, place, store.registry.attributes(place, resource_keys, tx=tx), tx)

    @staticmethod
    def of(store: Store, place: Place, attributes: Mapping[str, tuple[Attributes, ...]], tx: Tx) -> Zones:
        """The zones of resources of which is known what holds of them."""
        owners = frozenset(each.customer_id for timeline in attributes.values() for each in timeline) - {UNASSIGNED}
        customers = store.registry.customers(place, customers=owners, tx=tx) if owners else []
        return Zones(
            attributes=attributes,
            customers={each.customer.id: each.customer.time_zone for each in customers},
            seller=store.contracts.seller(place, tx=tx).time_zone,
        )

    def owned(self, resource_id: str) -> list[Owned]:
        """Whose a resource ever was, in order of time."""
        return [
            Owned(
                customer_id=each.customer_id,
                zone=self.customers.get(each.customer_id, self.seller),
                from_ns=each.from_ns,
                until_ns=each.until_ns,
            )
            for each in self.attributes.get(resource_id, ())
        ]


def day_ends(owned: Sequence[Owned], until_ns: int) -> set[int]:
    """Where the local days end that hold the last instant before `until_ns`, in each zone of the resource's customers."""
    return {day[2] for zone in {each.zone for each in owned} for day in local_days(zone, until_ns - 1, until_ns)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What replaced hours of a resource change in its days: `exchanged` are the hours that became others."""

    resource_key: int
    resource_id: str
    owned: Sequence[Owned]
    from_ns: int
    until_ns: int
    exchanged: Mapping[int, tuple[HourTotals | None, HourTotals | None]]


@dataclass(slots=True)
class _Periods:
    """The stored days or months of one resource that are at stake, and what they become; by customer, zone and start."""

    stored: dict[Named, UsagePeriod]
    made: dict[Named, UsagePeriod]


def write_days(tx: Tx, store: Store, place: Place, touched: Sequence[Touched]) -> None:
    """Make the days and months right that replaced hours lie in, in the transaction that replaced them.

    A day that goes on has the difference of its hours added; once its last hour is there, and wherever the difference cannot tell
    (owners and zones that change, gaps of which nothing is known, a peak that fell), it is summed anew from all of its hours. So is
    a month of its days. What is stored is the same either way, which `tally check` holds against the cells.
    """
    if not touched:
        return
    days = _days(tx, store, place, touched)
    _keep(tx, store, place, "day", touched, days)
    _keep(tx, store, place, "month", touched, _months(tx, store, place, touched, days))


def _days(tx: Tx, store: Store, place: Place, touched: Sequence[Touched]) -> list[_Periods]:
    first_ns, last_ns = min(each.from_ns for each in touched), max(each.until_ns for each in touched)
    keys = [each.resource_key for each in touched]
    stored = _stored(tx, store, place, "day", keys, (first_ns, last_ns))
    bounds = [_days_around(each) for each in touched]
    unknown = store.usage.with_unknown_gaps(tx, place, keys, min(low for low, _ in bounds), max(high for _, high in bounds))
    found, anew = [], []
    for each in touched:
        mine = {name: day for name, day in stored[each.resource_key].items() if day.start_ns < each.until_ns and day.end_ns > each.from_ns}
        made = None if each.resource_key in unknown else _days_with(each, mine)
        found.append(_Periods(mine, made or {}))
        if made is None:
            anew.append((each, found[-1]))
    if anew:
        _sum_days(tx, store, place, anew)
    return found


def _days_with(each: Touched, stored: Mapping[Named, UsagePeriod]) -> dict[Named, UsagePeriod] | None:
    """The days of a resource with the difference of its hours; None: they have to be summed anew."""
    owner = sole_owner(each.owned, each.from_ns, each.until_ns)
    if owner is None:
        return None
    customer_id, zone = owner
    made: dict[Named, UsagePeriod] = {}
    for _, start_ns, end_ns in local_days(zone, each.from_ns, each.until_ns):
        day = stored.get((customer_id, zone, start_ns))
        if day is None or end_ns <= each.until_ns or day.end_ns != end_ns or start_ns % HOUR_NS or end_ns % HOUR_NS or day.unknown_ns:
            return None
        parts = [both for hour_ns, both in each.exchanged.items() if start_ns <= hour_ns < end_ns]
        before = [old for old, _ in parts if old is not None]
        after = [new for _, new in parts if new is not None]
        changed = exchanged(day, before, after) if len(after) == len(parts) else None
        if changed is None:
            return None
        made[customer_id, zone, start_ns] = changed
    return made if made.keys() == stored.keys() else None


def _days_around(each: Touched) -> tuple[int, int]:
    """From where the first day begins to where the last ends that a resource's hours touch, in any zone of its customers."""
    days = [day for zone in {owned.zone for owned in each.owned} for day in local_days(zone, each.from_ns, each.until_ns)]
    return min((day[1] for day in days), default=each.from_ns), max((day[2] for day in days), default=each.until_ns)


def _sum_days(tx: Tx, store: Store, place: Place, anew: Sequence[tuple[Touched, _Periods]]) -> None:
    """Days as the sums of their hours: of their totals, and of the cells of hours that a day or an owner parts."""
    bounds = [_days_around(each) for each, _ in anew]
    first_ns, last_ns = hour_start(min(low for low, _ in bounds)), max(high for _, high in bounds)
    hours: dict[int, dict[int, Hour]] = defaultdict(dict)
    for key, total in store.usage.hour_totals(place, first_ns, last_ns, resource_keys=[each.resource_key for each, _ in anew], tx=tx):
        hours[key][total.hour_ns] = total
    for (each, periods), (low, high) in zip(anew, bounds, strict=True):
        key, mine = each.resource_key, hours[each.resource_key]
        for hour_ns in sorted(parted_hours(each.owned, each.from_ns, each.until_ns) & mine.keys()):
            ((_, mine[hour_ns]),) = store.usage.hours(place, hour_ns, hour_ns + 1, resource_keys=[key], tx=tx)
        gaps = [gap for _, gap in store.usage.gaps(place, low, high, resource_keys=[key], tx=tx)]
        inside = [hour for hour_ns, hour in mine.items() if hour_start(low) <= hour_ns < high]
        days = usage_days(each.resource_id, each.owned, hours=inside, gaps=gaps, from_ns=each.from_ns, until_ns=each.until_ns)
        periods.made.update({_named(day): day for day in days})


def _months(tx: Tx, store: Store, place: Place, touched: Sequence[Touched], days: Sequence[_Periods]) -> list[_Periods]:
    """The months of days that changed: with the difference, or summed anew from their days, which are stored by now."""
    keys = [each.resource_key for each in touched]
    both = [day for periods in days for day in (*periods.stored.values(), *periods.made.values())]
    if not both:
        return [_Periods({}, {}) for _ in touched]
    stored = _stored(tx, store, place, "month", keys, (min(day.start_ns for day in both), max(day.end_ns for day in both)))
    found, anew = [], []
    for each, periods in zip(touched, days, strict=True):
        changed = [name for name in {**periods.stored, **periods.made} if periods.stored.get(name) != periods.made.get(name)]
        mine = _Periods({}, {})
        for name in {(customer, zone, month_of(start_ns, zone)) for customer, zone, start_ns in changed}:
            customer, zone, (start_ns, end_ns) = name
            parts = [day for day in changed if day[:2] == (customer, zone) and start_ns <= day[2] < end_ns]
            month = stored[each.resource_key].get((customer, zone, start_ns))
            if month is not None:
                mine.stored[_named(month)] = month
            made = None if month is None else _month_with(month, parts, periods)
            if made is None:
                anew.append((each, mine, name))
            else:
                mine.made[_named(made)] = made
        found.append(mine)
    for each, mine, (customer, zone, (start_ns, end_ns)) in anew:
        of_month = store.usage.periods(place, "day", start_ns, end_ns, resource_keys=[each.resource_key], tx=tx)
        sums = usage_months([day for _, day in of_month if (day.customer_id, day.zone) == (customer, zone)])
        mine.made.update({_named(month): month for month in sums if month.start_ns == start_ns})
    return found


def _month_with(month: UsagePeriod, changed: Sequence[Named], days: _Periods) -> UsagePeriod | None:
    """A month with the difference of its days; None: its days have to be summed anew."""
    before = [days.stored[name] for name in changed if name in days.stored]
    after = [days.made[name] for name in changed if name in days.made]
    is_over = any(day.end_ns >= month.end_ns for day in after)
    return None if is_over or len(after) != len(changed) else exchanged(month, before, after)


def _stored(
    tx: Tx, store: Store, place: Place, kind: str, keys: Sequence[int], span: tuple[int, int]
) -> dict[int, dict[Named, UsagePeriod]]:
    """The stored days or months that reach into a span, by resource."""
    found: dict[int, dict[Named, UsagePeriod]] = {key: {} for key in keys}
    since_ns = span[0] - LONGEST_NS[kind]
    for key, period in store.usage.periods(place, kind, since_ns, span[1], resource_keys=keys, end_after_ns=span[0], tx=tx):
        found[key][_named(period)] = period
    return found


def _named(period: UsagePeriod) -> Named:
    return period.customer_id, period.zone, period.start_ns


def _keep(tx: Tx, store: Store, place: Place, kind: str, touched: Sequence[Touched], found: Sequence[_Periods]) -> None:
    """Write what became another, and take away what is no more."""
    gone, new = [], []
    for each, periods in zip(touched, found, strict=True):
        gone += [(each.resource_key, old) for name, old in periods.stored.items() if name not in periods.made]
        new += [(each.resource_key, made) for name, made in periods.made.items() if periods.stored.get(name) != made]
    store.usage.drop_periods(tx, place, kind, gone)
    store.usage.replace_periods(tx, place, kind, new)
