"""Usage hours into the pools of each charge: who gets how much of which meter, and what cannot be priced."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from itertools import chain, pairwise
from operator import attrgetter

from tallystick.model.billing.invoices import MarketPrice, Share, Usage, UsageEvent, in_order
from tallystick.model.billing.price_book import Charge, Filters
from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, HOUR_NS, hour_start, iso
from tallystick.model.resources import Attributes
from tallystick.model.usage import METERS, SUM_METERS, Cells, Filled, Gap, HourSums, MeterHours, UsageHour
from tallystick.rate.attribution import Span, Window, spans_of
from tallystick.rate.models.registry import model_of
from tallystick.rate.slices import Covered, MarketHour
from tallystick.rate.units import RATE_METER, SIZE_OF_METER, divisor, unit_of

DISK = "disk.allocated"
HOUR = attrgetter("hour_ns")
SIZED_WHILE_UP = ("cpu.allocated", "memory.allocated")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanUsage:
    """A span with what its usage hours add up to, the gaps in it that nothing filled, and its events, clipped to it.

    The hours of `sums` are those in which something was used, cells outside the span 0; of what came in sums, they are read only where
    they are asked for. `uneven`: some of these hours lack a meter that others have.
    """

    span: Span
    sums: HourSums
    unknown_ns: int
    events: tuple[UsageEvent, ...] = ()
    uneven: bool = False

    @property
    def used(self) -> bool:
        """Whether anything was."""
        return any(self.sums.totals.values())

    def cells(self, meter: str) -> Sequence[tuple[int, Cells]]:
        """(hour_ns, twelve cells) of a meter, cells outside the span 0; hours that did not measure it are left out."""
        amount = self.sums.total(meter)
        return () if amount is None else MeterHours(amount, lambda: _cells(self.sums.hours(), meter))

    def amount(self, meter: str) -> int | None:
        """The span's total of a meter in its base unit; None: nothing measured it, or nobody gave the size that it is made of."""
        return self.sums.total(meter) if self.size_given(meter) else None

    def slots(self) -> dict[int, tuple[int, int]]:
        """What was received and sent in each measured five-minute slot. Where nothing tells of uptime, what moved tells of itself."""
        received, sent, up = (dict(self.cells(meter)) for meter in ("network.rx", "network.tx", "uptime"))
        found = {}
        for hour_ns in sorted(received.keys() | sent.keys()):
            nothing = (0,) * CELLS_PER_HOUR
            pairs = list(zip(received.get(hour_ns, nothing), sent.get(hour_ns, nothing), strict=True))
            measured = up.get(hour_ns) or tuple(map(max, pairs))
            found.update({hour_ns + place * CELL_NS: pair for place, pair in enumerate(pairs) if measured[place]})
        return found

    def size_given(self, meter: str) -> bool:
        """Whether somebody gave the size that the meter is made of, as far as the registry says; else its 0 says nothing."""
        size, sizes = SIZE_OF_METER.get(meter), self.span.attributes.sizes
        return size is None or sizes is None or size in sizes

    def size_missing(self, meter: str) -> bool:
        """Whether there is something to price that is made of a size that nobody gave.

        Where the registry does not say which sizes it was given, a cell in which time is up and the meter absent says so,
        and for what no machine runs without, one in which it is 0.
        """
        if meter not in SIZE_OF_METER:
            return False
        if self.span.attributes.sizes is not None:
            return self.used and not self.size_given(meter)
        found = dict(self.cells(meter))
        return any(
            up and (hour_ns not in found or (meter in SIZED_WHILE_UP and not found[hour_ns][place]))
            for hour_ns, cells in self.cells("uptime")
            for place, up in enumerate(cells)
        )

    def share(self, meter: str) -> Share:
        """How much of the time behind a meter was measured, estimated or unknown, in ns."""
        if meter == DISK:
            return Share(measured_ns=_held(self.sums.hours()) if self.sums.held_ns is None else self.sums.held_ns)
        if self.sums.total(meter) is None:
            return Share(unknown_ns=self.unknown_ns)
        up, guessed = self._up(meter) if self.uneven else (self.sums.totals.get("uptime", 0), self.sums.estimated.get("uptime", 0))
        return Share(measured_ns=up - guessed, estimated_ns=guessed, unknown_ns=self.unknown_ns)

    def _up(self, meter: str) -> tuple[int, int]:
        """How long it was up in the hours that measured a meter, and how much of that is estimated."""
        parts = SUM_METERS.get(meter, (meter,))
        hours = [hour for hour in self.sums.hours() if not hour.cells.keys().isdisjoint(parts)]
        return sum(hour.total("uptime") or 0 for hour in hours), sum(hour.estimated_total("uptime") for hour in hours)


@dataclass(slots=True)
class Pool:
    """What has gathered for one (subscription, charge, group, version) so far: hours of each span by (resource, divisor), events, coverage.

    Without hours nothing was measured: it makes no line, whatever is unknown.
    """

    charge: Charge
    hours: dict[tuple[str, Fraction], list[Sequence[tuple[int, Cells]]]] = field(default_factory=lambda: defaultdict(list))
    share: Share = field(default_factory=Share)
    events: list[UsageEvent] = field(default_factory=list)
    market: list[MarketHour] = field(default_factory=list)
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)
    covered: dict[tuple[str, str], Fraction] = field(default_factory=lambda: defaultdict(Fraction))

    @property
    def used(self) -> bool:
        """Whether there is anything to price."""
        return bool(self.hours or self.events)


Market = Mapping[tuple[str, str, int], Fraction]
"""What the market asked, by region, kind and hour."""

PoolKey = tuple[str, str, tuple[tuple[str, str], ...], int]
"""Subscription, charge, group, ordinal of the price version."""


def usage_by_span(usage: Usage, window: Window) -> tuple[SpanUsage, ...]:
    """The run's spans with their hours, in order of resource and time: the order of the rows given does not matter.

    Raises:
        ValueError: two rows for one hour of a resource, which would bill it twice.

    """
    if window.from_ns >= window.until_ns:
        return ()
    rows: dict[str, list[UsageHour]] = defaultdict(list)
    for hour in usage.hours:
        rows[hour.resource_id].append(hour)
    gaps: dict[str, list[Gap]] = defaultdict(list)
    for gap in usage.gaps:
        if gap.filled is Filled.UNKNOWN:
            gaps[gap.resource_id].append(gap)
    events: dict[str, list[UsageEvent]] = defaultdict(list)
    for event in in_order(usage.events):
        events[event.resource_id].append(event)
    summed = {sums.resource_id: sums for sums in usage.sums}
    found = []
    for resource_id in sorted(rows.keys() | gaps.keys() | events.keys() | summed.keys()):
        spans = tuple(spans_of(resource_id, usage.attributes.get(resource_id, ()), window))
        sums = summed.get(resource_id)
        if sums is not None and [(span.from_ns, span.until_ns) for span in spans] != [(sums.from_ns, sums.until_ns)]:
            rows[resource_id] += sums.hours()
            sums = None
        hours = _ordered(rows[resource_id])
        for span in spans:
            told = () if sums is not None else _within(hours, span)
            own = _added_up(span, told) if sums is None else _clipped_sums(sums, span)
            each = SpanUsage(
                span=span,
                sums=own,
                unknown_ns=_overlap(gaps[resource_id], span),
                events=tuple(event for event in events[resource_id] if span.from_ns <= event.at_ns < span.until_ns),
                uneven=any(len(hour.cells) < len(own.totals) for hour in told),
            )
            if each.used or each.unknown_ns or each.events:
                found.append(each)
    return tuple(found)


def _added_up(span: Span, told: Sequence[UsageHour]) -> HourSums:
    """The hours of a span as what they add up to."""
    totals = _totals([hour.cells for hour in told])
    return HourSums(
        resource_id=span.resource_id,
        from_ns=span.from_ns,
        until_ns=span.until_ns,
        totals=totals,
        estimated=_totals([hour.estimated for hour in told]),
        held_ns=None if DISK in totals else 0,
        hours=lambda: told,
    )


def _totals(rows: Sequence[Mapping[str, Cells]]) -> dict[str, int]:
    meters: frozenset[str] = frozenset().union(*rows)
    return {meter: sum([sum(row[meter]) for row in rows if meter in row]) for meter in meters}


def _clipped_sums(sums: HourSums, span: Span) -> HourSums:
    """Sums of a whole span; their hours are read once, however many meters are looked into."""
    return replace(sums, hours=cache(lambda: _within(_ordered(sums.hours()), span)))


def _ordered(rows: Iterable[UsageHour]) -> list[UsageHour]:
    """The hours of one resource in order of time."""
    hours = sorted(rows, key=HOUR)
    if len(set(map(HOUR, hours))) < len(hours):
        after = next(after for before, after in pairwise(hours) if before.hour_ns == after.hour_ns)
        raise ValueError(f"resource {after.resource_id!r} has two usage rows for the hour {after.hour_ns}")
    return hours


def pools_of(
    spans: Iterable[SpanUsage], market: Iterable[MarketPrice] = (), covered: Covered | None = None
) -> tuple[Mapping[PoolKey, Pool], tuple[Finding, ...]]:
    """The pools of every charge, and findings for what has a price but cannot be priced; `covered` is what reservations pay for."""
    asked = {(each.region, each.kind, each.hour_ns): each.price for each in market}
    pools: dict[PoolKey, Pool] = {}
    findings: dict[tuple[str, ...], Finding] = {}
    for each in spans:
        for finding in _without_price(each) or _fill(each, pools, asked):
            findings.setdefault((finding.code, finding.resource_id, finding.record), finding)
    if covered:
        for pool in pools.values():
            _cover(pool, covered)
    return pools, tuple(findings.values())


def _without_price(each: SpanUsage) -> tuple[Finding, ...]:
    """Why nothing of a span can be priced, if so: no version of a plan is in force, or two subscriptions tie."""
    span = each.span
    if not each.used and not each.events:
        return ()
    if span.tied:
        names = ", ".join(span.tied)
        return (_blocking(FindingCode.COVERAGE_TIE, span, names, f"subscriptions {names} cover {span.resource_id} with equal right"),)
    if span.price is not None or span.paused:
        return ()
    if not span.subscription.plan_id:
        return (_blocking(FindingCode.NO_PLAN, span, "", "no subscription covers it and the seller has no default plan"),)
    detail = f"no version of plan {span.subscription.plan_id} is in force for its usage"
    return (_blocking(FindingCode.NO_PLAN, span, span.subscription.plan_id, detail),)


def _fill(each: SpanUsage, pools: dict[PoolKey, Pool], asked: Market) -> list[Finding]:
    span, findings = each.span, []
    plan = span.price.plan if span.price is not None else None
    charges = plan.charges if plan is not None else ()
    for meter in METERS:
        naming = [charge for charge in charges if charge.meter == meter]
        if not naming:
            continue
        matched = charges_for(naming, span.attributes)
        if not _base_matches(naming, matched):
            if each.amount(meter) or each.size_missing(meter):
                findings.append(_unmatched(span, meter, naming))
            continue
        if each.size_missing(meter):
            detail = f"nobody gave {SIZE_OF_METER[meter]} of {span.resource_id}, which {matched[0].id} prices"
            findings.append(_blocking(FindingCode.UNPRICED_SIZE, span, meter, detail))
        if each.size_given(meter):
            findings += [finding for charge in matched if (finding := _put(each, charge, pools, asked))]
    return findings + _fill_rates(each, charges, pools) + _fill_events(each, charges, pools)


def _fill_rates(each: SpanUsage, charges: Sequence[Charge], pools: dict[PoolKey, Pool]) -> list[Finding]:
    """Its measured five-minute slots, where a charge prices rates."""
    naming = [charge for charge in charges if charge.meter == RATE_METER]
    if not naming:
        return []
    slots = each.slots()
    matched = charges_for(naming, each.span.attributes)
    if not _base_matches(naming, matched):
        return [_unmatched(each.span, RATE_METER, naming)] if slots else []
    for charge in matched:
        key = (each.span.subscription.id, charge.id, group_of(charge, each.span), each.span.ordinal)
        pool = pools.setdefault(key, Pool(charge=charge))
        pool.share = added(pool.share, each.share("network.io"))
        if slots:
            per = divisor(unit_of(charge.meter, charge.per), each.span.month_ns, None)
            pool.hours[each.span.resource_id, per].append(_moved(slots))
        for cell_ns, (received, sent) in slots.items():
            before = pool.slots.get(cell_ns, (0, 0))
            pool.slots[cell_ns] = before[0] + received, before[1] + sent
    return []


def _moved(slots: Mapping[int, tuple[int, int]]) -> tuple[tuple[int, Cells], ...]:
    """What moved in the measured slots, hour by hour: what no slot holds has no rate, and is no part of one."""
    hours: dict[int, list[int]] = defaultdict(lambda: [0] * CELLS_PER_HOUR)
    for cell_ns, moved in slots.items():
        hour_ns = hour_start(cell_ns)
        hours[hour_ns][(cell_ns - hour_ns) // CELL_NS] = sum(moved)
    return tuple((hour_ns, tuple(cells)) for hour_ns, cells in hours.items())


def _fill_events(each: SpanUsage, charges: Sequence[Charge], pools: dict[PoolKey, Pool]) -> list[Finding]:
    """Its events, as their meters are named; one that a model has no price for is a finding, and not among them."""
    span, findings = each.span, []
    for meter in dict.fromkeys(event.meter for event in each.events):
        naming = [charge for charge in charges if charge.meter == meter]
        matched = charges_for(naming, span.attributes)
        if naming and not _base_matches(naming, matched):
            findings.append(_unmatched(span, meter, naming))
            continue
        for charge in matched:
            told = [(event, model_of(charge.model).refuses(event)) for event in each.events if event.meter == meter]
            findings += [_blocking(FindingCode.UNPRICED_EVENT, span, charge.id, why) for _, why in told if why]
            key = (span.subscription.id, charge.id, group_of(charge, span), span.ordinal)
            pools.setdefault(key, Pool(charge=charge)).events += [event for event, why in told if not why]
    return findings


def charges_for(naming: Sequence[Charge], attributes: Attributes) -> list[Charge]:
    """The charges of a meter that get it: the first whose filters match, and every further one that says `also`."""
    matching = [charge for charge in naming if matches(charge.filters, attributes)]
    first = next((charge for charge in matching if not charge.also), None)
    return [charge for charge in matching if charge.also or charge is first]


def matches(filters: Filters, attributes: Attributes) -> bool:
    """Whether a resource passes: an empty filter matches anything."""
    return (
        (not filters.region or attributes.region in filters.region)
        and (not filters.kind or attributes.kind in filters.kind)
        and all(attributes.labels.get(name) == value for name, value in filters.labels.items())
    )


def group_of(charge: Charge, span: Span) -> tuple[tuple[str, str], ...]:
    """The group of a charge that a span's usage belongs to; a label that is not there is empty."""
    labels = {f"labels.{name}": value for name, value in span.attributes.labels.items()}
    values = {**labels, "region": span.attributes.region, "resource": span.resource_id}
    return tuple((name, values.get(name, "")) for name in charge.group_by)


def _base_matches(naming: Sequence[Charge], matched: Sequence[Charge]) -> bool:
    """Whether the usage is priced: by a charge of its own, where the plan has any; what is charged `also` does not stand for it."""
    return any(not charge.also for charge in matched) or (bool(matched) and all(charge.also for charge in naming))


def _put(each: SpanUsage, charge: Charge, pools: dict[PoolKey, Pool], asked: Market) -> Finding | None:
    """Put a span's cells into the pool of a charge; those of hours without the market price that it needs are a finding instead."""
    span = each.span
    key = (span.subscription.id, charge.id, group_of(charge, span), span.ordinal)
    cells: Sequence[tuple[int, Cells]] = each.cells(charge.meter)
    per = divisor(unit_of(charge.meter, charge.per), span.month_ns, charge.month_hours)
    missing: tuple[tuple[int, Cells], ...] = ()
    market: list[MarketHour] = []
    if model_of(charge.model).MARKET:
        place = span.attributes.region, span.attributes.kind
        missing = tuple((hour_ns, own) for hour_ns, own in cells if any(own) and (*place, hour_ns) not in asked)
        cells = tuple((hour_ns, own) for hour_ns, own in cells if (*place, hour_ns) in asked)
        market = [
            MarketHour(resource_id=span.resource_id, hour_ns=hour_ns, quantity=sum(own) / per, price=asked[*place, hour_ns])
            for hour_ns, own in cells
        ]
    pool = pools.setdefault(key, Pool(charge=charge))
    pool.share = added(pool.share, each.share(charge.meter))
    pool.market += market
    if isinstance(cells, MeterHours) or cells:
        pool.hours[span.resource_id, per].append(cells)
    if not missing:
        return None
    where = f"region {span.attributes.region!r}, kind {span.attributes.kind!r}"
    detail = f"no market price for {span.resource_id} with {where} in {len(missing)} hours from {iso(missing[0][0])} on"
    return _blocking(FindingCode.UNPRICED_MARKET, span, charge.id, detail)


def _cover(pool: Pool, covered: Covered) -> None:
    """Note how much of the hours of a pool which reservation covers, in the unit of the charge."""
    for (resource_id, per), hours in pool.hours.items():
        for hour_ns, cells in chain.from_iterable(hours):
            for place, amount in enumerate(cells):
                for name, part in covered.get((resource_id, pool.charge.id, hour_ns + place * CELL_NS), ()) if amount else ():
                    pool.covered[resource_id, name] += part / per


def added(one: Share, other: Share) -> Share:
    """The sum of two coverages."""
    return Share(
        measured_ns=one.measured_ns + other.measured_ns,
        estimated_ns=one.estimated_ns + other.estimated_ns,
        unknown_ns=one.unknown_ns + other.unknown_ns,
    )


def _unmatched(span: Span, meter: str, naming: Sequence[Charge]) -> Finding:
    names = ", ".join(charge.id for charge in naming)
    held = f"region {span.attributes.region!r}, kind {span.attributes.kind!r}, labels {dict(sorted(span.attributes.labels.items()))}"
    return _blocking(FindingCode.UNPRICED_FILTER, span, meter, f"no filter of {names} matches {span.resource_id} with {held}")


def _blocking(code: FindingCode, span: Span, record: str, detail: str) -> Finding:
    return Finding(code=code, severity=Severity.BLOCKING, resource_id=span.resource_id, at_ns=span.from_ns, record=record, detail=detail)


def _within(hours: Sequence[UsageHour], span: Span) -> tuple[UsageHour, ...]:
    """The hours of a span, their cells outside of it 0; those in which nothing was used in it say nothing of it."""
    first, past = (bisect_left(hours, at_ns, key=HOUR) for at_ns in (hour_start(span.from_ns), span.until_ns))
    last_ns = span.until_ns - HOUR_NS
    found = [hour if span.from_ns <= hour.hour_ns <= last_ns else _clipped(hour, span) for hour in hours[first:past]]
    return tuple([hour for hour in found if any(map(any, hour.cells.values()))])


def _clipped(hour: UsageHour, span: Span) -> UsageHour:
    first = max(span.from_ns - hour.hour_ns, 0) // CELL_NS
    past = min(span.until_ns - hour.hour_ns, HOUR_NS) // CELL_NS
    before, after = (0,) * first, (0,) * (CELLS_PER_HOUR - past)
    cells, estimated = (
        {meter: (*before, *own[first:past], *after) for meter, own in each.items()} for each in (hour.cells, hour.estimated)
    )
    return replace(hour, cells=cells, estimated=estimated)


def _cells(hours: Iterable[UsageHour], meter: str) -> list[tuple[int, Cells]]:
    if meter not in SUM_METERS:
        return [(hour.hour_ns, hour.cells[meter]) for hour in hours if meter in hour.cells]
    return [(hour.hour_ns, cells) for hour in hours if (cells := hour.meter_cells(meter)) is not None]


def _held(hours: Iterable[UsageHour]) -> int:
    """How long a disk was held, in whole cells."""
    return CELL_NS * sum(len(cells) - cells.count(0) for hour in hours if (cells := hour.cells.get(DISK)))


def _overlap(gaps: Iterable[Gap], span: Span) -> int:
    return sum(max(min(gap.until_ns, span.until_ns) - max(gap.from_ns, span.from_ns), 0) for gap in gaps)
