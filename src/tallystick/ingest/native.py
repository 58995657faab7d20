"""The native protocol: batches of columns or byte planes, lifecycle, facts and heartbeats, with an outcome for each (wire.md 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from tallystick.ingest import notices
from tallystick.ingest.callers import caller, stored
from tallystick.ingest.differences import running
from tallystick.ingest.submission import Clock, Columns, Intake, SentBatch, Submission
from tallystick.model.outcomes import BatchResult, Outcome, Refusal, RefusalCode
from tallystick.model.samples import COLUMNS, BatchIdentity
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
        beat = notices.heartbeat(request.heartbeat, received_at_ns) if request.HasField("heartbeat") else None
        if isinstance(beat, Refusal):
            raise ConnectError(Code.INVALID_ARGUMENT, beat.sentence())
        submission = Submission(
            grant=grant,
            received_at_ns=received_at_ns,
            batches=[_batch(each) for each in request.batches],
            events=[notices.lifecycle(each, received_at_ns) for each in request.events],
            facts=[notices.fact(each, received_at_ns, grant) for each in request.facts],
            heartbeat=beat,
            size_bytes=request.ByteSize(),
        )
        receipt = await stored(self._intake, submission, ctx)
        return wire.SendResponse(
            batches=_outcomes(receipt.batches),
            events=_outcomes(receipt.events),
            facts=_outcomes(receipt.facts),
            server_time=self._clock.now_ns(),
        )


def _batch(sent: wire.Batch) -> SentBatch | Refusal:
    """A batch with its samples still closed, or why it is refused without opening it."""
    identity = BatchIdentity(resource_id=sent.resource_id, boot_id=sent.boot_id, spool_id=sent.spool_id, sequence=sent.sequence)
    if (refusal := notices.identity_refusal(identity)) is not None:
        return refusal
    if sent.interval_ns <= 0:
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field="interval_ns", value=str(sent.interval_ns))
    if sent.flags:
        return Refusal(code=RefusalCode.UNSUPPORTED, field="flags", value=str(sent.flags))
    if sent.HasField("planes"):
        return SentBatch(identity=identity, interval_ns=sent.interval_ns, planes=sent.planes)
    columns = _columns(sent.columns)
    if isinstance(columns, Refusal):
        return columns
    return SentBatch(identity=identity, interval_ns=sent.interval_ns, columns=columns)


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
