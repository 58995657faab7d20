"""`tally check`: everything that is derived is computed again from what it was derived from, and compared.

Segments from raw samples while they are kept, usage hours from segments, days and months from hours, invoices from their
frozen evidence, and the numbers of invoices against gaps. Hours that wait to be computed are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tallystick.app.clock import clock_of
from tallystick.app.jobs.days import Zones
from tallystick.app.jobs.rollup import DiskHorizon, disk_until_ns, open_samples
from tallystick.app.settings import Settings
from tallystick.invoice.evidence import thaw
from tallystick.invoice.explain import verify_invoice
from tallystick.invoice.numbers import number_text
from tallystick.meter.days import usage_days, usage_months
from tallystick.meter.fold import fold
from tallystick.meter.hours import needs_samples, usage_hours
from tallystick.model.access import Place
from tallystick.model.billing.invoices import DocumentState, Invoice
from tallystick.model.instants import HOUR_NS, LATEST_NS, hour_start, iso
from tallystick.model.timeline import Timeline
from tallystick.model.usage import UsageHour
from tallystick.rate.rate import rate
from tallystick.store.engine import Tx
from tallystick.store.registry import StoredResource
from tallystick.store.store import Store, open_store

WINDOW_NS = 24 * HOUR_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was compared, and every difference in words."""

    compared_hours: int
    compared_segments: int
    compared_periods: int
    compared_invoices: int
    differences: tuple[str, ...]


def run_check(settings: Settings) -> Checked:
    """Check the whole store of these settings; it may be in use meanwhile."""
    clock = clock_of(settings.clock_file)
    store = open_store(settings.url, clock)
    try:
        return check_store(store, DiskHorizon(settings.disk_horizon), clock.now_ns())
    finally:
        store.close()


def check_store(store: Store, horizon: DiskHorizon, now_ns: int) -> Checked:
    """Compare all layers of a store, each resource and each invoice from a snapshot of its own."""
    tally = _Tally()
    for place in store.registry.places():
        for resource in store.registry.resources(place):
            with store.read() as tx:
                _check_resource(tally, store, place, resource, horizon, now_ns, tx)
    for place in {each.seller_id: each for each in reversed(store.registry.places())}.values():
        _check_invoices(tally, store, place)
    return Checked(
        compared_hours=tally.hours,
        compared_segments=tally.segments,
        compared_periods=tally.periods,
        compared_invoices=tally.invoices,
        differences=tuple(tally.differences),
    )


class _Tally:
    """What was compared so far."""

    def __init__(self) -> None:
        self.hours = self.segments = self.periods = self.invoices = 0
        self.differences: list[str] = []

    def differ(self, sentence: str) -> None:
        """Tell of a difference."""
        self.differences.append(sentence)


def _check_resource(tally: _Tally, store: Store, place: Place, resource: StoredResource, horizon: DiskHorizon, now_ns: int, tx: Tx) -> None:
    key = resource.row
    stored = {hour.hour_ns: hour for _, hour in store.usage.hours(place, resource_keys=[key], tx=tx)}
    waiting = {
        mark.hour_ns
        for mark in store.usage.dirty(place=place, after_resource_key=key - 1, limit=1_000_000, tx=tx)
        if mark.resource_key == key
    }
    points = [*stored, *(each for each in (resource.first_sample_at_ns, resource.last_sample_at_ns) if each is not None)]
    if not points:
        return
    start, end = hour_start(min(points)), hour_start(max(points)) + HOUR_NS
    for from_ns in range(start, end, WINDOW_NS):
        until_ns = min(from_ns + WINDOW_NS, end)
        (timeline,) = store.batches.timelines(place, [key], from_ns, until_ns, tx=tx)
        _check_segments(tally, store, timeline, (from_ns, until_ns), tx)
        needed = needs_samples(timeline, from_ns, until_ns)
        samples = open_samples(store, set(needed), tx) if needed else {}
        found = usage_hours(timeline, from_ns, until_ns, disk_until_ns(timeline, horizon, now_ns), samples)
        again = {hour.hour_ns: hour for hour in found.hours}
        for hour_ns in range(from_ns, until_ns, HOUR_NS):
            if hour_ns not in waiting:
                tally.hours += 1
                _compare_hour(tally, resource.id, hour_ns, stored.get(hour_ns), again.get(hour_ns))
    if not waiting:
        _check_periods(tally, store, place, resource, list(stored.values()), tx)


def _check_segments(tally: _Tally, store: Store, timeline: Timeline, window: tuple[int, int], tx: Tx) -> None:
    """Segments of the window, folded again from the raw samples that are kept."""
    mine = [each for each in timeline.segments if window[0] <= each.segment.cell_ns < window[1]]
    payloads = store.batches.payloads(sorted({each.batch_key for each in mine}), tx=tx)
    opened = open_samples(store, set(payloads), tx) if payloads else {}
    known = {each.batch_key: bool(each.boot_id) for each in mine}
    keys = sorted(opened)
    folded = fold([opened[key] for key in keys], [known[key] for key in keys]) if keys else []
    again = {(key, segment.cell_ns): segment for key, segments in zip(keys, folded, strict=True) for segment in segments}
    for each in mine:
        if each.batch_key in opened:
            tally.segments += 1
            if again.get((each.batch_key, each.segment.cell_ns)) != each.segment:
                tally.differ(
                    f"segment {timeline.resource_id} {iso(each.segment.cell_ns)} batch {each.batch_key}: is not what its samples fold into"
                )


def _compare_hour(tally: _Tally, resource_id: str, hour_ns: int, stored: UsageHour | None, again: UsageHour | None) -> None:
    place = f"hour {resource_id} {iso(hour_ns)}"
    if stored is None or again is None:
        if stored is not again:
            tally.differ(f"{place}: {'stored' if stored else 'not stored'}, computed again {'something' if again else 'nothing'}")
        return
    if stored == again:
        return
    meters = [
        f"{meter}: stored {stored.total(meter)}, computed again {again.total(meter)}"
        for meter in sorted({*stored.cells, *again.cells})
        if stored.cells.get(meter) != again.cells.get(meter)
    ]
    tally.differ(f"{place}: {'; '.join(meters) or 'estimated parts, samples, peak or runs differ'}")


def _check_periods(tally: _Tally, store: Store, place: Place, resource: StoredResource, hours: Sequence[UsageHour], tx: Tx) -> None:
    zones = Zones.read(store, place, [resource.row], tx)
    gaps = [gap for _, gap in store.usage.gaps(place, resource_keys=[resource.row], tx=tx)]
    first = min((hour.hour_ns for hour in hours), default=0)
    last = max((hour.hour_ns for hour in hours), default=0) + HOUR_NS
    days = usage_days(resource.id, zones.owned(resource.id), hours=hours, gaps=gaps, from_ns=first, until_ns=last)
    for kind, again in (("day", days), ("month", usage_months(days))):
        stored = [period for _, period in store.usage.periods(place, kind, 0, LATEST_NS, resource_keys=[resource.row], tx=tx)]
        keyed = [{(each.customer_id, each.zone, each.start_ns): each for each in found} for found in (stored, again)]
        for key in sorted(keyed[0].keys() | keyed[1].keys()):
            tally.periods += 1
            if keyed[0].get(key) != keyed[1].get(key):
                tally.differ(f"{kind} {resource.id} {key[0] or 'unassigned'} {iso(key[2])}: is not the sum of its hours")


def _check_invoices(tally: _Tally, store: Store, place: Place) -> None:
    finalized = [each.invoice for each in store.invoices.list(place) if each.invoice.state is DocumentState.FINALIZED]
    for invoice in finalized:
        tally.invoices += 1
        for difference in _invoice_differences(store, place, invoice):
            tally.differ(f"invoice {invoice.number}: {difference}")
    for sentence in _number_gaps(finalized):
        tally.differ(sentence)


def _invoice_differences(store: Store, place: Place, invoice: Invoice) -> Iterator[str]:
    try:
        evidence = thaw(store.invoices.evidence(place, invoice.evidence_hash), invoice.evidence_hash)
    except (LookupError, ValueError) as error:
        yield f"evidence: {error}"
        return
    for each in verify_invoice(invoice, evidence, invoice.evidence_hash, rate):
        yield f"{each.place}: says {each.says}, recomputed {each.recomputed}"


def _number_gaps(finalized: Sequence[Invoice]) -> Iterator[str]:
    """Numbers that are missing between 1 and the last of each series and year."""
    series: dict[tuple[str, int], set[int]] = {}
    for invoice in finalized:
        prefix, year, counter = str(invoice.number).rsplit("-", 2)
        series.setdefault((prefix, int(year)), set()).add(int(counter))
    for (of, in_year), counters in sorted(series.items()):
        for missing in sorted(set(range(1, max(counters) + 1)) - counters):
            yield f"number {number_text(of, in_year, missing)} is missing"
