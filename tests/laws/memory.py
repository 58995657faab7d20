"""A store in memory for the tests of the meter: it takes batches as a server does, and makes timelines as a store must.

Timelines hold as little as the contract of `model.timeline.Timeline` allows, so that a link made of anything else shows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tallystick.meter import content, fold, hours, planes, validate
from tallystick.meter.samples import Samples
from tallystick.model.instants import CELL_NS, HOUR_NS
from tallystick.model.outcomes import Refusal
from tallystick.model.records import RegisteredRecord, UsageRecord
from tallystick.model.resources import SIZES, Fact
from tallystick.model.samples import COLUMNS, DIFFERENCES, MEASURED_AT, BatchIdentity, LifecycleEvent, LifecycleKind, SampleSource
from tallystick.model.timeline import BootExtent, StoredSegment, Timeline
from tallystick.model.usage import HoursResult

Row = dict[str, Any]
Boot = tuple[str, SampleSource]
RECORD_FIELDS = ("source", "record_id", "resource_id", "meter", "from_ns", "until_ns", "amount")
WIRE = {MEASURED_AT: "measured_at_ns"}
BATCHES_AT_ONCE = 20
MAX_BYTES = 1 << 24


class Resource:
    """What is stored of one resource."""

    def __init__(self, resource_id: str) -> None:
        self.id = resource_id
        self.segments: list[StoredSegment] = []
        self.samples: dict[int, Samples] = {}
        self.events: list[LifecycleEvent] = []
        self.facts: list[Fact] = []
        self.records: list[RegisteredRecord] = []

    def cells(self) -> dict[Boot, dict[int, list[StoredSegment]]]:
        by_boot: dict[Boot, dict[int, list[StoredSegment]]] = defaultdict(lambda: defaultdict(list))
        for stored in self.segments:
            by_boot[stored.boot_id, stored.source][stored.segment.cell_ns].append(stored)
        return by_boot

    def extent(self, boot: Boot, complete: Iterable[tuple[int, int]] = ()) -> BootExtent:
        mine = [stored for stored in self.segments if (stored.boot_id, stored.source) == boot]
        first = min(mine, key=lambda stored: (stored.segment.first_at_ns, stored.received_at_ns, stored.batch_key)).segment
        last = min(mine, key=lambda stored: (-stored.segment.last_at_ns, stored.received_at_ns, stored.batch_key)).segment
        return BootExtent(
            boot_id=boot[0],
            source=boot[1],
            first_at_ns=first.first_at_ns,
            last_at_ns=last.last_at_ns,
            first_interval_ns=first.interval_ns,
            last_interval_ns=last.interval_ns,
            complete=tuple(complete),
        )

    def timeline(self, from_ns: int, until_ns: int) -> Timeline:
        """The least that the hours in [from, until) may be computed from."""
        segments: list[StoredSegment] = []
        boots = []
        for boot, by_cell in self.cells().items():
            known = sorted(by_cell)
            wanted: set[int] = set()
            complete = []
            spans = [(from_ns, until_ns)]
            if not boot[0]:
                spans += [
                    (event.at_ns - event.at_ns % CELL_NS, event.at_ns - event.at_ns % CELL_NS + CELL_NS)
                    for event in self.events
                    if not event.boot_id
                ]
            for begin, end in spans:
                low, high = max(bisect_left(known, begin) - 1, 0), min(bisect_left(known, end) + 1, len(known))
                chosen = known[low:high]
                wanted.update(chosen)
                complete.append((min([begin, *chosen]), max([end, *(cell + CELL_NS for cell in chosen)])))
            boots.append(self.extent(boot, complete))
            segments += [stored for cell in wanted for stored in by_cell[cell]]
        records = [each for each in self.records if touches(each, from_ns, until_ns)]
        return self._timeline(boots, segments, ((from_ns, until_ns),), records)

    def whole(self) -> Timeline:
        """Everything."""
        boots = [self.extent(boot) for boot in self.cells()]
        return self._timeline(boots, self.segments, ((0, 1 << 63),), self.records)

    def _timeline(
        self,
        boots: Sequence[BootExtent],
        segments: Sequence[StoredSegment],
        complete: tuple[tuple[int, int], ...],
        records: Sequence[RegisteredRecord],
    ) -> Timeline:
        return Timeline(
            resource_id=self.id,
            boots=tuple(boots),
            segments=tuple(segments),
            complete=complete,
            events=tuple(sorted(self.events, key=lambda event: (event.at_ns, event.received_at_ns))),
            facts=tuple(sorted(self.facts, key=lambda fact: (fact.at_ns, fact.received_at_ns))),
            records=tuple(records),
        )

    def span(self) -> tuple[int, int]:
        """The whole hours in which anything may be."""
        instants = [event.at_ns for event in self.events] + [fact.at_ns for fact in self.facts]
        instants += [at for stored in self.segments for at in (stored.segment.first_at_ns, stored.segment.last_at_ns)]
        instants += [at for each in self.records for at in (each.record.from_ns, each.record.until_ns)]
        return min(instants) // HOUR_NS * HOUR_NS, (max(instants) // HOUR_NS + 1) * HOUR_NS

    def hours(self, timeline: Timeline, from_ns: int, until_ns: int, disk_until_ns: int) -> HoursResult:
        needed = hours.needs_samples(timeline, from_ns, until_ns)
        opened = {key: self.samples[key] for key in needed}
        return hours.usage_hours(timeline, from_ns, until_ns, disk_until_ns, opened)

    def at_once(self) -> HoursResult:
        from_ns, until_ns = self.span()
        return self.hours(self.whole(), from_ns, until_ns, until_ns)

    def one_by_one(self, step: int = 1) -> HoursResult:
        """Each hour (or `step` of them) from a timeline of its own."""
        from_ns, until_ns = self.span()
        parts = []
        for begin in range(from_ns, until_ns, step * HOUR_NS):
            end = min(begin + step * HOUR_NS, until_ns)
            parts.append(self.hours(self.timeline(begin, end), begin, end, until_ns))
        return HoursResult(
            hours=tuple(one for part in parts for one in part.hours),
            gaps=tuple(one for part in parts for one in part.gaps),
            findings=tuple(one for part in parts for one in part.findings),
        )


class Memory:
    """Takes batches, notices and facts of any resources, in any order."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.stored: dict[tuple[Any, ...], bytes] = {}
        self.next_key = 1

    def resource(self, resource_id: str) -> Resource:
        return self.resources.setdefault(resource_id, Resource(resource_id))

    def take(self, batches: Sequence[Row]) -> list[Row]:
        """Store batches; the outcome of each."""
        outcomes: list[Row] = []
        for low in range(0, len(batches), BATCHES_AT_ONCE):
            outcomes += self._take(batches[low : low + BATCHES_AT_ONCE])
        return outcomes

    def _take(self, batches: Sequence[Row]) -> list[Row]:
        identities = [
            BatchIdentity(
                resource_id=one["resource_id"],
                boot_id=one["boot_id"],
                spool_id=one["spool"],
                sequence=one["sequence"] or 0,
                source=source_of(one),
            )
            for one in batches
        ]
        opened = [_opened(one) for one in batches]
        outcomes: list[Row] = []
        taken: list[tuple[Row, Samples]] = []
        for batch, identity, samples in zip(batches, identities, opened, strict=True):
            why = validate.refusal(identity, samples, batch["received_at_ns"])
            if why is not None or isinstance(samples, Refusal):
                assert why is not None
                outcomes.append({"outcome": "refused", "code": str(why.code), "field": WIRE.get(why.field, why.field)})
                outcomes[-1] |= {} if why.index is None else {"index": why.index}
                continue
            digest = content.content_hash(samples)
            key = (identity, None) if identity.sequence else ((identity.resource_id, identity.boot_id, identity.source), digest)
            if key in self.stored:
                outcomes.append({"outcome": "repeated" if self.stored[key] == digest else "conflict"})
                continue
            self.stored[key] = digest
            outcomes.append({"outcome": "stored"})
            taken.append((batch, samples))
        folded = fold.fold([samples for _, samples in taken], [bool(batch["boot_id"]) for batch, _ in taken])
        for (batch, samples), segments in zip(taken, folded, strict=True):
            resource = self.resource(batch["resource_id"])
            resource.samples[self.next_key] = samples
            resource.segments += [
                StoredSegment(
                    boot_id=batch["boot_id"],
                    batch_key=self.next_key,
                    received_at_ns=batch["received_at_ns"],
                    segment=segment,
                    source=source_of(batch),
                )
                for segment in segments
            ]
            self.next_key += 1
        return outcomes

    def tell(self, events: Iterable[Row], facts: Iterable[Row]) -> None:
        """Keep the notices and size facts of resources; heartbeats tell nothing here."""
        for event in events:
            if event["kind"] != "heartbeat":
                self.resource(event["resource_id"]).events.append(
                    LifecycleEvent(
                        resource_id=event["resource_id"],
                        boot_id=event["boot_id"],
                        kind=LifecycleKind(event["kind"]),
                        at_ns=event["at_ns"],
                        received_at_ns=event.get("received_at_ns", event["at_ns"]),
                        last_sent_ns=event.get("last_sent_ns"),
                    )
                )
        for fact in facts:
            sizes: Mapping[str, int] = {name: fact[name] for name in SIZES if name in fact}
            self.resource(fact["resource_id"]).facts.append(
                Fact(
                    resource_id=fact["resource_id"],
                    at_ns=fact["at_ns"],
                    received_at_ns=fact["received_at_ns"],
                    deleted=fact.get("deleted", False),
                    **sizes,
                )
            )

    def record(self, records: Iterable[Row]) -> None:
        """Keep usage records, each once; the sources have their numbers already."""
        for row in records:
            resource = self.resource(row["resource_id"])
            record = UsageRecord(
                content_hash=b"", received_at_ns=row["received_at_ns"], **{name: row[name] for name in RECORD_FIELDS}, peak=row.get("peak")
            )
            if all((each.record.record_id, each.record.meter) != (record.record_id, record.meter) for each in resource.records):
                resource.records.append(RegisteredRecord(record=record, source_number=row["number"]))


def source_of(batch: Row) -> SampleSource:
    """What measured a batch: our protocol unless it says otherwise."""
    return SampleSource(batch.get("source", 0))


def touches(each: RegisteredRecord, from_ns: int, until_ns: int) -> bool:
    """Whether a record says anything of [from, until)."""
    record = each.record
    return record.from_ns < until_ns and (record.until_ns > from_ns or record.from_ns >= from_ns)


def _opened(batch: Row) -> Samples | Refusal:
    """The samples of a batch: through planes, unless its columns cannot be written so."""
    columns = {name: batch[WIRE.get(name, name)] for name in COLUMNS if WIRE.get(name, name) in batch}
    if any(len(column) != len(batch["measured_at_ns"]) for column in columns.values()):
        return planes.from_columns(columns, batch["interval_ns"])
    samples = planes.from_columns({name: [_wrapped(value) for value in column] for name, column in columns.items()}, batch["interval_ns"])
    if isinstance(samples, Refusal):
        return samples
    meant = replace(samples, mask=samples.mask | (DIFFERENCES if batch.get("differences") else 0))
    return planes.decode(planes.encode(meant), batch["interval_ns"], MAX_BYTES)


def _wrapped(value: int) -> int:
    """Modulo 2^64, as a signed integer: what the wire makes of a value."""
    return (value + 2**63) % 2**64 - 2**63
