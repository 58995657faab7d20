"""The native protocol: batches of columns or byte planes, lifecycle, facts and heartbeats, with an outcome for each (wire.md 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from tallystick.ingest import notices
from tallystick.ingest.callers import caller, stored
from tallystick.ingest.codecs import BODY_BYTES, HEARTBEAT, MISREAD
from tallystick.ingest.differences import running
from tallystick.ingest.submission import Clock, Columns, Intake, SentBatch, Submission, refused
from tallystick.meter.planes import VERSION
from tallystick.meter.thin.host import FallenPair, SilentPair, Thinned, ThinnedSegment
from tallystick.model.outcomes import BatchResult, Outcome, Refusal, RefusalCode
from tallystick.model.records import SentRecord
from tallystick.model.samples import COLUMNS, DIFFERENCES, BatchIdentity
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire

Context = RequestContext[wire.SendRequest, wire.SendResponse]


class NativeService:
    """`tallystick.v1.IngestService`."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake = intake
        self._clock = clock

    async def send(self, request: wire.SendRequest, ctx: Context, /) -> wire.SendResponse:
        """Store what is sent and answer with an outcome for each, in its order, once all is durable."""
        grant = caller()
        received_at_ns = self._clock.now_ns()
        misread = MISREAD.get() or {}
        notes = len(request.events) + len(request.facts)
        if notes > MOST_NOTICES:
            raise ConnectError(
                Code.RESOURCE_EXHAUSTED, f"events and facts: {notes}, at most {MOST_NOTICES} in a request: send them in parts"
            )
        for name, most in (("records", MOST_NOTICES), ("batches", MOST_BATCHES)):
            if (count := len(getattr(request, name))) > most:
                raise ConnectError(Code.RESOURCE_EXHAUSTED, f"{name}: {count}, at most {most} in a request: send them in parts")
        beat = misread.get((HEARTBEAT, 0)) or (
            notices.heartbeat(request.heartbeat, received_at_ns) if request.HasField("heartbeat") else None
        )
        submission = Submission(
            grant=grant,
            received_at_ns=received_at_ns,
            batches=_batches(request.batches, misread),
            events=[misread.get(("events", index)) or notices.lifecycle(each, received_at_ns) for index, each in enumerate(request.events)],
            facts=[misread.get(("facts", index)) or notices.fact(each, received_at_ns, grant) for index, each in enumerate(request.facts)],
            records=[
                misread.get(("records", index)) or notices.usage_record(_record(each), received_at_ns)
                for index, each in enumerate(request.records)
            ],
            heartbeat=None if isinstance(beat, Refusal) else beat,
            size_bytes=BODY_BYTES.get() or request.ByteSize(),
        )
        receipt = await stored(self._intake, submission, ctx)
        return wire.SendResponse(
            batches=_outcomes(receipt.batches),
            events=_outcomes(receipt.events),
            facts=_outcomes(receipt.facts),
            server_time=self._clock.now_ns(),
            records=_outcomes(receipt.records),
            heartbeat=_refused(beat if isinstance(beat, Refusal) else receipt.heartbeat),
        )


MOST_NOTICES = 10_000
"""Events and facts of one request, and usage records of one: events and facts are written one by one, in 1 ms each on PostgreSQL."""
MOST_BATCHES = 10_000
"""Of one request, of new resources: a second of the store's time, for which all others wait."""
MOST_SAMPLES = 1_000_000
"""Samples of one request: four times what ordinary batches of 4 MiB hold. A few bytes could declare any number of them."""


def _record(sent: wire.UsageRecord) -> SentRecord:
    return SentRecord(
        source=sent.source,
        record_id=sent.record_id,
        resource_id=sent.resource_id,
        meter=sent.meter,
        from_ns=getattr(sent, "from"),
        until_ns=sent.until,
        amount=sent.amount,
        peak=sent.peak if sent.HasField("peak") else None,
    )


def _batches(sent: Iterable[wire.Batch], misread: Mapping[tuple[str, int], Refusal]) -> list[SentBatch | Refusal]:
    """The batches of a request; those beyond a million samples in all are refused as `too_large`: send them in another."""
    found: list[SentBatch | Refusal] = []
    samples = 0
    for index, each in enumerate(sent):
        batch = misread.get(("batches", index)) or _batch(each)
        if isinstance(batch, SentBatch):
            samples += batch.samples
            if samples > MOST_SAMPLES:
                samples -= batch.samples
                said = f"{batch.samples} samples, at most {MOST_SAMPLES} in a request"
                field = "planes" if batch.planes else "thinned" if batch.thinned else "columns"
                batch = Refusal(code=RefusalCode.TOO_LARGE, field=field, value=said)
        found.append(batch)
    return found


def _batch(sent: wire.Batch) -> SentBatch | Refusal:
    """A batch with its samples still closed, or why it is refused without opening it."""
    identity = BatchIdentity(resource_id=sent.resource_id, boot_id=sent.boot_id, spool_id=sent.spool_id, sequence=sent.sequence)
    if (refusal := notices.identity_refusal(identity)) is not None:
        return refusal
    if sent.interval_ns <= 0:
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field="interval_ns", value=str(sent.interval_ns))
    if sent.flags:
        return Refusal(code=RefusalCode.UNSUPPORTED, field="flags", value=str(sent.flags))
    if sent.HasField("thinned"):
        return _thinned_batch(identity, sent)
    if sent.HasField("planes"):
        planes = sent.planes
        presence = int.from_bytes(planes[1:3], "little")
        if presence & DIFFERENCES and planes[0] == VERSION:  # the store's own mark: only a source profile sets it
            return Refusal(code=RefusalCode.DAMAGED, field="planes", value=f"presence {presence:#x}")
        return SentBatch(
            identity=identity,
            interval_ns=sent.interval_ns,
            samples=int.from_bytes(planes[3:7], "little"),
            planes=planes,
            trace=sent.trace_context,
        )
    columns = _columns(sent.columns)
    if isinstance(columns, Refusal):
        return columns
    return SentBatch(
        identity=identity, interval_ns=sent.interval_ns, samples=len(sent.columns.measured_at), columns=columns, trace=sent.trace_context
    )


def _thinned_batch(identity: BatchIdentity, sent: wire.Batch) -> SentBatch | Refusal:
    """A batch without samples: only one with a sequence, as without it the content that it says it had would be its identity."""
    if not identity.sequence:
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field="sequence", value="0")
    said = sent.thinned
    claim = Thinned(content_hash=said.content_hash, presence=said.presence, segments=tuple(map(_segment, said.segments)))
    return SentBatch(
        identity=identity,
        interval_ns=sent.interval_ns,
        samples=claim.samples,
        thinned=claim,
        thinned_body=said.SerializeToString(deterministic=True),
        trace=sent.trace_context,
    )


def _segment(one: wire.ThinnedSegment) -> ThinnedSegment:
    return ThinnedSegment(
        first_at_ns=one.first_at,
        last_at_ns=one.last_at,
        samples=one.samples,
        first=tuple(one.first),
        last=tuple(one.last),
        peak=one.memory_peak,
        held=one.memory_held_high << 64 | one.memory_held_low,
        gaps=tuple(
            SilentPair(from_ns=getattr(gap, "from"), until_ns=gap.until, memory_from=gap.memory_from, memory_until=gap.memory_until)
            for gap in one.gaps
        ),
        falls=tuple(
            FallenPair(at_ns=fall.at, counters=fall.counters, before=tuple(fall.before), after=tuple(fall.after)) for fall in one.falls
        ),
    )


def _columns(sent: wire.Columns) -> Columns | Refusal:
    """The present columns as values, or the first one whose length is not that of `measured_at`."""
    count = len(sent.measured_at)
    if not count:
        return Refusal(code=RefusalCode.WRONG_LENGTH, field="measured_at", value="0")
    found: Columns = {}
    for name in COLUMNS:
        differences = getattr(sent, name)
        if not differences:
            continue
        if len(differences) != count:
            return Refusal(code=RefusalCode.WRONG_LENGTH, field=name, value=str(len(differences)))
        found[name] = running(differences)
    return found


_OUTCOMES = {
    Outcome.STORED: wire.OUTCOME_STORED,
    Outcome.REPEATED: wire.OUTCOME_REPEATED,
    Outcome.REFUSED: wire.OUTCOME_REFUSED,
    Outcome.CONFLICT: wire.OUTCOME_CONFLICT,
}
_STORED = wire.RecordOutcome(outcome=wire.OUTCOME_STORED)
_REPEATED = wire.RecordOutcome(outcome=wire.OUTCOME_REPEATED)


def _refused(refusal: Refusal | None) -> wire.RecordOutcome | None:
    return None if refusal is None else outcome_message(refused(refusal))


def _outcomes(results: Sequence[BatchResult]) -> list[wire.RecordOutcome]:
    return [outcome_message(each) for each in results]


def outcome_message(result: BatchResult) -> wire.RecordOutcome:
    """A result as it stands in the reply: a refusal with code, field, index and value, a conflict with both hashes."""
    match result.outcome:
        case Outcome.STORED:
            return _STORED
        case Outcome.REPEATED:
            return _REPEATED
        case Outcome.CONFLICT:
            return wire.RecordOutcome(
                outcome=wire.OUTCOME_CONFLICT,
                stored_hash=bytes.fromhex(result.stored_hash),
                sent_hash=bytes.fromhex(result.sent_hash),
            )
        case Outcome.REFUSED:
            refusal = result.refusal or Refusal(code=RefusalCode.UNSUPPORTED, field="")
            return wire.RecordOutcome(
                outcome=wire.OUTCOME_REFUSED,
                code=refusal.code.value,
                field=refusal.field,
                index=refusal.index,
                value=refusal.value,
            )
        case _:
            assert_never(result.outcome)
