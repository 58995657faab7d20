"""The product beside VictoriaMetrics on the work of `../shared/peers`, in one run: how many times as much it takes, CPU and bytes.

Prints JSON lines. Run by itself it starts `run.py` there, which runs this script again as the product, with PEERS_DIR set: a real
server over HTTP with authentication, folding, identity and fsync, then the usage hours out of what it stored. Where that folder is
not, it says so and prints no figure. PEERS_VMS, PEERS_SECONDS and PEERS_ROUNDS make the run smaller or larger.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.measure import Connection, line, until_idle
from bench.streams import INTERVAL_NS, NATIVE_PATH
from tallystick.app.clock import SystemClock
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.app.serving.log import SETTLE_SECONDS
from tallystick.meter.planes import encode
from tallystick.meter.samples import Samples
from tallystick.model.access import Place
from tallystick.model.samples import ALL_COLUMNS_MASK, COUNTERS
from tallystick.model.usage import UsageHour
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.store.store import Store, open_store
from tests.keys import agent_key, sqlite_url
from tests.servers import ServerProcess, cpu_seconds

REPOSITORY = Path(__file__).resolve().parents[1]
PEERS = REPOSITORY.parent / "shared" / "peers"
METERS = ("cpu.used", "disk.read", "disk.write", "disk.read_ops", "disk.write_ops", "network.rx", "network.tx", "memory.used", "uptime")
"""Of an hour, in the order of the peers: seven counters, memory, uptime."""
Hours = Mapping[tuple[int, int], tuple[int | None, ...]]
Compare = Callable[[Hours, Hours], dict[str, float]]
WINDOW = 16
"""Requests that are encoded at once, outside of the clock."""


class Batch(Protocol):
    """A batch of the peers' workload."""

    resource: int
    sequence: int


class Work(Protocol):
    """The peers' workload."""

    samples_sent: int
    samples_true: int

    def columns(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Instants [n] and values [n, 8] of a batch."""
        ...

    def requests(self, batches_each: int) -> list[tuple[Batch, ...]]:
        """The batches in the order of arrival."""
        ...


def encoded(work: Work, batches: Sequence[Batch]) -> bytes:
    """One request of byte planes, as our agent sends it."""
    sent = wire.SendRequest()
    for each in batches:
        at_ns, values = work.columns(each)
        columns = np.vstack([at_ns, values[:, len(COUNTERS)], values[:, : len(COUNTERS)].T])
        sent.batches.add(
            resource_id=f"vm-{each.resource:06d}",
            boot_id=f"boot-{each.resource:06d}",
            spool_id="spool-1",
            sequence=each.sequence + 1,
            interval_ns=INTERVAL_NS,
            planes=encode(Samples(values=columns, mask=ALL_COLUMNS_MASK, interval_ns=INTERVAL_NS)),
        )
    return sent.SerializeToString()


def numbers(hour: UsageHour) -> tuple[int | None, ...]:
    """The nine integers of an hour."""
    return tuple(hour.total(meter) for meter in METERS)


def ingested(server: ServerProcess, key: str, work: Work) -> dict[str, Any]:
    """Send the work over one connection, as the peers are sent it; a server's CPU counts until it is idle again."""
    connection = Connection(server.port, NATIVE_PATH, key)
    requests = work.requests(int(os.environ.get("PEERS_BATCHES_PER_REQUEST", "20")))
    wall = client = 0.0
    before = cpu_seconds(server.pid)
    for low in range(0, len(requests), WINDOW):
        own = time.process_time()
        window = [encoded(work, request) for request in requests[low : low + WINDOW]]
        began = time.perf_counter()
        for body in window:
            status, reply = connection.post(body)
            if status != 200:
                raise SystemExit(f"a request failed: {status} {reply[:300]!r}")
        wall += time.perf_counter() - began
        client += time.process_time() - own
    time.sleep(SETTLE_SECONDS + 1)
    until_idle(lambda: cpu_seconds(server.pid))
    sent = work.samples_sent
    return {
        "samples_per_second": sent / wall,
        "cpu_seconds_per_million": (cpu_seconds(server.pid) - before) / sent * 1e6,
        "client_cpu_seconds_per_million": client / sent * 1e6,
    }


def product() -> None:
    """The product's line of a run of the peers."""
    sys.path.insert(0, os.environ["PEERS_DIR"])
    workload, process, run = (importlib.import_module(name) for name in ("workload", "process", "run"))
    work = workload.make(int(os.environ["PEERS_VMS"]), int(os.environ["PEERS_SECONDS"]), int(os.environ["PEERS_SEED"]))
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name) / "state"
        key = agent_key(folder)
        with ServerProcess(folder) as server:
            empty = process.size_of(folder)
            watch = process.MemoryWatch(server.pid)
            found = ingested(server, key, work)
            found["rss_peak_mib"] = watch.stop() / 2**20
            found["bytes_per_sample"] = (process.size_of(folder) - empty) / work.samples_true
            found["empty_store_bytes"] = empty
        store = open_store(sqlite_url(folder), SystemClock())
        try:
            found |= compared(store, run.compare, workload.true_usage(work), work.samples_true)
        finally:
            store.close()
    print(json.dumps(found))


def compared(store: Store, compare: Compare, truth: Hours, samples_true: int) -> dict[str, Any]:
    """Roll all hours up once, and hold them against the truth."""
    began = time.perf_counter()
    roll_up(store, DiskHorizon.CLOCK, time.time_ns())
    took = time.perf_counter() - began
    hours = {(int(each.resource_id[3:]), each.hour_ns): numbers(each) for _, each in store.usage.hours(Place())}
    stored = store.maintenance.sample_counts()[1]
    return {
        **compare(hours, truth),
        "repeats": "absorbed" if stored <= samples_true else f"{stored - samples_true} copies",
        "late": "taken" if stored >= samples_true else f"{samples_true - stored} lost",
        "rollup_seconds": took,
    }


def peers() -> None:
    """Run VictoriaMetrics and the product in turns, and print the ratios of their medians."""
    if not (PEERS / "run.py").exists():
        print(f"bench/peers.py: {PEERS} is not here, so no peer is measured", file=sys.stderr)
        return
    sizes = [f"--{name}={os.environ.get(f'PEERS_{name.upper()}', usual)}" for name, usual in (("vms", 20), ("seconds", 600), ("rounds", 3))]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.jsonl"
        command = [sys.executable, str(PEERS / "run.py"), "--peers", "victoriametrics", *sizes, "--no-month", "--out", str(out)]
        shown = subprocess.run(
            [*command, "--product", f"{sys.executable} -m bench.peers"], cwd=REPOSITORY, stdout=subprocess.PIPE, check=False
        )
        print(shown.stdout.decode(), file=sys.stderr)
        lines = {each["peer"]: each for each in map(json.loads, out.read_text().splitlines())}
    theirs, ours = lines["victoriametrics"], lines["product"]
    for each in (theirs, ours):
        if "error" in each:
            raise SystemExit(f"bench/peers.py: {each['peer']}: {each['error']}")
    told = f"{' '.join(sizes)}, medians"
    both = "VictoriaMetrics {0:.2f}, ours {1:.2f}"
    cpu = f"CPU-s per million samples, {both.format(theirs['cpu_seconds_per_million'], ours['cpu_seconds_per_million'])}"
    line("peer_victoriametrics_cpu_ratio", theirs["times_cpu"], "ratio", f"{cpu}; {told}", 10)
    size = f"bytes on disk per sample, {both.format(theirs['bytes_per_sample'], ours['bytes_per_sample'])}"
    size += f", without the {ours['empty_store_bytes'] / 2**20:.1f} MiB of a store with nothing in it"
    line("peer_victoriametrics_bytes_ratio", theirs["times_bytes"], "ratio", f"{size}; {told}", 1)
    late = f"resource hours in which all nine numbers are exact; repeats {ours['repeats']}, late {ours['late']}"
    line("usage_hours_exact_percent", ours["hours_exact_percent"], "%", late, 100)


if __name__ == "__main__":
    product() if "PEERS_DIR" in os.environ else peers()
