"""The control group source: v1 and v2, each counter from where its controller is."""

from __future__ import annotations

import errno
import logging
import os
import select
from array import array
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from tallystick.collect.groups import (
    Choice,
    Group,
    GroupFinder,
    all_processes_below,
    is_populated,
    own_processes,
    processes_below,
    read_small,
)
from tallystick.collect.hierarchies import Hierarchies, domain_of
from tallystick.collect.network import Namespaces, Network, Taps
from tallystick.collect.parse import (
    blkio_has_devices,
    blkio_sums,
    cpu_max_vcpus,
    cpu_stat_nanos,
    inactive_file_bytes,
    io_stat,
    limit_bytes,
    populated,
    proc_cgroup_paths,
    whole_vcpus,
)
from tallystick.collect.resource import CPU, DISK_BYTES, DISK_OPS, MEASURED_AT, MEMORY, NETWORK, WIDTH, Found, GoneError, Row, Sizes

log = logging.getLogger(__name__)

_NONE = -1
_CPU_V1, _CPU_V2, _MEMORY, _BYTES_V1, _OPS_V1, _DISK_V2, _TAP = range(7)
"""What a text holds."""
_UNKNOWN = (None,) * 8
_RETRY_SECONDS = (1, 2, 3, 5, 10, 30)
"""After so many seconds a resource is asked again for what it lacked: a VM opens its tap, a process is moved into more groups."""
_AGAIN_SECONDS = 60


class Places(NamedTuple):
    """The directories of one resource by what is read there; None: it is counted nowhere."""

    cpu: str
    memory: str | None
    disk: str | None
    limits: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupRules:
    """How groups are read: roots, what memory means, and whether processes of this machine may be watched (not in recorded trees)."""

    hierarchies: Hierarchies
    namespaces: Namespaces
    proc_root: str
    host_boot: str
    working_set: bool
    watches: bool
    choice: Choice
    taps: Callable[[str], tuple[str, ...]] = lambda local: ()


class CgroupSource:
    """Groups of this host as resources."""

    name = "cgroup"

    def __init__(self, rules: CgroupRules) -> None:
        self._rules = rules
        self._finder = GroupFinder(rules.hierarchies, rules.proc_root, rules.choice)
        self._groups: dict[str, Group] = {}

    def look(self, running: Mapping[str, Found], ended_away: frozenset[str]) -> tuple[list[Found], list[str]]:
        """Groups with processes; keys of those that have a past and are not metered (resource.Source)."""
        groups = {group.place: (group, key) for key, group in self._groups.items() if key in running}
        wanted = frozenset(self._directory_of(key) for key in ended_away if key.startswith(self._rules.host_boot))
        walk = self._finder.look({place: group for place, (group, _) in groups.items()}, wanted)
        found = [running[groups[group.place][1]] if group.place in groups else self._found(group) for group in walk.chosen]
        self._groups = {one.key: group for one, group in zip(found, walk.chosen, strict=True)}
        return found, [self._key(group) for group in walk.used]

    def processes(self) -> set[int]:
        """Every process in a group that was found: it is metered there."""
        return {pid for group in self._groups.values() for pid in all_processes_below(group.directory)}

    def open(self, found: Found) -> GroupReader:
        """Open a group that the last look found."""
        return GroupReader(self._groups[found.key], self._rules, found.local)

    def _key(self, group: Group) -> str:
        return f"{self._rules.host_boot}/{group.inode} {group.path}"

    def _found(self, group: Group) -> Found:
        boot_id = f"{self._rules.host_boot}/{group.inode}"
        return Found(source=self.name, local=group.path, boot_id=boot_id, pid=0, kind=kind_of(group.path))

    def _directory_of(self, key: str) -> tuple[str, int]:
        """(directory, inode) of a key: in the first hierarchy that has such a group."""
        boot_id, _, path = key.partition(" ")
        inode = boot_id.rpartition("/")[2]
        for root, _ in self._rules.hierarchies.cpu_roots:
            with suppress(OSError):
                if str(os.stat(f"{root}/{path}").st_ino) == inode:
                    return f"{root}/{path}", int(inode)
        return "", 0


def kind_of(path: str) -> str:
    """What a group holds, by the names that runtimes give: vm, container, or group."""
    name = path.rpartition("/")[2]
    if "qemu" in path or path.startswith("firecracker/"):
        return "vm"
    if any(mark in path for mark in ("docker", "kubepods", "libpod", "lxc/", "crio-", "cri-containerd-")):
        return "container"
    return "unit" if name.endswith((".service", ".scope")) else "group"


class GroupReader:
    """Reads one group through kept descriptors: `os.pread` costs a twentieth of opening a file."""

    __slots__ = (
        "_age_seconds",
        "_apart",
        "_bytes_fd",
        "_cpu_fd",
        "_disk_v1",
        "_events_fd",
        "_fds",
        "_group",
        "_inactive",
        "_kinds",
        "_limits",
        "_local",
        "_memory_fd",
        "_memory_v1",
        "_network",
        "_ops_fd",
        "_raws",
        "_rules",
        "_size",
        "_stat_fd",
        "_text",
        "_v1",
        "_values",
        "_watch_fd",
        "presence",
    )

    def __init__(self, group: Group, rules: CgroupRules, local: str) -> None:
        """Raises GoneError if its CPU counter cannot be opened."""
        self.presence = MEASURED_AT | CPU
        self._group, self._rules, self._local = group, rules, local
        self._v1 = group.is_v1
        self._memory_fd = self._stat_fd = self._bytes_fd = self._ops_fd = self._watch_fd = _NONE
        self._memory_v1 = self._disk_v1 = False
        self._inactive = 0
        self._fds: tuple[int, ...] = ()
        self._kinds: tuple[int, ...] = ()
        self._raws: list[bytes] = []
        self._text = b""
        self._values = array("q", bytes(8 * WIDTH))  # the sample that was put last
        self._size = 256
        self._network: Network | None = None
        self._apart: Network | None = None
        self._age_seconds = 0
        self._limits: str | None = None
        try:
            self._cpu_fd = _open(f"{group.directory}/{'cpuacct.usage' if self._v1 else 'cpu.stat'}")
        except OSError as error:
            tell_too_many_files(error, group.directory)
            raise GoneError(local) from None
        self._events_fd = _NONE if self._v1 else _open_or_none(f"{group.directory}/cgroup.events")
        self._complete()
        self._refresh_memory()

    def take(self, rows: array[int], at_ns: int) -> None:
        """Put a sample at `at_ns` to the others (resource.Reader). What reads as it did at the last tick is not parsed again.

        Few objects are touched, and those in one piece: between two ticks the processor's cache has forgotten all of them.
        """
        pread, size = os.pread, self._size
        try:
            if len(self._fds) == 6:  # what a VM has: written out it costs a twentieth less than the loop
                a, b, c, d, e, f = self._fds
                raws = [pread(a, size, 0), pread(b, size, 0), pread(c, size, 0), pread(d, size, 0), pread(e, size, 0), pread(f, size, 0)]
            else:
                raws = [pread(fd, size, 0) for fd in self._fds]
        except OSError:
            raws = self._read_own()
        text = b"\0".join(raws)
        if text != self._text:
            self._parse(raws)
            self._text = text
        values = self._values
        if self._apart is not None:
            values[7], values[8] = self._apart.read()
        values[0] = at_ns
        rows += values

    def read(self, at_ns: int) -> Row:
        """A sample by itself (resource.Reader)."""
        rows = array("q")
        self.take(rows, at_ns)
        at_ns, memory, cpu, d0, d1, d2, d3, received, sent = rows
        return (at_ns, memory, cpu, d0, d1, d2, d3, received, sent)

    def _read_own(self) -> list[bytes]:
        """The texts of the group itself, after one could not be read: perhaps its tap is gone, and its network is read apart again."""
        if self._network is not None and self._apart is None:
            self._arrange(with_pair=False)
            with suppress(OSError):
                return [os.pread(fd, self._size, 0) for fd in self._fds]
        raise GoneError(self._local)

    def _parse(self, raws: list[bytes]) -> None:
        """Texts that have changed into the values of a sample. One that fills the buffer may go on: it is read again with more room."""
        values, pair = self._values, False
        for kind, raw, before in zip(self._kinds, raws, self._raws or _UNKNOWN, strict=False):
            if raw == before:
                continue
            if len(raw) >= self._size:
                self._size *= 2
                self._parse([os.pread(fd, self._size, 0) for fd in self._fds])
                return
            if kind is _BYTES_V1:
                values[3], values[4] = blkio_sums(raw)
            elif kind is _OPS_V1:
                values[5], values[6] = blkio_sums(raw)
            elif kind is _MEMORY:
                values[1] = max(0, int(raw) - self._inactive)
            elif kind is _CPU_V1:
                values[2] = int(raw)
            elif kind is _CPU_V2:
                values[2] = cpu_stat_nanos(raw)
            elif kind is _TAP:
                pair = True
            else:
                values[3], values[4], values[5], values[6] = io_stat(raw)
        if pair and isinstance(self._network, Taps):
            values[7], values[8] = self._network.counted(raws[-2], raws[-1])
        self._raws = raws

    def refresh(self) -> bool:
        """The inactive file of the working set; and, in its first seconds and then now and again, what was not there before."""
        self._refresh_memory()
        if self._apart is not None and isinstance(self._apart, Taps) and self._apart.pair is not None:
            self._arrange()
        self._age_seconds += 1
        if self._age_seconds in _RETRY_SECONDS or self._age_seconds % _AGAIN_SECONDS == 0:
            before = self.presence
            self._complete()
            return self.presence != before
        return False

    def is_empty(self) -> bool:
        """Whether no process is in the group or below it; a group that is gone is empty."""
        try:
            if self._events_fd >= 0:
                return not populated(os.pread(self._events_fd, 256, 0))
        except OSError:
            return True
        return not is_populated(self._group.directory, v1=self._v1)  # opened anew: v1 keeps showing an old list to a kept descriptor

    def watch(self) -> tuple[int, int] | None:
        """v2: the group's own events. v1 tells nothing: one of its processes is watched, and another when that has ended."""
        if not self._rules.watches:
            return None
        if self._events_fd >= 0:
            return self._events_fd, select.EPOLLPRI
        if self._watch_fd >= 0:
            os.close(self._watch_fd)
            self._watch_fd = _NONE
        for pid in own_processes(self._group.directory) or processes_below(self._group.directory):
            with suppress(OSError):
                self._watch_fd = os.pidfd_open(pid)
                if not is_ended(self._watch_fd):
                    return self._watch_fd, select.EPOLLIN
                os.close(self._watch_fd)
                self._watch_fd = _NONE
        return None

    def sizes(self) -> Sizes:
        """CPU quota and memory limit, where they are set and whole."""
        vcpus: int | None = None
        memory_bytes: int | None = None
        with suppress(OSError, ValueError, IndexError):
            if self._rules.hierarchies.v1.get("cpu") and self._limits:
                quota = int(read_small(f"{self._limits}/cpu.cfs_quota_us"))
                vcpus = whole_vcpus(quota, int(read_small(f"{self._limits}/cpu.cfs_period_us")))
            elif not self._v1:
                vcpus = cpu_max_vcpus(read_small(f"{self._group.directory}/cpu.max"))
        memory = self._places().memory
        if memory:
            with suppress(OSError, ValueError):
                memory_bytes = limit_bytes(read_small(f"{memory}/{'memory.limit_in_bytes' if self._memory_v1 else 'memory.max'}"))
        return Sizes(vcpus=vcpus, memory_bytes=memory_bytes)

    def close(self) -> None:
        """Close all descriptors."""
        fds = (self._cpu_fd, self._events_fd, self._memory_fd, self._stat_fd, self._bytes_fd, self._ops_fd, self._watch_fd)
        for fd in fds:
            if fd >= 0:
                os.close(fd)
        if self._network is not None:
            self._network.close()

    # What is found beside the CPU counter

    def _refresh_memory(self) -> None:
        if self._stat_fd >= 0:
            try:
                inactive = inactive_file_bytes(os.pread(self._stat_fd, 8192, 0), v1=self._memory_v1)
            except (OSError, ValueError):
                return
            if inactive != self._inactive:
                self._inactive = inactive
                self._raws, self._text = [], b""

    def _complete(self) -> None:
        """Open what can be opened now and was not before; a counter that is not there stays absent, it is not 0."""
        if not self._fds or self._memory_fd < 0 or self._bytes_fd < 0 or self._limits is None:
            places = self._places()
            self._limits = places.limits
            if self._memory_fd < 0 and places.memory:
                self._open_memory(places.memory)
            if self._bytes_fd < 0 and places.disk:
                self._open_disk(places.disk)
            self._arrange()
        if self._network is None:
            pids = processes_below(self._group.directory)
            self._network = self._rules.namespaces.network_of(pids, self._rules.taps(self._local))
            if self._network is not None:
                self.presence |= NETWORK
                self._arrange()

    def _arrange(self, *, with_pair: bool = True) -> None:
        """What is read at each tick, in one go: the group's own files and, where its network is one open tap, that one's."""
        pair = self._network.pair if isinstance(self._network, Taps) and with_pair else None
        opened = (
            (self._cpu_fd, _CPU_V1 if self._v1 else _CPU_V2),
            (self._memory_fd, _MEMORY),
            (self._bytes_fd, _BYTES_V1 if self._disk_v1 else _DISK_V2),
            (self._ops_fd, _OPS_V1),
            *((fd, _TAP) for fd in pair or ()),
        )
        self._fds = tuple(fd for fd, _ in opened if fd >= 0)
        self._kinds = tuple(kind for fd, kind in opened if fd >= 0)
        self._apart = self._network if pair is None else None
        self._raws, self._text = [], b""

    def _open_memory(self, directory: str) -> None:
        self._memory_v1 = "memory" in self._rules.hierarchies.v1
        self._memory_fd = _open_or_none(f"{directory}/{'memory.usage_in_bytes' if self._memory_v1 else 'memory.current'}")
        if self._memory_fd >= 0:
            self.presence |= MEMORY
            if self._rules.working_set:
                self._stat_fd = _open_or_none(f"{directory}/memory.stat")

    def _open_disk(self, directory: str) -> None:
        self._disk_v1 = "blkio" in self._rules.hierarchies.v1
        if not self._disk_v1:
            self._bytes_fd = _open_or_none(f"{directory}/io.stat")
            self.presence |= DISK_BYTES | DISK_OPS if self._bytes_fd >= 0 else 0
            return
        if not disk_is_counted(self._rules.hierarchies.v1["blkio"]):
            return
        self._bytes_fd = _open_or_none(f"{directory}/blkio.throttle.io_service_bytes_recursive")
        self._ops_fd = _open_or_none(f"{directory}/blkio.throttle.io_serviced_recursive")
        self.presence |= DISK_BYTES if self._bytes_fd >= 0 else 0
        self.presence |= DISK_OPS if self._ops_fd >= 0 and self._bytes_fd >= 0 else 0

    def _places(self) -> Places:
        """Where each controller counts it: the same path in its hierarchy, or else where its processes are, if nobody else is."""
        v1, v2 = self._rules.hierarchies.v1, self._rules.hierarchies.v2
        paths: dict[str, str] = {}
        for pid in processes_below(self._group.directory)[:1]:
            with suppress(OSError, ValueError):
                paths = proc_cgroup_paths(read_small(f"{self._rules.proc_root}/{pid}/cgroup"))
        disk_root, memory_root = v1.get("blkio", v2), v1.get("memory", v2)
        return Places(
            cpu=self._group.directory,
            memory=self._place(memory_root, paths.get("memory" if "memory" in v1 else "", "")),
            disk=self._place(disk_root, paths.get("blkio" if "blkio" in v1 else "", "")),
            limits=self._place(v1.get("cpu", v2), paths.get("cpu" if "cpu" in v1 else "", "")),
        )

    def _place(self, root: str | None, path: str) -> str | None:
        if root is None:
            return None
        same = f"{root}/{self._group.path}"
        if root == self._group.root or os.path.isdir(same):
            return same
        other = domain_of(path)
        if not other or not os.path.isdir(f"{root}/{other}"):
            return None
        ours = all_processes_below(self._group.directory)
        return f"{root}/{other}" if all_processes_below(f"{root}/{other}") <= ours else None


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _open_or_none(path: str) -> int:
    try:
        return _open(path)
    except OSError as error:
        tell_too_many_files(error, path)
        return _NONE


def tell_too_many_files(error: OSError, path: str) -> None:
    """A limit on open files is no sign that something is gone: it is said, as nothing else would show it."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        log.error("too_many_files", extra={"path": path, "error": str(error), "detail": "raise the limit of open files of the agent"})


def is_ended(pidfd: int) -> bool:
    """Whether the process of a pidfd has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def disk_is_counted(root: str) -> bool:
    """Whether this kernel counts v1 disk I/O at all: newer ones only after a throttle rule was written in some group.

    The root's recursive file has had I/O on any host. Without a device in it, zeros are no measurement: disk columns are absent.
    """
    try:
        return blkio_has_devices(read_small(f"{root}/blkio.throttle.io_service_bytes_recursive"))
    except OSError:
        return False


def write_throttle_rules(root: str, devices: tuple[str, ...]) -> None:
    """Make the kernel count v1 disk I/O: a rule that limits nothing, in a group removed at once. Only if a setting asks for it.

    Raises:
        OSError: the rule cannot be written.

    """
    directory = f"{root}/tallystick-throttle-rule"
    os.mkdir(directory)
    try:
        for device in devices:
            for direction in ("read", "write"):
                with open(f"{directory}/blkio.throttle.{direction}_bps_device", "w", encoding="ascii") as file:
                    file.write(f"{device} 99999999999")
            log.warning("throttle_rule_written", extra={"device": device, "detail": "limits nothing, makes the kernel count disk I/O"})
    finally:
        os.rmdir(directory)
