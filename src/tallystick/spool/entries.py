"""What waits to be sent: places of batch and notice records in the spool's files, and what a sender must know of each."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from tallystick.model.resources import Fact
from tallystick.model.samples import BatchIdentity, LifecycleEvent, LifecycleKind
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.planes import WIDTH
from tallystick.spool.records import RecordKind

BATCH_HEAD = struct.Struct("<qII")
THINNED = 1
"""Of a batch's head: it has no samples any more."""
_NOTICE = struct.Struct("<qII")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One batch or notice on disk, not acknowledged.

    `first_at_ns` is its earliest instant; of a batch, the one since when its samples tell of usage (the sample before). Its bytes in
    the file, from `offset` for `length`, are a piece of a serialized `SendRequest`: pieces put one after the other are a request.
    `events` and `facts` count those of a notice.
    """

    file: int
    offset: int
    length: int
    record_offset: int
    kind: RecordKind
    first_at_ns: int
    samples: int
    events: int = 0
    facts: int = 0
    is_thinned: bool = False


def entry_of(kind: RecordKind, payload: bytes | memoryview, file: int, record_offset: int, payload_offset: int) -> Entry:
    """The entry of a record, from its payload.

    Raises:
        struct.error: the payload is too short to be one.

    """
    layout = BATCH_HEAD if kind is RecordKind.BATCH else _NOTICE
    first_at_ns, one, two = layout.unpack_from(payload)  # of a batch: since when, samples, whether thinned
    batch = kind is RecordKind.BATCH
    return Entry(
        file=file,
        offset=payload_offset + layout.size,
        length=len(payload) - layout.size,
        record_offset=record_offset,
        kind=kind,
        first_at_ns=first_at_ns,
        samples=one if batch else 0,
        events=0 if batch else one,
        facts=0 if batch else two,
        is_thinned=batch and two == THINNED,
    )


def identity_of(payload: bytes | memoryview) -> tuple[str, str, str, int]:
    """(resource_id, boot_id, spool_id, sequence) of the batch in a batch record's payload."""
    batch = pb.SendRequest.FromString(bytes(payload[BATCH_HEAD.size :])).batches[0]
    return batch.resource_id, batch.boot_id, batch.spool_id, batch.sequence


def batch_payload(identity: BatchIdentity, interval_ns: int, planes: bytes, rows: array[int], since_ns: int, trace: str = "") -> bytes:
    """The payload of a batch record: since when its samples tell of usage, their count, and the batch as a piece of a request."""
    batch = pb.Batch(
        resource_id=identity.resource_id,
        boot_id=identity.boot_id,
        spool_id=identity.spool_id,
        sequence=identity.sequence,
        interval_ns=interval_ns,
        planes=planes,
        trace_context=trace,
    )
    return BATCH_HEAD.pack(min(since_ns, rows[0]), len(rows) // WIDTH, 0) + pb.SendRequest(batches=[batch]).SerializeToString()


def notice_payload(events: Sequence[LifecycleEvent], facts: Sequence[Fact]) -> bytes:
    """The payload of a notice record: earliest instant, counts, and the events and facts as a piece of a request."""
    instants = [event.at_ns for event in events] + [fact.at_ns for fact in facts]
    request = pb.SendRequest(events=[_event(event) for event in events], facts=[_facts(fact) for fact in facts])
    return _NOTICE.pack(min(instants), len(events), len(facts)) + request.SerializeToString()


def _event(event: LifecycleEvent) -> pb.LifecycleEvent:
    last_sent = event.last_sent_ns or 0
    return pb.LifecycleEvent(
        resource_id=event.resource_id,
        boot_id=event.boot_id,
        kind=_kind(event.kind),
        at=event.at_ns,
        last_sent=last_sent,
        step_ns=event.step_ns or 0,
    )


def _kind(kind: LifecycleKind) -> pb.LifecycleKind:
    match kind:
        case LifecycleKind.STARTED:
            return pb.LIFECYCLE_KIND_STARTED
        case LifecycleKind.STOPPED:
            return pb.LIFECYCLE_KIND_STOPPED
        case LifecycleKind.POSSIBLE_GAP:
            return pb.LIFECYCLE_KIND_POSSIBLE_GAP
        case LifecycleKind.CLOCK_STEPPED:
            return pb.LIFECYCLE_KIND_CLOCK_STEPPED
        case _:
            assert_never(kind)


def _facts(fact: Fact) -> pb.ResourceFacts:
    return pb.ResourceFacts(
        resource_id=fact.resource_id,
        at=fact.at_ns,
        customer_id=fact.customer_id,
        name=fact.name,
        kind=fact.kind,
        region=fact.region,
        labels=None if fact.labels is None else pb.Labels(values=dict(fact.labels)),
        vcpus=fact.vcpus,
        memory_bytes=fact.memory_bytes,
        disk_bytes=fact.disk_bytes,
        gpus=fact.gpus,
        deleted=fact.deleted,
    )
