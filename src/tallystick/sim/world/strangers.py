"""Whoever else comes by: requests of every form that the server speaks, right and wrong; none may fail it, or touch its neighbours."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from backports.zstd import compress
from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.proto.billing.collector.v1 import collector_pb2 as collector
from tallystick.proto.billing.v1 import billing_pb2 as daemon
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.sim.audit.truth import Truth
from tallystick.sim.machine.network import Listener, Reply, Request
from tallystick.sim.machine.scheduler import SECOND_NS, Process, Scheduler
from tallystick.sim.machine.threads import Waiters
from tallystick.sim.world.clients import COLLECTOR_PATH, DAEMON_PATH, NATIVE_PATH

LIMITED = {"Authorization": "Bearer limited"}
"""A key that may write for the customer `stranger` only."""
_DAEMON = DAEMON_PATH.rpartition("/")[0]
_COLLECTOR = COLLECTOR_PATH.rpartition("/")[0]


@dataclass(slots=True)
class Strangers:
    """One task that makes one of these requests now and again; an answer of 500 is wrong."""

    scheduler: Scheduler
    server: Listener
    truth: Truth
    chance: random.Random
    period_ns: int
    is_ending: bool = False

    def start(self) -> None:
        """Begin."""
        self.scheduler.spawn(Process("strangers"), "strangers", self._run)

    def _run(self) -> None:
        while not self.is_ending:
            self.scheduler.sleep(self.chance.uniform(0.5, 1.5) * self.period_ns / SECOND_NS)
            request = self.chance.choice(list(requests(self.scheduler.now_ns)))
            reply = self._answer(request)
            if reply is not None and reply.status == 500:
                self.truth.wrong.append(("", f"the server failed at {request.path}", self.scheduler.now_ns, repr(reply.body[:200])))

    def _answer(self, request: Request) -> Reply | None:
        """They stand beside the server: no network is between."""
        waiters, replies = Waiters(self.scheduler), list[Reply | None]()

        def answer(reply: Reply | None) -> None:
            replies.append(reply)
            waiters.wake()

        if self.server.is_up:
            self.server.take(request, answer)
            if not replies:
                waiters.wait(30)
        return replies[0] if replies else None


def _typed(kind: str, **more: str) -> dict[str, str]:
    return {"Content-Type": f"application/{kind}", **{name.replace("_", "-"): value for name, value in more.items()}}


@lru_cache(maxsize=1)
def _bombs() -> dict[str, bytes]:
    """Bodies that are small until they are opened."""
    return {"zstd": compress(bytes(8 * 2**20)), "gzip": gzip.compress(bytes(8 * 2**20))}


def requests(now_ns: int) -> Iterator[Request]:
    """All that they say at an instant."""
    yield from _native(now_ns)
    yield from _rows(now_ns)
    json_body, empty = json.dumps({"batches": []}).encode(), wire.SendRequest().SerializeToString()
    yield Request(path=NATIVE_PATH, headers=_typed("json", Content_Encoding="gzip"), body=gzip.compress(json_body))
    yield Request(path=NATIVE_PATH, headers=_typed("proto", Content_Encoding="zstd"), body=compress(empty + bytes(0)))
    for coding in ("gzip", "zstd", "br"):
        yield Request(path=NATIVE_PATH, headers=_typed("proto", Content_Encoding=coding), body=b"no such thing")
    for cut in (gzip.compress(json_body)[:-6], b"", b"\x1f\x8b"):
        yield Request(path=NATIVE_PATH, headers=_typed("json", Content_Encoding="gzip"), body=cut)
    yield Request(path=NATIVE_PATH, headers=_typed("json", Content_Encoding="zstd"), body=compress(json_body)[:-3])
    yield Request(path=NATIVE_PATH, headers=_typed("json", Content_Encoding="zstd"), body=_bombs()["zstd"])
    yield Request(path=NATIVE_PATH, headers=_typed("json", Content_Encoding="gzip"), body=_bombs()["gzip"])
    yield Request(path=NATIVE_PATH, headers=_typed("proto"), body=b"\xff\xff\xff")
    yield Request(path=NATIVE_PATH, headers=_typed("xml"), body=b"<batch/>")
    yield Request(path="/tallystick.v1.IngestService/Receive", headers=_typed("proto"), body=b"")
    yield Request(path=NATIVE_PATH, headers={**_typed("proto"), "Authorization": "Basic nobody"}, body=empty)
    yield Request(path=NATIVE_PATH, headers={**_typed("grpc-web+proto")}, body=len(empty).to_bytes(5, "big") + empty)
    for text in (
        '{"batches": 1}',
        "[]",
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        '{"x": NaN}',
        '{"batches": [{"intervalNs": 1.5}]}',
        "{",
        '{"y": 0}',
    ):
        yield Request(path=NATIVE_PATH, headers=_typed("json"), body=text.encode())


def _native(now_ns: int) -> Iterator[Request]:
    at = [now_ns - 3 * SECOND_NS, SECOND_NS, SECOND_NS]
    columns = {"measured_at": at, "cpu_time_nanos": [5, 1, 1]}
    good = wire.Batch(resource_id="stranger:columns", interval_ns=SECOND_NS, columns=wire.Columns(**columns))
    batches = [
        good,
        wire.Batch(resource_id="", interval_ns=SECOND_NS),
        wire.Batch(resource_id="stranger:x", interval_ns=0),
        wire.Batch(resource_id="stranger:x", sequence=1, interval_ns=SECOND_NS),
        wire.Batch(resource_id="stranger:x", interval_ns=SECOND_NS, flags=1),
        wire.Batch(resource_id="stranger:x", interval_ns=SECOND_NS, planes=b"\x01\xff\x01\x02\x00\x00\x00rest"),
        wire.Batch(resource_id="stranger:x", interval_ns=SECOND_NS, planes=b"\x01\x01\x80\x02\x00\x00\x00"),
        wire.Batch(resource_id="stranger:x", interval_ns=SECOND_NS, planes=b"\x01\x01\x00\xff\xff\xff\x7f"),
        wire.Batch(resource_id="stranger:x", interval_ns=SECOND_NS, thinned=wire.Thinned(content_hash=bytes(32), presence=1)),
        wire.Batch(resource_id="stranger:x", interval_ns=SECOND_NS, columns=wire.Columns(measured_at=at, cpu_time_nanos=[1])),
        wire.Batch(resource_id="stranger:x", interval_ns=SECOND_NS, columns=wire.Columns(measured_at=[now_ns, -5])),
        wire.Batch(resource_id="stranger:x", interval_ns=SECOND_NS, columns=wire.Columns(measured_at=[now_ns + 10**15])),
    ]
    events = [
        wire.LifecycleEvent(resource_id="stranger:x", kind=wire.LIFECYCLE_KIND_UNSPECIFIED, at=now_ns),
        wire.LifecycleEvent(resource_id="stranger:x", kind=wire.LIFECYCLE_KIND_STARTED, at=0),
        wire.LifecycleEvent(resource_id="stranger:x", kind=wire.LIFECYCLE_KIND_POSSIBLE_GAP, at=now_ns, last_sent=now_ns + 1),
        wire.LifecycleEvent(resource_id="stranger:x", kind=wire.LIFECYCLE_KIND_STARTED, at=now_ns, step_ns=5),
    ]
    facts = [
        wire.ResourceFacts(resource_id=" ", at=now_ns),
        wire.ResourceFacts(resource_id="stranger:x", at=now_ns, vcpus=-1),
        wire.ResourceFacts(resource_id="stranger:x", at=now_ns, name="a\x00b"),
        wire.ResourceFacts(resource_id="stranger:x", at=now_ns, labels=wire.Labels(values={"": "x"})),
        wire.ResourceFacts(resource_id="stranger:x", at=now_ns, labels=wire.Labels(values={str(n): "x" for n in range(70)})),
        wire.ResourceFacts(resource_id="stranger:x" * 60, at=now_ns),
    ]
    records = [
        wire.UsageRecord(source="s", record_id="r", resource_id="stranger:x", meter="cpu.used", amount="-1", until=now_ns),
        wire.UsageRecord(source="", record_id="r", resource_id="stranger:x", meter="cpu.used", amount="1", until=now_ns),
    ]
    request = wire.SendRequest(batches=batches, events=events, facts=facts, records=records)
    request.heartbeat.CopyFrom(wire.Heartbeat(instance_id="stranger", at=now_ns, reported_until=now_ns + 1))
    body = request.SerializeToString()
    yield Request(path=NATIVE_PATH, headers=_typed("proto"), body=body)
    yield Request(path=NATIVE_PATH, headers={**_typed("proto"), **LIMITED}, body=body)
    known = wire.SendRequest()
    known.facts.add(resource_id="stranger:acme", at=now_ns, customer_id="acme", region="here")
    known.heartbeat.CopyFrom(wire.Heartbeat(instance_id="stranger-agent", at=now_ns, active_resources=["stranger:acme"]))
    yield Request(path=NATIVE_PATH, headers=_typed("proto"), body=known.SerializeToString())
    theirs = wire.SendRequest(batches=[wire.Batch(resource_id="stranger:acme", interval_ns=SECOND_NS, columns=wire.Columns(**columns))])
    theirs.facts.add(resource_id="stranger:x", at=now_ns, customer_id="acme", region="elsewhere")
    theirs.heartbeat.CopyFrom(wire.Heartbeat(instance_id="stranger-agent", at=now_ns, active_resources=["stranger:acme"]))
    yield Request(path=NATIVE_PATH, headers={**_typed("proto"), **LIMITED}, body=theirs.SerializeToString())
    broken = {"batches": [{"resourceId": 5}, {"unknown": 1}], "events": [{"at": "2^63"}], "heartbeat": {"spoolDepth": "-1"}}
    yield Request(path=NATIVE_PATH, headers=_typed("json"), body=json.dumps(broken).encode())


def _rows(now_ns: int) -> Iterator[Request]:
    stamp = {"seconds": now_ns // SECOND_NS}
    proto, text = _typed("proto"), _typed("json")
    rows = [daemon.VMMetrics(timestamp=stamp, cpu_time_nanos=5), daemon.VMMetrics(timestamp={"seconds": 5})]
    batch = daemon.SendMetricsBatchRequest(vm_id="stranger:vm", customer_id="default-customer", metrics=rows)
    yield Request(path=DAEMON_PATH, headers=proto, body=batch.SerializeToString())
    yield Request(path=DAEMON_PATH, headers={**proto, **LIMITED}, body=batch.SerializeToString())
    yield Request(path=DAEMON_PATH, headers=proto, body=daemon.SendMetricsBatchRequest(vm_id="stranger:vm").SerializeToString())
    bad = daemon.SendMetricsBatchRequest(vm_id="stranger:vm", metrics=rows[1:])
    yield Request(path=DAEMON_PATH, headers=proto, body=bad.SerializeToString())
    yield Request(path=DAEMON_PATH, headers=text, body=json.dumps({"vmId": "stranger:vm", "metrics": [{"cpuTimeNanos": 1}]}).encode())
    beat = daemon.SendHeartbeatRequest(instance_id="stranger", active_vms=["stranger:vm"])
    yield Request(path=f"{_DAEMON}/SendHeartbeat", headers=proto, body=beat.SerializeToString())
    started = daemon.NotifyVmStartedRequest(vm_id="stranger:vm", customer_id="stranger", start_time=now_ns)
    yield Request(path=f"{_DAEMON}/NotifyVmStarted", headers=proto, body=started.SerializeToString())
    stopped = daemon.NotifyVmStoppedRequest(vm_id="stranger:vm", stop_time=now_ns)
    yield Request(path=f"{_DAEMON}/NotifyVmStopped", headers=proto, body=stopped.SerializeToString())
    gap = daemon.NotifyPossibleGapRequest(vm_id="stranger:vm", last_sent=now_ns - 5, resume_time=now_ns)
    yield Request(path=f"{_DAEMON}/NotifyPossibleGap", headers=proto, body=gap.SerializeToString())
    odd = daemon.NotifyPossibleGapRequest(vm_id="stranger:vm", last_sent=now_ns + 5, resume_time=now_ns)
    yield Request(path=f"{_DAEMON}/NotifyPossibleGap", headers=proto, body=odd.SerializeToString())
    yield from _collected(now_ns)


def _collected(now_ns: int) -> Iterator[Request]:
    proto, text, seconds = _typed("proto"), _typed("json"), now_ns // SECOND_NS
    one = collector.BillingMetrics(vm_id="stranger:pod", customer_id="stranger", timestamp={"seconds": seconds}, cpu_time_nanos=7)
    single = collector.SendMetricsRequest(metrics=one)
    yield Request(path=f"{_COLLECTOR}/SendMetrics", headers=proto, body=single.SerializeToString())
    yield Request(path=f"{_COLLECTOR}/SendMetrics", headers=proto, body=b"")
    begin, end = Timestamp(seconds=seconds - 60), Timestamp(seconds=seconds)
    rows = [
        one,
        collector.BillingMetrics(vm_id="", timestamp={"seconds": seconds}),
        collector.BillingMetrics(vm_id="stranger:pod", timestamp={"seconds": 1}, cpu_time_nanos=2**63),
        collector.BillingMetrics(vm_id="stranger:pod", cpu_time_nanos=9 * 10**9, cpu_cores_used=3.0, window_start=begin, window_end=end),
        collector.BillingMetrics(vm_id="stranger:odd", cpu_time_nanos=2**63, window_start=begin, window_end=end),
        collector.BillingMetrics(vm_id="stranger:odd", window_start={"seconds": seconds}, window_end={"seconds": seconds - 1}),
        collector.BillingMetrics(vm_id="stranger:odd", window_start={"seconds": 1, "nanos": -1}, window_end={"seconds": seconds}),
    ]
    batch = collector.SendMetricsBatchRequest(metrics=rows)
    yield Request(path=COLLECTOR_PATH, headers=proto, body=batch.SerializeToString())
    yield Request(path=COLLECTOR_PATH, headers={**proto, **LIMITED}, body=batch.SerializeToString())
    yield Request(path=COLLECTOR_PATH, headers=proto, body=b"")
    plain = {"metrics": [{"vmId": "stranger:pod", "timestamp": "2026-01-01T00:00:00Z", "cpuTimeNanos": "8"}]}
    yield Request(path=COLLECTOR_PATH, headers=text, body=json.dumps(plain).encode())
