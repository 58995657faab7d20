"""Agents that come back at the same second with a backlog, each over a connection of its own, and come again when they are told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tallystick.meter.planes import encode
from tallystick.meter.samples import Samples
from tallystick.model.samples import ALL_COLUMNS_MASK
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tests.integration.serving import AT_NS, SEND

PER_BATCH = 600
INTERVAL_NS = 10**8
MINUTE_NS = PER_BATCH * INTERVAL_NS


@dataclass
class Crowd:
    """So many agents, each with so many requests of so many batches of a minute; and what became of them."""

    agents: int
    requests: int
    batches: int
    refused: int = 0
    most_refusals: int = 0
    waits: list[int] = field(default_factory=list)
    stored: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        random = np.random.default_rng(7)
        values = np.cumsum(random.integers(0, 30_000, (9, self.requests * self.batches * PER_BATCH)), axis=1)
        values[0] = AT_NS + np.arange(values.shape[1]) * INTERVAL_NS
        minutes = np.split(values, self.requests * self.batches, axis=1)
        self._planes = [encode(Samples(values=each, mask=ALL_COLUMNS_MASK, interval_ns=INTERVAL_NS)) for each in minutes]

    @property
    def samples(self) -> int:
        return self.agents * self.requests * self.batches * PER_BATCH

    def _parts(self, agent: int, number: int) -> Sequence[bytes]:
        """A request, in parts: so many of them at once would else be the memory of the client."""
        minutes = range(number * self.batches, (number + 1) * self.batches)
        identity = {"resource_id": f"vm-{agent:05}", "boot_id": "boot-1", "spool_id": "spool-1", "interval_ns": INTERVAL_NS}
        return [
            wire.SendRequest(batches=[wire.Batch(**identity, sequence=minute + 1, planes=self._planes[minute])]).SerializeToString()
            for minute in minutes
        ]

    async def _agent(self, port: int, key: str, agent: int, ready: asyncio.Barrier) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await ready.wait()
        for number in range(self.requests):
            refusals = 0
            while (wait := await self._send(reader, writer, key, self._parts(agent, number))) is not None:
                refusals += 1
                self.waits.append(wait)
                await asyncio.sleep(wait)
            self.refused += refusals
            self.most_refusals = max(self.most_refusals, refusals)
        writer.close()

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str, parts: Sequence[bytes]) -> int | None:
        """Send a request; how long to wait before it is sent again, None: it was taken."""
        size = sum(map(len, parts))
        head = f"POST {SEND} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\nauthorization: Bearer {key}\r\n"
        writer.write(f"{head}content-length: {size}\r\n\r\n".encode())
        for part in parts:
            writer.write(part)
            await writer.drain()
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        headers = dict(line.split(": ", 1) for line in answer.split("\r\n")[1:] if line)
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = b"".join([part async for part in _chunks(reader)])
        if " 429 " in answer.split("\r\n", 1)[0]:
            return int(headers["retry-after"])
        assert " 200 " in answer.split("\r\n", 1)[0], answer
        outcomes = [each.outcome for each in wire.SendResponse.FromString(body).batches]
        assert outcomes == [wire.OUTCOME_STORED] * self.batches
        self.stored += len(outcomes)
        return None

    async def send(self, port: int, keys: Sequence[str]) -> None:
        """All of them at once, each with one of the keys in turn; until all is stored."""
        ready = asyncio.Barrier(self.agents)
        began = time.monotonic()
        await asyncio.gather(*(self._agent(port, keys[agent % len(keys)], agent, ready) for agent in range(self.agents)))
        self.seconds = time.monotonic() - began


async def _chunks(reader: asyncio.StreamReader):  # type: ignore[no-untyped-def]  # an asynchronous generator of bytes
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:size]
    await reader.readline()
