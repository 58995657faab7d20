"""Usage days and months: the sums of the stored hours of their local dates."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.app.checks.subjects import CheckedResource
from tallystick.app.jobs.days import Zones
from tallystick.meter.days import Owned, local_days, usage_days, usage_months, whole_months
from tallystick.model.instants import DAY_NS, hour_start, iso
from tallystick.model.usage import UsagePeriod

DAYS_AT_ONCE = 31
Key = tuple[str, str, int]


def check_resource(of: CheckedResource) -> None:
    """Days and months that [from, until) touches, but those with an hour that waits to be computed."""
    span = of.span()
    if span is None:
        return
    owned = Zones.read(of.store, of.place, [of.key], of.tx).owned(of.id)
    zones = {each.zone for each in owned}
    from_ns, until_ns = of.wanted.hours(*span)
    if from_ns >= until_ns or not zones:
        return
    _, hours_until_ns = of.store.retention.gone_until(of.key, of.tx)
    if from_ns < hours_until_ns:
        # Days of hours that are deleted, and months of such days, cannot be made again.
        from_ns = max(whole_months(zone, hours_until_ns - 1, hours_until_ns)[1] for zone in zones)
    if from_ns >= until_ns:
        return
    whole = [whole_months(zone, from_ns, until_ns) for zone in zones]
    from_ns, until_ns = min(each[0] for each in whole), max(each[1] for each in whole)
    waiting = sorted(of.store.stored_usage.waiting(of.place, of.key, hour_start(from_ns), until_ns, of.tx))
    days: list[UsagePeriod] = []
    for start_ns in range(from_ns, until_ns, DAYS_AT_ONCE * DAY_NS):
        end_ns = min(until_ns, start_ns + DAYS_AT_ONCE * DAY_NS)
        made = [day for day in _made(of, owned, start_ns, end_ns) if start_ns <= day.start_ns < end_ns]
        _compare(of, "day", made, start_ns, end_ns, waiting)
        days += made
    # A month of which only a part lies in here, in a zone that begins it at another instant, is none that was asked for.
    months = [month for month in usage_months(days) if from_ns <= month.start_ns and month.end_ns <= until_ns]
    _compare(of, "month", months, from_ns, until_ns, waiting)


def _made(of: CheckedResource, owned: Sequence[Owned], from_ns: int, until_ns: int) -> list[UsagePeriod]:
    """The days that begin in [from_ns, until_ns), from the stored hours and gaps that they hold."""
    spans = [day for zone in {each.zone for each in owned} for day in local_days(zone, from_ns, until_ns)]
    first, last = min(day[1] for day in spans), max(day[2] for day in spans)
    rows = of.store.stored_usage.hours(of.place, of.key, of.id, hour_start(first), last, of.tx)
    hours = [row.hour for _, row in sorted(rows.items()) if row.hour is not None]
    gaps = [gap for _, gap in of.store.usage.gaps(of.place, first, last, resource_keys=[of.key], tx=of.tx)]
    return usage_days(of.id, owned, hours=hours, gaps=gaps, from_ns=from_ns, until_ns=until_ns)


def _compare(of: CheckedResource, kind: str, again: Sequence[UsagePeriod], from_ns: int, until_ns: int, waiting: Sequence[int]) -> None:
    stored = [period for _, period in of.store.usage.periods(of.place, kind, from_ns, until_ns, resource_keys=[of.key], tx=of.tx)]
    stored = [period for period in stored if kind == "day" or period.end_ns <= until_ns]
    rows, made = ({(each.customer_id, each.zone, each.start_ns): each for each in found} for found in (stored, again))
    for key in sorted(rows.keys() | made.keys()):
        one, other = rows.get(key), made.get(key)
        period = one or other
        if period is None or not of.wanted.touches(period.start_ns, period.end_ns):
            continue
        if any(hour_start(period.start_ns) <= hour_ns < period.end_ns for hour_ns in waiting):
            continue
        of.report.count(f"{kind}s")
        if one != other:
            of.report.differ(f"{kind} {of.id} {key[0] or 'unassigned'} {iso(key[2])}: {_told(one, other)}")


def _told(one: UsagePeriod | None, other: UsagePeriod | None) -> str:
    if one is None or other is None:
        return f"{'stored' if one else 'not stored'}, its hours make {'one' if other else 'none'}"
    meters = [
        f"{meter}: stored {one.totals.get(meter)}, its hours {other.totals.get(meter)}"
        for meter in sorted(one.totals.keys() | other.totals.keys())
        if one.totals.get(meter) != other.totals.get(meter)
    ]
    return f"is not the sum of its hours: {'; '.join(meters) or 'its estimated parts, counts, peak or unknown time differ'}"
