"""What the server holds in memory while 1,000 agents send at once, each over a connection of its own; also with twice the backlog.

Prints JSON lines. Every agent is an instance of its own with two resources and a heartbeat, and sends what it has as fast as it is
answered: a backlog of so many minutes. Memory is the largest resident set of each process of the server.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import numpy as np

from bench.measure import line
from bench.streams import INTERVAL_NS, NATIVE_PATH, PER_BATCH, START_NS
from tallystick.meter.planes import encode
from tallystick.meter.samples import Samples
from tallystick.model.samples import ALL_COLUMNS_MASK
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tests.keys import agent_key
from tests.servers import ServerProcess

AGENTS = int(os.environ.get("BENCH_AGENTS", "1000"))
RESOURCES = 2
BACKLOG_MINUTES = 2
GOAL_MIB = 300


def payloads(minutes: int) -> list[bytes]:
    """A resource's batches, one for each minute; all resources have the same samples."""
    random = np.random.default_rng(7)
    values = np.cumsum(random.integers(0, 1_000_000, (9, minutes * PER_BATCH)), axis=1)
    values[0] = START_NS + np.arange(minutes * PER_BATCH) * INTERVAL_NS
    parts = np.split(values, minutes, axis=1)
    return [encode(Samples(values=part, mask=ALL_COLUMNS_MASK, interval_ns=INTERVAL_NS)) for part in parts]


def request(agent: int, minute: int, planes: bytes) -> bytes:
    """What an agent sends for a minute."""
    batches = [
        wire.Batch(
            resource_id=f"vm-{agent}-{number}",
            boot_id=f"boot-{agent}-{number}",
            spool_id=f"spool-{agent}",
            sequence=minute + 1,
            interval_ns=INTERVAL_NS,
            planes=planes,
        )
        for number in range(RESOURCES)
    ]
    beat = wire.Heartbeat(instance_id=f"host-{agent}", at=START_NS + 1, active_resources=[each.resource_id for each in batches])
    return wire.SendRequest(batches=batches, heartbeat=beat).SerializeToString()


async def send(port: int, key: str, agent: int, parts: list[bytes], ready: asyncio.Barrier) -> None:
    """One agent: it connects, waits until all have, and sends its backlog."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await ready.wait()
    for minute, planes in enumerate(parts):
        body = request(agent, minute, planes)
        head = f"POST {NATIVE_PATH} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\nauthorization: Bearer {key}\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        status = await reader.readline()
        if b" 200 " not in status:
            raise SystemExit(f"bench/memory.py: {status!r}")
        await reader.readuntil(b"\r\n0\r\n\r\n")  # answers come in chunks
    writer.close()


async def send_all(port: int, key: str, parts: list[bytes]) -> None:
    """All agents at once."""
    ready = asyncio.Barrier(AGENTS)
    await asyncio.gather(*(send(port, key, agent, parts, ready) for agent in range(AGENTS)))


def peak_mib(backlog_minutes: int) -> float:
    """The server's memory on a new store."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name) / "state"
        key = agent_key(folder)
        with ServerProcess(folder) as server:
            asyncio.run(send_all(server.port, key, payloads(backlog_minutes)))
            return server.peak_memory_mib


def main() -> None:
    """Once, and with twice as much to send."""
    once, twice = peak_mib(BACKLOG_MINUTES), peak_mib(2 * BACKLOG_MINUTES)
    what = f"largest resident memory of the server while {AGENTS} agents send at once, {BACKLOG_MINUTES} minutes each"
    line("server_memory_mib", once, "MiB", what, GOAL_MIB)
    line("growth_memory_twice_the_backlog", twice / once, "ratio", f"the server's memory with twice the backlog: {twice:.0f} MiB", 1.1)


if __name__ == "__main__":
    main()
