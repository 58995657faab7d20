"""Usage hours into the days and months of their customers' zones, which are made of whole cells (metering.md, usage day)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tallystick.model.calendar import day_start, local_date, month_of, next_day
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, HOUR_NS, hour_start
from tallystick.model.usage import Filled, Gap, HourTotals, UsageHour, UsagePeriod

Span = tuple[int, int]
Hour = UsageHour | HourTotals
"""An hour with its cells, or only what it adds up to: enough where the whole hour lies in a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """[from_ns, until_ns) in which a resource was one customer's (or nobody's: ""), and the zone of its days then."""

    customer_id: str
    zone: str
    from_ns: int
    until_ns: int


def usage_days(
    resource_id: str, owned: Sequence[Owned], *, hours: Sequence[Hour], gaps: Sequence[Gap], from_ns: int, until_ns: int
) -> list[UsagePeriod]:
    """The local days of each customer of a resource that [from_ns, until_ns) touches: sums of the cells of `hours`.

    `hours` and `gaps` are all that touch those days. A day without any usage hour has no row. Kathmandu begins its days at
    18:15 UTC: three cells of the hour 18:00 are of the day before, nine of the day after.

    Raises:
        ValueError: a zone whose days do not begin at whole cells, or no such zone; an hour that days part was given without its cells.

    """
    found = []
    unknown = [gap for gap in gaps if gap.filled is Filled.UNKNOWN]
    for customer_id, zone in sorted({(each.customer_id, each.zone) for each in owned}):
        spans = [(each.from_ns, each.until_ns) for each in owned if (each.customer_id, each.zone) == (customer_id, zone)]
        for date, start_ns, end_ns in local_days(zone, from_ns, until_ns):
            mine = [(max(since, start_ns), min(until, end_ns)) for since, until in spans if since < end_ns and until > start_ns]
            sums = _sum(mine, hours)
            if sums is not None:
                found.append(
                    UsagePeriod(
                        resource_id=resource_id,
                        customer_id=customer_id,
                        zone=zone,
                        date=date,
                        start_ns=start_ns,
                        end_ns=end_ns,
                        totals=sums.totals,
                        estimated=sums.estimated,
                        samples=sums.samples,
                        memory_peak_bytes=sums.memory_peak_bytes,
                        runs=sums.runs,
                        unknown_ns=_unknown(unknown, mine),
                    )
                )
    return found


def usage_between(
    resource_id: str, owned: Sequence[Owned], *, hours: Sequence[Hour], gaps: Sequence[Gap], span: Span
) -> UsagePeriod | None:
    """What one customer's resource used in a span of whole cells; `owned` are the times in which it was that customer's, of one zone.

    None: nothing of it. `date` is empty: the span need not be a date.
    """
    mine = [
        (max(each.from_ns, span[0]), min(each.until_ns, span[1])) for each in owned if each.from_ns < span[1] and each.until_ns > span[0]
    ]
    sums = _sum(mine, hours)
    if sums is None:
        return None
    unknown = [gap for gap in gaps if gap.filled is Filled.UNKNOWN]
    return UsagePeriod(
        resource_id=resource_id,
        customer_id=owned[0].customer_id,
        zone=owned[0].zone,
        date="",
        start_ns=span[0],
        end_ns=span[1],
        totals=sums.totals,
        estimated=sums.estimated,
        samples=sums.samples,
        memory_peak_bytes=sums.memory_peak_bytes,
        runs=sums.runs,
        unknown_ns=_unknown(unknown, mine),
    )


def parted_hours(owned: Sequence[Owned], from_ns: int, until_ns: int) -> set[int]:
    """The hours that hold a boundary of a day that [from_ns, until_ns) touches, or of an owner: of them the cells are needed."""
    bounds = {bound for each in owned for bound in (each.from_ns, each.until_ns)}
    for zone in {each.zone for each in owned}:
        bounds.update(bound for _, start_ns, end_ns in local_days(zone, from_ns, until_ns) for bound in (start_ns, end_ns))
    return {hour_start(bound) for bound in bounds if bound % HOUR_NS}


def sole_owner(owned: Sequence[Owned], from_ns: int, until_ns: int) -> tuple[str, str] | None:
    """Customer and zone, if a resource is one customer's in the whole of all days of that zone which [from_ns, until_ns) touches."""
    found = {(each.customer_id, each.zone) for each in owned if each.from_ns < until_ns and each.until_ns > from_ns}
    if len(found) != 1:
        return None
    ((customer_id, zone),) = found
    days = local_days(zone, from_ns, until_ns)
    around = {(each.customer_id, each.zone) for each in owned if each.from_ns < days[-1][2] and each.until_ns > days[0][1]}
    return (customer_id, zone) if around == found else None


def exchanged(
    whole: UsagePeriod, before: Sequence[HourTotals | UsagePeriod], after: Sequence[HourTotals | UsagePeriod]
) -> UsagePeriod | None:
    """A day or month of which the parts `before` became the parts `after`; None: only all of its parts can tell.

    A day of 100 core·ns of which an hour of 30 became one of 40 has 110. All parts can tell alone whether a meter that vanished from
    a part is in another, and what the peak is when that of the highest part fell.
    """
    totals, estimated = dict(whole.totals), dict(whole.estimated)
    samples, runs, unknown_ns = whole.samples, whole.runs, whole.unknown_ns
    for sign, parts in ((1, after), (-1, before)):
        for part in parts:
            for sums, amounts in ((totals, part.totals), (estimated, part.estimated)):
                for meter, amount in amounts.items():
                    sums[meter] = sums.get(meter, 0) + sign * amount
            samples += sign * part.samples
            runs += sign * part.runs
            unknown_ns += sign * part.unknown_ns if isinstance(part, UsagePeriod) else 0
    highest_fell = _peak(after) < _peak(before) == _peak([whole])
    if before and (highest_fell or any(old - new for old, new in zip(_meters(before), _meters(after), strict=True))):
        return None
    peak = max(_peak(after), _peak([whole]))
    return UsagePeriod(
        resource_id=whole.resource_id,
        customer_id=whole.customer_id,
        zone=whole.zone,
        date=whole.date,
        start_ns=whole.start_ns,
        end_ns=whole.end_ns,
        totals=totals,
        estimated=estimated,
        samples=samples,
        memory_peak_bytes=None if peak < 0 else peak,
        runs=runs,
        unknown_ns=unknown_ns,
    )


def _meters(parts: Sequence[HourTotals | UsagePeriod]) -> tuple[set[str], set[str]]:
    """The meters of some part, and those of which something is estimated."""
    return set().union(*[part.totals for part in parts]), set().union(*[part.estimated for part in parts])


def _peak(parts: Sequence[HourTotals | UsagePeriod]) -> int:
    """The largest memory sample of all parts; -1: there is none."""
    return max((part.memory_peak_bytes for part in parts if part.memory_peak_bytes is not None), default=-1)


def usage_months(days: Sequence[UsagePeriod]) -> list[UsagePeriod]:
    """The months of days, per customer and zone: each the sum of the days that are given of it."""
    found: dict[tuple[str, str, int, int], list[UsagePeriod]] = defaultdict(list)
    for day in days:
        found[day.customer_id, day.zone, *month_of(day.start_ns, day.zone)].append(day)
    return [_month((start, end), found[customer, zone, start, end]) for customer, zone, start, end in sorted(found)]


@lru_cache(maxsize=4096)
def local_days(zone: str, from_ns: int, until_ns: int) -> tuple[tuple[str, int, int], ...]:
    """(date, start, end) of the local days of a zone that [from_ns, until_ns) touches; a date that is left out has none.

    A day need not have 24 hours, nor begin at a midnight. What was asked for last is remembered: an hour is that of many resources.
    """
    return tuple(_local_days(zone, from_ns, until_ns))


def _local_days(zone: str, from_ns: int, until_ns: int) -> Iterator[tuple[str, int, int]]:
    day = local_date(from_ns, zone)
    start_ns = day_start(day, zone)
    while start_ns < until_ns:
        day = next_day(day)
        end_ns = day_start(day, zone)
        if max(start_ns, from_ns) < end_ns:
            yield local_date(start_ns, zone).isoformat(), start_ns, end_ns
        start_ns = end_ns


def whole_months(zone: str, from_ns: int, until_ns: int) -> Span:
    """From the beginning of the local month that holds the first instant to the end of that which holds the last."""
    return month_of(from_ns, zone)[0], month_of(until_ns - 1, zone)[1]


_ALL = tuple(range(CELLS_PER_HOUR))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    totals: Mapping[str, int]
    estimated: Mapping[str, int]
    samples: int
    memory_peak_bytes: int | None
    runs: int


def _sum(mine: Sequence[Span], hours: Sequence[Hour]) -> _Sums | None:
    """The cells that are in `mine`; None without any. Samples and peaks are kept by hour: those of hours that begin in it."""
    totals: dict[str, int] = defaultdict(int)
    estimated: dict[str, int] = defaultdict(int)
    samples, runs, peaks, found = 0, 0, [], False
    for hour in hours:
        whole = any(since <= hour.hour_ns and hour.hour_ns + HOUR_NS <= until for since, until in mine)
        inside = _ALL if whole else [place for place in range(CELLS_PER_HOUR) if _covers(mine, hour.hour_ns + place * CELL_NS)]
        if not inside:
            continue
        found = True
        for sums, amounts in zip((totals, estimated), _amounts(hour, inside), strict=True):
            for meter, amount in amounts.items():
                sums[meter] += amount
        if inside[0] == 0:
            samples += hour.samples
            peaks += [hour.memory_peak_bytes] if hour.memory_peak_bytes is not None else []
        runs += hour.runs if isinstance(hour, HourTotals) else sum(_covers(mine, at) for at in hour.runs)
    if not found:
        return None
    return _Sums(totals=dict(totals), estimated=dict(estimated), samples=samples, memory_peak_bytes=max(peaks, default=None), runs=runs)


def _amounts(hour: Hour, inside: Sequence[int]) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """What some cells of an hour add up to, by meter, and the estimated part."""
    if isinstance(hour, HourTotals):
        if len(inside) != CELLS_PER_HOUR:
            raise ValueError(f"a day parts the hour {hour.hour_ns}: its cells are needed")
        return hour.totals, hour.estimated
    both = [{meter: sum(cells[place] for place in inside) for meter, cells in of.items()} for of in (hour.cells, hour.estimated)]
    return both[0], both[1]


def _unknown(gaps: Sequence[Gap], spans: Sequence[Span]) -> int:
    """How long gaps overlap with spans, ns."""
    return sum(max(0, min(gap.until_ns, until) - max(gap.from_ns, since)) for gap in gaps for since, until in spans)


def _covers(spans: Sequence[Span], at_ns: int) -> bool:
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
