"""A batch record in its thinned form: its samples opened, folded and left out (docs/thinned.md)."""

from __future__ import annotations

from tallystick.meter.thin.host import Thinned, ThinnedSegment, thin
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.entries import BATCH_HEAD, THINNED
from tallystick.spool.planes import decode

_LOW = 2**64 - 1


def thinned_payload(payload: bytes | memoryview) -> bytes:
    """The payload of a batch record without its samples.

    Raises:
        ValueError, struct.error, ZstdError, DecodeError: its samples cannot be read.

    """
    since_ns, samples, _ = BATCH_HEAD.unpack_from(payload)
    batch = pb.SendRequest.FromString(bytes(payload[BATCH_HEAD.size :])).batches[0]
    claim = thin(decode(batch.planes, batch.interval_ns), batch.interval_ns)
    batch.thinned.CopyFrom(message_of(claim))
    return BATCH_HEAD.pack(since_ns, samples, THINNED) + pb.SendRequest(batches=[batch]).SerializeToString()


def message_of(claim: Thinned) -> pb.Thinned:
    """A claim as it is sent."""
    return pb.Thinned(content_hash=claim.content_hash, presence=claim.presence, segments=map(_segment, claim.segments))


def _segment(one: ThinnedSegment) -> pb.ThinnedSegment:
    return pb.ThinnedSegment(
        first_at=one.first_at_ns,
        last_at=one.last_at_ns,
        samples=one.samples,
        first=one.first,
        last=one.last,
        memory_peak=one.peak,
        memory_held_low=one.held & _LOW,
        memory_held_high=one.held >> 64,
        gaps=[
            pb.ThinnedGap(until=gap.until_ns, memory_from=gap.memory_from, memory_until=gap.memory_until, **{"from": gap.from_ns})
            for gap in one.gaps
        ],
        falls=[pb.ThinnedFall(at=fall.at_ns, counters=fall.counters, before=fall.before, after=fall.after) for fall in one.falls],
    )
