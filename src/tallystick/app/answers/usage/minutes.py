"""Usage minutes as the API tells them: computed when they are asked for, from the samples that are kept, a few cells at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tallystick.app.jobs.retention.archive import Archive, ArchiveUnavailable
from tallystick.app.jobs.rollup import LARGEST_BATCH_BYTES, DiskHorizon, disk_until_ns
from tallystick.meter.hours import Prepared
from tallystick.meter.planes import decode
from tallystick.meter.samples import Samples
from tallystick.meter.sources.minutes import parted_batches, prepare_minutes, usage_minutes
from tallystick.model.access import Place
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, DAY_NS, LATEST_NS, MINUTE_NS, cell_end, cell_start, iso
from tallystick.model.resources import Attributes
from tallystick.model.silence import GapState
from tallystick.model.usage import Filled, UsageMinute
from tallystick.serve.owners import customer_at
from tallystick.serve.problems import GONE, Problem, invalid
from tallystick.serve.services import CustomerMinute, UsageMinutes, UsageQuery
from tallystick.store.engine import Tx
from tallystick.store.registry import StoredResource
from tallystick.store.store import Store

LONGEST_NS = DAY_NS
MOST_RESOURCES = 100
MINUTES_PER_CELL = CELL_NS // MINUTE_NS
Span = tuple[int, int]
Key = tuple[int, int]
"""A minute and a resource by its number: the order of the list, newest first."""


def minutes_of(
    store: Store, place: Place, query: UsageQuery, before: Key | None, count: int, now_ns: int, archive: Path | None
) -> UsageMinutes:
    """Up to `count` minutes that begin in the query's span, newest first, after `before`; and what of the span is deleted by age.

    Raises:
        Problem: the span is longer than a day, there are too many resources, or all of it is deleted.

    """
    from_ns, until_ns = _span(query, now_ns)
    with store.read() as tx:
        resources = {each.row: each for each in _resources(store, place, query, tx)}
        owners = store.registry.attributes(place, list(resources), tx=tx) if resources else {}
        sealed = {key: store.retention.gone_until(key, tx)[0] for key in resources}
    if resources and min(sealed.values()) >= until_ns:
        raise _gone({resources[key].id: at_ns for key, at_ns in sealed.items()}, (from_ns, until_ns))
    walk = _Walk(
        store=store,
        place=place,
        resources=resources,
        owners=owners,
        sealed=sealed,
        unknown=_unknown(store, place, list(resources), (from_ns, until_ns), now_ns),
        now_ns=now_ns,
        archive=None if archive is None else Archive(archive, store),
    )
    found: list[CustomerMinute] = []
    end_ns = cell_end(until_ns if before is None else min(until_ns, before[0] + MINUTE_NS))
    cells = 1
    while resources and end_ns > from_ns and len(found) < count:
        enough = -(-(count - len(found)) // (MINUTES_PER_CELL * len(resources)))
        cells = min(max(cells, enough), CELLS_PER_HOUR)
        begin_ns = max(cell_start(from_ns), end_ns - cells * CELL_NS, (end_ns - 1) // DAY_NS * DAY_NS)
        more = [
            each
            for each in walk.minutes(begin_ns, end_ns)
            if from_ns <= each.minute.minute_ns < until_ns
            and (before is None or (each.minute.minute_ns, each.resource_key) < before)
            and (query.customers is None or each.customer_id in query.customers)
        ]
        cells = 1 if more else 2 * cells
        found += sorted(more, key=lambda each: (each.minute.minute_ns, each.resource_key), reverse=True)
        end_ns = begin_ns
    deleted = tuple((each.id, sealed[key]) for key, each in resources.items() if sealed[key] > from_ns)
    return UsageMinutes(minutes=tuple(found[:count]), deleted=deleted)


def _span(query: UsageQuery, now_ns: int) -> Span:
    """The span of a query, at most a day: without an end up to now, without a beginning the day before its end."""
    until_ns = now_ns if query.until_ns >= LATEST_NS else query.until_ns
    from_ns = query.from_ns or max(0, until_ns - LONGEST_NS)
    if until_ns - from_ns > LONGEST_NS:
        detail = f"from: minutes are told of at most a day at once, and {iso(from_ns)} to {iso(until_ns)} is more"
        raise invalid("from", iso(from_ns), detail)
    return from_ns, until_ns


def _resources(store: Store, place: Place, query: UsageQuery, tx: Tx) -> Sequence[StoredResource]:
    if query.resource_id is not None:
        one = store.registry.resource(place, query.resource_id, tx=tx)
        return () if one is None else (one,)
    found = store.registry.resources(place, customers=query.customers, limit=MOST_RESOURCES + 1, tx=tx)
    if len(found) > MOST_RESOURCES:
        field, value = ("customer_id", ", ".join(sorted(query.customers))) if query.customers else ("resource_id", "")
        raise invalid(field, value, f"{field}: minutes are told of at most {MOST_RESOURCES} resources at once: name one by resource_id")
    return found


def _gone(sealed: Mapping[str, int], span: Span) -> Problem:
    """All of a span is deleted by age."""
    name, until_ns = max(sealed.items(), key=lambda each: each[1])
    told = f"what was sent of {name!r} is deleted before {iso(until_ns)}" if len(sealed) == 1 else "what was sent of it is deleted by age"
    return Problem(GONE, f"until: {told}, so its minutes cannot be told; its hours are kept longer", field="until", value=iso(span[1]))


def _unknown(store: Store, place: Place, keys: Sequence[int], span: Span, now_ns: int) -> dict[int, list[Span]]:
    """The gaps that nothing filled, and silences that go on, of each resource."""
    found: dict[int, list[Span]] = defaultdict(list)
    for key, gap in store.gaps.gaps(place, *span, resource_keys=keys) if keys else ():
        if gap.filled is not Filled.INTERPOLATED:
            found[key].append((gap.from_ns, min(gap.until_ns, now_ns) if gap.state is GapState.LIVE else gap.until_ns))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """The minutes of some resources, one window after another. Of one resource after another the samples are in memory."""

    store: Store
    place: Place
    resources: Mapping[int, StoredResource]
    owners: Mapping[str, Sequence[Attributes]]
    sealed: Mapping[int, int]
    unknown: Mapping[int, Sequence[Span]]
    now_ns: int
    archive: Archive | None

    def minutes(self, from_ns: int, until_ns: int) -> Iterator[CustomerMinute]:
        """Those of a window of whole cells of one UTC day, from one snapshot of the store."""
        keys = [key for key in self.resources if self.sealed[key] < until_ns]
        if not keys:
            return
        with self.store.read() as tx:
            for key, timeline in zip(keys, self.store.batches.timelines(self.place, keys, from_ns, until_ns, tx=tx), strict=True):
                begin_ns = max(from_ns, self.sealed[key])
                prepared = prepare_minutes(timeline, begin_ns, until_ns)
                samples = self._samples(prepared, tx)
                horizon_ns = disk_until_ns(timeline, DiskHorizon.CLOCK, self.now_ns)
                yield from self._listed(key, usage_minutes(prepared, horizon_ns, samples), (begin_ns, until_ns))

    def _listed(self, key: int, found: Sequence[UsageMinute], span: Span) -> Iterator[CustomerMinute]:
        """Minutes with whose they are and how much of them is not known: one of which nothing is known is no minute of nothing."""
        name = self.resources[key].id
        gaps = [gap for gap in self.unknown.get(key, ()) if gap[0] < span[1] and gap[1] > span[0]]
        told = {minute.minute_ns: minute for minute in found}
        for minute_ns in range(*span, MINUTE_NS) if gaps else told:
            unknown_ns = sum(max(0, min(until_ns, minute_ns + MINUTE_NS) - max(from_ns, minute_ns)) for from_ns, until_ns in gaps)
            minute = told.get(minute_ns)
            if minute is None and unknown_ns:
                minute = UsageMinute(
                    resource_id=name, minute_ns=minute_ns, amounts={}, estimated={}, evenly={}, samples=0, memory_peak_bytes=None
                )
            if minute is not None:
                customer_id = customer_at(cell_start(minute_ns), self.owners.get(name, ()))
                yield CustomerMinute(resource_key=key, customer_id=customer_id, minute=minute, unknown_ns=unknown_ns)

    def _samples(self, prepared: Prepared, tx: Tx) -> dict[int, Samples]:
        """The samples that are kept of those that minutes are made of: in their rows, or else in the files of the archive.

        Where hours need samples only those in rows count, as for the hours themselves. What cannot be read is as if it were gone.
        """
        wanted = prepared.needs() | parted_batches(prepared)
        if not wanted:
            return {}
        payloads = self.store.batches.payloads(sorted(wanted), tx=tx)
        opened = {key: decode(each.body, each.interval_ns, LARGEST_BATCH_BYTES) for key, each in payloads.items()}
        found = {key: samples for key, samples in opened.items() if isinstance(samples, Samples)}
        missing = wanted - payloads.keys() - prepared.needs()
        if missing and self.archive is not None:
            window = prepared.window
            try:
                batches = self.archive.read(self.place, prepared.timeline.resource_id, window.from_ns, window.until_ns)
            except ArchiveUnavailable:
                return found
            found.update({each.batch_key: each.samples for each in batches if each.batch_key in missing})
        return found
