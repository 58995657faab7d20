"""Network counters of a resource: of the taps that it holds, or of a network namespace of its own. None in the host's namespace."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Protocol

from tallystick.collect.parse import interfaces

_IFF = re.compile(rb"^iff:\s*(\S+)", re.MULTILINE)
_MOST_DESCRIPTORS = 4096
READ_BYTES = 65536


class Network(Protocol):
    """Bytes received and sent, seen from inside the resource; they never fall, whatever becomes of its interfaces."""

    def read(self) -> tuple[int, int]:
        """(received, sent)."""

    def close(self) -> None:
        """Close what is open."""


class Taps:
    """The taps of a VM by their statistics. What the host receives from a tap is what the guest sent, and the other way round."""

    __slots__ = ("_base", "_fds", "_last", "_root", "names")

    def __init__(self, root: str, names: tuple[str, ...]) -> None:
        """`root` is /sys/class/net. A tap that is not there yet, or was made anew, is opened when it is."""
        self.names = names
        self._root = root
        self._fds: dict[str, tuple[int, int]] = {}
        self._last = dict.fromkeys(names, (0, 0))
        self._base = dict.fromkeys(names, (0, 0))
        for name in names:
            self._open(name)

    def read(self) -> tuple[int, int]:
        """(received, sent) of the guest, over all its taps."""
        received = sent = 0
        for name in self.names:
            fds = self._fds.get(name)
            try:
                if fds is None:
                    fds = self._open(name)
                if fds is not None:
                    self._count(name, os.pread(fds[0], 32, 0), os.pread(fds[1], 32, 0))
            except (OSError, ValueError):
                self._shut(name)  # it is gone; made again under this name it counts from 0
                self._fold(name)
            base, last = self._base[name], self._last[name]
            received += base[0] + last[0]
            sent += base[1] + last[1]
        return received, sent

    @property
    def pair(self) -> tuple[int, int] | None:
        """The descriptors of its one tap, which nearly every VM has, if it is open: who reads them itself calls `counted`."""
        return self._fds.get(self.names[0]) if len(self.names) == 1 else None

    def counted(self, first: bytes, second: bytes) -> tuple[int, int]:
        """What `read` would say, of the texts of the pair."""
        name = self.names[0]
        self._count(name, first, second)
        base, last = self._base[name], self._last[name]
        return base[0] + last[0], base[1] + last[1]

    def _count(self, name: str, first: bytes, second: bytes) -> None:
        now, last = (int(second), int(first)), self._last[name]
        if now[0] < last[0] or now[1] < last[1]:
            self._fold(name)
        self._last[name] = now

    def _fold(self, name: str) -> None:
        base, last = self._base[name], self._last[name]
        self._base[name] = (base[0] + last[0], base[1] + last[1])
        self._last[name] = (0, 0)

    def _open(self, name: str) -> tuple[int, int] | None:
        opened: list[int] = []
        try:
            for counter in ("rx_bytes", "tx_bytes"):
                opened.append(os.open(f"{self._root}/{name}/statistics/{counter}", os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401 - closed on failure
        except OSError:
            for fd in opened:
                os.close(fd)
            return None
        fds = self._fds[name] = (opened[0], opened[1])
        return fds

    def _shut(self, name: str) -> None:
        for fd in self._fds.pop(name, ()):
            os.close(fd)

    def close(self) -> None:
        """Close all descriptors."""
        for name in tuple(self._fds):
            self._shut(name)


class Namespace:
    """All interfaces of a network namespace but loopback, or only the taps in it; read through one process that is inside."""

    __slots__ = ("_base", "_fd", "_last", "_raw", "_release", "_taps", "_total")

    def __init__(self, fd: int, taps: tuple[str, ...], release: Namespaces, inode: int) -> None:
        """`fd` is an open `/proc/PID/net/dev`: it shows the namespace for as long as it is open, whatever becomes of the process."""
        self._fd = fd
        self._taps = taps
        self._release = (release, inode)
        self._raw = b""
        self._last: dict[str, tuple[int, int]] = {}
        self._base = (0, 0)
        self._total = (0, 0)

    def read(self) -> tuple[int, int]:
        """(received, sent). An interface that went or began again leaves what it had counted."""
        try:
            raw = os.pread(self._fd, READ_BYTES, 0)
        except OSError:
            return self._total
        if raw == self._raw:
            return self._total
        self._raw = raw
        now = interfaces(raw)
        if self._taps:
            now = {name: (count[1], count[0]) for name, count in now.items() if name in self._taps}
        for name, last in self._last.items():
            count = now.get(name)
            if count is None or count[0] < last[0] or count[1] < last[1]:
                self._base = (self._base[0] + last[0], self._base[1] + last[1])
        self._last = now
        self._total = (
            self._base[0] + sum(count[0] for count in now.values()),
            self._base[1] + sum(count[1] for count in now.values()),
        )
        return self._total

    def close(self) -> None:
        """Close the descriptor; another resource may count this namespace from now on."""
        os.close(self._fd)
        owner, inode = self._release
        owner.claimed.discard(inode)


@dataclass(slots=True)
class Namespaces:
    """Which network namespaces are counted already: one is counted for one resource, the first that has it."""

    proc_root: str
    net_root: str
    claimed: set[int] = field(default_factory=set)

    def network_of(self, pids: list[int], taps: tuple[str, ...] = ()) -> Network | None:
        """The counters of the resource that these processes are of; `taps` names them if a mapping does."""
        taps = taps or tuple(dict.fromkeys(name for pid in pids[:8] for name in self._taps_of(pid)))
        for pid in pids[:1]:
            inode = self._inode(pid)
            if taps and inode in (None, self._host_inode()):
                return Taps(self.net_root, taps)
            if inode is None or inode == self._host_inode() or inode in self.claimed:
                return None
            try:
                fd = os.open(f"{self.proc_root}/{pid}/net/dev", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return None
            self.claimed.add(inode)
            return Namespace(fd, taps, self, inode)
        return Taps(self.net_root, taps) if taps else None

    def _host_inode(self) -> int | None:
        host = self._inode(1)
        return host if host is not None else self._inode("self")

    def _inode(self, pid: int | str) -> int | None:
        """What tells namespaces apart without the right to trace a process: each has a `net/dev` of its own."""
        try:
            return os.stat(f"{self.proc_root}/{pid}/net/dev").st_ino
        except OSError:
            return None

    def _taps_of(self, pid: int) -> tuple[str, ...]:
        """Names of the taps that a process holds open, as a VM's does; none where we may not look."""
        names = []
        try:
            descriptors = os.listdir(f"{self.proc_root}/{pid}/fd")
            for number in descriptors[:_MOST_DESCRIPTORS]:
                if os.readlink(f"{self.proc_root}/{pid}/fd/{number}") == "/dev/net/tun":
                    with open(f"{self.proc_root}/{pid}/fdinfo/{number}", "rb") as file:
                        match = _IFF.search(file.read())
                    if match:
                        names.append(match[1].decode())
        except OSError:
            pass
        return tuple(names)
