"""A group of submissions into the store: all of it in one transaction, an outcome for each part of each submission."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TypeVar

from tallystick.ingest.preparing import prepare
from tallystick.ingest.submission import Clock, Observer, Receipt, Span, Spans, Submission, refused
from tallystick.model.access import Grant, Place
from tallystick.model.findings import Finding
from tallystick.model.outcomes import BatchResult, Refusal, RefusalCode
from tallystick.model.records import UsageRecord
from tallystick.model.resources import Fact
from tallystick.model.samples import LifecycleEvent
from tallystick.model.timeline import PayloadForm, StorableBatch
from tallystick.store.batches.operations import Quarantined
from tallystick.store.registry import Agent
from tallystick.store.store import Store, Tx

T = TypeVar("T")
_Results = tuple[Iterator[BatchResult], Iterator[BatchResult], Iterator[BatchResult], Iterator[BatchResult]]
"""Of batches, events, facts and records."""


@dataclass(slots=True)
class _Part:
    """What a group brings for one place, in the order of its submissions."""

    batches: list[StorableBatch] = field(default_factory=list)
    events: list[LifecycleEvent] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    records: list[UsageRecord] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    findings: list[tuple[Finding, int]] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)

    def resources(self) -> set[str]:
        """All that it writes for."""
        named: Iterable[LifecycleEvent | Fact | UsageRecord] = chain(self.events, self.facts, self.records)
        return {each.identity.resource_id for each in self.batches} | {each.resource_id for each in named}


@dataclass(slots=True)
class _Opened:
    """A submission whose batches are opened, in parts that can be stored or are refused."""

    submission: Submission
    batches: Sequence[StorableBatch | Refusal]
    events: Sequence[LifecycleEvent | Refusal]
    facts: Sequence[Fact | Refusal]
    records: Sequence[UsageRecord | Refusal]
    heartbeat: Refusal | None = None


class Storing:
    """Stores groups. It is called by one thread."""

    def __init__(self, store: Store, clock: Clock, observer: Observer, spans: Spans | None = None) -> None:
        self._store = store
        self._clock = clock
        self._observer = observer
        self._spans = spans

    def __call__(self, group: Sequence[Submission]) -> Sequence[Receipt]:
        """Store all of a group in one transaction and tell what became of each part, once all is durable."""
        began_ns = self._clock.monotonic_ns()
        opened = _open(group)
        begun = [] if self._spans is None else _begin(self._spans, opened)
        failure = "nothing was stored"
        opened_ns = self._clock.monotonic_ns()
        try:
            receipts = self._store.transact(lambda tx: self._write(tx, opened))
            failure = ""
        finally:
            for span in begun:
                span.end(self._clock.now_ns(), failure)
        self._count(opened, receipts, (opened_ns - began_ns) / 10**9, (self._clock.monotonic_ns() - opened_ns) / 10**9)
        return receipts

    def _write(self, tx: Tx, opened: Sequence[_Opened]) -> list[Receipt]:
        allowed = [self._allowed(tx, each) for each in opened]
        parts: dict[Place, _Part] = {}
        for each in allowed:
            _gather(each, parts.setdefault(each.submission.grant.place, _Part()))
        places = sorted(parts, key=lambda place: (place.seller_id, place.scope_id))
        if not tx.is_sqlite:
            received_at_ns = min(each.submission.received_at_ns for each in opened)
            for place in places:
                self._store.batches.lock(tx, place, sorted(parts[place].resources()), received_at_ns)
        results = {place: self._write_part(tx, place, parts[place]) for place in places}
        return [_receipt(each, results[each.submission.grant.place]) for each in allowed]

    def _write_part(self, tx: Tx, place: Place, part: _Part) -> _Results:
        batches = self._store.batches
        if part.quarantined:
            batches.quarantine(tx, place, part.quarantined)
        for finding, received_at_ns in part.findings:
            self._store.usage.tell(tx, place, [finding], received_at_ns)
        results = (
            iter(batches.write(tx, place, part.batches)),
            iter(batches.write_events(tx, place, part.events)),
            iter(batches.write_facts(tx, place, part.facts)),
            iter(batches.write_records(tx, place, part.records)),
        )
        for agent in part.agents:
            self._store.registry.heartbeat(tx, place, agent)
        return results

    def _allowed(self, tx: Tx, opened: _Opened) -> _Opened:
        """The submission with a refusal in the place of what a limited key may not write for: another's resource."""
        grant = opened.submission.grant
        if not grant.customers and not grant.regions:
            return opened
        opened = self._allowed_heartbeat(tx, opened)
        aside = opened.submission.quarantined
        named = {_resource_of(each) for each in chain(opened.batches, opened.events, opened.facts, opened.records)} - {""}
        named |= {each.resource_id for each in aside}
        others = {resource_id for resource_id in named if not self._may_write(tx, grant, resource_id)}
        if not others:
            return opened
        return _Opened(
            replace(
                opened.submission,
                quarantined=[each for each in aside if each.resource_id not in others],
                findings=[each for each in opened.submission.findings if each.resource_id not in others],
            ),
            [_unless_other(each, others) for each in opened.batches],
            [_unless_other(each, others) for each in opened.events],
            [_unless_other(each, others) for each in opened.facts],
            [_unless_other(each, others) for each in opened.records],
            opened.heartbeat,
        )

    def _allowed_heartbeat(self, tx: Tx, opened: _Opened) -> _Opened:
        """A limited key speaks for no instance that another key reported first, nor for resources that it may not write for: it could
        make the silence of another's look like life.
        """  # noqa: D205 (the reason is one sentence)
        submission, beat = opened.submission, opened.submission.heartbeat
        if beat is None:
            return opened
        grant = submission.grant
        owner = self._store.registry.owner_of_agent(grant.place, beat.instance_id, tx=tx)
        if owner not in ("", grant.key_id):
            refusal = Refusal(code=RefusalCode.NOT_ALLOWED, field="heartbeat.instance_id", value=beat.instance_id)
            return replace(opened, submission=replace(submission, heartbeat=None), heartbeat=refusal)
        ours = tuple(each for each in beat.active_resources if self._may_write(tx, grant, each))
        return replace(opened, submission=replace(submission, heartbeat=replace(beat, active_resources=ours)))

    def _may_write(self, tx: Tx, grant: Grant, resource_id: str) -> bool:
        known = self._store.registry.resource(grant.place, resource_id, tx=tx)
        if known is None:
            return True
        customer, region = known.customer_id, known.region
        return (not customer or grant.allows_customer(customer)) and (not region or grant.allows_region(region))

    def _count(self, opened: Sequence[_Opened], receipts: Sequence[Receipt], opening_seconds: float, stored_seconds: float) -> None:
        storable = [each for part in opened for each in part.batches if isinstance(each, StorableBatch)]
        samples = sum(each.samples for each in storable)
        self._observer.commit(len(storable), samples, opening_seconds + stored_seconds, stored_seconds)
        counted: dict[tuple[str, str], int] = {}
        for receipt in receipts:
            of_kinds = (("batch", receipt.batches), ("event", receipt.events), ("fact", receipt.facts), ("record", receipt.records))
            for kind, results in of_kinds:
                for result in results:
                    counted[kind, result.outcome.value] = counted.get((kind, result.outcome.value), 0) + 1
        for part in opened:
            aside = len(part.submission.quarantined)
            if aside:
                counted["sample", "quarantined"] = counted.get(("sample", "quarantined"), 0) + aside
        thin = sum(each.payload_form is PayloadForm.THINNED for each in storable)
        if thin:
            counted["batch", "thinned"] = thin
        for (kind, outcome), count in counted.items():
            self._observer.outcome(kind, outcome, count)


def _open(group: Sequence[Submission]) -> list[_Opened]:
    """Open the batches of all submissions together."""
    sent = [each for submission in group for each in submission.batches]
    received_at_ns = [submission.received_at_ns for submission in group for _ in submission.batches]
    batches = iter(prepare(sent, received_at_ns))
    return [_Opened(each, [next(batches) for _ in each.batches], each.events, each.facts, each.records) for each in group]


def _begin(spans: Spans, opened: Sequence[_Opened]) -> list[Span]:
    """A span for each request, and for each batch that is traced by itself; every batch is stored in the context of its span."""
    begun = []
    for part in opened:
        submission = part.submission
        whole = spans.begin("ingest", submission.trace, submission.received_at_ns, {"tally.batches": len(part.batches)})
        begun.append(whole)
        batches = list(part.batches)
        for place, each in enumerate(batches):
            if not isinstance(each, StorableBatch):
                continue
            context = whole.context
            if each.trace:
                told: dict[str, str | int] = {"tally.resource_id": each.identity.resource_id, "tally.samples": each.samples}
                own = spans.begin("ingest", each.trace, each.received_at_ns, told)
                begun.append(own)
                context = own.context
            if context != each.trace:
                batches[place] = replace(each, trace=context)
        part.batches = batches
    return begun


def _gather(opened: _Opened, part: _Part) -> None:
    submission = opened.submission
    part.batches += [each for each in opened.batches if isinstance(each, StorableBatch)]
    part.events += [each for each in opened.events if isinstance(each, LifecycleEvent)]
    part.facts += [each for each in opened.facts if isinstance(each, Fact)]
    part.records += [each for each in opened.records if isinstance(each, UsageRecord)]
    part.findings += [(each, submission.received_at_ns) for each in submission.findings]
    part.quarantined += [
        Quarantined(
            resource_id=each.resource_id, received_at_ns=submission.received_at_ns, index=each.index, field=each.field, value=each.value
        )
        for each in submission.quarantined
    ]
    if (beat := submission.heartbeat) is not None:
        part.agents.append(
            Agent(
                instance_id=beat.instance_id,
                at_ns=beat.at_ns,
                received_at_ns=submission.received_at_ns,
                reported_until_ns=beat.reported_until_ns,
                active_resources=beat.active_resources,
                spool_depth=beat.spool_depth,
                missed_ticks=beat.missed_ticks,
                clock_offset_ns=beat.clock_offset_ns,
                clock_synchronised=beat.clock_synchronised,
                thinned_batches=beat.thinned_batches,
                key_id=submission.grant.key_id,
            )
        )


def _receipt(opened: _Opened, stored: _Results) -> Receipt:
    """The results of a submission, taken from those of its place, which stand in the same order."""
    batches, events, facts, records = stored
    return Receipt(
        batches=_results(opened.batches, batches),
        events=_results(opened.events, events),
        facts=_results(opened.facts, facts),
        records=_results(opened.records, records),
        heartbeat=opened.heartbeat,
    )


def _results(sent: Sequence[object], stored: Iterator[BatchResult]) -> list[BatchResult]:
    return [refused(each) if isinstance(each, Refusal) else next(stored) for each in sent]


def _resource_of(each: StorableBatch | LifecycleEvent | Fact | UsageRecord | Refusal) -> str:
    if isinstance(each, Refusal):
        return ""
    return each.identity.resource_id if isinstance(each, StorableBatch) else each.resource_id


def _unless_other(each: T, others: set[str]) -> T | Refusal:
    resource_id = _resource_of(each)  # type: ignore[arg-type]  # one of its kinds
    return Refusal(code=RefusalCode.NOT_ALLOWED, field="resource_id", value=resource_id) if resource_id in others else each
