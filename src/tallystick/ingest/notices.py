"""Checks of what is told of a resource besides samples: lifecycle, facts and heartbeats, as values or refusals."""

from __future__ import annotations

import re
from hashlib import sha256

from tallystick.ingest.submission import Heartbeat
from tallystick.model.access import Grant
from tallystick.model.outcomes import Refusal, RefusalCode
from tallystick.model.records import SentRecord, UsageRecord, record_refusal
from tallystick.model.resources import Fact, Origin
from tallystick.model.samples import BOUNDARIES, FUTURE_LIMIT_NS, LARGEST, BatchIdentity, LifecycleEvent, LifecycleKind
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire

LONGEST_ID = 512
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
LONGEST_TEXT = 4096
DIGITS = re.compile(r"[0-9]{1,40}", re.ASCII)
MOST_LABELS = 64
LARGEST_COUNT = 2**31 - 1

KINDS = {
    wire.LIFECYCLE_KIND_STARTED: LifecycleKind.STARTED,
    wire.LIFECYCLE_KIND_STOPPED: LifecycleKind.STOPPED,
    wire.LIFECYCLE_KIND_POSSIBLE_GAP: LifecycleKind.POSSIBLE_GAP,
    wire.LIFECYCLE_KIND_CLOCK_STEPPED: LifecycleKind.CLOCK_STEPPED,
}


def id_refusal(field: str, value: str, *, needed: bool = False) -> Refusal | None:
    """Why a text cannot be an id, or None: it is needed and empty, or what REST could not ask for: longer than 512 bytes, with
    control characters (no store keeps a NUL), or with a blank at one of its ends.
    """  # noqa: D205 (the reason is one sentence)
    if value[:1].isspace() or value[-1:].isspace():
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field=field, value=repr(value[:60]))
    return text_refusal(field, value, needed=needed)


def text_refusal(field: str, value: str, *, needed: bool = False) -> Refusal | None:
    """Why a text cannot be told of a resource, or None: it is needed and empty, longer than 512 bytes, or has control characters."""
    if not value:
        return Refusal(code=RefusalCode.EMPTY_ID, field=field) if needed else None
    if len(value) > LONGEST_ID // 4 and len(value.encode()) > LONGEST_ID:
        return Refusal(code=RefusalCode.TOO_LARGE, field=field, value=f"{value[:60]}… ({len(value.encode())} bytes, at most {LONGEST_ID})")
    if CONTROLS.search(value) is not None:
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field=field, value=repr(value[:60]))
    return None


def identity_refusal(identity: BatchIdentity) -> Refusal | None:
    """Why an identity cannot be: an id that cannot, a sequence without a spool, a sequence that no store can count to."""
    found = id_refusal("resource_id", identity.resource_id, needed=True)
    if found is None and identity.sequence and not identity.spool_id:
        found = Refusal(code=RefusalCode.EMPTY_ID, field="spool_id")
    found = found or id_refusal("boot_id", identity.boot_id) or id_refusal("spool_id", identity.spool_id)
    if found is None and not 0 <= identity.sequence <= LARGEST:
        found = Refusal(code=RefusalCode.OUT_OF_RANGE, field="sequence", value=str(identity.sequence))
    return found


def instant_refusal(field: str, at_ns: int, received_at_ns: int) -> Refusal | None:
    """Why an instant cannot be told of: not after the epoch, or more than 300 s in the server's future."""
    if not 0 < at_ns <= LARGEST:
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field=field, value=str(at_ns))
    if at_ns > received_at_ns + FUTURE_LIMIT_NS:
        return Refusal(code=RefusalCode.FUTURE, field=field, value=str(at_ns))
    return None


def usage_record(sent: SentRecord, received_at_ns: int) -> UsageRecord | Refusal:
    """A usage record, or why it is refused: an id that cannot be, or a meter, span, amount or peak that cannot."""
    refusal = id_refusal("source", sent.source, needed=True) or id_refusal("record_id", sent.record_id, needed=True)
    refusal = refusal or id_refusal("resource_id", sent.resource_id, needed=True)
    if refusal is None and DIGITS.fullmatch(sent.amount) is None:
        refusal = Refusal(code=RefusalCode.OUT_OF_RANGE, field="amount", value=repr(sent.amount[:60]))
    if refusal is not None:
        return refusal
    content = (sent.resource_id, sent.from_ns, sent.until_ns, int(sent.amount), sent.peak)
    record = UsageRecord(
        source=sent.source,
        record_id=sent.record_id,
        resource_id=sent.resource_id,
        meter=sent.meter,
        from_ns=sent.from_ns,
        until_ns=sent.until_ns,
        amount=int(sent.amount),
        received_at_ns=received_at_ns,
        content_hash=sha256(repr(content).encode()).digest(),
        peak=sent.peak,
    )
    return record_refusal(record) or record


def lifecycle(sent: wire.LifecycleEvent, received_at_ns: int) -> LifecycleEvent | Refusal:
    """A lifecycle notice, or why it is refused: empty id, unknown kind, an instant that cannot be, a step that is none."""
    refusal = id_refusal("resource_id", sent.resource_id, needed=True) or id_refusal("boot_id", sent.boot_id)
    kind = KINDS.get(sent.kind)
    if refusal is None and kind is None:
        refusal = Refusal(code=RefusalCode.UNSUPPORTED, field="kind", value=str(sent.kind))
    refusal = refusal or instant_refusal("at", sent.at, received_at_ns)
    if refusal is None and not 0 <= sent.last_sent <= sent.at:
        refusal = Refusal(code=RefusalCode.OUT_OF_RANGE, field="last_sent", value=str(sent.last_sent))
    if refusal is None and (sent.step_ns != 0) != (kind is LifecycleKind.CLOCK_STEPPED):
        refusal = Refusal(code=RefusalCode.OUT_OF_RANGE, field="step_ns", value=str(sent.step_ns))
    if refusal is not None or kind is None:
        return refusal or Refusal(code=RefusalCode.UNSUPPORTED, field="kind")
    return LifecycleEvent(
        resource_id=sent.resource_id,
        boot_id=sent.boot_id,
        kind=kind,
        at_ns=sent.at,
        received_at_ns=received_at_ns,
        last_sent_ns=sent.last_sent or None if kind not in BOUNDARIES else None,
        step_ns=sent.step_ns or None,
    )


def fact(sent: wire.ResourceFacts, received_at_ns: int, grant: Grant) -> Fact | Refusal:
    """What is declared of a resource, or why it is refused; a key assigns only customers and regions that it may write."""
    refusal = _fact_refusal(sent, received_at_ns, grant)
    if refusal is not None:
        return refusal
    return Fact(
        resource_id=sent.resource_id,
        at_ns=sent.at,
        received_at_ns=received_at_ns,
        origin=Origin.AGENT,
        customer_id=sent.customer_id if sent.HasField("customer_id") else None,
        name=sent.name if sent.HasField("name") else None,
        kind=sent.kind if sent.HasField("kind") else None,
        region=sent.region if sent.HasField("region") else None,
        labels=dict(sent.labels.values) if sent.HasField("labels") else None,
        vcpus=sent.vcpus if sent.HasField("vcpus") else None,
        memory_bytes=sent.memory_bytes if sent.HasField("memory_bytes") else None,
        disk_bytes=sent.disk_bytes if sent.HasField("disk_bytes") else None,
        gpus=sent.gpus if sent.HasField("gpus") else None,
        deleted=sent.deleted,
    )


def _fact_refusal(sent: wire.ResourceFacts, received_at_ns: int, grant: Grant) -> Refusal | None:
    refusal = (
        id_refusal("resource_id", sent.resource_id, needed=True)
        or instant_refusal("at", sent.at, received_at_ns)
        or id_refusal("customer_id", sent.customer_id)
        or text_refusal("name", sent.name)
        or text_refusal("kind", sent.kind)
        or id_refusal("region", sent.region)
        or _labels_refusal(sent)
    )
    if refusal is not None:
        return refusal
    for field, most in (("vcpus", LARGEST_COUNT), ("memory_bytes", LARGEST), ("disk_bytes", LARGEST), ("gpus", LARGEST_COUNT)):
        if not 0 <= (value := getattr(sent, field)) <= most:
            return Refusal(code=RefusalCode.OUT_OF_RANGE, field=field, value=str(value))
    if sent.HasField("customer_id") and not grant.allows_customer(sent.customer_id):
        return Refusal(code=RefusalCode.NOT_ALLOWED, field="customer_id", value=sent.customer_id)
    if sent.HasField("region") and not grant.allows_region(sent.region):
        return Refusal(code=RefusalCode.NOT_ALLOWED, field="region", value=sent.region)
    return None


def _labels_refusal(sent: wire.ResourceFacts) -> Refusal | None:
    values = sent.labels.values
    if len(values) > MOST_LABELS:
        return Refusal(code=RefusalCode.TOO_LARGE, field="labels", value=f"{len(values)} labels, at most {MOST_LABELS}")
    for name in sorted(values):
        refusal = id_refusal("labels", name, needed=True) or text_refusal(f"labels.{name}", values[name])
        if refusal is not None:
            return refusal
    return None


def heartbeat(sent: wire.Heartbeat, received_at_ns: int) -> Heartbeat | Refusal:
    """A heartbeat, or why the request is refused. An agent cannot have reported past its own clock."""
    refusal = (
        id_refusal("heartbeat.instance_id", sent.instance_id, needed=True)
        or instant_refusal("heartbeat.at", sent.at, received_at_ns)
        or next((found for each in sent.active_resources if (found := id_refusal("heartbeat.active_resources", each, needed=True))), None)
    )
    if refusal is None and not 0 <= sent.reported_until <= sent.at:
        refusal = Refusal(code=RefusalCode.OUT_OF_RANGE, field="heartbeat.reported_until", value=str(sent.reported_until))
    if refusal is not None:
        return refusal
    return Heartbeat(
        instance_id=sent.instance_id,
        active_resources=tuple(sent.active_resources),
        at_ns=sent.at,
        reported_until_ns=sent.reported_until,
        spool_depth=min(sent.spool_depth, LARGEST),
        missed_ticks=min(sent.missed_ticks, LARGEST),
        clock_offset_ns=sent.clock_offset_ns if sent.HasField("clock_offset_ns") else None,
        clock_synchronised=sent.clock_synchronised if sent.HasField("clock_synchronised") else None,
        thinned_batches=min(sent.thinned_batches, LARGEST),
    )
