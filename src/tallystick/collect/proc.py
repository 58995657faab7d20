"""The /proc source: processes as resources, for hosts whose groups count no CPU."""

from __future__ import annotations

import os
import select
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from tallystick.collect.cgroup import is_ended, tell_too_many_files
from tallystick.collect.groups import read_small
from tallystick.collect.network import Namespaces, Network
from tallystick.collect.parse import ProcStat, proc_io_bytes
from tallystick.collect.patterns import matches_command
from tallystick.collect.resource import CPU, DISK_BYTES, MEASURED_AT, MEMORY, NETWORK, Found, GoneError, Row, Sizes

_NONE = -1
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_EXEC_LOOKS = 3
"""A new process still has the name of the one that made it until it calls exec: what no pattern chose is asked again at so many looks,
and does not count as seen at the first."""
_TICK_MS = 1000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcRules:
    """How processes are chosen and read. `process_cpu_ns` is the scheduler's clock of a process; None in recorded trees: schedstat then."""

    root: str
    host_boot: str
    match: tuple[str, ...]
    minimum_cpu_ms: int
    namespaces: Namespaces
    process_cpu_ns: Callable[[int], int] | None
    elsewhere: Callable[[], set[int]] = set


@dataclass(slots=True)
class _Process:
    """A process that was seen: its incarnation, its CPU time when it was first seen, and whether the settings choose it."""

    start_ticks: int
    found: Found
    first_ticks: int
    matches: bool
    is_metered: bool = False
    looks: int = 1


class ProcSource:
    """Processes of this host, kernel threads left out, once they have used the least CPU time that a setting names."""

    name = "proc"

    def __init__(self, rules: ProcRules) -> None:
        self._rules = rules
        self._known: dict[int, _Process] = {}
        self._looks = 0

    def look(self, running: Mapping[str, Found], ended_away: frozenset[str]) -> tuple[list[Found], list[str]]:
        """Processes to meter; keys of all others that are there (resource.Source)."""
        self._looks += 1
        elsewhere = self._rules.elsewhere()
        known: dict[int, _Process] = {}
        found: list[Found] = []
        others: list[str] = []
        for name in os.listdir(self._rules.root):
            if not name.isdigit():
                continue
            try:
                stat = ProcStat(read_small(f"{self._rules.root}/{name}/stat"))
            except (OSError, ValueError, IndexError):
                continue
            if stat.is_kernel_thread:
                continue
            one = self._process(int(name), stat)
            known[int(name)] = one
            if one.found.key in ended_away or (not stat.is_zombie and int(name) not in elsewhere and self._is_chosen(one, stat)):
                one.is_metered = True
                found.append(one.found)
            elif one.looks > 1 or self._looks == 1 or one.matches:
                others.append(one.found.key)
        self._known = known
        return found, others

    def open(self, found: Found) -> ProcessReader:
        """Open a process that the last look found."""
        return ProcessReader(found, self._rules)

    def _process(self, pid: int, stat: ProcStat) -> _Process:
        one = self._known.get(pid)
        if one is not None and one.start_ticks == stat.start_ticks:
            one.looks += 1
            if one.matches or one.looks > _EXEC_LOOKS:
                return one
        command_line = b""
        with suppress(OSError):
            command_line = read_small(f"{self._rules.root}/{pid}/cmdline").replace(b"\0", b" ").strip()
        found = Found(
            source=self.name,
            local=f"{stat.command}:{pid}",
            boot_id=f"{self._rules.host_boot}/{stat.start_ticks}",
            pid=pid,
            kind="process",
        )
        return _Process(
            start_ticks=stat.start_ticks,
            found=found,
            first_ticks=stat.cpu_ticks if self._looks == 1 else 0,
            matches=matches_command(stat.command, command_line.decode("utf-8", "replace"), self._rules.match),
            looks=one.looks if one is not None and one.start_ticks == stat.start_ticks else 1,
        )

    def _is_chosen(self, one: _Process, stat: ProcStat) -> bool:
        return one.matches and (one.is_metered or (stat.cpu_ticks - one.first_ticks) * _TICK_MS >= self._rules.minimum_cpu_ms)


class ProcessReader:
    """Reads one process through kept descriptors."""

    def __init__(self, found: Found, rules: ProcRules) -> None:
        """Raises GoneError if there is no such process."""
        self.presence = MEASURED_AT | CPU
        self._directory = f"{rules.root}/{found.pid}"
        self._pid, self._local, self._rules = found.pid, found.local, rules
        self._pidfd = self._statm_fd = self._io_fd = _NONE
        self._threads: dict[str, int] = {}
        self._ended_threads_ns = 0
        self._io = (0, 0)
        self._memory = 0
        try:
            if rules.process_cpu_ns is not None:
                self._pidfd = os.pidfd_open(found.pid)
            if self._is_other_process(found):
                raise GoneError(found.local)
        except OSError as error:
            tell_too_many_files(error, self._directory)
            raise GoneError(found.local) from None
        with suppress(OSError):
            self._statm_fd = os.open(f"{self._directory}/statm", os.O_RDONLY | os.O_CLOEXEC)
            self.presence |= MEMORY
        with suppress(OSError, ValueError):
            fd = os.open(f"{self._directory}/io", os.O_RDONLY | os.O_CLOEXEC)
            self._io_fd = fd
            self._io = proc_io_bytes(os.pread(fd, 512, 0))
            self.presence |= DISK_BYTES
        self._network: Network | None = rules.namespaces.network_of([found.pid])
        self.presence |= NETWORK if self._network else 0

    def read(self, at_ns: int) -> Row:
        """A sample at `at_ns`: CPU of all threads, resident memory, disk bytes (resource.Reader)."""
        try:
            clock = self._rules.process_cpu_ns
            cpu = self._threads_cpu_ns() if clock is None else clock(self._pid)
        except (OSError, ValueError):
            raise GoneError(self._local) from None
        try:
            if self._statm_fd >= 0:
                self._memory = int(os.pread(self._statm_fd, 128, 0).split()[1]) * _PAGE_BYTES
            if self._io_fd >= 0 and self.presence & DISK_BYTES:
                self._io = proc_io_bytes(os.pread(self._io_fd, 512, 0))
        except (OSError, ValueError, IndexError):
            pass  # it has ended and not been waited for: its clock can still be read, what it last held and moved stands
        received, sent = self._network.read() if self._network else (0, 0)
        return (at_ns, self._memory, cpu, self._io[0], self._io[1], 0, 0, received, sent)

    def take(self, rows: array[int], at_ns: int) -> None:
        """Put a sample to the others (resource.Reader)."""
        rows.extend(self.read(at_ns))

    def refresh(self) -> bool:
        """Nothing is read more seldom than at each tick."""
        return False

    def is_empty(self) -> bool:
        """Whether the process has ended, waited for or not."""
        if self._pidfd >= 0:
            return is_ended(self._pidfd)
        try:
            return ProcStat(read_small(f"{self._directory}/stat")).is_zombie
        except (OSError, ValueError, IndexError):
            return True

    def watch(self) -> tuple[int, int] | None:
        """The process itself tells of its end."""
        return None if self._pidfd < 0 or is_ended(self._pidfd) else (self._pidfd, select.EPOLLIN)

    def sizes(self) -> Sizes:
        """A process has none."""
        return Sizes()

    def close(self) -> None:
        """Close all descriptors."""
        for fd in (self._pidfd, self._statm_fd, self._io_fd):
            if fd >= 0:
                os.close(fd)
        if self._network:
            self._network.close()

    def _is_other_process(self, found: Found) -> bool:
        """Whether the number was given to another process since the look."""
        try:
            stat = ProcStat(read_small(f"{self._directory}/stat"))
        except (ValueError, IndexError):
            return True
        return found.boot_id != f"{self._rules.host_boot}/{stat.start_ticks}"

    def _threads_cpu_ns(self) -> int:
        """Sum of schedstat over the threads; what ended threads had used when last seen stays in it."""
        now: dict[str, int] = {}
        for thread in os.listdir(f"{self._directory}/task"):
            with suppress(OSError):
                now[thread] = int(read_small(f"{self._directory}/task/{thread}/schedstat").split()[0])
        if not now:
            raise OSError(self._local)
        self._ended_threads_ns += sum(used for thread, used in self._threads.items() if now.get(thread, -1) < used)
        self._threads = now
        return self._ended_threads_ns + sum(now.values())
