"""What the agent costs: CPU against a bare loop of `os.pread` on the same files as often, and memory, with 200 resources at 10 Hz.

Both run at the same time, so that what else the machine does meets both. Prints two JSON lines.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "src")]

from tests.integration.receiver import Receiver  # noqa: E402 - after the path

RESOURCES = int(os.environ.get("BENCH_RESOURCES", "200"))
WARM_SECONDS = 6
MEASURED_SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
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


def make_groups(folder: Path) -> tuple[Path, list[subprocess.Popen[bytes]], str]:
    """Real v1 groups with a sleeping process each; where that is not allowed a tree of plain files. (root, processes, in words)."""
    try:
        for hierarchy in HIERARCHIES:
            (CGROUP / hierarchy / PARENT).mkdir()
    except OSError:
        remove_groups()
        return make_files(folder), [], "plain files: no control group may be made here"
    sleepers = []
    for number in range(RESOURCES):
        sleepers.append(subprocess.Popen(["sleep", "1000"]))
        for hierarchy in HIERARCHIES:
            group = CGROUP / hierarchy / PARENT / f"vm{number}"
            group.mkdir()
            (group / "cgroup.procs").write_text(str(sleepers[-1].pid))
    return CGROUP, sleepers, "control groups v1"


def make_files(folder: Path) -> Path:
    root = folder / "cgroup"
    for number in range(RESOURCES):
        for hierarchy in HIERARCHIES:
            group = root / hierarchy / PARENT / f"vm{number}"
            group.mkdir(parents=True)
            for above in (group, group.parent, group.parent.parent):
                (above / "cgroup.procs").write_text("1\n" if above == group else "")
        base = root / "blkio" / PARENT / f"vm{number}"
        (root / "cpuacct" / PARENT / f"vm{number}" / "cpuacct.usage").write_text("123456789\n")
        memory = root / "memory" / PARENT / f"vm{number}"
        (memory / "memory.usage_in_bytes").write_text("4780032\n")
        (memory / "memory.stat").write_text("total_inactive_file 4194304\n")
        for name in ("io_service_bytes", "io_serviced"):
            for above in (base, root / "blkio"):
                (above / f"blkio.throttle.{name}_recursive").write_text("254:0 Read 1\n254:0 Write 2\nTotal 3\n")
    return root


def remove_groups() -> None:
    for hierarchy in HIERARCHIES:
        parent = CGROUP / hierarchy / PARENT
        for path in (*parent.glob("*/"), parent):
            with suppress(OSError):
                path.rmdir()


def make_taps(folder: Path) -> tuple[Path, Path]:
    """Statistics of one tap for each, as plain files, and the mapping file that names them."""
    net, mapping = folder / "net", folder / "mapping.toml"
    lines = []
    for number in range(RESOURCES):
        statistics = net / f"tap{number}" / "statistics"
        statistics.mkdir(parents=True)
        (statistics / "rx_bytes").write_text("123456789\n")
        (statistics / "tx_bytes").write_text("987654321\n")
        lines.append(f'["{PARENT}/vm{number}"]\ntaps = ["tap{number}"]\n')
    mapping.write_text("".join(lines))
    return net, mapping


def statistics_of(root: Path) -> list[str]:
    """The file that is read of each resource each second: the inactive file in its working set."""
    return [str(root / "memory" / PARENT / f"vm{number}" / "memory.stat") for number in range(RESOURCES)]


def files_of(root: Path, net: Path) -> list[str]:
    """The six files that are read of each resource at each tick."""
    paths = []
    for number in range(RESOURCES):
        for hierarchy, names in HIERARCHIES.items():
            for name in names:
                file = f"blkio.throttle.{name}_recursive" if hierarchy == "blkio" else name
                paths.append(str(root / hierarchy / PARENT / f"vm{number}" / file))
        paths += [str(net / f"tap{number}" / "statistics" / name) for name in ("rx_bytes", "tx_bytes")]
    return paths


def cpu_seconds(pid: int) -> float:
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def memory_mib(pid: int) -> float:
    """Proportional set size: what this process adds to the machine."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no Pss")


def main() -> int:
    receiver = Receiver()
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            root, sleepers, kind = make_groups(folder)
            processes += sleepers
            net, mapping = make_taps(folder)
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
            agent = subprocess.Popen([sys.executable, "-m", "tallystick.app.agent", "run"], env=environment)
            bare = subprocess.Popen([sys.executable, "-c", BARE], stdin=subprocess.PIPE)
            processes += [agent, bare]
            assert bare.stdin
            bare.stdin.write(f"{' '.join(files_of(root, net))}\n{' '.join(statistics_of(root))}".encode())
            bare.stdin.close()
            time.sleep(WARM_SECONDS)
            before = cpu_seconds(agent.pid), cpu_seconds(bare.pid)
            peak = 0.0
            for _ in range(MEASURED_SECONDS):
                time.sleep(1)
                peak = max(peak, memory_mib(agent.pid))
            used = cpu_seconds(agent.pid) - before[0], cpu_seconds(bare.pid) - before[1]
            agent.send_signal(signal.SIGTERM)
            agent.wait(30)
        finally:
            for process in processes:
                process.kill()
                process.wait()
            time.sleep(0.2)
            remove_groups()
            receiver.close()
    resources = {batch.resource_id for batch in receiver.batches.values()}
    samples = sum(int.from_bytes(batch.planes[3:7], "little") for batch in receiver.batches.values())
    size = sum(len(batch.planes) for batch in receiver.batches.values())
    if len(resources) != RESOURCES:
        print(f"{len(resources)} of {RESOURCES} resources were metered", file=sys.stderr)
        return 1
    share = f"agent {used[0] / MEASURED_SECONDS:.4f} of a core, bare {used[1] / MEASURED_SECONDS:.4f}"
    often = f"{RESOURCES} resources, six reads each at 10 Hz and memory.stat at 1 Hz, {MEASURED_SECONDS} s, {kind}"
    what = f"agent's CPU to a bare loop of os.pread, {often}; {share}; "
    what += f"{samples} samples, {size / max(1, samples):.1f} bytes each"
    print(json.dumps({"name": "agent_cpu_ratio", "value": round(used[0] / used[1], 3), "unit": "ratio", "what": what, "goal": 1.5}))
    what = f"largest proportional set size of the agent in {MEASURED_SECONDS} s, {RESOURCES} resources"
    print(json.dumps({"name": "agent_memory_mib", "value": round(peak, 1), "unit": "MiB", "what": what, "goal": 48}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
