"""The three workloads of the first bill while they run: begun, ended, begun again, and what the kernel says of each.

In control groups, a run is a group of its own that is removed at its end, so what starts again is another incarnation.
Without them, a run is a single-threaded process that is read as a zombie before it is reaped.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tools.bill.groups import Group, Hierarchies

LOAD = Path(__file__).with_name("load.py")


class Place(Protocol):
    """Where one run of a workload is metered."""

    def begin(self, child: subprocess.Popen[str]) -> int:
        """Put the waiting process where it is metered; the kernel's CPU time before it works, ns."""

    def end(self, child: subprocess.Popen[str]) -> int:
        """The kernel's CPU time of the ended process's place, ns, once it stands still."""

    def remove(self, child: subprocess.Popen[str]) -> None:
        """Take the place away: nothing is left to read."""


@dataclass(frozen=True, slots=True)
class InGroup:
    """A run in a control group of its own."""

    group: Group

    def begin(self, child: subprocess.Popen[str]) -> int:
        """A new group's counter is 0; it is read all the same."""
        self.group.make()
        before = self.group.cpu_nanos()
        self.group.enter(child.pid)
        return before

    def end(self, child: subprocess.Popen[str]) -> int:
        """The group's counter, with nobody in it."""
        child.wait()
        return self.group.settled_cpu_nanos()

    def remove(self, child: subprocess.Popen[str]) -> None:
        """Rmdir."""
        self.group.remove()


@dataclass(frozen=True, slots=True)
class InProc:
    """A run that is nothing but a process: metered from its birth, through /proc."""

    def begin(self, child: subprocess.Popen[str]) -> int:
        """Before a process was born it had used nothing."""
        return 0

    def end(self, child: subprocess.Popen[str]) -> int:
        """What schedstat shows of the zombie: it is not reaped before `remove`, so the very last of it can be read."""
        while _state(child.pid) != "Z":
            time.sleep(0.02)
        return schedstat_nanos(child.pid)

    def remove(self, child: subprocess.Popen[str]) -> None:
        """Reap it."""
        child.wait()


def schedstat_nanos(pid: int) -> int:
    """CPU time of a single-threaded process in ns, as /proc/PID/schedstat tells it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def command_of(pid: int) -> str:
    """The command name of a process, as the kernel has it."""
    return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@dataclass(slots=True)
class Reading:
    """What the kernel showed of one run, ns, and which resource it is metered as."""

    resource_id: str
    before_ns: int
    after_ns: int


@dataclass(slots=True)
class Run:
    """One run of a workload. `ended_at` is the script's monotonic clock when it was seen to have ended, s."""

    kind: str
    resource_id: str
    place: Place
    child: subprocess.Popen[str]
    before_ns: int
    after_ns: int = 0
    ended_at: float | None = None
    removed: bool = False

    def look(self) -> None:
        """Notice its end, and read the counter then."""
        if self.ended_at is None and _state(self.child.pid) == "Z":
            self.after_ns = self.place.end(self.child)
            self.ended_at = time.monotonic()

    def remove(self) -> Reading:
        """Read the counter once more, take its place away, and tell both readings.

        Raises:
            RuntimeError: the counter rose after the workload had ended, or the workload failed.

        """
        last = self.place.end(self.child)
        if last != self.after_ns:
            raise RuntimeError(f"{self.resource_id}: CPU time rose from {self.after_ns} to {last} ns after its end")
        self.place.remove(self.child)
        self.removed = True
        if self.child.returncode:
            raise RuntimeError(f"{self.resource_id}: the workload ended with {self.child.returncode}")
        return Reading(self.resource_id, self.before_ns, last)


@dataclass(slots=True)
class Workloads:
    """All runs so far, in groups below `parent` of `found`, or (None) as plain processes. `folder` is written to."""

    folder: Path
    found: Hierarchies | None
    parent: str
    runs: list[Run] = field(default_factory=list)

    def spawn(self, kind: str, seconds: float) -> subprocess.Popen[str]:
        """A workload that waits to be let go. The interpreter has started: what follows is its work."""
        folder = self.folder / kind
        folder.mkdir(exist_ok=True)
        child = subprocess.Popen(
            [sys.executable, "-S", str(LOAD), kind, str(seconds), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if child.stdout is None or child.stdout.readline() != "ready\n":
            raise RuntimeError(f"the workload {kind} did not start")
        return child

    def begin(self, kind: str, resource_id: str, child: subprocess.Popen[str]) -> Run:
        """Put a waiting workload in its place and let it go."""
        place: Place = InGroup(Group(self.found, f"{self.parent}/{kind}")) if self.found else InProc()
        run = Run(kind=kind, resource_id=resource_id, place=place, child=child, before_ns=place.begin(child))
        self.runs.append(run)
        if child.stdin is not None:
            child.stdin.write("go\n")
            child.stdin.flush()
        return run

    def clean(self) -> None:
        """End whatever still runs."""
        for run in self.runs:
            if run.child.returncode is None:
                run.child.kill()
                run.child.wait()
