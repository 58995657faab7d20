"""What the agent costs at 10 Hz: CPU against a bare loop of `os.pread` on the same files as often, memory, and ticks that it misses.

Agent and loop run at the same time, so that what else the machine does meets both. Three runs: 200 resources at rest, 200 of which
every disk file changes at each tick, 500 at rest. `BENCH_SECONDS` is how long each is measured.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "src")]

from bench.measure import line  # noqa: E402 - after the path
from tests.integration.receiver import Receiver  # noqa: E402 - after the path

WARM_SECONDS = 6
MEASURED_SECONDS = int(os.environ.get("BENCH_SECONDS", "30"))
CGROUP = Path("/sys/fs/cgroup")
HIERARCHIES = {"cpuacct": ("cpuacct.usage",), "memory": ("memory.usage_in_bytes",), "blkio": ("io_service_bytes", "io_serviced")}
PARENT = f"tally-bench-{os.getpid()}"
BARE = """
import os, sys, time
often, seldom = ([os.open(path, os.O_RDONLY) for path in line.split()] for line in sys.stdin.read().split("\\n"))
tick, number = time.monotonic(), 0
while True:
    for fd in often:
        os.pread(fd, 4096, 0)
    if number % 10 == 0:
        for fd in seldom:
            os.pread(fd, 16384, 0)
    tick, number = tick + 0.1, number + 1
    time.sleep(max(0, tick - time.monotonic()))
"""


DISKS = """
import os, sys, time
fds = [os.open(path, os.O_WRONLY) for path in sys.stdin.read().split()]
tick, count = time.monotonic(), 1000000000
while True:
    count += 4096
    text = "".join(f"254:0 {word} {count}\\n" for word in ("Read", "Write", "Sync", "Async", "Discard", "Total")) + f"Total {count}\\n"
    for fd in fds:
        os.pwrite(fd, text.encode(), 0)
    tick += 0.1
    time.sleep(max(0, tick - time.monotonic()))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """So many resources; whether every disk file changes at each tick."""

    resources: int
    disks_change: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """CPU of the agent and of the bare loop, in seconds; the agent's largest proportional set, MiB; missed ticks; where from."""

    agent_seconds: float
    bare_seconds: float
    memory_mib: float
    missed_ticks: int
    kind: str
    samples: int
    sample_bytes: float

    def words(self, case: Case) -> str:
        """How it was measured."""
        share = f"agent {self.agent_seconds / MEASURED_SECONDS:.4f} of a core, bare {self.bare_seconds / MEASURED_SECONDS:.4f}"
        often = f"{case.resources} resources, six reads each at 10 Hz and memory.stat at 1 Hz, {MEASURED_SECONDS} s, {self.kind}"
        return f"{often}; {share}; {self.samples} samples, {self.sample_bytes:.1f} bytes each"


def make_groups(folder: Path, case: Case) -> tuple[Path, list[subprocess.Popen[bytes]], str]:
    """Real v1 groups with a sleeping process each; where that is not allowed a tree of plain files. (root, processes, in words).

    Disk files are plain ones: newer kernels count no disk before a throttle rule is there, and would leave the agent less to read.
    """
    hierarchies = [name for name in HIERARCHIES if name != "blkio"]
    try:
        for hierarchy in hierarchies:
            (CGROUP / hierarchy / PARENT).mkdir()
    except OSError:
        remove_groups()
        return make_files(folder, case, tuple(HIERARCHIES)), [], "plain files: no control group may be made here"
    sleepers = []
    for number in range(case.resources):
        sleepers.append(subprocess.Popen(["sleep", "1000"]))
        for hierarchy in hierarchies:
            group = CGROUP / hierarchy / PARENT / f"vm{number}"
            group.mkdir()
            (group / "cgroup.procs").write_text(str(sleepers[-1].pid))
    root = make_files(folder, case, ("blkio",))
    for hierarchy in hierarchies:
        (root / hierarchy).symlink_to(CGROUP / hierarchy)
    return root, sleepers, "control groups v1, disk and network files plain"


def make_files(folder: Path, case: Case, hierarchies: tuple[str, ...]) -> Path:
    root = folder / "cgroup"
    for number in range(case.resources):
        for hierarchy in hierarchies:
            group = root / hierarchy / PARENT / f"vm{number}"
            group.mkdir(parents=True)
            for above in (group, group.parent, group.parent.parent):
                (above / "cgroup.procs").write_text("1\n" if above == group else "")
            if hierarchy == "cpuacct":
                (group / "cpuacct.usage").write_text("123456789\n")
            if hierarchy == "memory":
                (group / "memory.usage_in_bytes").write_text("4780032\n")
                (group / "memory.stat").write_text("total_inactive_file 4194304\n")
            for name in HIERARCHIES["blkio"] if hierarchy == "blkio" else ():
                for above in (group, root / "blkio"):
                    (above / f"blkio.throttle.{name}_recursive").write_text("254:0 Read 1\n254:0 Write 2\nTotal 3\n")
    return root


def remove_groups() -> None:
    for hierarchy in HIERARCHIES:
        parent = CGROUP / hierarchy / PARENT
        for path in (*parent.glob("*/"), parent):
            with suppress(OSError):
                path.rmdir()


def make_taps(folder: Path, case: Case) -> tuple[Path, Path]:
    """Statistics of one tap for each, as plain files, and the mapping file that names them."""
    net, mapping = folder / "net", folder / "mapping.toml"
    lines = []
    for number in range(case.resources):
        statistics = net / f"tap{number}" / "statistics"
        statistics.mkdir(parents=True)
        (statistics / "rx_bytes").write_text("123456789\n")
        (statistics / "tx_bytes").write_text("987654321\n")
        lines.append(f'["{PARENT}/vm{number}"]\ntaps = ["tap{number}"]\n')
    mapping.write_text("".join(lines))
    return net, mapping


def disk_files(root: Path, case: Case) -> list[str]:
    groups = [root / "blkio" / PARENT / f"vm{number}" for number in range(case.resources)]
    return [str(group / f"blkio.throttle.{name}_recursive") for group in groups for name in HIERARCHIES["blkio"]]


def files_of(root: Path, net: Path, case: Case) -> tuple[list[str], list[str]]:
    """The six files that are read of each resource at each tick, and the one that is each second: the inactive file's."""
    often, seldom = [], []
    disks = disk_files(root, case)
    for number in range(case.resources):
        memory = root / "memory" / PARENT / f"vm{number}"
        often += [str(root / "cpuacct" / PARENT / f"vm{number}" / "cpuacct.usage"), str(memory / "memory.usage_in_bytes")]
        often += disks[2 * number : 2 * number + 2]
        often += [str(net / f"tap{number}" / "statistics" / name) for name in ("rx_bytes", "tx_bytes")]
        seldom.append(str(memory / "memory.stat"))
    return often, seldom


def cpu_seconds(pid: int) -> float:
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def memory_mib(pid: int) -> float:
    """Proportional set size: what this process adds to the machine."""
    for said in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if said.startswith("Pss:"):
            return int(said.split()[1]) / 1024
    raise RuntimeError("no Pss")


def fed(script: str, text: str) -> subprocess.Popen[bytes]:
    """A Python process that is given a text to read."""
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(text.encode())
    process.stdin.close()
    return process


@contextmanager
def ended(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """End these processes at the end, then the groups that they are in."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
        time.sleep(0.2)
        remove_groups()


def measure(case: Case) -> Measured:
    """Run agent and bare loop side by side."""
    receiver = Receiver()
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as name, ended(processes):
        folder = Path(name)
        root, sleepers, kind = make_groups(folder, case)
        processes += sleepers
        net, mapping = make_taps(folder, case)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("TALLY_AGENT_")},
            "PYTHONPATH": str(REPOSITORY / "src"),
            "TALLY_AGENT_ENDPOINT": receiver.url,
            "TALLY_AGENT_SPOOL_DIRECTORY": str(folder / "spool"),
            "TALLY_AGENT_SOURCE": "cgroup",
            "TALLY_AGENT_CGROUP_ROOT": str(root),
            "TALLY_AGENT_CGROUP_MATCH": f"{PARENT}/*",
            "TALLY_AGENT_NET_ROOT": str(net),
            "TALLY_AGENT_MAPPING_FILE": str(mapping),
            "TALLY_AGENT_LOG_LEVEL": "warning",
        }
        if case.disks_change:
            processes.append(fed(DISKS, " ".join(disk_files(root, case))))
        agent = subprocess.Popen([sys.executable, "-m", "tallystick.app.agent", "run"], env=environment)
        often, seldom = files_of(root, net, case)
        bare = fed(BARE, f"{' '.join(often)}\n{' '.join(seldom)}")
        processes += [agent, bare]
        time.sleep(WARM_SECONDS)
        before = cpu_seconds(agent.pid), cpu_seconds(bare.pid)
        peak = 0.0
        for _ in range(MEASURED_SECONDS):
            time.sleep(1)
            peak = max(peak, memory_mib(agent.pid))
        used = cpu_seconds(agent.pid) - before[0], cpu_seconds(bare.pid) - before[1]
        agent.send_signal(signal.SIGTERM)
        agent.wait(30)
    receiver.close()
    resources = {batch.resource_id for batch in receiver.batches.values()}
    if len(resources) != case.resources:
        raise RuntimeError(f"{len(resources)} of {case.resources} resources were metered")
    samples = sum(int.from_bytes(batch.planes[3:7], "little") for batch in receiver.batches.values())
    return Measured(
        agent_seconds=used[0],
        bare_seconds=used[1],
        memory_mib=peak,
        missed_ticks=receiver.heartbeats[-1].missed_ticks,
        kind=kind,
        samples=samples,
        sample_bytes=sum(len(batch.planes) for batch in receiver.batches.values()) / max(1, samples),
    )


def main() -> int:
    case = Case(resources=200)
    found = measure(case)
    what = f"agent's CPU to a bare loop of os.pread, {found.words(case)}"
    line("agent_cpu_ratio", found.agent_seconds / found.bare_seconds, "ratio", what, 1.5)
    line("agent_memory_mib", found.memory_mib, "MiB", f"largest proportional set of the agent, {found.words(case)}", 48)
    case = Case(resources=200, disks_change=True)
    found = measure(case)
    what = f"agent's CPU to a bare loop of os.pread, every disk file changes at each tick, {found.words(case)}"
    line("agent_cpu_disks_ratio", found.agent_seconds / found.bare_seconds, "ratio", what, 2)
    case = Case(resources=500)
    found = measure(case)
    line("agent_peak_500_mib", found.memory_mib, "MiB", f"largest proportional set of the agent, {found.words(case)}", 64)
    line("agent_missed_ticks_500", found.missed_ticks, "ticks", f"missed since its start, {found.words(case)}", 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
