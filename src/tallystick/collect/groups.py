"""Which control groups are metered: the walk over the hierarchies that finds them, at the level that is billed."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from tallystick.collect.hierarchies import Hierarchies, domain_of, is_helper
from tallystick.collect.parse import cpu_stat_nanos, populated, proc_cgroup_paths
from tallystick.collect.patterns import matches_path

log = logging.getLogger(__name__)

_MOST_PROCESSES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group below the root of a hierarchy: `path` without slashes around it. Inode and path are its incarnation."""

    root: str
    path: str
    inode: int
    is_v1: bool
    directory: str = field(init=False, default="")
    """Where it is."""
    place: tuple[str, int] = field(init=False, default=("", 0))
    """(directory, inode): what tells it from all others."""

    def __post_init__(self) -> None:
        """Put its place together, once: each look compares it."""
        object.__setattr__(self, "directory", f"{self.root}/{self.path}")
        object.__setattr__(self, "place", (self.directory, self.inode))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What settings say: patterns of the level to meter (none: every group with a process of its own), and of what is left out."""

    match: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass(slots=True)
class Walk:
    """One look at the hierarchies: groups to meter, and those that are there with a past but without being metered."""

    chosen: list[Group] = field(default_factory=list)
    used: list[Group] = field(default_factory=list)


def read_small(path: str) -> bytes:
    """A small file, whole; an OSError if it is not there."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 20)
    finally:
        os.close(fd)


def own_processes(directory: str) -> list[int]:
    """The processes in a group itself; none if it is gone. 0 stands for one that this namespace does not show."""
    try:
        return [int(pid) for pid in read_small(f"{directory}/cgroup.procs").split()]
    except (OSError, ValueError):
        return []


def is_populated(directory: str, *, v1: bool) -> bool:
    """Whether a process is in a group or below it."""
    if not v1:
        with suppress(OSError):
            return populated(read_small(f"{directory}/cgroup.events"))
    return next(_all_processes(directory), None) is not None


def processes_below(directory: str) -> list[int]:
    """The processes of a group and of the groups below it, a few of them: enough to ask what they are."""
    found = []
    for pid in _all_processes(directory):
        if pid:
            found.append(pid)
        if len(found) == _MOST_PROCESSES:
            break
    return found


def all_processes_below(directory: str) -> set[int]:
    """Every process of a group and of the groups below it."""
    return set(_all_processes(directory))


def _all_processes(directory: str) -> Iterator[int]:
    yield from own_processes(directory)
    for child in _children(directory):
        yield from _all_processes(child.path)


def _children(directory: str) -> list[os.DirEntry[str]]:
    """The groups right below; the count of links tells a leaf without listing its files (a file system that counts none says 1)."""
    try:
        if os.stat(directory).st_nlink == 2:
            return []
        with os.scandir(directory) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


class GroupFinder:
    """Finds groups, look after look. It remembers which groups without processes have a past, so that it is not billed as new."""

    def __init__(self, hierarchies: Hierarchies, proc_root: str, choice: Choice) -> None:
        self._hierarchies = hierarchies
        self._proc_root = proc_root
        self._choice = choice
        self._past: set[tuple[str, int]] = set()
        self._finer: set[tuple[str, int]] = set()
        self._warned: set[str] = set()

    def look(self, running: Mapping[tuple[str, int], Group], wanted: frozenset[tuple[str, int]]) -> Walk:
        """Everything there is, given what is metered already and what is `wanted` even if it is empty: by (directory, inode).

        What is metered stays metered until it is empty, even if a process appears above it.
        """
        walk = Walk()
        busy = {directory for directory, _ in running}
        present: set[tuple[str, int]] = set()
        for root, v1 in self._hierarchies.cpu_roots:
            groups = self._walk(root, v1, running, busy, wanted)
            for group, is_candidate in groups:
                identity = group.place
                present.add(identity)
                if identity in running:
                    walk.chosen.append(group)
                elif is_candidate and self._is_here(group, walk.chosen):
                    walk.chosen.append(group)
                    self._past.add(identity)
                elif identity in self._past or self._has_past(group):
                    self._past.add(identity)
                    walk.used.append(group)
        self._past &= present
        self._finer &= present
        return walk

    def _walk(
        self, root: str, v1: bool, running: Mapping[tuple[str, int], Group], busy: set[str], wanted: frozenset[tuple[str, int]]
    ) -> Iterator[tuple[Group, bool]]:
        """Every group from the root down, and whether it is to be metered; nothing below one that is."""
        waiting = [(entry.path, entry.inode()) for entry in _children(root)]
        while waiting:
            directory, inode = waiting.pop()
            known = running.get((directory, inode))
            if known is not None:
                yield known, True
                continue
            group = Group(root=root, path=directory[len(root) + 1 :], inode=inode, is_v1=v1)
            if matches_path(group.path, self._choice.ignore):
                continue
            identity = (directory, inode)
            if identity in wanted:
                yield group, True
                continue
            children = _children(directory)
            is_candidate = self._is_candidate(group, [child.name for child in children])
            if is_candidate and any(other.startswith(directory + "/") for other in busy):
                self._warn(directory)
                is_candidate = False
            yield group, is_candidate
            if not is_candidate or identity in self._finer:
                waiting += [(child.path, child.inode()) for child in children]

    def _is_candidate(self, group: Group, children: list[str]) -> bool:
        if self._choice.match:
            return matches_path(group.path, self._choice.match) and is_populated(group.directory, v1=group.is_v1)
        if own_processes(group.directory):
            return True
        return any(is_helper(name) for name in children) and is_populated(group.directory, v1=group.is_v1)

    def _is_here(self, group: Group, chosen: list[Group]) -> bool:
        """Whether a new group is metered in this hierarchy, where CPU is counted in two: each process in one of them only."""
        if len(self._hierarchies.cpu_roots) < 2:
            return True
        identity = group.place
        if identity in self._finer:
            return False
        pids = processes_below(group.directory)
        if group.is_v1:
            others = {domain_of(self._paths(pid).get("", "")) for pid in pids} - {""}
            if len(others) > 1:  # the unified hierarchy tells these processes apart, this one does not
                self._finer.add(identity)
                return False
            return True
        mine = [one.path for one in chosen if one.is_v1]
        paths = {self._paths(pid).get("cpuacct", "") for pid in pids}
        return not any(path == one or path.startswith(one + "/") for path in paths for one in mine)

    def _paths(self, pid: int) -> dict[str, str]:
        try:
            return proc_cgroup_paths(read_small(f"{self._proc_root}/{pid}/cgroup"))
        except (OSError, ValueError):
            return {}

    def _has_past(self, group: Group) -> bool:
        """Whether a group that is not metered has used CPU time: what it used is not to be billed as new when it is metered one day."""
        try:
            if group.is_v1:
                return int(read_small(f"{group.directory}/cpuacct.usage")) > 0
            return cpu_stat_nanos(read_small(f"{group.directory}/cpu.stat")) > 0
        except (OSError, ValueError):
            return True

    def _warn(self, directory: str) -> None:
        if directory not in self._warned:
            self._warned.add(directory)
            log.warning(
                "group_above_metered", extra={"group": directory, "detail": "its own processes are not metered: a group below it is"}
            )
