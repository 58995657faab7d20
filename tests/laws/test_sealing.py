"""Deletion by age changes no usage: hours from the points that are kept, and beside segments whose samples are gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given, settings

from tallystick.meter.hours import needs_samples, usage_hours
from tallystick.meter.sealing.points import kept_points, needs_samples_to_seal
from tallystick.model.instants import CELL_NS, HOUR_NS
from tallystick.model.samples import COUNTERS, MEMORY
from tallystick.model.timeline import StoredSegment, Timeline
from tallystick.model.usage import HoursResult
from tests.laws.compare import difference, expected, seen, taken
from tests.laws.memory import Memory, Resource
from tests.laws.streams import RESOURCE, Stream, Temper, batch_of, several, stream
from tests.laws.test_laws import METERS, SEEDS, STREAMS

LATER = 1 << 62
COLUMNS = ("measured_at_ns", MEMORY, *COUNTERS)


def sealed(resource: Resource, until_ns: int, before: Timeline | None = None, gone: Collection[int] = ()) -> Timeline:
    """The timeline of a resource with only what is kept of the segments before an instant."""
    whole = before or resource.whole()
    needed = {key: resource.samples[key] for key in needs_samples_to_seal(whole, until_ns).difference(gone)}
    kept = kept_points(whole, until_ns, needed, gone)
    segments = [
        StoredSegment(boot_id=boot_id, batch_key=-place, received_at_ns=0, segment=segment)
        for place, (boot_id, points) in enumerate(sorted(kept.items()), start=1)
        for segment in points
    ]
    live = [each for each in whole.segments if each.segment.cell_ns >= until_ns]
    return replace(whole, segments=(*segments, *live))


def hours_of(resource: Resource, timeline: Timeline, from_ns: int, until_ns: int, gone: Collection[int] = ()) -> HoursResult:
    needed = {key: resource.samples[key] for key in needs_samples(timeline, from_ns, until_ns).difference(gone)}
    return usage_hours(timeline, from_ns, until_ns, resource.span()[1], needed, gone=gone)


@settings(max_examples=300)
@given(STREAMS, SEEDS)
def test_hours_after_a_seal_are_what_they_were(sent: Stream, seed: int) -> None:
    """Once, and sealed in steps: of each boot only points are left, and every later hour is the same, alone and with others."""
    resource = taken(sent)
    rng = Random(seed)
    gone = some(rng, resource)
    from_ns, until_ns = resource.span()
    places = sorted(rng.randrange(from_ns, until_ns + HOUR_NS, HOUR_NS) for _ in range(2))
    timeline: Timeline | None = None
    for at_ns in places:
        timeline = sealed(resource, at_ns, timeline, gone)
        whole = hours_of(resource, resource.whole(), at_ns, max(at_ns, until_ns), gone)
        assert not difference(seen(hours_of(resource, timeline, at_ns, max(at_ns, until_ns), gone)), seen(whole))
        for hour_ns in range(at_ns, until_ns, HOUR_NS):
            one = hours_of(resource, resource.whole(), hour_ns, hour_ns + HOUR_NS, gone)
            assert not difference(seen(hours_of(resource, timeline, hour_ns, hour_ns + HOUR_NS, gone)), seen(one))


def some(rng: Random, resource: Resource) -> frozenset[int]:
    """Batches without samples: none, some, or all."""
    share = rng.choice((0, 0.5, 0.9, 1))
    return frozenset(key for key in resource.samples if rng.random() < share)


@settings(max_examples=150)
@given(STREAMS, SEEDS)
def test_hours_are_made_whichever_samples_are_gone(sent: Stream, seed: int) -> None:
    """Whatever overlaps, wherever a boot begins and ends, from one source and several: each hour alone is what it is with the others."""
    rng = Random(seed)
    cut = Stream(batches=parts(rng, sent.batches), events=sent.events, facts=sent.facts)
    resource = taken(several(rng, cut) if rng.random() < 0.5 else cut)
    gone = some(rng, resource)
    from_ns, until_ns = resource.span()
    until_ns = min(until_ns, from_ns + 12 * HOUR_NS)
    whole = hours_of(resource, resource.whole(), from_ns, until_ns, gone)
    for hour_ns in range(from_ns, until_ns, HOUR_NS):
        one = hours_of(resource, resource.timeline(hour_ns, hour_ns + HOUR_NS), hour_ns, hour_ns + HOUR_NS, gone)
        assert one.hours == tuple(hour for hour in whole.hours if hour.hour_ns == hour_ns)
        assert one.findings == tuple(each for each in whole.findings if hour_ns <= (each.at_ns or 0) < hour_ns + HOUR_NS)


@settings(max_examples=100)
@given(SEEDS)
def test_counters_and_time_are_exact_whichever_samples_are_gone(seed: int) -> None:
    """Of one boot from its first sample to its last, however its batches overlap: what a counter rose by, and how long it was up."""
    rng = Random(seed)
    calm = Temper(boots=1, unknown_boots=False, restarts=False, conflicts=False, absent=False, events=False, facts=False)
    pieces = parts(rng, stream(rng, calm).batches)
    resource = taken(Stream(batches=pieces, events=[], facts=[]))
    hours = hours_of(resource, resource.whole(), *resource.span(), some(rng, resource)).hours
    samples = {values[0]: values[1:] for each in pieces for values in zip(*(each[name] for name in COLUMNS), strict=True)}
    first_ns, last_ns = min(samples), max(samples)
    assert sum(hour.total("uptime") or 0 for hour in hours) == last_ns - first_ns
    for place, name in enumerate(COUNTERS, start=1):
        assert sum(hour.total(METERS[name]) or 0 for hour in hours) == samples[last_ns][place] - samples[first_ns][place]


@settings(max_examples=100)
@given(SEEDS)
def test_samples_inside_a_batch_whose_samples_are_gone_are_ignored(seed: int) -> None:
    """What was stored first stays as it is folded; of what overlaps it, only the samples outside of it count."""
    rng = Random(seed)
    sent = stream(rng, Temper(boots=1, unknown_boots=False, overlaps=False, events=False, facts=False))
    stored = rng.sample(sent.batches, max(1, len(sent.batches) // 2))
    late = [each for each in sent.batches if each not in stored] + [again(rng, each) for each in stored]
    memory = Memory()
    memory.take(stored)
    memory.tell([], sent.facts)
    resource = memory.resource(RESOURCE)
    gone = set(resource.samples)
    spans: dict[int, list[tuple[int, int]]] = {}
    for each in resource.segments:
        spans.setdefault(each.segment.cell_ns, []).append((each.segment.first_at_ns, each.segment.last_at_ns))
    memory.take(late)
    outside = [kept for each in late if (kept := without(each, spans)) is not None]
    want = taken(Stream(batches=[*stored, *outside], events=[], facts=sent.facts))
    from_ns, until_ns = resource.span()
    needed = {key: resource.samples[key] for key in needs_samples(resource.whole(), from_ns, until_ns) if key not in gone}
    have = seen(usage_hours(resource.whole(), from_ns, until_ns, want.span()[1], needed, gone=gone))
    told = [each for each in have["findings"] if each[0] == "samples_gone"]
    have["findings"] = [each for each in have["findings"] if each[0] != "samples_gone"]
    assert not difference(have, expected(Stream(batches=[*stored, *outside], events=[], facts=sent.facts), want))
    ignored = sum(len(each["measured_at_ns"]) for each in late) - sum(len(each["measured_at_ns"]) for each in outside)
    assert bool(told) == bool(ignored)


def parts(rng: Random, batches: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Some stretches of the samples of each batch, that overlap in every way, received in any order."""
    found = []
    for batch in batches:
        count = len(batch["measured_at_ns"])
        for _ in range(rng.randint(2, 6)):
            low = rng.randrange(count)
            high = rng.randint(low + 1, count)
            columns = {name: batch[name][low:high] for name in COLUMNS if name in batch}
            found.append(batch_of(batch["boot_id"], batch["interval_ns"], columns))
    return [{**each, "received_at_ns": LATER + place} for place, each in enumerate(rng.sample(found, len(found)))]


def again(rng: Random, batch: dict[str, Any]) -> dict[str, Any]:
    """The same batch moved a little in time, received later and with other values: nothing of it inside the first one counts."""
    columns = {name: list(batch[name]) for name in COLUMNS if name in batch}
    step = rng.choice((0, 1, batch["interval_ns"] // 3))
    columns["measured_at_ns"] = [at + step for at in columns["measured_at_ns"]]
    return batch_of(batch["boot_id"], batch["interval_ns"], columns, received=batch["received_at_ns"] + HOUR_NS)


def without(batch: dict[str, Any], spans: dict[int, list[tuple[int, int]]]) -> dict[str, Any] | None:
    """A batch without the samples inside the segments of a cell; None if none are left."""
    keep = [
        place
        for place, at in enumerate(batch["measured_at_ns"])
        if not any(low <= at <= high for low, high in spans.get(at - at % CELL_NS, ()))
    ]
    if not keep:
        return None
    return {**batch, **{name: [batch[name][place] for place in keep] for name in COLUMNS if name in batch}}
