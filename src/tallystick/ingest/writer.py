"""Group commit: one thread that stores what many requests brought in one transaction, and only then lets them be answered."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tallystick.ingest.submission import Clock, Observer, Receipt, Submission

GROUP_BYTES = 8 * 2**20
"""A group larger than this is not waited for any longer: it is stored at once."""

MOST_GROUPS = 4
"""A group is waited for at most so many times its time: a commit costs a millisecond, however little is in it."""

StoreGroup = Callable[[Sequence[Submission]], Sequence[Receipt]]
"""Stores all of a group in one transaction, or raises and stores nothing."""


class StoreFailed(Exception):  # noqa: N818 (it is a state of the world, not a fault)
    """The store could not take it now: nothing was stored, send again later."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiting:
    submission: Submission
    answer: asyncio.Future[Receipt]
    loop: asyncio.AbstractEventLoop


class GroupWriter:
    """The one thread of this process that writes batches.

    Requests are collected for `group_ms`, four times as long while more keep coming, or until 8 MiB are there, and stored
    together. A request whose storing fails is tried once more alone, so that it never costs its neighbours. How much waits
    is bounded at the door, where requests are let in.
    """

    def __init__(
        self,
        store_group: StoreGroup,
        *,
        clock: Clock,
        observer: Observer,
        group_ms: int,
    ) -> None:
        self._store_group = store_group
        self._clock = clock
        self._observer = observer
        self._group_ns = group_ms * 10**6
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._ending = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="ingest-writer", daemon=True)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what waits, then end."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether it stores."""
        return self._thread.is_alive()

    @property
    def waiting_bytes(self) -> int:
        """How much waits to be stored."""
        return self._waiting_bytes

    async def submit(self, submission: Submission) -> Receipt:
        """Store a submission durably, then tell what became of it.

        Raises:
            StoreFailed: the store could not take it, or the server ends.

        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(submission=submission, answer=loop.create_future(), loop=loop)
        with self._changed:
            if self._ending:
                raise StoreFailed("the server is shutting down")
            self._waiting.append(waiting)
            self._waiting_bytes += submission.size_bytes
            # Only the first of a group and one that fills it wake the writer: a change of threads for each costs both of them.
            if len(self._waiting) == 1 or self._waiting_bytes >= GROUP_BYTES:
                self._changed.notify()
        return await waiting.answer

    def _run(self) -> None:
        while True:
            group = self._next_group()
            try:
                if group:
                    self._store(group)
                elif self._ending:
                    return
            except BaseException as error:  # the thread must outlive whatever happens
                self._observer.failure("ingest-writer", error)
                self._answer(group, [StoreFailed("the store failed")] * len(group))

    def _next_group(self) -> list[_Waiting]:
        """What waits, once it is time; empty at the end."""
        with self._changed:
            if not self._waiting and not self._ending:
                self._changed.wait()
            if not self._waiting:
                return []
            self._collect()
            group: list[_Waiting] = []
            size = 0
            while self._waiting and (not group or size + self._waiting[0].submission.size_bytes <= GROUP_BYTES):
                size += self._waiting[0].submission.size_bytes
                group.append(self._waiting.popleft())
            self._waiting_bytes -= size
            return group

    def _collect(self) -> None:
        """Wait for more: at least for the time of a group, then as long as something came in its last half, at most four times."""
        began_ns, slice_ns, arrived = self._clock.monotonic_ns(), self._group_ns // 2, 0
        while not self._ending and self._waiting_bytes < GROUP_BYTES:
            waited_ns = self._clock.monotonic_ns() - began_ns
            is_quiet = len(self._waiting) == arrived
            if waited_ns >= MOST_GROUPS * self._group_ns or (is_quiet and waited_ns >= self._group_ns):
                return
            arrived = len(self._waiting)
            self._changed.wait(slice_ns / 10**9)

    def _store(self, group: Sequence[_Waiting]) -> None:
        try:
            self._answer(group, self._store_group([each.submission for each in group]))
        except Exception as error:  # any fault of the store or of one submission
            self._observer.failure("store_group", error)
            if len(group) == 1:
                self._answer(group, [StoreFailed(f"the store failed: {type(error).__name__}")])
                return
            for each in group:
                self._store([each])

    @staticmethod
    def _answer(group: Sequence[_Waiting], results: Sequence[Receipt | Exception]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Receipt], Receipt | Exception]]] = {}
        for each, result in zip(group, results, strict=True):
            by_loop.setdefault(each.loop, []).append((each.answer, result))
        for loop, answers in by_loop.items():
            loop.call_soon_threadsafe(_deliver, answers)


def _deliver(answers: Sequence[tuple[asyncio.Future[Receipt], Receipt | Exception]]) -> None:
    for future, result in answers:
        if future.done():  # the client has gone: what it sent is stored all the same
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
