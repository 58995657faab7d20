"""Real control groups for the workloads: made, entered, read and always removed again, on v1, v2 or both side by side.

Only what a person with a shell would do: mkdir, echo, cat, rmdir. It shares no code with the product's collector, which
meters these groups: what is read here is what the kernel says.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/mounts")
V1_CONTROLLERS = ("cpuacct", "memory", "blkio")
V2_CONTROLLERS = "+cpu +memory +io"
UNLIMITED = 99_999_999_999


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where groups are made: the v1 hierarchies by controller, and the v2 one if CPU is counted there."""

    v1: dict[str, Path]
    v2: Path | None

    @property
    def roots(self) -> tuple[Path, ...]:
        """Every hierarchy in which a workload gets a group."""
        return tuple(dict.fromkeys([*self.v1.values(), *([self.v2] if self.v2 else [])]))


def hierarchies() -> Hierarchies | None:
    """The hierarchies of this machine in which this process may make groups; None: there are none, or it may not."""
    v1: dict[str, Path] = {}
    v2: Path | None = None
    for mount in MOUNTS.read_text().splitlines():
        _, place, kind, options, *_ = mount.split(" ")
        if kind == "cgroup":
            v1 |= {name: Path(place) for name in V1_CONTROLLERS if name in options.split(",")}
        elif kind == "cgroup2":
            v2 = Path(place)
    if "cpuacct" in v1:
        v2 = None  # CPU is counted to the nanosecond there: decided by controller, not by host
    found = Hierarchies(v1, v2) if v2 or "cpuacct" in v1 else None
    return found if found and _writable(found) else None


def _writable(found: Hierarchies) -> bool:
    name = f"tallystick-probe-{os.getpid()}"
    try:
        for root in found.roots:
            (root / name).mkdir()
    except OSError:
        return False
    finally:
        for root in found.roots:
            with suppress(OSError):
                (root / name).rmdir()
    return True


@dataclass(frozen=True, slots=True)
class Group:
    """One workload's group: the same path below every hierarchy."""

    found: Hierarchies
    path: str

    def make(self) -> None:
        """Make its directory in every hierarchy; that with the CPU counter last, as a collector looks for it there."""
        for root in reversed(self.found.roots):
            (root / self.path).mkdir(parents=True, exist_ok=True)

    def enter(self, pid: int) -> None:
        """Move a process into it; that with the CPU counter first."""
        for root in self.found.roots:
            (root / self.path / "cgroup.procs").write_text(str(pid))

    def cpu_nanos(self) -> int:
        """What the kernel shows as its CPU time, in ns (v2: whole microseconds)."""
        if self.found.v2 is None:
            return int((self.found.v1["cpuacct"] / self.path / "cpuacct.usage").read_text())
        stat = dict(line.split() for line in (self.found.v2 / self.path / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) * 1000

    def settled_cpu_nanos(self, still_seconds: float = 0.5) -> int:
        """The CPU time once it has stood still for so long: a process that has ended is charged to its very last instruction."""
        last, since = self.cpu_nanos(), time.monotonic()
        while time.monotonic() - since < still_seconds:
            time.sleep(0.05)
            now = self.cpu_nanos()
            if now != last:
                last, since = now, time.monotonic()
        return last

    def processes(self) -> list[int]:
        """Who is in it."""
        root = self.found.roots[0]
        return [int(pid) for pid in (root / self.path / "cgroup.procs").read_text().split()]

    def remove(self) -> None:
        """Remove its directories, waiting a moment for the last process to be gone."""
        for root in self.found.roots:
            _rmdir(root / self.path)


def _rmdir(path: Path, seconds: float = 3.0) -> None:
    until = time.monotonic() + seconds
    while path.exists():
        try:
            path.rmdir()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@contextmanager
def parent(found: Hierarchies, name: str) -> Iterator[str]:
    """A parent group of that name for all workloads, removed at the end with whatever is left below it."""
    for root in found.roots:
        (root / name).mkdir()
        if root == found.v2:
            with suppress(OSError):
                (root / name / "cgroup.subtree_control").write_text(V2_CONTROLLERS)
    try:
        yield name
    finally:
        for root in found.roots:
            for below in sorted((root / name).glob("**/"), reverse=True):
                _rmdir(below)


def disk_is_counted(found: Hierarchies, group: str, folder: Path) -> bool:
    """Whether synced writes of a group of its own to the file system of `folder` are counted.

    On v1, kernels since 6.x count nothing until a throttle rule for the disk exists anywhere: one that limits nothing is
    written in a throw-away group, which is removed at once (the counting goes on). Never silently: the caller says so.
    """
    if "blkio" not in found.v1:
        return found.v2 is not None and (found.v2 / group / "io.stat").exists()
    device = disk_of(folder)
    if device is None:
        return False
    throwaway = found.v1["blkio"] / group / "throttle-rule"
    throwaway.mkdir()
    try:
        for direction in ("read", "write"):
            (throwaway / f"blkio.throttle.{direction}_bps_device").write_text(f"{device} {UNLIMITED}")
    except OSError:
        return False
    finally:
        throwaway.rmdir()
    return _probe(Group(found, f"{group}/probe"), folder)


def disk_of(folder: Path) -> str | None:
    """The whole disk, `major:minor`, under the file system of `folder`; None if it is none (tmpfs, overlay of nothing)."""
    number = folder.stat().st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not device.exists():
        return None
    real = device.resolve()
    whole = real.parent if (real / "partition").exists() else real
    return (whole / "dev").read_text().strip()


def _probe(group: Group, folder: Path) -> bool:
    """Write a little from inside a group, and see whether it is counted."""
    blkio = group.found.v1["blkio"] / group.path
    blkio.mkdir()
    child = os.fork()
    if child == 0:
        try:
            (blkio / "cgroup.procs").write_text(str(os.getpid()))
            path = folder / "probe.bin"
            with path.open("wb") as file:
                file.write(os.urandom(1 << 16))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    try:
        rows = (blkio / "blkio.throttle.io_service_bytes_recursive").read_text().splitlines()
        return any(int(row.split()[2]) > 0 for row in rows if row.split()[1:2] == ["Write"])
    finally:
        _rmdir(blkio)
