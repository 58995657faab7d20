"""`threading`, `queue` and `time` in virtual time: what the product imports under these names while it is simulated.

Only one task runs at a time and none is interrupted, so a lock has nothing to do; waiting hands the turn on.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from tallystick.sim.machine.scheduler import Scheduler, Task


class Waiters:
    """Tasks that wait for one thing."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._tasks: list[Task] = []

    def wait(self, seconds: float | None) -> bool:
        """Wait to be woken; whether it was, and not the time that ended it."""
        task = self._scheduler.task()
        self._tasks.append(task)
        try:
            task.park(seconds)
            return task not in self._tasks
        finally:
            if task in self._tasks:
                self._tasks.remove(task)

    def wake(self, most: int | None = None) -> None:
        """Wake all, or the first few."""
        woken, self._tasks = self._tasks[:most], [] if most is None else self._tasks[most:]
        for task in woken:
            task.wake()


class Event:
    """`threading.Event`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._waiters = Waiters(scheduler)
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it is."""
        return self._is_set

    def set(self) -> None:
        """Set it, and let all go on that wait."""
        self._is_set = True
        self._waiters.wake()

    def clear(self) -> None:
        """Set it no longer."""
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set; whether it is."""
        if not self._is_set:
            self._waiters.wait(timeout)
        return self._is_set


class Condition:
    """`threading.Condition`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waiters = Waiters(scheduler)

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *raised: object) -> None:
        return None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait to be notified; whether it was."""
        return self._waiters.wait(timeout)

    def wait_for(self, predicate: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until the predicate holds, or so long; whether it holds."""
        until_ns = None if timeout is None else self._scheduler.now_ns + round(timeout * 10**9)
        while not predicate():
            left = None if until_ns is None else (until_ns - self._scheduler.now_ns) / 10**9
            if left is not None and left <= 0:
                return False
            self._waiters.wait(left)
        return True

    def notify(self, n: int = 1) -> None:
        """Wake so many."""
        self._waiters.wake(n)

    def notify_all(self) -> None:
        """Wake all."""
        self._waiters.wake()


class Thread:
    """`threading.Thread`: another task of the process that makes it."""

    def __init__(
        self, scheduler: Scheduler, *, target: Callable[..., object], args: Sequence[Any] = (), name: str = "thread", daemon: bool = False
    ) -> None:
        self._scheduler, self._target, self.name = scheduler, partial(target, *args), name
        self._ended = Event(scheduler)
        self._task: Task | None = None

    def start(self) -> None:
        """Begin."""
        self._task = self._scheduler.spawn(self._scheduler.task().process, self.name, self._run)

    def _run(self) -> None:
        try:
            self._target()
        finally:
            self._ended.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, or so long."""
        self._ended.wait(timeout)

    def is_alive(self) -> bool:
        """Whether it has begun and not ended."""
        return self._task is not None and not self._ended.is_set()


class SimpleQueue:
    """`queue.SimpleQueue`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._items: deque[Any] = deque()
        self._waiters = Waiters(scheduler)

    def put(self, item: Any) -> None:  # noqa: ANN401 (as the real one)
        """Put something in."""
        self._items.append(item)
        self._waiters.wake(1)

    def get(self) -> Any:  # noqa: ANN401 (as the real one)
        """Take the oldest, waiting for it."""
        while not self._items:
            self._waiters.wait(None)
        return self._items.popleft()

    def get_nowait(self) -> Any:  # noqa: ANN401 (as the real one)
        """Take the oldest.

        Raises:
            queue.Empty: there is none.

        """
        if not self._items:
            raise queue.Empty
        return self._items.popleft()


def threading_of(scheduler: Scheduler) -> SimpleNamespace:
    """What stands for the module `threading`."""
    return SimpleNamespace(Thread=partial(Thread, scheduler), Event=partial(Event, scheduler), Condition=partial(Condition, scheduler))


def queue_of(scheduler: Scheduler) -> SimpleNamespace:
    """What stands for the module `queue`."""
    return SimpleNamespace(SimpleQueue=partial(SimpleQueue, scheduler), Empty=queue.Empty)


def time_of(scheduler: Scheduler) -> SimpleNamespace:
    """What stands for the module `time`."""
    return SimpleNamespace(sleep=scheduler.sleep, perf_counter=lambda: scheduler.now_ns / 10**9)
