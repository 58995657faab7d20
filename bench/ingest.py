"""What it costs the server to take samples in on SQLite: CPU through HTTP to a durable acknowledgement, and bytes on disk.

Prints JSON lines. CPU is that of the server's whole process tree, from the first request until it is idle.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench.measure import line, size_on_disk
from bench.streams import (
    COLLECTOR_PATH,
    DAEMON_PATH,
    NATIVE_PATH,
    PER_BATCH,
    collector_requests,
    cost,
    distinct_samples,
    native_requests,
    row_requests,
    send_all,
    streams,
)
from tests.keys import agent_key
from tests.servers import ServerProcess

NATIVE, TYPED, ROWS = (50, 30), (50, 12), (50, 3)
"""Resources and minutes of each measurement: 900,000 samples, 360,000 as typed columns, 90,000 as rows."""
UNIT = "CPU-s/million samples"


def warm(server: ServerProcess, key: str) -> None:
    """A few batches of other resources, so that the first ones measured do not pay for what happens once."""
    send_all(server.port, NATIVE_PATH, key, native_requests(streams(2, 2, seed=3), prefix="warm"))


def native(folder: Path) -> None:
    """Byte planes, 20 batches a request over 4 connections."""
    key, sent = agent_key(folder), streams(*NATIVE, seed=1)
    requests = native_requests(sent)
    with ServerProcess(folder) as server:
        warm(server, key)
        before = size_on_disk(folder)
        value = cost(server, NATIVE_PATH, key, requests, len(sent) * PER_BATCH)
        stored = (size_on_disk(folder) - before) / distinct_samples(sent)
    line("ingest_native_sqlite", value, UNIT, "native protocol, SQLite, 20 batches of 600 a request", 0.40)
    line("stored_bytes_per_sample", stored, "bytes", "growth of the data directory, log included, per sample", 18)


def single_batches(folder: Path) -> None:
    """Byte planes, one batch a request over 16 connections: group commit."""
    key, sent = agent_key(folder), streams(*NATIVE, seed=1)
    requests = native_requests(sent, 1)
    with ServerProcess(folder) as server:
        warm(server, key)
        value = cost(server, NATIVE_PATH, key, requests, len(sent) * PER_BATCH, connections=16)
    line("single_batch_sqlite_cpu_s", value, UNIT, "native protocol, SQLite, one batch of 600 a request, 16 connections", 0.7)


def typed_columns(folder: Path) -> None:
    """Typed columns of differences, as any client can send them, 20 batches a request."""
    key, sent = agent_key(folder), streams(*TYPED, seed=1)
    requests = native_requests(sent, typed=True)
    with ServerProcess(folder) as server:
        warm(server, key)
        value = cost(server, NATIVE_PATH, key, requests, len(sent) * PER_BATCH)
    line("columns_sqlite_cpu_s", value, UNIT, "typed columns, SQLite, 20 batches of 600 a request", 0.65)


def rows_of_daemons(folder: Path) -> None:
    """Rows of existing VM daemons, a batch a request."""
    key, sent = agent_key(folder), streams(*ROWS, seed=2)
    requests = row_requests(sent)
    with ServerProcess(folder) as server:
        value = cost(server, DAEMON_PATH, key, requests, len(sent) * PER_BATCH)
    line("ingest_row_daemon_sqlite", value, UNIT, "existing VM daemons, a batch of 600 rows a request", 3.3)


def rows_of_collectors(folder: Path) -> None:
    """Rows of a collector, a minute of five resources a request."""
    key, sent = agent_key(folder), streams(*ROWS, seed=2)
    requests = collector_requests(sent)
    with ServerProcess(folder) as server:
        value = cost(server, COLLECTOR_PATH, key, requests, len(sent) * PER_BATCH)
    line("ingest_row_collector_sqlite", value, UNIT, "collector of a billing service, 3,000 rows of 5 resources a request", 3.3)


def main() -> None:
    """Each on a new server with a new store."""
    for measure in (native, single_batches, typed_columns, rows_of_daemons, rows_of_collectors):
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
            measure(Path(folder) / "state")


if __name__ == "__main__":
    main()
