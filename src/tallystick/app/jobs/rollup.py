"""Dirty hours into usage hours, and the local days and months that they lie in (metering.md, Late data).

Hours are computed from segments, never patched; raw samples are opened only where batches overlap. It does not matter
how many workers do it, nor in what order: an hour is replaced only while its mark is still the one that was seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import groupby, pairwise

from tallystick.app.jobs.causes import with_causes
from tallystick.app.jobs.days import Touched, Zones, day_ends, write_days
from tallystick.app.jobs.failures import Failures
from tallystick.app.jobs.traced import HourTraces
from tallystick.meter.days import Owned
from tallystick.meter.hours import hours_of, prepare
from tallystick.meter.planes import decode
from tallystick.meter.samples import Samples
from tallystick.meter.together.ordinary import ordinary_hours
from tallystick.model.access import Place
from tallystick.model.attributes import attributes
from tallystick.model.instants import HOUR_NS, hour_start
from tallystick.model.outcomes import Refusal
from tallystick.model.samples import BOUNDARIES
from tallystick.model.timeline import Timeline
from tallystick.model.usage import HoursResult
from tallystick.store.engine import STORE_AWAY, Tx
from tallystick.store.records import DirtyHour
from tallystick.store.store import Store

HOURS_AT_ONCE = 48
RESOURCES_AT_ONCE = 64
RESOURCE_HOURS_AT_ONCE = 256
"""What is in memory at once: an hour of a resource has about 70 segments."""
HOURS_KEPT_AT_ONCE = 8
DAYS_WORK = 2
WORK_KEPT_AT_ONCE = 24
"""What is replaced in one transaction, which others wait for: sixteen hours of one resource, or one hour of eight, with their days: 1.5 to
4 ms on SQLite. A resource's days are as much work as two more hours."""
BATCHES_OPENED_AT_ONCE = 512
"""Where so many batches overlap that more of them would have to be opened, fewer hours are computed at once."""
MARKS_AT_ONCE = 2000
LARGEST_BATCH_BYTES = 16 * 2**20


class DiskHorizon(StrEnum):
    """Until when a disk that nobody deleted is held: the clock's current hour, or (in replays) the last hour told of its resource."""

    CLOCK = "clock"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Neighbouring dirty hours of one resource, computed together."""

    marks: tuple[DirtyHour, ...]

    @property
    def from_ns(self) -> int:
        """Where it begins."""
        return self.marks[0].hour_ns

    @property
    def until_ns(self) -> int:
        """Where it ends."""
        return self.marks[-1].hour_ns + HOUR_NS


class DamagedPayload(Exception):  # noqa: N818 (it is a state of the world, not a fault)
    """Stored samples that are needed cannot be read; the message names their batch."""


def roll_up(store: Store, horizon: DiskHorizon, now_ns: int, failures: Failures | None = None, traces: HourTraces | None = None) -> int:
    """Compute the hours that are marked now; how many were. Those marked again meanwhile stay marked.

    A resource whose hours cannot be computed stops no other: it is logged and counted in `failures`, stays marked, and is tried
    again in a later round.
    """
    failed = Failures() if failures is None else failures
    failed.next_round()
    done, after = 0, 0
    while marks := store.usage.dirty(limit=MARKS_AT_ONCE, after_resource_key=after):
        after = marks[-1].resource_key
        for stretches in _together([mark for mark in marks if failed.is_due(mark.resource_key)]):
            began_ns = traces.now_ns() if traces else 0
            computed = _attempt(store, stretches, horizon, now_ns, failed)
            if traces:
                traces.computed(computed, began_ns)
            done += len(computed)
    return done


def _attempt(store: Store, stretches: Sequence[Stretch], horizon: DiskHorizon, now_ns: int, failed: Failures) -> list[DirtyHour]:
    """Compute stretches together; where that fails each by itself, to find the one at fault. The hours that were computed."""
    try:
        _compute(store, stretches, horizon, now_ns)
    except STORE_AWAY:
        raise
    except Exception as error:
        if len(stretches) > 1:
            return [mark for each in stretches for mark in _attempt(store, [each], horizon, now_ns, failed)]
        failed.add(stretches[0].marks, error)
        return []
    for stretch in stretches:
        failed.forget(stretch.marks[0].resource_key)
    return [mark for stretch in stretches for mark in stretch.marks]


def _together(marks: Sequence[DirtyHour]) -> Iterator[list[Stretch]]:
    """Stretches of one place and one span are computed with the same few statements."""
    spans: dict[tuple[Place, int, int], list[Stretch]] = {}
    for _, of_resource in groupby(marks, key=lambda mark: mark.resource_key):
        for stretch in _stretches(list(of_resource)):
            spans.setdefault((stretch.marks[0].place, stretch.from_ns, stretch.until_ns), []).append(stretch)
    for found in spans.values():
        size = max(1, min(RESOURCES_AT_ONCE, RESOURCE_HOURS_AT_ONCE // len(found[0].marks)))
        for start in range(0, len(found), size):
            yield found[start : start + size]


def _stretches(marks: Sequence[DirtyHour]) -> Iterator[Stretch]:
    start = 0
    for place, (one, other) in enumerate(pairwise([*marks, None]), start=1):
        if one is not None and (other is None or other.hour_ns != one.hour_ns + HOUR_NS or place - start == HOURS_AT_ONCE):
            yield Stretch(marks=tuple(marks[start:place]))
            start = place


def _compute(store: Store, stretches: Sequence[Stretch], horizon: DiskHorizon, now_ns: int) -> None:
    first = stretches[0]
    place, from_ns, until_ns = first.marks[0].place, first.from_ns, first.until_ns
    keys = [each.marks[0].resource_key for each in stretches]
    with store.read() as tx:
        timelines = store.batches.timelines(place, keys, from_ns, until_ns, tx=tx)
        held_until_ns = [disk_until_ns(timeline, horizon, now_ns) for timeline in timelines]
        results = ordinary_hours(timelines, from_ns, until_ns, held_until_ns)
        prepared = {number: prepare(timelines[number], from_ns, until_ns) for number, result in enumerate(results) if result is None}
        needed = {key for each in prepared.values() for key in each.needs()}
        parts = _halves(stretches) if len(needed) > BATCHES_OPENED_AT_ONCE else ()
        samples, gone = open_samples(store, needed, tx) if needed and not parts else ({}, frozenset())
        zones = Zones.of(store, place, {timeline.resource_id: attributes(timeline.facts) for timeline in timelines}, tx)
        unsaid = store.retention.not_remembered(needed, tx=tx) if samples else []
    if unsaid:
        store.transact(lambda tx: store.retention.need_payloads(tx, unsaid))
    for part in parts:
        _compute(store, part, horizon, now_ns)
    if parts:
        return
    pieces: list[_Piece] = []
    for number, (stretch, timeline, ordinary) in enumerate(zip(stretches, timelines, results, strict=True)):
        held_ns = held_until_ns[number]
        result = ordinary or hours_of(prepared[number], held_ns, samples, gone=gone)
        result = with_causes(store, place, stretch.marks[0].resource_key, timeline, result)
        silent = _silent_from_ns(timeline) if horizon is DiskHorizon.RESOURCE and until_ns >= held_ns else None
        for start in range(0, len(stretch.marks), HOURS_KEPT_AT_ONCE):
            marks = stretch.marks[start : start + HOURS_KEPT_AT_ONCE]
            pieces.append(_Piece(marks=marks, result=result, silent_from_ns=silent if start == 0 else None))
    for few in _few(pieces):
        store.transact(partial(_replace, store=store, pieces=few, zones=zones))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Hours of one resource that are replaced in one transaction, with what was computed of them and of those beside them."""

    marks: tuple[DirtyHour, ...]
    result: HoursResult
    silent_from_ns: int | None


def _few(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces in their order, as many together as one short transaction takes."""
    few: list[_Piece] = []
    for piece in pieces:
        if sum(len(each.marks) + DAYS_WORK for each in [*few, piece]) > WORK_KEPT_AT_ONCE and few:
            yield few
            few = []
        few.append(piece)
    if few:
        yield few


def _halves(stretches: Sequence[Stretch]) -> Sequence[Sequence[Stretch]]:
    """The two halves: of the resources, of one resource's hours; none of one hour. Hours are the same however they are parted."""
    if len(stretches) > 1:
        return stretches[: len(stretches) // 2], stretches[len(stretches) // 2 :]
    marks = stretches[0].marks
    if len(marks) > 1:
        return [Stretch(marks=marks[: len(marks) // 2])], [Stretch(marks=marks[len(marks) // 2 :])]
    return ()


def _replace(tx: Tx, store: Store, pieces: Sequence[_Piece], zones: Zones) -> None:
    """Hours, and the days and months that they lie in, in one transaction: whose they are may have changed where they have not."""
    place = pieces[0].marks[0].place
    replaced = store.usage.replace_hours_of(tx, [(each.marks, each.result) for each in pieces])
    touched: dict[int, Touched] = {}
    for piece, found in zip(pieces, replaced, strict=True):
        mark = piece.marks[0]
        if piece.silent_from_ns is not None:
            _mark_silent(tx, store, mark, piece.silent_from_ns)
        if not found.replaced:
            continue
        owned, until_ns = zones.owned(mark.resource_id), found.replaced[-1] + HOUR_NS
        if found.unknown_until_ns > until_ns and owned:
            _mark_beyond(tx, store, mark, owned, (until_ns, found.unknown_until_ns))
        before = touched.get(mark.resource_key)
        touched[mark.resource_key] = Touched(
            resource_key=mark.resource_key,
            resource_id=mark.resource_id,
            owned=owned,
            from_ns=found.replaced[0] if before is None else min(before.from_ns, found.replaced[0]),
            until_ns=until_ns if before is None else max(before.until_ns, until_ns),
            exchanged=found.exchanged if before is None else {**before.exchanged, **found.exchanged},
        )
    write_days(tx, store, place, list(touched.values()))


def _mark_silent(tx: Tx, store: Store, mark: DirtyHour, silent_from_ns: int) -> None:
    """In replays, where the horizon of a disk is the end of this stretch: mark the hours before that nothing was told of, too.

    The clock marks none of them there.
    """
    place, key = mark.place, mark.resource_key
    known = {hour.hour_ns for _, hour in store.usage.hour_totals(place, silent_from_ns, mark.hour_ns, resource_keys=[key], tx=tx)}
    for hour_ns in range(silent_from_ns, mark.hour_ns, HOUR_NS):
        if hour_ns not in known:
            store.batches.mark_hours(tx, place, key, hour_ns, hour_ns + HOUR_NS)


def _mark_beyond(tx: Tx, store: Store, mark: DirtyHour, owned: Sequence[Owned], span: tuple[int, int]) -> None:
    """Where an unknown gap changed that reaches into later days, mark their hours: the days say how much is unknown."""
    made_ns, touched_ns = (bound(day_ends(owned, at_ns)) for bound, at_ns in zip((min, max), span, strict=True))
    if touched_ns > made_ns:
        store.batches.mark_known_hours(tx, mark.place, mark.resource_key, hour_start(made_ns), touched_ns)


def open_samples(store: Store, batch_keys: set[int], tx: Tx) -> tuple[Mapping[int, Samples], frozenset[int]]:
    """The samples of stored batches, and the batches whose samples are kept no more (or never came: thinned ones).

    Raises:
        DamagedPayload: a payload cannot be read.

    """
    payloads = store.batches.payloads(sorted(batch_keys), tx=tx)
    found = {}
    for key in sorted(payloads):
        opened = decode(payloads[key].body, payloads[key].interval_ns, LARGEST_BATCH_BYTES)
        if isinstance(opened, Refusal):
            raise DamagedPayload(f"batch {key}: {opened.sentence()}")
        found[key] = opened
    return found, frozenset(batch_keys - payloads.keys())


def _silent_from_ns(timeline: Timeline) -> int | None:
    """The hour of the first fact that names a disk, if any does."""
    return min((hour_start(fact.at_ns) for fact in timeline.facts if fact.disk_bytes is not None), default=None)


def disk_until_ns(timeline: Timeline, horizon: DiskHorizon, now_ns: int) -> int:
    """Until when a disk is held that was not deleted (metering.md, `disk.allocated`)."""
    if horizon is DiskHorizon.CLOCK:
        return hour_start(now_ns)
    told = [
        *(boot.last_at_ns for boot in timeline.boots),
        *(event.at_ns for event in timeline.events if event.kind in BOUNDARIES),
        *(fact.at_ns for fact in timeline.facts if fact.is_size),
    ]
    return hour_start(max(told)) + HOUR_NS if told else 0
