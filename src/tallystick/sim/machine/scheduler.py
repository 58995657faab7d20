"""Virtual time, and tasks that run one at a time: each has a thread of its own, and a baton says whose turn it is.

A task goes on until it waits; then the next event is taken, in order of time and of its making. So a run is the same each time, and what
the product does in threads and loops is run as it is written.
"""

from __future__ import annotations

import _thread
import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SECOND_NS = 10**9


class Killed(BaseException):
    """Raised in every task of a process that was killed, wherever it waits."""


@dataclass(eq=False, slots=True)
class Process:
    """Tasks that die together. `belongings` is what its simulated system calls need: its disk, its host's link."""

    name: str
    belongings: Any = None
    alive: bool = True
    tasks: list[Task] = field(default_factory=list)


class Task:
    """One thread of a process, going on only when it is its turn."""

    def __init__(self, scheduler: Scheduler, process: Process, name: str, body: Callable[[], object]) -> None:
        self.process, self.name = process, name
        self.ended = False
        self.error: BaseException | None = None
        self._scheduler, self._body = scheduler, body
        self._go = _thread.allocate_lock()
        self._go.acquire()
        self._parked = 0
        self._is_parked = True
        self._thread = threading.Thread(target=self._run, name=f"{process.name}/{name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._go.acquire()
        self._is_parked = False
        try:
            if self.process.alive:
                self._body()
        except Killed:
            pass
        except BaseException as error:  # whatever ends a thread of the product is for the auditor
            self.error = error
        self.ended = True
        self._scheduler.give_back()

    def park(self, seconds: float | None) -> None:
        """Wait until woken, or for so many seconds of virtual time.

        Raises:
            Killed: its process was killed before or meanwhile.

        """
        if not self.process.alive:
            raise Killed
        self._parked += 1
        self._is_parked = True
        if seconds is not None:
            self._scheduler.after(max(0, round(seconds * SECOND_NS)), self._waker())
        self._scheduler.give_back()
        self._go.acquire()
        self._is_parked = False
        if not self.process.alive:
            raise Killed

    def wake(self) -> None:
        """End its wait at this instant."""
        if self._is_parked and not self.ended:
            self._scheduler.after(0, self._waker())

    def _waker(self) -> Callable[[], None]:
        parked = self._parked

        def go_on() -> None:
            if self._is_parked and self._parked == parked and not self.ended:
                self._scheduler.hand_to(self)

        return go_on

    def release(self) -> None:
        """Let the thread go on: only the scheduler, which then waits."""
        self._go.release()

    def bury(self) -> None:
        """Let every wait of a killed task end in `Killed` until nothing of it is left."""
        while not self.ended:
            self._scheduler.hand_to(self)
        self._thread.join()


class Scheduler:
    """The one who says what happens next. `now_ns` is true time, which only the scheduler and the auditor know."""

    def __init__(self, start_ns: int) -> None:
        self.now_ns = start_ns
        self.events = 0
        self.current: Task | None = None
        self.errors: list[tuple[str, BaseException]] = []
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._made = 0
        self._back = _thread.allocate_lock()
        self._back.acquire()

    def at(self, at_ns: int, action: Callable[[], None]) -> None:
        """Do this at an instant."""
        self._made += 1
        heapq.heappush(self._heap, (max(at_ns, self.now_ns), self._made, action))

    def after(self, delay_ns: int, action: Callable[[], None]) -> None:
        """Do this so many nanoseconds from now."""
        self.at(self.now_ns + delay_ns, action)

    def run(self, until_ns: int) -> None:
        """Everything that is due until an instant, which is now then."""
        while self._heap and self._heap[0][0] <= until_ns:
            self.now_ns, _, action = heapq.heappop(self._heap)
            self.events += 1
            action()
        self.now_ns = max(self.now_ns, until_ns)

    def spawn(self, process: Process, name: str, body: Callable[[], object]) -> Task:
        """A new task of a process; its first turn is now, after what is due before."""
        task = Task(self, process, name, body)
        process.tasks.append(task)
        task.wake()
        return task

    def kill(self, process: Process) -> None:
        """End a process as `kill -9` does: nothing of it goes on, nothing it holds is written."""
        process.alive = False
        self.after(0, lambda: self._bury(process))

    def bury(self, process: Process) -> None:
        """End a process and wait until nothing of it is left; never from one of its own tasks."""
        process.alive = False
        self._bury(process)

    def _bury(self, process: Process) -> None:
        for task in process.tasks:
            if not task.ended:
                task.bury()

    def sleep(self, seconds: float | None) -> None:
        """What `time.sleep` is in a task."""
        self.task().park(seconds)

    def task(self) -> Task:
        """Whose turn it is.

        Raises:
            RuntimeError: nobody's: something that waits was called by an event itself.

        """
        if self.current is None:
            raise RuntimeError("only a task can wait")
        return self.current

    def hand_to(self, task: Task) -> None:
        """Let a task go on until it waits or ends."""
        self.current = task
        task.release()
        self._back.acquire()
        self.current = None
        if task.ended and task.error is not None:
            error, task.error = task.error, None
            self.errors.append((f"{task.process.name}/{task.name}", error))

    def give_back(self) -> None:
        """The present task waits, or has ended."""
        self._back.release()
