"""The disk of a host: real files in memory, and beside them what of them is durable. A crash keeps that, and of the rest what it likes.

What is durable of a file is what it held when it was synced; of a name, what the folder held when the folder was synced. After a loss of
power each name that was not synced is there or not, each end of a file that was not synced is whole, cut, or torn.
"""

from __future__ import annotations

import errno
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tallystick.sim.machine.scheduler import Killed, Scheduler

LEFT_OUT = frozenset({"lock", "reserve"})
"""Files that an agent makes anew: they hold nothing."""
_DIRECTORY = 2**63
UNLIMITED = 2**62
BLOCK_BYTES = 4096


class Disk:
    """A folder, `folder`, that one program after the other uses; after a crash it is another, with what is left."""

    def __init__(self, root: Path, chance: random.Random, faults: Counter[str]) -> None:
        self._root, self._chance, self._faults = root, chance, faults
        self._generation = 0
        self.limit_bytes = UNLIMITED
        """More than this it does not take."""
        self.fails_syncs = False
        self.crash_after: int | None = None
        """After so many more operations the program is killed, in the middle of what it does."""
        self.on_crash: Callable[[], None] = lambda: None
        self._begin(root / "0")

    def _begin(self, folder: Path) -> None:
        self.folder = folder
        self._shadow = folder.with_name(f"{folder.name}.kept")
        for each in (folder, self._shadow):
            each.mkdir(parents=True)
        self._durable_bytes: dict[int, int] = {}
        self._names: dict[str, int] = {}
        self._kept: set[int] = set()
        self._open: dict[int, int] = {}

    # What a program does

    def opened(self, fd: int, flags: int) -> None:
        """A file was opened."""
        self._open[fd] = _DIRECTORY if flags & os.O_DIRECTORY else os.fstat(fd).st_ino

    def closed(self, fd: int) -> None:
        """A file was closed."""
        self._open.pop(fd, None)

    def step(self) -> None:
        """One operation more.

        Raises:
            Killed: it was the last.

        """
        if self.crash_after is not None:
            self.crash_after -= 1
            if self.crash_after < 0:
                self.crash_after = None
                self.on_crash()
                raise Killed

    def room(self) -> int:
        """How many bytes it takes yet."""
        if self.limit_bytes >= UNLIMITED:
            return UNLIMITED
        return self.limit_bytes - self.used_bytes()

    def used_bytes(self) -> int:
        """What its files take, in whole blocks."""
        return sum(-(-entry.stat().st_size // BLOCK_BYTES) * BLOCK_BYTES for entry in os.scandir(self.folder) if entry.is_file())

    def full(self) -> OSError:
        """That it takes no more."""
        self._faults["disk full"] += 1
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def synced(self, fd: int) -> None:
        """What a file holds is durable; of the folder, its names.

        Raises:
            OSError: the disk fails, or is full.

        """
        if self._open.get(fd) == _DIRECTORY:
            self._sync_names()
            return
        if self.fails_syncs:
            self._faults["sync failed"] += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if self.room() < 0:
            raise self.full()
        found = os.fstat(fd)
        self._durable_bytes[found.st_ino] = found.st_size

    def _sync_names(self) -> None:
        names = {entry.name: entry.inode() for entry in os.scandir(self.folder) if entry.is_file() and entry.name not in LEFT_OUT}
        for name, inode in names.items():
            if inode not in self._kept:
                os.link(self.folder / name, self._shadow / str(inode))
                self._kept.add(inode)
        self._names = names

    # What becomes of it

    def crash(self, *, power: bool) -> None:
        """Its program is no more; `power`: nor is what was not synced. A new folder holds what is left."""
        for fd in list(self._open):
            os.close(fd)
        here = {entry.name: entry.inode() for entry in os.scandir(self.folder) if entry.is_file() and entry.name not in LEFT_OUT}
        left = dict(here)
        if power:
            for name in sorted({**here, **self._names}):
                now, before = here.get(name), self._names.get(name)
                if now != before and self._chance.random() < 0.5:
                    left.pop(name, None)
                    if before is not None:
                        left[name] = before
        contents = {name: self._left(name, inode, here.get(name) == inode, power) for name, inode in sorted(left.items())}
        self.restore(contents)

    def _left(self, name: str, inode: int, is_here: bool, power: bool) -> bytes:
        content = (self.folder / name if is_here else self._shadow / str(inode)).read_bytes()
        durable = min(self._durable_bytes.get(inode, 0), len(content))
        if not power or durable == len(content) or self._chance.random() < 0.25:
            return content
        cut = self._chance.randint(durable, len(content))
        self._faults["unsynced bytes lost"] += len(content) > cut
        if cut > durable and self._chance.random() < 0.5:
            torn = self._chance.randint(durable, cut)
            self._faults["torn write"] += 1
            return content[:torn] + bytes(cut - torn)
        return content[:cut]

    def contents(self) -> dict[str, bytes]:
        """Its files as they are, to be given to `restore` later."""
        return {
            entry.name: Path(entry.path).read_bytes() for entry in os.scandir(self.folder) if entry.is_file() and entry.name not in LEFT_OUT
        }

    def restore(self, contents: dict[str, bytes]) -> None:
        """Hold these files and no others, all durable."""
        self._generation += 1
        quarantine = self.folder / "quarantine"
        old = self.folder
        self._begin(self._root / str(self._generation))
        if quarantine.is_dir():
            quarantine.rename(self.folder / "quarantine")
        for name, content in contents.items():
            path = self.folder / name
            path.write_bytes(content)
            self._durable_bytes[path.stat().st_ino] = len(content)
        self._sync_names()
        for folder in (old, old.with_name(f"{old.name}.kept")):
            for entry in os.scandir(folder):
                os.unlink(entry.path)
            folder.rmdir()


class SimulatedOs:
    """What stands for the module `os` in the spool: system calls that a disk knows of and may fail; the rest is the machine's own."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def _disk(self) -> Disk:
        process = self._scheduler.task().process
        if not process.alive:
            raise Killed
        disk = process.belongings.disk
        assert isinstance(disk, Disk)
        return disk

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        """Open a file."""
        disk = self._disk()
        disk.step()
        if flags & os.O_CREAT and flags & os.O_EXCL and disk.room() <= 0:
            raise disk.full()
        fd = os.open(path, flags, mode)
        disk.opened(fd, flags)
        return fd

    def close(self, fd: int) -> None:
        """Close it."""
        self._disk().closed(fd)
        os.close(fd)

    def write(self, fd: int, content: memoryview) -> int:
        """Write some of it; how many bytes."""
        disk = self._disk()
        disk.step()
        room = disk.room()
        if room <= 0:
            raise disk.full()
        return os.write(fd, content[: min(room, len(content))])

    def fsync(self, fd: int) -> None:
        """Make a file or a folder durable."""
        disk = self._disk()
        disk.step()
        disk.synced(fd)

    fdatasync = fsync

    def posix_fallocate(self, fd: int, offset: int, length: int) -> None:
        """Take room on the disk."""
        disk = self._disk()
        if disk.room() < length:
            raise disk.full()
        os.posix_fallocate(fd, offset, length)
