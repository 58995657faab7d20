"""What it costs the server to take samples in: CPU-seconds per million samples through HTTP to a durable acknowledgement.

Prints JSON lines. CPU is that of the server's whole process tree, from the first request until it is idle.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.measure import Connection, line, size_on_disk, until_idle
from tallystick.ingest.writer import SETTLE_SECONDS
from tallystick.meter.planes import encode
from tallystick.meter.samples import Samples
from tallystick.model.samples import ALL_COLUMNS_MASK
from tallystick.proto.billing.v1 import billing_pb2 as rows_wire
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tests.keys import agent_key
from tests.servers import ServerProcess, cpu_seconds

INTERVAL_NS = 100_000_000
PER_BATCH = 600
BATCHES_PER_REQUEST = 20
CONNECTIONS = 4
START_NS = 1_767_225_600 * 10**9 - 300 * 10**9
"""Five minutes before midnight of 2026-01-01, so that a stream crosses cells and an hour."""
NATIVE_SHARE, ROW_SHARE = (50, 30), (50, 3)
"""Resources and minutes of each measurement: 900,000 samples, and 90,000 as rows."""


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


def native_requests(sent: Sequence[Sent]) -> list[bytes]:
    batches = [
        wire.Batch(
            resource_id=f"vm-{each.vm:06d}",
            boot_id=f"boot-{each.vm:06d}",
            spool_id="spool-1",
            sequence=each.minute + 1,
            interval_ns=INTERVAL_NS,
            planes=encode(Samples(values=each.values, mask=ALL_COLUMNS_MASK, interval_ns=INTERVAL_NS)),
        )
        for each in sent
    ]
    groups = [batches[low : low + BATCHES_PER_REQUEST] for low in range(0, len(batches), BATCHES_PER_REQUEST)]
    return [wire.SendRequest(batches=group).SerializeToString() for group in groups]


def row_requests(sent: Sequence[Sent]) -> list[bytes]:
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


def send_all(port: int, path: str, key: str, requests: Sequence[bytes]) -> None:
    """Over several kept connections, each taking every fourth request, in order."""
    failures: list[str] = []

    def run(first: int) -> None:
        connection = Connection(port, path, key)
        for body in requests[first::CONNECTIONS]:
            status, reply = connection.post(body)
            if status != 200:
                failures.append(f"{status} {reply[:300]!r}")
                return

    threads = [threading.Thread(target=run, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"bench/ingest.py: a request failed: {failures[0]}")


def cost(server: ServerProcess, path: str, key: str, requests: Sequence[bytes], samples: int) -> float:
    until_idle(server.pid)
    before = cpu_seconds(server.pid)
    began = time.perf_counter()
    send_all(server.port, path, key, requests)
    took = time.perf_counter() - began
    time.sleep(SETTLE_SECONDS + 1)
    until_idle(server.pid)
    print(f"{path}: {samples} samples in {took:.2f} s, {samples / took:,.0f} samples/s", file=sys.stderr)
    return (cpu_seconds(server.pid) - before) / samples * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        state = Path(folder) / "native"
        key = agent_key(state)
        sent = streams(*NATIVE_SHARE, seed=1)
        warm = native_requests(streams(2, 2, seed=3))
        warm = [body.replace(b"vm-", b"wm-") for body in warm]
        requests = native_requests(sent)
        count = len(sent) * PER_BATCH
        true_count = len({(each.vm, each.minute) for each in sent}) * PER_BATCH
        with ServerProcess(state) as server:
            send_all(server.port, "/tallystick.v1.IngestService/Send", key, warm)
            before = size_on_disk(state)
            native = cost(server, "/tallystick.v1.IngestService/Send", key, requests, count)
            stored = (size_on_disk(state) - before) / true_count
            memory = server.peak_memory_mib
        line("ingest_native_sqlite", native, "CPU-s/million samples", "native protocol, SQLite, 20 batches of 600 a request", 0.40)
        line("stored_bytes_per_sample", stored, "bytes", "growth of the data directory, log included, per sample", 18)
        line("server_memory_mib", memory, "MiB", "largest resident memory of the server's processes", 300)
        rows = streams(*ROW_SHARE, seed=2)
        state = Path(folder) / "rows"
        key = agent_key(state)
        with ServerProcess(state) as server:
            bodies = row_requests(rows)
            path = "/billing.v1.BillingService/SendMetricsBatch"
            per_million = cost(server, path, key, bodies, len(rows) * PER_BATCH)
        line(
            "ingest_row_daemon_sqlite",
            per_million,
            "CPU-s/million samples",
            "existing VM daemons, a batch of 600 rows a request",
            3.3,
        )


if __name__ == "__main__":
    main()
