"""Fake trees of plain files in the shape of /sys/fs/cgroup, /proc and /sys/class/net, made of what was recorded on real machines."""

from __future__ import annotations

import os
from pathlib import Path

from tallystick.collect.cgroup import CgroupRules, CgroupSource
from tallystick.collect.groups import Choice
from tallystick.collect.hierarchies import find_hierarchies
from tallystick.collect.network import Namespaces

RECORDED = Path(__file__).parent / "recorded"
BOOT = "76a5fc42-e357-4355-8e32-5a0efca4d9f5"


def recorded(name: str) -> str:
    return (RECORDED / name).read_text()


class Host:
    """A host below a folder."""

    def __init__(self, folder: Path) -> None:
        self.cgroup, self.proc, self.net = folder / "cgroup", folder / "proc", folder / "net"
        for path in (self.cgroup, self.proc, self.net):
            path.mkdir(parents=True)
        self.process(1, command="init", net="host")

    # hierarchies

    def v2_root(self, at: str = "") -> Path:
        root = self.cgroup / at
        root.mkdir(exist_ok=True)
        (root / "cgroup.controllers").write_text("cpu io memory pids\n")
        (root / "cgroup.procs").write_text("")
        return root

    def v1_root(self, *controllers: str) -> None:
        for controller in controllers:
            root = self.cgroup / controller
            root.mkdir()
            (root / "cgroup.procs").write_text("")
            if controller == "blkio":
                self.blkio_files(root)

    def v2_group(self, path: str, pids: list[int], at: str = "", *, files: bool = True, populated: bool | None = None) -> Path:
        group = self.cgroup / at / path
        group.mkdir(parents=True)
        self.populate(group, pids, populated)
        if files:
            for name in ("cpu.stat", "io.stat", "memory.current", "memory.stat", "memory.peak"):
                (group / name).write_text(recorded(f"v2-{name}"))
        return group

    def populate(self, group: Path, pids: list[int], populated: bool | None = None) -> None:
        (group / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        populated = bool(pids) if populated is None else populated
        (group / "cgroup.events").write_text(f"populated {int(populated)}\nfrozen 0\n")

    def v1_group(self, controller: str, path: str, pids: list[int]) -> Path:
        group = self.cgroup / controller / path
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        if controller == "cpuacct":
            (group / "cpuacct.usage").write_text(recorded("v1-cpuacct.usage"))
        if controller == "memory":
            (group / "memory.usage_in_bytes").write_text(recorded("v1-memory.usage_in_bytes"))
            (group / "memory.stat").write_text(recorded("v1-memory.stat"))
            (group / "memory.limit_in_bytes").write_text("9223372036854771712\n")
        if controller == "blkio":
            self.blkio_files(group)
        return group

    def blkio_files(self, group: Path, *, dead: bool = False) -> None:
        name = "blkio.throttle.io_service_bytes_recursive"
        (group / name).write_text(recorded(f"v1-{name}-no-rule" if dead else f"v1-{name}"))
        (group / "blkio.throttle.io_serviced_recursive").write_text(recorded("v1-blkio.throttle.io_serviced_recursive"))

    # processes

    def process(
        self,
        pid: int,
        *,
        command: str = "sleep",
        net: str = "host",
        cgroup: str = "0::/\n",
        ticks: int = 0,
        start: int = 4711,
        kernel: bool = False,
    ) -> Path:
        """A process; two with the same `net` share a network namespace."""
        path = self.proc / str(pid)
        (path / "net").mkdir(parents=True)
        namespace = self.proc / f"netns-{net}"
        if not namespace.exists():
            namespace.write_text(recorded("proc-pid-net-dev.txt"))
        os.link(namespace, path / "net" / "dev")
        (path / "cgroup").write_text(cgroup)
        self.stat(pid, command=command, ticks=ticks, start=start, kernel=kernel)
        (path / "cmdline").write_bytes(f"/usr/bin/{command}\0--flag\0".encode())
        (path / "statm").write_text("1000 250 100 1 0 300 0\n")
        (path / "io").write_text("rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 8192\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n")
        return path

    def stat(self, pid: int, *, command: str = "sleep", ticks: int = 0, start: int = 4711, kernel: bool = False, state: str = "S") -> None:
        flags = 0x00200000 if kernel else 0x00400000
        fields = [
            state,
            "1",
            "1",
            "1",
            "0",
            "-1",
            str(flags),
            "0",
            "0",
            "0",
            "0",
            str(ticks),
            "0",
            "0",
            "0",
            "20",
            "0",
            "1",
            "0",
            str(start),
        ]
        (self.proc / str(pid) / "stat").write_text(f"{pid} ({command}) {' '.join(fields)} 1 2 3\n")

    def thread(self, pid: int, thread: int, nanos: int) -> None:
        path = self.proc / str(pid) / "task" / str(thread)
        path.mkdir(parents=True, exist_ok=True)
        (path / "schedstat").write_text(f"{nanos} 15156541 453\n")

    # what is made of it

    def namespaces(self) -> Namespaces:
        return Namespaces(proc_root=str(self.proc), net_root=str(self.net))

    def source(self, *, match: tuple[str, ...] = (), ignore: tuple[str, ...] = (), working_set: bool = True) -> CgroupSource:
        return CgroupSource(
            CgroupRules(
                hierarchies=find_hierarchies(self.cgroup),
                namespaces=self.namespaces(),
                proc_root=str(self.proc),
                host_boot=BOOT,
                working_set=working_set,
                watches=False,
                choice=Choice(match=match, ignore=ignore),
            )
        )

    def locals(self, source: CgroupSource) -> list[str]:
        return sorted(found.local for found in source.look({}, frozenset())[0])
