"""The group writer: many requests in one transaction, a fault never costs a neighbour."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from tallystick.ingest.submission import Receipt, Submission
from tallystick.ingest.writer import GroupWriter, StoreFailed
from tallystick.model.access import Grant, Place, Role
from tallystick.model.outcomes import BatchResult, Outcome

STORED = Receipt(batches=(BatchResult(outcome=Outcome.STORED),))


class Ticks:
    def __init__(self) -> None:
        self._loop_ns = 0

    def now_ns(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        self._loop_ns += 10**6
        return self._loop_ns


class Watch:
    def __init__(self) -> None:
        self.failures: list[str] = []

    def request(self, method: str, code: str, seconds: float) -> None: ...

    def outcome(self, kind: str, outcome: str, count: int) -> None: ...

    def commit(self, batches: int, samples: int, seconds: float, stored_seconds: float) -> None: ...

    def failure(self, what: str, error: BaseException) -> None:
        self.failures.append(what)


class Groups:
    """A store that notes the groups it is given, waits while it is held, and fails on marked submissions."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, group: Sequence[Submission]) -> Sequence[Receipt]:
        self.free.wait(10)
        self.sizes.append(len(group))
        if any(each.grant.key_id == "bad" for each in group):
            raise RuntimeError("cannot")
        return [STORED] * len(group)


def submission(key_id: str = "good", size_bytes: int = 100) -> Submission:
    grant = Grant(key_id=key_id, role=Role.AGENT, place=Place())
    return Submission(grant=grant, received_at_ns=1, size_bytes=size_bytes)


def made(store: Groups, watch: Watch) -> GroupWriter:
    writer = GroupWriter(store, clock=Ticks(), observer=watch, group_ms=5)
    writer.start()
    return writer


def test_what_comes_together_is_stored_together() -> None:
    store = Groups()
    writer = made(store, Watch())

    async def run() -> Sequence[Receipt]:
        store.free.clear()
        first = asyncio.create_task(writer.submit(submission()))
        await asyncio.sleep(0.1)
        rest = [asyncio.create_task(writer.submit(submission())) for _ in range(7)]
        await asyncio.sleep(0)
        store.free.set()
        return await asyncio.gather(first, *rest)

    assert asyncio.run(run()) == [STORED] * 8
    writer.stop()
    assert store.sizes == [1, 7]


def test_a_fault_never_costs_a_neighbour() -> None:
    store, watch = Groups(), Watch()
    writer = made(store, watch)

    async def run() -> Sequence[object]:
        store.free.clear()
        tasks = [asyncio.create_task(writer.submit(submission(name))) for name in ("good", "bad", "good")]
        await asyncio.sleep(0.1)
        store.free.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(run())
    writer.stop()
    assert found[0] == STORED
    assert isinstance(found[1], StoreFailed)
    assert found[2] == STORED
    assert watch.failures


def test_what_waits_is_stored_at_the_end_and_no_more_is_taken() -> None:
    store = Groups()
    writer = made(store, Watch())

    async def run() -> Sequence[object]:
        store.free.clear()
        tasks = [asyncio.create_task(writer.submit(submission()))]
        await asyncio.sleep(0.1)
        tasks += [asyncio.create_task(writer.submit(submission())) for _ in range(3)]
        await asyncio.sleep(0)
        ended = asyncio.get_running_loop().run_in_executor(None, writer.stop)
        await asyncio.sleep(0.05)
        with pytest.raises(StoreFailed, match="shutting down"):
            await writer.submit(submission())
        store.free.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        await ended
        return found

    found = asyncio.run(run())
    assert found == [STORED] * 4


def test_a_client_that_has_gone_costs_nobody() -> None:
    store = Groups()
    writer = made(store, Watch())

    async def run() -> Receipt:
        store.free.clear()
        gone = asyncio.create_task(writer.submit(submission()))
        stays = asyncio.create_task(writer.submit(submission()))
        await asyncio.sleep(0.1)
        gone.cancel()
        store.free.set()
        return await stays

    assert asyncio.run(run()) == STORED
    writer.stop()
