"""What the server holds in memory while 1,000 agents send at once, each over a connection of its own; also with twice the backlog,
and when each comes back with an hour of samples in one request.

Prints JSON lines. Every agent is an instance of its own with two resources and a heartbeat, and sends what it has as fast as it is
answered: a backlog of so many minutes. Memory is the largest resident set of each process of the server. What is not stored at the
end, or stored twice, ends it with an error.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import numpy as np

from bench.measure import line
from bench.streams import INTERVAL_NS, NATIVE_PATH, PER_BATCH, START_NS
from tallystick.app.clock import SystemClock
from tallystick.meter.planes import encode
from tallystick.meter.samples import Samples
from tallystick.model.samples import ALL_COLUMNS_MASK
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.store.store import open_store
from tests.integration.returning import Crowd
from tests.keys import agent_key, sqlite_url
from tests.servers import ServerProcess, cpu_seconds

AGENTS = int(os.environ.get("BENCH_AGENTS", "1000"))
RESOURCES = 2
BACKLOG_MINUTES = 2
AWAY_MINUTES = 60
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
        while (wait := await ask(reader, writer, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)) is not None:
            await asyncio.sleep(wait)
    writer.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int | None:
    """Send a request; for how long it is asked to wait, None: it was taken."""
    writer.write(request)
    answer = await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(b"\r\n0\r\n\r\n")  # answers come in chunks
    if b" 429 " in answer:
        return int(answer.lower().partition(b"retry-after: ")[2].partition(b"\r")[0])
    if b" 200 " not in answer:
        raise SystemExit(f"bench/memory.py: {answer!r}")
    return None


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


def stored_samples(folder: Path) -> int:
    """What the store holds."""
    store = open_store(sqlite_url(folder), SystemClock())
    try:
        with store.read() as tx:
            return int(tx.rows("SELECT sum(samples) FROM segment", ())[0][0])
    finally:
        store.close()


def returning() -> None:
    """Agents that come back at the same second: they come again when they are told to, until all is stored."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name) / "state"
        key, crowd = agent_key(folder), Crowd(agents=AGENTS, requests=1, batches=AWAY_MINUTES)
        with ServerProcess(folder) as server:
            asyncio.run(crowd.send(server.port, [key]))
            memory, cpu = server.peak_memory_mib, cpu_seconds(server.pid)
            stored = stored_samples(folder)
        if stored != crowd.samples:
            raise SystemExit(f"bench/memory.py: {crowd.samples} samples were sent, {stored} are stored")
    what = f"{AGENTS} agents come back at once, each with {AWAY_MINUTES} minutes in a request"
    line("returning_agents_peak_mib", memory, "MiB", f"largest memory of the server while {what}", GOAL_MIB)
    line("returning_agents_drained_s", crowd.seconds, "s", f"until all {crowd.samples} samples of theirs are stored: {what}", 60)
    line("returning_agents_asked_to_wait", crowd.refused / AGENTS, "times", f"refusals of an agent; at most {crowd.most_refusals}", 5)
    line("returning_agents_cpu_s", cpu / (crowd.samples / 1e6), "CPU-s/million samples", f"of the server, refusals included: {what}", 0.5)


def main() -> None:
    """Once, and with twice as much to send; then those that come back."""
    once, twice = peak_mib(BACKLOG_MINUTES), peak_mib(2 * BACKLOG_MINUTES)
    what = f"largest resident memory of the server while {AGENTS} agents send at once, {BACKLOG_MINUTES} minutes each"
    line("server_memory_mib", once, "MiB", what, GOAL_MIB)
    line("growth_memory_twice_the_backlog", twice / once, "ratio", f"the server's memory with twice the backlog: {twice:.0f} MiB", 1.1)
    returning()


if __name__ == "__main__":
    main()
