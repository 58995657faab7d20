"""The control group hierarchies of a host, decided by controller and not by host: v1, v2, or both side by side."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HELPER_NAMES = ("emulator", "libvirt", "ns", "supervised", "supervisor", "payload")
"""Groups inside a domain's own: libvirt, LXC and systemd-nspawn make them; what is billed is the domain above."""
HELPER_PREFIXES = ("vcpu", "iothread")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchies:
    """Roots by what is read there. `v1` by controller, `v2` the unified one; `v2_counts_cpu`: groups there may be metered."""

    v1: dict[str, str]
    v2: str | None

    @property
    def cpu_roots(self) -> tuple[tuple[str, bool], ...]:
        """Hierarchies with CPU accounting, and whether each is v1."""
        roots = [(self.v1["cpuacct"], True)] if "cpuacct" in self.v1 else []
        return (*roots, (self.v2, False)) if self.v2 else tuple(roots)


def find_hierarchies(root: Path) -> Hierarchies:
    """The hierarchies mounted below `root` (/sys/fs/cgroup): itself if it is v2, else its directories, named by controllers."""
    if (root / "cgroup.controllers").exists():
        return Hierarchies(v1={}, v2=str(root))
    v1: dict[str, str] = {}
    v2 = None
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name) if root.is_dir() else ():
        if not entry.is_dir():
            continue
        path = os.path.realpath(entry.path)
        if os.path.exists(os.path.join(path, "cgroup.controllers")):
            v2 = path
        elif os.path.exists(os.path.join(path, "cgroup.procs")):
            v1 |= dict.fromkeys(entry.name.split(","), path)
    return Hierarchies(v1=v1, v2=v2)


def is_helper(name: str) -> bool:
    """Whether a directory name is that of a group inside a domain: emulator, vcpu0, libvirt, ns, ..."""
    return name in HELPER_NAMES or any(name.startswith(prefix) and name[len(prefix) :].isdigit() for prefix in HELPER_PREFIXES)


def domain_of(path: str) -> str:
    """The path cut above its first helper: `machine/qemu-1-vm/emulator` is of `machine/qemu-1-vm`. One at the top is no helper."""
    parts = path.split("/")
    for index, name in enumerate(parts[1:], 1):
        if is_helper(name):
            return "/".join(parts[:index])
    return path
