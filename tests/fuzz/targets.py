"""What is fuzzed: each target takes any bytes and raises `AssertionError` (or whatever broke) where a promise does not hold.

The promises: no crash, no hang, one clear outcome for each batch, neighbours stored, nothing deleted.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
from backports.zstd import ZstdCompressor
from google.protobuf.message import DecodeError

from tallystick.meter.planes import decode_many, encode
from tallystick.meter.samples import Samples
from tallystick.model.outcomes import Refusal
from tallystick.model.samples import ALL_COLUMNS_MASK
from tallystick.proto.billing.collector.v1 import collector_pb2 as collector
from tallystick.proto.billing.v1 import billing_pb2 as daemon
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.spool.entries import BATCH_HEAD
from tallystick.spool.files import FILE_HEADER_BYTES, pack_header
from tallystick.spool.planes import decode as host_decode
from tallystick.spool.quarantine import Quarantine
from tallystick.spool.records import HEADER_BYTES, RecordKind, pack
from tallystick.spool.recovery import recover
from tests.fuzz.edge import IN_MEMORY, Answer, Edge

NATIVE = "/tallystick.v1.IngestService/Send"
DAEMON = "/billing.v1.BillingService/"
COLLECTOR = "/billing.collector.v1.BillingCollectorService/"
REFUSALS = {"invalid_argument", "resource_exhausted", "already_exists", "failed_precondition", "permission_denied", "out_of_range"}
NOW_NS = 10 * 24 * 3600 * 10**9
"""Ten days after the epoch, and of those whose rows begin in 2000 ten days after that: whatever instant is drawn, few hours lie between."""
ROWS_NOW_NS = NOW_NS + 946_684_800 * 10**9
MAX_BYTES = 16 * 2**20
AT_NS = NOW_NS - 100 * 10**9

numbers = count(1)


@cache
def edge(now_ns: int = NOW_NS) -> Edge:
    return Edge(now_ns)


def close() -> None:
    """Remove what the targets made."""
    for now_ns in (NOW_NS, ROWS_NOW_NS):
        edge(now_ns).close()
    edge.cache_clear()


@cache
def good_planes(samples: int = 3) -> bytes:
    values = np.zeros((9, samples), np.int64)
    values[0] = AT_NS + np.arange(samples) * 10**8
    values[1] = np.arange(samples) * 7
    return encode(Samples(values=values, mask=ALL_COLUMNS_MASK, interval_ns=10**8))


def good_batch() -> wire.Batch:
    """A batch that was never sent before."""
    number = next(numbers)
    return wire.Batch(
        resource_id=f"neighbour-{number % 100}", boot_id="b", spool_id="good", sequence=number, interval_ns=10**8, planes=good_planes()
    )


def clear(answer: Answer) -> None:
    """A refusal of a whole request says why, in words."""
    if answer.status == 200:
        return
    said = json.loads(answer.body)
    assert said["code"] in REFUSALS, said
    assert said["message"], said


def is_stored_alone(now_ns: int = NOW_NS) -> None:
    """The server takes what is good after whatever was sent."""
    answer = edge(now_ns).ask(NATIVE, wire.SendRequest(batches=[good_batch()]).SerializeToString(), "application/proto")
    assert answer.status == 200, answer
    assert [each.outcome for each in wire.SendResponse.FromString(answer.body).batches] == [wire.OUTCOME_STORED]


def answers(sent: wire.SendRequest, answer: wire.SendResponse) -> None:
    """An outcome for each part of a request, and each refusal with a code and a field."""
    for name in ("batches", "events", "facts", "records"):
        told = list(getattr(answer, name))
        assert len(told) == len(getattr(sent, name)), name
        for each in told:
            assert each.outcome, f"{name}: no outcome"
            if each.outcome == wire.OUTCOME_REFUSED:
                assert each.code, each
                assert each.field, each


def native(body: bytes) -> None:
    """A binary request; behind what is fuzzed stands a good batch, unless what is fuzzed says that it is longer and swallows some of it."""
    good = good_batch()
    whole = body + wire.SendRequest(batches=[good]).SerializeToString()
    answer = edge().ask(NATIVE, whole, "application/proto")
    clear(answer)
    if answer.status == 200:
        sent, told = wire.SendRequest.FromString(whole), wire.SendResponse.FromString(answer.body)
        answers(sent, told)
        if sent.batches and sent.batches[-1] == good:
            assert told.batches[-1].outcome == wire.OUTCOME_STORED
            return
    is_stored_alone()


def native_json(body: bytes) -> None:
    """A request in JSON, on its own."""
    answer = edge().ask(NATIVE, body, "application/json")
    clear(answer)
    if answer.status == 200:
        told = json.loads(answer.body)
        sent = json.loads(body or b"{}")
        for name in ("batches", "events", "facts", "records"):
            assert len(told.get(name, [])) == len(sent.get(name) or []), name
    else:
        is_stored_alone()


def batch(content: bytes) -> None:
    """One batch whose message is fuzzed, between two good ones in one request: only it may be refused."""
    try:
        fuzzed = wire.Batch.FromString(content)
    except DecodeError:
        return
    sent = wire.SendRequest(batches=[good_batch(), fuzzed, good_batch()])
    answer = edge().ask(NATIVE, sent.SerializeToString(), "application/proto")
    assert answer.status == 200, answer
    told = wire.SendResponse.FromString(answer.body)
    answers(sent, told)
    assert told.batches[0].outcome == told.batches[2].outcome == wire.OUTCOME_STORED


def planes(content: bytes) -> None:
    """Byte planes beside good ones; what they open to is the same for the host's reader, and can be packed again."""
    found, neighbour = decode_many([content, good_planes()], [10**8, 10**8], MAX_BYTES)
    assert isinstance(neighbour, Samples)
    if isinstance(found, Refusal):
        assert found.field
        return
    try:
        wide = {column: list(values) for column, values in host_decode(content, 10**8).items()}
    except ValueError:
        assert (found.values < 0).any(), "a value that is none of 64 bits, which is refused as a negative one"
    else:
        assert {column: found.values[column].tolist() for column in wide} == wide
    again = decode_many([encode(found)], [10**8], MAX_BYTES)[0]
    assert isinstance(again, Samples)
    assert (again.values == found.values).all()


def rows(path: str, now_ns: int = ROWS_NOW_NS) -> Callable[[bytes], None]:
    def target(body: bytes) -> None:
        clear(edge(now_ns).ask(path, body, "application/proto"))
        is_stored_alone(now_ns)

    return target


def collector_rows(body: bytes) -> None:
    """Every row is accounted for: accepted, repeated, refused or set aside."""
    answer = edge(ROWS_NOW_NS).ask(COLLECTOR + "SendMetricsBatch", body, "application/proto")
    clear(answer)
    if answer.status == 200:
        sent, told = collector.SendMetricsBatchRequest.FromString(body), collector.SendMetricsBatchResponse.FromString(answer.body)
        assert told.accepted + told.repeated + told.refused + told.quarantined == len(sent.metrics), told
    is_stored_alone(ROWS_NOW_NS)


def compressed(encoding: str) -> Callable[[bytes], None]:
    def target(body: bytes) -> None:
        answer = edge().ask(NATIVE, body, "application/proto", encoding)
        clear(answer)
        if answer.status != 200:
            is_stored_alone()

    return target


def bomb(body: bytes) -> None:
    """Planes whose frame is any content, however much, compressed: refused without being opened beyond what their head says."""
    frame = ZstdCompressor(level=1).compress(body * 1000, mode=ZstdCompressor.FLUSH_FRAME)
    planes(good_planes()[: 7 + 9 * 9] + frame)


def spool(content: bytes) -> None:
    """A spool file: behind a good record any bytes, or records of them with a good checksum, then a good record again.

    The good ones are found, what is no record is in the quarantine, and the file is as it was.
    """
    if not content:
        return
    mode, rest = content[0], content[1:]
    stem = "tail" if mode & 1 else "batches"
    middle = pack(RecordKind(1 + (mode >> 1) % 3), rest) if mode & 8 else rest
    header = rest[:FILE_HEADER_BYTES] if mode & 16 else pack_header("ab" * 16)
    good = [good_record(number) for number in (1, 2)] if stem == "batches" else [b"", b""]
    whole = header + good[0] + middle + good[1]
    folder = Path(tempfile.mkdtemp(prefix="tally-fuzz-spool-", dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None))
    try:
        path = folder / f"{stem}-0000000001.spool"
        path.write_bytes(whole)
        quarantine = Quarantine(folder / "quarantine")
        found = recover(folder, quarantine)
        assert path.read_bytes() == whole
        if stem == "batches" and not found.newer and (len(header) == FILE_HEADER_BYTES):
            entries = [entry for file in found.files for entry in file.load(quarantine)]
            sent = {whole[entry.record_offset :][: len(each)] for entry in entries for each in good}
            assert set(good) <= sent
            records = sum(HEADER_BYTES + BATCH_HEAD.size + entry.length for entry in entries)
            kept = sum(each.stat().st_size for each in (folder / "quarantine").glob("*.record"))
            assert FILE_HEADER_BYTES + records + kept >= len(whole), "every byte is a record's, or in the quarantine"
    finally:
        shutil.rmtree(folder)


@cache
def good_record(number: int) -> bytes:
    sent = wire.Batch(resource_id="vm", boot_id="b", spool_id="s", sequence=number, interval_ns=10**8, planes=good_planes())
    return pack(RecordKind.BATCH, BATCH_HEAD.pack(AT_NS, 3, 0) + wire.SendRequest(batches=[sent]).SerializeToString())


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "native": native,
    "native_json": native_json,
    "batch": batch,
    "planes": planes,
    "bomb": bomb,
    "daemon": rows(DAEMON + "SendMetricsBatch"),
    "daemon_started": rows(DAEMON + "NotifyVmStarted", NOW_NS),
    "daemon_heartbeat": rows(DAEMON + "SendHeartbeat"),
    "collector": collector_rows,
    "gzip": compressed("gzip"),
    "zstd": compressed("zstd"),
    "spool": spool,
}


def seeds() -> Mapping[str, list[bytes]]:
    """What each target begins with: small requests as they are meant."""
    columns = wire.Columns(measured_at=[AT_NS, 10**8, 10**8], cpu_time_nanos=[5, 1, 2], memory_bytes_used=[2**53 + 1, 0, -1])
    named = {"resource_id": "vm", "boot_id": "b", "spool_id": "s", "interval_ns": 10**8}
    typed = wire.Batch(**named, sequence=2, columns=columns)
    thinned = wire.Thinned(
        content_hash=b"h" * 32, presence=3, segments=[wire.ThinnedSegment(first_at=AT_NS, last_at=AT_NS + 10**9, samples=11)]
    )
    batches = [wire.Batch(**named, sequence=1, planes=good_planes()), typed, wire.Batch(**named, sequence=3, thinned=thinned)]
    request = wire.SendRequest(
        batches=batches,
        events=[wire.LifecycleEvent(resource_id="vm", boot_id="b", kind=wire.LIFECYCLE_KIND_STARTED, at=AT_NS)],
        facts=[wire.ResourceFacts(resource_id="vm", at=AT_NS, customer_id="acme", vcpus=2)],
        records=[
            wire.UsageRecord(
                source="s", record_id="r", resource_id="vm", meter="http.requests", until=AT_NS, amount="1", **{"from": AT_NS - 10**9}
            )
        ],
        heartbeat=wire.Heartbeat(instance_id="h", active_resources=["vm"], at=AT_NS),
    ).SerializeToString()
    metric = daemon.VMMetrics(cpu_time_nanos=1, memory_usage_bytes=2**40)
    seconds = ROWS_NOW_NS // 10**9 - 100
    metric.timestamp.seconds = seconds
    row = collector.BillingMetrics(vm_id="vm", customer_id="acme", region="eu", cpu_time_nanos=7, memory_bytes_used=9)
    row.timestamp.seconds = seconds
    window = collector.BillingMetrics(vm_id="vm", customer_id="acme", cpu_time_nanos=7, memory_bytes_seconds=9)
    window.window_start.seconds, window.window_end.seconds = seconds - 60, seconds
    tail = bytes([1 | 8 | 2])
    return {
        "native": [request, wire.SendRequest(batches=batches).SerializeToString()],
        "native_json": [json.dumps({"batches": [{"resource_id": "vm", "interval_ns": "1", "columns": {"measured_at": ["1"]}}]}).encode()],
        "batch": [each.SerializeToString() for each in batches],
        "planes": [good_planes(), good_planes(1), good_planes(600)],
        "bomb": [b"\0", b"abc"],
        "daemon": [daemon.SendMetricsBatchRequest(vm_id="vm", customer_id="acme", metrics=[metric] * 3).SerializeToString()],
        "daemon_started": [daemon.NotifyVmStartedRequest(vm_id="vm", customer_id="acme", start_time=AT_NS).SerializeToString()],
        "daemon_heartbeat": [daemon.SendHeartbeatRequest(instance_id="i", active_vms=["vm"]).SerializeToString()],
        "collector": [collector.SendMetricsBatchRequest(metrics=[row, row, window]).SerializeToString()],
        "gzip": [gzip.compress(request)],
        "zstd": [ZstdCompressor(level=1).compress(request, mode=ZstdCompressor.FLUSH_FRAME)],
        "spool": [
            b"\0",
            b"\0" + good_record(3),
            bytes([8 | 4]) + good_record(3)[12:],
            bytes([8]) + request,
            tail + request,
            b"\x10" + b"TALLYSPL",
        ],
    }
