"""What is marked dirty is enough: computing only marked hours, whenever, ends where computing everything at the end does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random
from typing import Any

from tallystick.meter.samples import Samples
from tallystick.model.records import UsageRecord
from tallystick.model.resources import SIZES, Fact
from tallystick.model.samples import BatchIdentity, LifecycleEvent, LifecycleKind
from tallystick.model.usage import HoursResult
from tallystick.store.store import Store
from tests.contract.rows import PLACE, horizon, opened, storable, sweep
from tests.laws.memory import RECORD_FIELDS, _opened, source_of
from tests.laws.streams import Row, Temper, several, stream

STREAMS = {"sqlite": 40, "postgresql": 10}
"""More of them were run once: 1,500 with a sweep after each delivery, 500 with sweeps now and then."""


def test_marked_hours_are_enough(store: Store, url: str) -> None:
    kind = url.partition(":")[0]
    for seed in range(STREAMS[kind]):
        check(store, Random(seed), f"vm-{seed}", seed)


def check(store: Store, rng: Random, resource: str, seed: int) -> None:
    made = stream(rng, Temper())
    if seed % 2:
        made = several(rng, made)
    deliveries = [("batch", row) for row in made.batches] + [("event", row) for row in made.events] + [("fact", row) for row in made.facts]
    deliveries += [("record", row) for row in made.records]
    rng.shuffle(deliveries)
    for kind, row in deliveries:
        deliver(store, resource, kind, row)
        if rng.random() < 0.6:
            sweep(store)
    sweep(store)
    compare(store, resource, seed)


def deliver(store: Store, resource: str, kind: str, row: Row) -> None:
    with store.write() as tx:
        if kind == "batch":
            samples = _opened(row)
            assert isinstance(samples, Samples)
            identity = BatchIdentity(
                resource_id=resource, boot_id=row["boot_id"], spool_id=row["spool"], sequence=row["sequence"] or 0, source=source_of(row)
            )
            store.batches.write(tx, PLACE, [storable(samples, identity, row["received_at_ns"])])
        elif kind == "event":
            event = LifecycleEvent(
                resource_id=resource,
                boot_id=row["boot_id"],
                kind=LifecycleKind(row["kind"]),
                at_ns=row["at_ns"],
                received_at_ns=row["received_at_ns"],
            )
            store.batches.write_events(tx, PLACE, [event])
        elif kind == "record":
            fields = {name: row[name] for name in RECORD_FIELDS}
            fields |= {"resource_id": resource, "record_id": f"{resource}/{row['record_id']}"}
            record = UsageRecord(received_at_ns=row["received_at_ns"], content_hash=b"", peak=row.get("peak"), **fields)
            store.batches.write_records(tx, PLACE, [record])
        else:
            sizes: dict[str, Any] = {name: row[name] for name in SIZES if name in row}
            fact = Fact(
                resource_id=resource,
                at_ns=row["at_ns"],
                received_at_ns=row["received_at_ns"],
                deleted=row.get("deleted", False),
                **sizes,
            )
            store.batches.write_facts(tx, PLACE, [fact])


def compare(store: Store, resource: str, seed: int) -> None:
    """What is stored of a resource against its hours computed from all that is stored, at once."""
    from tallystick.meter import hours
    from tallystick.model.instants import HOUR_NS, hour_start

    found = store.registry.resource(PLACE, resource)
    assert found is not None
    key = found.row
    known = store.batches.timelines(PLACE, [key], 0, HOUR_NS)[0]
    instants = [each for boot in known.boots for each in (boot.first_at_ns, boot.last_at_ns)]
    instants += [event.at_ns for event in known.events] + [fact.at_ns for fact in known.facts]
    everything = store.batches.timelines(PLACE, [key], 0, 1 << 62)[0]
    instants += [at for each in everything.records for at in (each.record.from_ns, each.record.until_ns)]
    from_ns, until_ns = hour_start(min(instants)), hour_start(max(instants)) + HOUR_NS
    whole = store.batches.timelines(PLACE, [key], from_ns, until_ns)[0]
    needed = sorted(hours.needs_samples(whole, from_ns, until_ns))
    expected = hours.usage_hours(whole, from_ns, until_ns, horizon(whole), opened(store, needed))
    stored = HoursResult(
        hours=tuple(hour for _, hour in store.usage.hours(PLACE, resource_keys=[key])),
        gaps=tuple(gap for _, gap in store.usage.gaps(PLACE, resource_keys=[key])),
        findings=tuple(finding for _, finding in store.usage.findings(PLACE, resource_keys=[key])),
    )
    assert {hour.hour_ns: hour for hour in stored.hours} == {hour.hour_ns: hour for hour in expected.hours}, f"seed {seed}"
    assert set(stored.gaps) == set(expected.gaps), f"seed {seed}"
    assert _plain(stored.findings) == _plain(expected.findings), f"seed {seed}"


def _plain(findings: Iterable[Any]) -> set[Any]:
    return {replace(finding, detail="") for finding in findings}
