"""How the cost of taking samples in grows: twice the resources, twice the time, twice the backlog that is there already.

Prints JSON lines: CPU-seconds per million samples as a ratio to the smaller work, on SQLite. 1 is a cost that does not grow.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench.measure import line
from bench.streams import NATIVE_PATH, PER_BATCH, cost, native_requests, send_all, streams
from tests.keys import agent_key
from tests.servers import ServerProcess

RESOURCES, MINUTES = 40, 12
"""Of the smaller work: 288,000 samples."""
GOAL = 1.2


def price(resources: int, minutes: int, stored_before: int = 0) -> float:
    """CPU-seconds per million samples on a store that holds so many resources' samples of as long a time already."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name) / "state"
        key, sent = agent_key(folder), streams(resources, minutes, seed=5)
        with ServerProcess(folder) as server:
            send_all(server.port, NATIVE_PATH, key, native_requests(streams(max(2, stored_before), minutes, seed=6), prefix="before"))
            return cost(server, NATIVE_PATH, key, native_requests(sent), len(sent) * PER_BATCH)


def main() -> None:
    """Each on a new server with a new store."""
    once = price(RESOURCES, MINUTES)
    for name, value, what in (
        ("growth_ingest_twice_the_resources", price(2 * RESOURCES, MINUTES), "twice the resources"),
        ("growth_ingest_twice_the_time", price(RESOURCES, 2 * MINUTES), "twice the time"),
        ("growth_ingest_on_a_full_store", price(RESOURCES, MINUTES, 2 * RESOURCES), "a store that holds twice as much already"),
    ):
        line(name, value / once, "ratio", f"CPU of the ingest per sample with {what}: {value:.2f}, else {once:.2f} CPU-s/million", GOAL)


if __name__ == "__main__":
    main()
