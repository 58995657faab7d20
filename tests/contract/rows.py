"""Batches, notices and facts for the tests of the store, made as the server makes them."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from tallystick.meter import content, fold, hours, planes
from tallystick.meter.samples import Samples, present
from tallystick.meter.thin import claims
from tallystick.meter.thin.host import thin
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Reservation
from tallystick.model.billing.outages import DeclaredOutage
from tallystick.model.instants import DAY_NS, HOUR_NS, hour_start
from tallystick.model.samples import MEMORY, BatchIdentity
from tallystick.model.timeline import PayloadForm, StorableBatch, Timeline
from tallystick.store.records import DirtyHour
from tallystick.store.store import Store

PLACE = Place()
T = 491_981 * HOUR_NS
SECOND = 10**9
MAX_BYTES = 1 << 24


def storable(samples: Samples, identity: BatchIdentity, received_at_ns: int) -> StorableBatch:
    """A batch as the server prepares it for the store."""
    times = samples.values[0]
    return StorableBatch(
        identity=identity,
        content_hash=content.content_hash(samples),
        interval_ns=samples.interval_ns,
        received_at_ns=received_at_ns,
        first_at_ns=int(times[0]),
        last_at_ns=int(times[-1]),
        samples=int(times.size),
        segments=fold.fold([samples], [bool(identity.boot_id)])[0],
        payload=planes.encode(samples),
    )


def batch(
    resource: str = "vm-1",
    sequence: int = 1,
    at_ns: int = T,
    count: int = 60,
    *,
    boot: str = "boot",
    spool: str = "spool",
    interval_ns: int = SECOND,
    received_at_ns: int | None = None,
    level: int = 1000,
) -> StorableBatch:
    """A batch of `count` samples from `at_ns` on."""
    times = [at_ns + number * interval_ns for number in range(count)]
    columns = {"measured_at": times, MEMORY: [level] * count, "cpu_time_nanos": [number * 1000 for number in range(count)]}
    samples = planes.from_columns(columns, interval_ns)
    assert isinstance(samples, Samples)
    identity = BatchIdentity(resource_id=resource, boot_id=boot, spool_id=spool if sequence else "", sequence=sequence)
    return storable(samples, identity, received_at_ns or times[-1] + SECOND)


def thin_of(sent: StorableBatch) -> StorableBatch:
    """A batch as it is stored that was thinned on its host."""
    samples = planes.decode(sent.payload, sent.interval_ns, MAX_BYTES)
    assert isinstance(samples, Samples)
    claim = thin({number: array("q", samples.values[number].tolist()) for number in present(samples.mask)}, sent.interval_ns)
    segments = claims.segments_of(claim, sent.interval_ns, bool(sent.identity.boot_id))
    return replace(sent, content_hash=claim.content_hash, segments=segments, payload=b"claim", payload_form=PayloadForm.THINNED)


def write(store: Store, *batches: StorableBatch, place: Place = PLACE) -> list[str]:
    """Store batches in one transaction; their outcomes."""
    with store.write() as tx:
        results = store.batches.write(tx, place, batches)
    return [str(result.outcome) for result in results]


def dirty_hours(store: Store, place: Place | None = None) -> dict[str, list[int]]:
    """The hours to compute, by resource, as hours after T."""
    found: dict[str, list[int]] = {}
    for mark in store.usage.dirty(place=place, limit=100_000):
        found.setdefault(mark.resource_id, []).append((mark.hour_ns - T) // HOUR_NS)
    return found


def sweep(store: Store, place: Place = PLACE, *, hours_at_once: int = 5) -> int:
    """Compute everything that is dirty, as a worker does; how many hours were replaced."""
    replaced = 0
    while marks := store.usage.dirty(place=place, limit=hours_at_once):
        mine = [mark for mark in marks if mark.resource_key == marks[0].resource_key]
        replaced += compute(store, place, mine)
    return replaced


def compute(store: Store, place: Place, seen: Sequence[DirtyHour]) -> int:
    """Compute the hours of one resource that are marked, each by itself; they are replaced in one transaction."""
    found = []
    for mark in seen:
        end_ns = mark.hour_ns + HOUR_NS
        timeline = store.batches.timelines(place, [mark.resource_key], mark.hour_ns, end_ns)[0]
        needed = hours.needs_samples(timeline, mark.hour_ns, end_ns)
        found.append((mark, hours.usage_hours(timeline, mark.hour_ns, end_ns, horizon(timeline), opened(store, sorted(needed)))))
    with store.write() as tx:
        return sum(len(store.usage.replace_hours(tx, [mark], result).replaced) for mark, result in found)


def opened(store: Store, keys: Sequence[int]) -> Mapping[int, Samples]:
    """The samples of batches, from their payloads."""
    found: dict[int, Samples] = {}
    for key, payload in store.batches.payloads(keys).items():
        samples = planes.decode(payload.body, payload.interval_ns, MAX_BYTES)
        assert isinstance(samples, Samples)
        found[key] = samples
    return found


def horizon(timeline: Timeline) -> int:
    """The end of the last hour in which anything is known of a resource."""
    instants: list[Any] = [boot.last_at_ns for boot in timeline.boots]
    instants += [event.at_ns for event in timeline.events] + [fact.at_ns for fact in timeline.facts]
    return hour_start(max(instants)) + HOUR_NS if instants else 0


def reservation(name: str, subscription_id: str) -> Reservation:
    """Machines reserved for a hundred days."""
    return Reservation(
        id=name,
        name=name,
        subscription_id=subscription_id,
        meter="uptime",
        per="hour",
        quantity=Fraction(8, 3),
        start_ns=T,
        end_ns=T + 100 * DAY_NS,
        recurring=Fraction(1, 3),
    )


def outage(resource_id: str, from_ns: int, reason: str) -> DeclaredOutage:
    """A resource that was away for an hour."""
    return DeclaredOutage(id=f"outage-{resource_id}", from_ns=from_ns, until_ns=from_ns + HOUR_NS, reason=reason, resources=(resource_id,))
