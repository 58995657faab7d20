"""What came too late: what each would change, and admitting or dismissing it, with an entry in the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tallystick.app.jobs.days import Zones
from tallystick.app.jobs.rollup import open_samples
from tallystick.meter.days import usage_days, usage_months
from tallystick.meter.sealing.late import change_span, late_change
from tallystick.model.access import Place
from tallystick.model.instants import HOUR_NS, iso
from tallystick.model.usage import Cells, UsageHour, UsagePeriod
from tallystick.serve.problems import conflict, not_found
from tallystick.store.engine import Tx
from tallystick.store.records import Clash
from tallystick.store.retention.too_late import LateBatch
from tallystick.store.store import Store

Change = Mapping[str, Mapping[str, int]]
"""By hour, the difference of each stored meter in its base unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """What a late batch changes: hours whose cells are differences, as of what was sealed then."""

    hours: tuple[UsageHour, ...]
    sealed_until_ns: int


def change_of(store: Store, place: Place, late: LateBatch) -> Change:
    """What a late batch would change, or did when it was admitted."""
    if late.change is not None:
        return late.change
    if late.state != "open":
        return {}
    with store.read() as tx:
        return _told(_difference(store, place, late, tx).hours)


def decide_late(store: Store, place: Place, actor: str, batch_key: int, reason: str, *, admit: bool) -> LateBatch:
    """Admit a late batch, or dismiss it.

    Raises:
        Problem: there is none, or it is decided already.

    """
    late = store.too_late.get(place, batch_key)
    if late is None:
        raise not_found("batch", str(batch_key))
    if late.state != "open":
        raise conflict("batch", str(batch_key), f"it is {late.state} already")
    try:
        store.transact(lambda tx: _decide(store, place, actor, late, reason, tx, admit=admit))
    except Clash as clash:
        raise conflict("batch", str(batch_key), str(clash)) from None
    found = store.too_late.get(place, batch_key)
    if found is None:
        raise RuntimeError(f"late batch {batch_key} is gone right after it was decided")
    return found


def _decide(store: Store, place: Place, actor: str, late: LateBatch, reason: str, tx: Tx, *, admit: bool) -> None:
    # Before anything is read: of two decisions on one resource the second must add to what the first one stored.
    store.batches.lock(tx, place, [late.resource_id], late.received_at_ns)
    found = store.too_late.get(place, late.batch_key, tx=tx)
    if found is None or found.state != "open":
        raise Clash(f"late batch {late.batch_key} is decided already")
    subject = f"{late.resource_id}/{late.batch_key}"
    details: dict[str, object] = {"reason": reason, "first_at": iso(late.first_at_ns), "last_at": iso(late.last_at_ns)}
    if not admit:
        store.too_late.dismiss(tx, place, late.batch_key, actor=actor, reason=reason)
        store.audit.append(tx, place, actor, "too_late.dismiss", subject, details)
        return
    difference = _difference(store, place, late, tx)
    change = _told(difference.hours)
    _, hours_until_ns = store.retention.gone_until(late.resource_key, tx)
    held = [each for each in difference.hours if each.hour_ns >= hours_until_ns]
    store.too_late.admit(
        tx,
        place,
        late,
        [_sum(store, place, late.resource_key, each, tx) for each in held],
        change,
        sealed_until_ns=difference.sealed_until_ns,
        actor=actor,
        reason=reason,
    )
    _add_to_periods(store, place, late, difference.hours, tx)
    store.audit.append(tx, place, actor, "too_late.admit", subject, {**details, "change": change})


def _difference(store: Store, place: Place, late: LateBatch, tx: Tx) -> _Difference:
    sealed_until_ns, _ = store.retention.gone_until(late.resource_key, tx)
    segments = store.too_late.segments(late, tx=tx)
    counted = store.too_late.counted(place, late.resource_key, tx=tx)
    around = store.batches.timelines(place, [late.resource_key], sealed_until_ns, sealed_until_ns, tx=tx)[0]
    span = change_span(around, counted, segments, sealed_until_ns)
    timeline = store.batches.timelines(place, [late.resource_key], *span, tx=tx)[0]
    samples, _ = open_samples(store, {late.batch_key}, tx)
    return _Difference(hours=late_change(timeline, counted, segments, span, samples), sealed_until_ns=sealed_until_ns)


def _told(hours: Sequence[UsageHour]) -> Change:
    return {iso(hour.hour_ns): {meter: sum(cells) for meter, cells in hour.cells.items()} for hour in hours}


def _sum(store: Store, place: Place, key: int, change: UsageHour, tx: Tx) -> UsageHour:
    """A stored hour and a difference, as one hour: nothing in it is below 0."""
    found = store.usage.hours(place, change.hour_ns, change.hour_ns + HOUR_NS, resource_keys=[key], tx=tx)
    if not found:
        return replace(change, cells=_added({}, change.cells), estimated=_added({}, change.estimated), samples=max(change.samples, 0))
    hour = found[0][1]
    peaks = [each for each in (hour.memory_peak_bytes, change.memory_peak_bytes) if each is not None]
    return UsageHour(
        resource_id=hour.resource_id,
        hour_ns=hour.hour_ns,
        cells=_added(hour.cells, change.cells),
        estimated=_added(hour.estimated, change.estimated),
        samples=max(hour.samples + change.samples, 0),
        memory_peak_bytes=max(peaks, default=None),
        runs=tuple(sorted({*hour.runs, *change.runs})),
    )


def _added(one: Mapping[str, Cells], other: Mapping[str, Cells]) -> dict[str, Cells]:
    nothing = (0,) * 12
    return {
        meter: tuple(max(0, a + b) for a, b in zip(one.get(meter, nothing), other.get(meter, nothing), strict=True))
        for meter in sorted(one.keys() | other.keys())
    }


def _add_to_periods(store: Store, place: Place, late: LateBatch, hours: Sequence[UsageHour], tx: Tx) -> None:
    """The difference added to the days and months that are kept."""
    if not hours:
        return
    owned = Zones.read(store, place, [late.resource_key], tx).owned(late.resource_id)
    from_ns, until_ns = hours[0].hour_ns, hours[-1].hour_ns + HOUR_NS
    days = usage_days(late.resource_id, owned, hours=hours, gaps=[], from_ns=from_ns, until_ns=until_ns)
    gone = [store.retention.deleted_at(place, "day", late.resource_key, day.start_ns, tx=tx) is not None for day in days]
    for kind, periods in (("day", [day for day, is_gone in zip(days, gone, strict=True) if not is_gone]), ("month", usage_months(days))):
        for each in periods:
            rows = store.usage.periods(place, kind, each.start_ns, each.start_ns + 1, resource_keys=[late.resource_key], tx=tx)
            same = [row for _, row in rows if (row.customer_id, row.zone) == (each.customer_id, each.zone)]
            store.usage.replace_periods(tx, place, kind, [(late.resource_key, _plus(same[0], each) if same else each)])


def _plus(period: UsagePeriod, more: UsagePeriod) -> UsagePeriod:
    totals, estimated = (
        {meter: max(0, one.get(meter, 0) + other.get(meter, 0)) for meter in sorted(one.keys() | other.keys())}
        for one, other in ((period.totals, more.totals), (period.estimated, more.estimated))
    )
    peaks = [each for each in (period.memory_peak_bytes, more.memory_peak_bytes) if each is not None]
    return replace(
        period,
        totals=totals,
        estimated=estimated,
        samples=max(0, period.samples + more.samples),
        memory_peak_bytes=max(peaks, default=None),
        runs=period.runs + more.runs,
    )
