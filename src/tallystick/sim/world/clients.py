"""Clients that are not our agent: a daemon and a collector that send rows and windows, and one that sends usage records. They try again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.json_format import MessageToJson, Parse
from google.protobuf.timestamp_pb2 import Timestamp

from tallystick.proto.billing.collector.v1 import collector_pb2 as collector
from tallystick.proto.billing.v1 import billing_pb2 as daemon
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.sim.audit.truth import Reading, Truth
from tallystick.sim.machine.network import Link, Network, Reply, Request
from tallystick.sim.machine.scheduler import SECOND_NS, Process, Scheduler

DAEMON_VM, COLLECTOR_VM, WINDOW_POD, RECORD_JOB = "vm-daemon", "vm-collector", "pod-windows", "job-records"
DAEMON_PATH = "/billing.v1.BillingService/SendMetricsBatch"
COLLECTOR_PATH = "/billing.collector.v1.BillingCollectorService/SendMetricsBatch"
NATIVE_PATH = "/tallystick.v1.IngestService/Send"
WINDOW_SOURCE, RECORD_SOURCE = "billing.collector.v1", "exporter"
WINDOW_METERS = ("cpu.used", "disk.read", "disk.write", "disk.read_ops", "disk.write_ops", "network.rx", "network.tx")
TRIES = 6
ROW_INTERVAL_NS = 10 * SECOND_NS


@dataclass(slots=True)
class Client:
    """One of them: each `period_ns` it makes a request and tries until it is taken, or it gives up."""

    scheduler: Scheduler
    network: Network
    truth: Truth
    chance: random.Random
    make: Callable[[Client], tuple[Request, Callable[[Reply], None]]]
    period_ns: int
    counters: list[int]
    link: Link
    sent: int = 0
    last_ns: int = 0
    is_ending: bool = False
    is_done: bool = False

    def start(self, name: str) -> None:
        """Begin."""
        self.last_ns = self.scheduler.now_ns
        self.scheduler.spawn(Process(name), "client", self._run)

    def _run(self) -> None:
        while not self.is_ending:
            self.scheduler.sleep(self.period_ns / SECOND_NS)
            request, taken = self.make(self)
            for attempt in range(TRIES):
                try:
                    reply = self.network.post(self.link, request, 30)
                    if reply.status == 200 and not reply.body.startswith(b"<"):
                        taken(reply)
                        break
                except OSError:
                    pass
                self.scheduler.sleep(self.chance.uniform(1, 20 * (attempt + 1)))
        self.is_done = True

    def grow(self) -> list[int]:
        """Its counters now; at times they begin anew."""
        if self.chance.random() < 0.01:
            self.counters = [0] * len(self.counters)
        self.counters = [value + self.chance.randrange(10**9) for value in self.counters]
        return self.counters

    def instants(self) -> list[int]:
        """Of up to twenty samples since the last request."""
        now_ns = self.scheduler.now_ns
        step_ns = max(ROW_INTERVAL_NS, (now_ns - self.last_ns) // 20)
        found = list(range(self.last_ns + step_ns, now_ns + 1, step_ns))
        self.last_ns = found[-1] if found else self.last_ns
        return found or [now_ns]


def _stamp(at_ns: int) -> Timestamp:
    return Timestamp(seconds=at_ns // SECOND_NS, nanos=at_ns % SECOND_NS)


def _headers(kind: str) -> dict[str, str]:
    return {"Content-Type": f"application/{kind}"}


def _read(client: Client, vm: str, at_ns: int, values: tuple[int, ...]) -> None:
    client.truth.readings.setdefault((vm, ""), {})[at_ns] = Reading(at_ns, ROW_INTERVAL_NS, values)


def daemon_rows(client: Client) -> tuple[Request, Callable[[Reply], None]]:
    """Rows of a VM daemon, which has no counters of operations; at times one that cannot be."""
    rows, instants = [], client.instants()
    for at_ns in instants:
        cpu, read, written, received, sent = client.grow()
        memory = client.chance.randrange(2**34)
        _read(client, DAEMON_VM, at_ns, (memory, cpu, read, written, 0, 0, received, sent))
        rows.append(
            daemon.VMMetrics(
                timestamp=_stamp(at_ns),
                cpu_time_nanos=cpu,
                memory_usage_bytes=memory,
                disk_read_bytes=read,
                disk_write_bytes=written,
                network_rx_bytes=received,
                network_tx_bytes=sent,
            )
        )
    if client.chance.random() < 0.2:
        rows.append(daemon.VMMetrics(timestamp=_stamp(instants[-1] + 1), cpu_time_nanos=-1))
    client.chance.shuffle(rows)
    body = daemon.SendMetricsBatchRequest(vm_id=DAEMON_VM, customer_id="acme", metrics=rows).SerializeToString()
    acknowledged = {(DAEMON_VM, at_ns) for at_ns in instants}
    return Request(path=DAEMON_PATH, headers=_headers("proto"), body=body), lambda _reply: client.truth.acknowledged_rows.update(
        acknowledged
    )


def collector_rows(client: Client) -> tuple[Request, Callable[[Reply], None]]:
    """Rows of a collector with all counters, and a window of another resource."""
    rows, instants = [], client.instants()
    for at_ns in instants:
        values = client.grow()
        memory = client.chance.randrange(2**34)
        _read(client, COLLECTOR_VM, at_ns, (memory, *values))
        rows.append(_metrics(COLLECTOR_VM, memory, values, timestamp=_stamp(at_ns)))
    until_ns = client.scheduler.now_ns
    from_ns = until_ns - client.period_ns // 2
    amounts = [client.chance.randrange(10**9) for _ in WINDOW_METERS]
    held = client.chance.randrange(2**40)
    rows.append(_metrics(WINDOW_POD, 0, amounts, window_start=_stamp(from_ns), window_end=_stamp(until_ns), memory_bytes_seconds=held))
    record_id = f"{from_ns}-{until_ns}-{WINDOW_POD}"
    records = {
        (WINDOW_SOURCE, record_id, meter): (WINDOW_POD, from_ns, until_ns, amount)
        for meter, amount in (*zip(WINDOW_METERS, amounts, strict=True), ("memory.used", held * SECOND_NS))
    }
    client.truth.sent_records.update(records)
    body = collector.SendMetricsBatchRequest(metrics=rows).SerializeToString()

    def taken(reply: Reply) -> None:
        told = collector.SendMetricsBatchResponse.FromString(reply.body)
        if not (told.refused or told.quarantined):
            client.truth.acknowledged_rows.update((COLLECTOR_VM, at_ns) for at_ns in instants)
            client.truth.acknowledged_records.update(records)

    return Request(path=COLLECTOR_PATH, headers=_headers("proto"), body=body), taken


def _metrics(vm: str, memory: int, values: list[int], **more: object) -> collector.BillingMetrics:
    cpu, read, written, reads, writes, received, sent = values
    return collector.BillingMetrics(
        vm_id=vm,
        customer_id="acme",
        memory_bytes_used=memory,
        cpu_time_nanos=cpu,
        disk_read_bytes=read,
        disk_write_bytes=written,
        disk_read_ops=reads,
        disk_write_ops=writes,
        network_rx_bytes=received,
        network_tx_bytes=sent,
        **more,  # type: ignore[arg-type]  # of its own fields
    )


def usage_records(client: Client) -> tuple[Request, Callable[[Reply], None]]:
    """Usage records of an exporter, as JSON or binary; each over a window that need not fit any cell."""
    request = wire.SendRequest()
    records: dict[tuple[str, str, str], tuple[str, int, int, int]] = {}
    until_ns = client.scheduler.now_ns
    for meter in ("http.requests", "gpu.used", "gpu.memory.used"):
        client.sent += 1
        amount = client.chance.choice((client.chance.randrange(1000), client.chance.randrange(2**90)))
        record = {"from": client.last_ns, "until": until_ns, "amount": str(amount), "meter": meter}
        request.records.add(source=RECORD_SOURCE, record_id=f"r{client.sent}", resource_id=RECORD_JOB, **record)
        records[RECORD_SOURCE, f"r{client.sent}", meter] = (RECORD_JOB, client.last_ns, until_ns, amount)
    client.last_ns = until_ns
    client.truth.sent_records.update(records)
    as_json = client.chance.random() < 0.5
    body = MessageToJson(request).encode() if as_json else request.SerializeToString()
    kind = "json" if as_json else "proto"

    def taken(reply: Reply) -> None:
        answer = Parse(reply.body, wire.SendResponse()) if as_json else wire.SendResponse.FromString(reply.body)
        for (key, content), told in zip(records.items(), answer.records, strict=True):
            if told.outcome in (wire.OUTCOME_STORED, wire.OUTCOME_REPEATED):
                client.truth.acknowledged_records[key] = content

    return Request(path=NATIVE_PATH, headers=_headers(kind), body=body), taken
