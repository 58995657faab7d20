"""An asyncio event loop in virtual time: where it would wait for sockets it hands its turn on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tallystick.sim.machine.scheduler import Scheduler, Task

_RESOLUTION_SECONDS = 1e-6
"""Finer than that a float does not tell the seconds of our century apart."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of a simulated server; `run_forever` is called by a task of its process."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._runner: Task | None = None
        self._woken = self._is_over = False
        self._selector = self
        self._clock_resolution = _RESOLUTION_SECONDS
        self.set_exception_handler(lambda _loop, _context: None)

    def end(self) -> None:
        """Its process is no more: what it had under way is ended, so that nothing of it is left to the machine."""
        self._is_over = True
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks))
        self.close()

    def time(self) -> float:
        """Virtual seconds."""
        return self._scheduler.now_ns / 10**9

    def select(self, timeout: float | None) -> list[object]:
        """Wait for what is due, or for a call from another task."""
        if (timeout is None or timeout > 0) and not self._woken and not self._is_over:
            self._runner = self._scheduler.task()
            self._runner.park(None if timeout is None else max(timeout, _RESOLUTION_SECONDS))
        self._woken = False
        return []

    def run_in_executor(  # type: ignore[override]  # its types are those of typeshed, which no one can write
        self,
        executor: Any,  # noqa: ANN401 (as the real one)
        func: Callable[..., Any],
        *args: Any,  # noqa: ANN401 (as the real one)
    ) -> Any:  # noqa: ANN401 (as the real one)
        """What would run in a thread beside the loop runs at once."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # whoever awaits it is told
            future.set_exception(error)
        return future

    def _process_events(self, event_list: list[object]) -> None:
        return None

    def _write_to_self(self) -> None:
        self._woken = True
        if self._runner is not None:
            self._runner.wake()
