"""The service of existing VM daemons, unchanged: rows become columns, and no reply says `success: false` (wire.md 1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from tallystick.ingest import notices
from tallystick.ingest.callers import caller, stored
from tallystick.ingest.codecs import BODY_BYTES, TABLE
from tallystick.ingest.rows import columns_of, columns_of_table, sentence
from tallystick.ingest.sources.assignments import Assignments
from tallystick.ingest.sources.profiles import RowProfile, check, owner_refusal
from tallystick.ingest.sources.wire_columns import MOST_ROWS, TOO_MANY_ROWS
from tallystick.ingest.submission import Clock, Heartbeat, Intake, SentBatch, Submission
from tallystick.model.access import Grant, Place
from tallystick.model.outcomes import BatchResult, Outcome, Refusal, RefusalCode
from tallystick.model.resources import Fact
from tallystick.model.samples import BatchIdentity, LifecycleEvent, LifecycleKind, SampleSource
from tallystick.proto.billing.v1 import billing_pb2 as wire

NamedSinceStop = Callable[[Place, str, int], Sequence[str]]
"""The customers that agents named for a resource by an instant, since its last stop before that. It asks the store."""


class DaemonService:
    """`billing.v1.BillingService`."""

    def __init__(self, intake: Intake, clock: Clock, profile: RowProfile, named: NamedSinceStop) -> None:
        self._intake = intake
        self._clock = clock
        self._profile = profile
        self._named = named
        self._assignments = Assignments()

    async def send_metrics_batch(
        self, request: wire.SendMetricsBatchRequest, ctx: RequestContext[Any, Any], /
    ) -> wire.SendMetricsBatchResponse:
        """Store a row batch; samples that cannot be are set aside and named, a batch in which none is left is refused."""
        grant = caller()
        received_at_ns = self._clock.now_ns()
        profile = self._profile.under(grant.profile)
        check(notices.id_refusal("vm_id", request.vm_id, needed=True))
        customer = _customer(grant, profile, request.customer_id)
        table = TABLE.get()
        count = len(request.metrics) if table is None else table.starts.size
        if not count:
            raise ConnectError(Code.INVALID_ARGUMENT, "metrics: no metrics provided")
        if count > MOST_ROWS:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, TOO_MANY_ROWS)
        rows = columns_of(request.vm_id, request.metrics) if table is None else columns_of_table(request.vm_id, table)
        aside = sentence(rows.quarantined)
        identity = BatchIdentity(resource_id=request.vm_id, boot_id="", spool_id="", sequence=0, source=SampleSource.ROWS)
        batches: Sequence[SentBatch] = ()
        facts: Sequence[Fact] = ()
        if rows.columns:
            batches = (
                SentBatch(
                    identity=identity,
                    interval_ns=profile.interval_ns,
                    samples=len(rows.columns["measured_at"]),
                    columns=rows.columns,
                    differences=profile.differences,
                ),
            )
            facts = self._assigned(grant, request.vm_id, customer, rows.columns["measured_at"][0], received_at_ns)
        submission = Submission(
            grant=grant,
            received_at_ns=received_at_ns,
            batches=batches,
            facts=facts,
            quarantined=rows.quarantined,
            size_bytes=BODY_BYTES.get() or request.ByteSize(),
        )
        receipt = await stored(self._intake, submission, ctx)
        if not batches:
            raise ConnectError(Code.INVALID_ARGUMENT, aside)
        _check_result(receipt.batches[0])
        self._assignments.remember(grant.place, facts)
        said = "stored before" if receipt.batches[0].outcome is Outcome.REPEATED else ""
        return wire.SendMetricsBatchResponse(success=True, message="; ".join(part for part in (said, aside) if part))

    async def send_heartbeat(self, request: wire.SendHeartbeatRequest, ctx: RequestContext[Any, Any], /) -> wire.SendHeartbeatResponse:
        """Note that a daemon lives and which VMs it sees. It does not say until when it has reported."""
        grant = caller()
        received_at_ns = self._clock.now_ns()
        check(notices.id_refusal("instance_id", request.instance_id, needed=True))
        for vm_id in request.active_vms:
            check(notices.id_refusal("active_vms", vm_id, needed=True))
        beat = Heartbeat(
            instance_id=request.instance_id, active_resources=tuple(request.active_vms), at_ns=received_at_ns, reported_until_ns=0
        )
        submission = Submission(grant=grant, received_at_ns=received_at_ns, heartbeat=beat, size_bytes=request.ByteSize())
        receipt = await stored(self._intake, submission, ctx)
        check(receipt.heartbeat)
        return wire.SendHeartbeatResponse(success=True)

    async def notify_vm_started(
        self, request: wire.NotifyVmStartedRequest, ctx: RequestContext[Any, Any], /
    ) -> wire.NotifyVmStartedResponse:
        """Note a start, and whose the VM is."""
        grant = caller()
        received_at_ns = self._clock.now_ns()
        customer = _customer(grant, self._profile.under(grant.profile), request.customer_id)
        event = self._event(LifecycleKind.STARTED, request.vm_id, "start_time", request.start_time, received_at_ns)
        facts = self._assigned(grant, request.vm_id, customer, request.start_time, received_at_ns)
        await self._notice(grant, event, facts, ctx)
        self._assignments.remember(grant.place, facts)
        return wire.NotifyVmStartedResponse(success=True)

    async def notify_vm_stopped(
        self, request: wire.NotifyVmStoppedRequest, ctx: RequestContext[Any, Any], /
    ) -> wire.NotifyVmStoppedResponse:
        """Note a stop. It names no customer: the key's scope says which VM is meant, unless two customers were named under its id."""
        grant = caller()
        received_at_ns = self._clock.now_ns()
        event = self._event(LifecycleKind.STOPPED, request.vm_id, "stop_time", request.stop_time, received_at_ns)
        named = await asyncio.to_thread(self._named, grant.place, request.vm_id, request.stop_time)
        if len(named) > 1:
            said = f"vm_id = {request.vm_id}: ambiguous, since its last stop it was named as a VM of {', '.join(named)}"
            raise ConnectError(Code.FAILED_PRECONDITION, said)
        await self._notice(grant, event, (), ctx)
        return wire.NotifyVmStoppedResponse(success=True)

    async def notify_possible_gap(
        self, request: wire.NotifyPossibleGapRequest, ctx: RequestContext[Any, Any], /
    ) -> wire.NotifyPossibleGapResponse:
        """Note that samples may be missing. It never changes usage."""
        grant = caller()
        received_at_ns = self._clock.now_ns()
        event = self._event(
            LifecycleKind.POSSIBLE_GAP, request.vm_id, "resume_time", request.resume_time, received_at_ns, last_sent_ns=request.last_sent
        )
        await self._notice(grant, event, (), ctx)
        return wire.NotifyPossibleGapResponse(success=True)

    async def _notice(self, grant: Grant, event: LifecycleEvent, facts: Sequence[Fact], ctx: RequestContext[Any, Any]) -> None:
        submission = Submission(grant=grant, received_at_ns=event.received_at_ns, events=(event,), facts=facts)
        receipt = await stored(self._intake, submission, ctx)
        _check_result(receipt.events[0])

    def _event(
        self, kind: LifecycleKind, vm_id: str, field: str, at_ns: int, received_at_ns: int, *, last_sent_ns: int = 0
    ) -> LifecycleEvent:
        check(notices.id_refusal("vm_id", vm_id, needed=True) or notices.instant_refusal(field, at_ns, received_at_ns))
        if not 0 <= last_sent_ns <= at_ns:
            check(Refusal(code=RefusalCode.OUT_OF_RANGE, field="last_sent", value=str(last_sent_ns)))
        return LifecycleEvent(
            resource_id=vm_id, boot_id="", kind=kind, at_ns=at_ns, received_at_ns=received_at_ns, last_sent_ns=last_sent_ns or None
        )

    def _assigned(self, grant: Grant, vm_id: str, customer: str, at_ns: int, received_at_ns: int) -> Sequence[Fact]:
        """The agent's assignment, unless it is the one that this server heard last. Nobody assigns nothing: it stays unassigned."""
        return self._assignments.facts(grant.place, vm_id, [(int(at_ns), customer, "")], received_at_ns)


def _customer(grant: Grant, profile: RowProfile, customer_id: str) -> str:
    """The customer that is meant; empty for nobody.

    Raises:
        ConnectError: `permission_denied` if the key may not write for it.

    """
    customer = profile.customer(customer_id)
    check(owner_refusal(grant, customer))
    return customer


def _check_result(result: BatchResult) -> None:
    if result.outcome is Outcome.REFUSED and result.refusal is not None:
        check(result.refusal)
    if result.outcome is Outcome.CONFLICT:
        raise ConnectError(Code.ALREADY_EXISTS, f"other content is stored: {result.stored_hash}, sent {result.sent_hash}")
