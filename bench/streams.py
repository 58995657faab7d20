"""The work of the ingest benchmarks: seeded streams of batches, as requests of each protocol, sent over several connections."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.measure import Connection, until_idle
from tallystick.app.serving.log import SETTLE_SECONDS
from tallystick.meter.planes import encode
from tallystick.meter.samples import Samples
from tallystick.model.samples import ALL_COLUMNS_MASK, COLUMNS
from tallystick.proto.billing.collector.v1 import collector_pb2 as collector_wire
from tallystick.proto.billing.v1 import billing_pb2 as rows_wire
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tests.servers import ServerProcess, cpu_seconds

INTERVAL_NS = 100_000_000
PER_BATCH = 600
START_NS = 1_767_225_600 * 10**9 - 300 * 10**9
"""Five minutes before midnight of 2026-01-01, so that a stream crosses cells and an hour."""
NATIVE_PATH = "/tallystick.v1.IngestService/Send"
COLLECTOR_PATH = "/billing.collector.v1.BillingCollectorService/SendMetricsBatch"
DAEMON_PATH = "/billing.v1.BillingService/SendMetricsBatch"


@dataclass(frozen=True)
class Sent:
    """A batch on its way: whose, which minute, and its columns [9, 600]."""

    vm: int
    minute: int
    values: np.ndarray


def streams(vms: int, minutes: int, seed: int) -> list[Sent]:
    """Minute by minute, VM by VM, in the order of arrival: 2 % come twice, 2 % at the very end.

    Instants have up to 2 ms of jitter; one VM in four has been up for months; one in ten restarts once.
    """
    random = np.random.default_rng(seed)
    count = minutes * PER_BATCH
    whole = np.empty((vms, 9, count), np.int64)
    for vm in range(vms):
        whole[vm, 0] = START_NS + np.arange(count) * INTERVAL_NS + random.integers(0, 2_000_000, count)
        whole[vm, 1] = np.clip((2 + vm % 15) * 2**30 + np.cumsum(random.integers(-64, 65, count)) * 4096, 2**28, 2**36)
        steps = np.stack(
            [
                random.integers(0, int(random.integers(1, 9)) * 100_000_000, count),
                random.integers(0, 4, count) * 4096 * random.integers(0, 64, count),
                random.integers(0, 4, count) * 4096 * random.integers(0, 64, count),
                random.integers(0, 40, count),
                random.integers(0, 40, count),
                random.integers(0, 1_500_000, count),
                random.integers(0, 400_000, count),
            ]
        )
        before = random.integers(10**12, 10**14, 7)
        if vm % 4 == 3:
            before[0] = random.integers(2**54, 2**56)
        whole[vm, 2:] = before[:, None] + np.cumsum(steps, axis=1)
        if vm % 10 == 5:
            restart = int(random.integers(1, count - 1))
            whole[vm, 2:, restart:] = np.cumsum(steps[:, restart:], axis=1)
    all_of_them = [(minute, vm) for minute in range(minutes) for vm in range(vms)]
    drawn = random.permutation(len(all_of_them))
    few = max(1, len(all_of_them) // 50)
    late, twice = set(drawn[:few].tolist()), set(drawn[few : 2 * few].tolist())
    in_time, at_the_end = [], []
    for place, (minute, vm) in enumerate(all_of_them):
        sent = Sent(vm, minute, whole[vm, :, minute * PER_BATCH : (minute + 1) * PER_BATCH])
        (at_the_end if place in late else in_time).append(sent)
        if place in twice:
            (in_time if place % 2 else at_the_end).append(sent)
    return in_time + at_the_end


def distinct_samples(sent: Sequence[Sent]) -> int:
    """How many samples there truly are, repeats left out."""
    return len({(each.vm, each.minute) for each in sent}) * PER_BATCH


def native_requests(sent: Sequence[Sent], batches_per_request: int = 20, *, typed: bool = False, prefix: str = "vm") -> list[bytes]:
    """Requests of the native protocol: byte planes, or `typed` columns of differences."""
    batches = [_batch(each, typed=typed, prefix=prefix) for each in sent]
    groups = [batches[low : low + batches_per_request] for low in range(0, len(batches), batches_per_request)]
    return [wire.SendRequest(batches=group).SerializeToString() for group in groups]


def _batch(sent: Sent, *, typed: bool, prefix: str) -> wire.Batch:
    batch = wire.Batch(
        resource_id=f"{prefix}-{sent.vm:06d}",
        boot_id=f"boot-{sent.vm:06d}",
        spool_id="spool-1",
        sequence=sent.minute + 1,
        interval_ns=INTERVAL_NS,
    )
    if not typed:
        batch.planes = encode(Samples(values=sent.values, mask=ALL_COLUMNS_MASK, interval_ns=INTERVAL_NS))
        return batch
    for name, column in zip(COLUMNS, np.diff(sent.values, prepend=0).tolist(), strict=True):
        getattr(batch.columns, name).extend(column)
    return batch


def row_requests(sent: Sequence[Sent]) -> list[bytes]:
    """Requests of the existing daemons: a batch of rows each."""
    found = []
    for each in sent:
        request = rows_wire.SendMetricsBatchRequest(vm_id=f"row-{each.vm:06d}", customer_id=f"customer-{each.vm // 20:04d}")
        for at, memory, cpu, read, write, _, _, received, sent_bytes in each.values.T.tolist():
            row = request.metrics.add(
                cpu_time_nanos=cpu,
                memory_usage_bytes=memory,
                disk_read_bytes=read,
                disk_write_bytes=write,
                network_rx_bytes=received,
                network_tx_bytes=sent_bytes,
            )
            row.timestamp.seconds, row.timestamp.nanos = divmod(at, 10**9)
        found.append(request.SerializeToString())
    return found


def collector_requests(sent: Sequence[Sent], batches_per_request: int = 5) -> list[bytes]:
    """Requests of a collector: the rows of some batches in the order of their instants."""
    found = []
    for low in range(0, len(sent), batches_per_request):
        rows = [(at, each.vm, values) for each in sent[low : low + batches_per_request] for at, *values in each.values.T.tolist()]
        request = collector_wire.SendMetricsBatchRequest()
        for at, vm, values in sorted(rows):
            whose = {"vm_id": f"collected-{vm:06d}", "customer_id": f"customer-{vm // 20:04d}", "region": "eu-1"}
            row = request.metrics.add(**whose, **dict(zip(COLUMNS[1:], values, strict=True)))
            row.timestamp.seconds, row.timestamp.nanos = divmod(at, 10**9)
        found.append(request.SerializeToString())
    return found


def send_all(port: int, path: str, key: str, requests: Sequence[bytes], connections: int = 4) -> None:
    """Over several kept connections at once, each taking every so-manieth request, in order."""
    failures: list[str] = []

    def run(first: int) -> None:
        connection = Connection(port, path, key)
        for body in requests[first::connections]:
            status, reply = connection.post(body)
            if status != 200:
                failures.append(f"{status} {reply[:300]!r}")
                return

    threads = [threading.Thread(target=run, args=(first,)) for first in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"a request failed: {failures[0]}")


def cost(
    server: ServerProcess,
    path: str,
    key: str,
    requests: Sequence[bytes],
    samples: int,
    *,
    connections: int = 4,
    database: int | None = None,
) -> float:
    """CPU-seconds per million samples of the server's process tree, and of a database's, from the first request until all is idle."""
    trees = [server.pid] if database is None else [server.pid, database]

    def used() -> float:
        return sum(cpu_seconds(pid) for pid in trees)

    until_idle(used)
    before, began = used(), time.perf_counter()
    send_all(server.port, path, key, requests, connections)
    took = time.perf_counter() - began
    time.sleep(SETTLE_SECONDS + 1)
    until_idle(used)
    print(f"{path}: {samples} samples in {took:.2f} s, {samples / took:,.0f} samples/s", file=sys.stderr)
    return (used() - before) / samples * 1e6
