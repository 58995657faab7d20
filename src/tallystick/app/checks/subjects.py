"""What a layer is given: one resource with its snapshot, and of it one window of whole hours, computed again once for all layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tallystick.app.checks.report import Report, Wanted
from tallystick.app.jobs.causes import with_causes
from tallystick.app.jobs.retention.archive import Archive
from tallystick.app.jobs.rollup import DamagedPayload, DiskHorizon, disk_until_ns, open_samples
from tallystick.meter.hours import needs_samples, usage_hours
from tallystick.model.access import Place
from tallystick.model.instants import HOUR_NS, hour_start
from tallystick.model.timeline import Timeline
from tallystick.model.usage import HoursResult
from tallystick.store.engine import STORE_AWAY, Tx
from tallystick.store.registry import StoredResource
from tallystick.store.store import Store

SEGMENTS_AT_ONCE = 20_000
HOURS_AT_ONCE = 24
SILENT_HOURS_AT_ONCE = 30 * 24


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedResource:
    """One resource of a place, and the snapshot from which everything of it is read."""

    store: Store
    tx: Tx
    report: Report
    wanted: Wanted
    place: Place
    resource: StoredResource
    horizon: DiskHorizon
    now_ns: int
    archive: Archive | None = None

    @property
    def key(self) -> int:
        """Its number in the store."""
        return self.resource.row

    @property
    def id(self) -> str:
        """Its id."""
        return self.resource.id

    def span(self) -> tuple[int, int] | None:
        """The whole hours of which the store has anything, or should have: [from, until); None: nothing is known of it."""
        found = self.store.stored_usage.span(self.place, self.key, self.tx)
        if found is None:
            return None
        marked_until_ns = self.store.stored_usage.disk_marked_until_ns(self.key, self.tx)
        return hour_start(found[0]), max(hour_start(found[1]) + HOUR_NS, marked_until_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedWindow:
    """Some whole hours of a resource. `again` is None where they could not be computed: that was told already.

    `waiting` are the hours in it that wait to be computed: what is stored of them is of before.
    """

    of: CheckedResource
    from_ns: int
    until_ns: int
    timeline: Timeline
    waiting: frozenset[int]
    again: HoursResult | None


def windows(of: CheckedResource) -> Iterator[CheckedWindow]:
    """The windows of a resource that are to be checked, small enough to be held in memory."""
    span = of.span()
    if span is None:
        return
    from_ns, until_ns = of.wanted.hours(*span)
    sealed_until_ns, _ = of.store.retention.gone_until(of.key, of.tx)
    if from_ns < sealed_until_ns:
        # What sealed hours were made of is gone.
        of.report.count("hours_sealed", of.store.stored_usage.count_hours(of.place, of.key, from_ns, sealed_until_ns, of.tx))
        from_ns = sealed_until_ns
    while from_ns < until_ns:
        end_ns = min(until_ns, _end_of(of, from_ns))
        yield _window(of, from_ns, end_ns)
        from_ns = end_ns


def _end_of(of: CheckedResource, from_ns: int) -> int:
    """Where a window that begins there ends: a day of segments at most, as many as can be held; a month where there are none."""
    silent_until_ns = from_ns + SILENT_HOURS_AT_ONCE * HOUR_NS
    segments = of.store.stored_usage.segments_by_hour(of.place, of.key, from_ns, from_ns + HOURS_AT_ONCE * HOUR_NS, of.tx)
    if not segments:
        later = of.store.stored_usage.segments_by_hour(of.place, of.key, from_ns, silent_until_ns, of.tx)
        return min(later, default=silent_until_ns)
    held = 0
    for hour_ns in sorted(segments):
        held += segments[hour_ns]
        if held > SEGMENTS_AT_ONCE:
            return max(hour_ns, from_ns + HOUR_NS)
    return from_ns + HOURS_AT_ONCE * HOUR_NS


def _window(of: CheckedResource, from_ns: int, until_ns: int) -> CheckedWindow:
    (timeline,) = of.store.batches.timelines(of.place, [of.key], from_ns, until_ns, tx=of.tx)
    return CheckedWindow(
        of=of,
        from_ns=from_ns,
        until_ns=until_ns,
        timeline=timeline,
        waiting=of.store.stored_usage.waiting(of.place, of.key, from_ns, until_ns, of.tx),
        again=_again(of, timeline, from_ns, until_ns),
    )


def _again(of: CheckedResource, timeline: Timeline, from_ns: int, until_ns: int) -> HoursResult | None:
    """The hours of a window, computed as the roll-up computes them: from segments, and raw samples where batches overlap."""
    try:
        needed = needs_samples(timeline, from_ns, until_ns)
        samples, gone = open_samples(of.store, set(needed), of.tx) if needed else ({}, frozenset())
        found = usage_hours(timeline, from_ns, until_ns, disk_until_ns(timeline, of.horizon, of.now_ns), samples, gone=gone)
        return with_causes(of.store, of.place, of.key, timeline, found, of.tx)
    except DamagedPayload as damaged:
        of.report.differ(f"samples {of.id}: {damaged}, which overlap others and are needed to compute hours")
    except STORE_AWAY:
        raise
    except Exception as error:
        # A damaged row may fail anywhere in the meter: here that is a difference, and no end.
        of.report.differ(f"hours {of.id}: cannot be computed from their segments: {type(error).__name__}: {error}")
    return None
