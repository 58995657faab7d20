"""The agent as a process on this machine: real groups or processes, a small server, kills, and its own end.

As root on a machine that lets groups be made it meters real ones; where it may not, it says so in one line and meters processes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tests.integration.receiver import Receiver, error

ROOT = Path(__file__).resolve().parents[2]
CGROUP = Path("/sys/fs/cgroup")
MARK = f"tally-test-{os.getpid()}-load"
"""In the name of everything metered here: tests that run beside these have workloads of their own."""
LOAD = """
import sys, time
sys.stdin.readline()
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    sum(range(2000))
sys.stdin.readline()
"""


def cpu_root() -> Path | None:
    """Where groups with CPU accounting can be made here: cpuacct, or a v2 root; None: nowhere."""
    for root in (CGROUP / "cpuacct", CGROUP / "cpu,cpuacct", CGROUP, CGROUP / "unified"):
        if not (root / "cgroup.procs").exists():
            continue
        probe = root / f"tally-probe-{os.getpid()}"
        try:
            probe.mkdir()
            child = subprocess.Popen(["sleep", "5"])
            try:
                (probe / "cgroup.procs").write_text(str(child.pid))
            finally:
                child.kill()
                child.wait()
                time.sleep(0.1)
                probe.rmdir()
        except OSError:
            with suppress(OSError):
                probe.rmdir()
            continue
        return root
    return None


class Workload:
    """One single-threaded process, in a group of its own if groups can be made."""

    def __init__(self, root: Path | None, name: str) -> None:
        self.root, self.name = root, name
        self.child = subprocess.Popen([sys.executable, "-S", "-c", LOAD, "1.5", MARK], stdin=subprocess.PIPE)
        while MARK.encode() not in Path(f"/proc/{self.child.pid}/cmdline").read_bytes():
            time.sleep(0.001)  # until then it may still have the name of the process that made it
        if root:
            self.group = root / name
            self.group.mkdir()
            (self.group / "cgroup.procs").write_text(str(self.child.pid))
        self._say()

    @property
    def resource_id(self) -> str:
        return f"h:{self.name}" if self.root else f"h:{Path(f'/proc/{self.child.pid}/comm').read_text().strip()}:{self.child.pid}"

    def _say(self) -> None:
        assert self.child.stdin
        self.child.stdin.write(b"go\n")
        self.child.stdin.flush()

    def end(self) -> int:
        """Let it end without waiting for it; the kernel's CPU time of it, ns, once it stands still."""
        self._say()
        last = -1
        while last != (last := self.kernel_ns()) or Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.3)
        return last

    def kernel_ns(self) -> int:
        if self.root is None:
            return int(Path(f"/proc/{self.child.pid}/schedstat").read_text().split()[0])
        usage = self.group / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text())
        return 1000 * int((self.group / "cpu.stat").read_text().split()[1])

    def remove(self) -> None:
        self.child.kill()
        self.child.wait()
        if self.root:
            until = time.monotonic() + 3
            while self.group.exists() and time.monotonic() < until:
                with suppress(OSError):
                    self.group.rmdir()
                time.sleep(0.05)


class Stage:
    """An agent that can be started, killed and stopped, its server and its workloads."""

    def __init__(self, folder: Path, root: Path | None) -> None:
        self.folder, self.root = folder, root
        self.receiver = Receiver()
        self.endpoint = self.receiver.url
        self.workloads: list[Workload] = []
        self.agents: list[subprocess.Popen[bytes]] = []
        self.log = folder / "agent.log"

    def environment(self, **settings: str) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("TALLY_AGENT_", "TALLY_STATE"))}
        own = {
            "endpoint": self.endpoint,
            "spool_directory": str(self.folder / "spool"),
            "host": "h",
            "source": "cgroup" if self.root else "proc",
            "cgroup_match": f"{MARK}-*",
            "proc_match": f"*{MARK}*",
            "proc_minimum_cpu_ms": "0",
            "batch_seconds": "1",
            "heartbeat_interval_seconds": "1",
            **settings,
        }
        return {**plain, "PYTHONPATH": str(ROOT / "src"), **{f"TALLY_AGENT_{name.upper()}": value for name, value in own.items()}}

    def start(self, **settings: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            agent = subprocess.Popen([sys.executable, "-m", "tallystick.app.agent", "run"], env=self.environment(**settings), stderr=log)
        self.agents.append(agent)
        return agent

    def logged(self, message: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["message"] == message]

    def workload(self, name: str = "a") -> Workload:
        made = Workload(self.root, f"{MARK}-{name}")
        self.workloads.append(made)
        return made

    def wait(self, what: Callable[[], object], seconds: float = 15) -> None:
        until = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < until, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def close(self) -> None:
        for agent in self.agents:
            if agent.poll() is None:
                agent.kill()
            agent.wait()
        for workload in self.workloads:
            workload.remove()
        self.receiver.close()


@pytest.fixture(scope="module")
def root() -> Path | None:
    return cpu_root()


@pytest.fixture(params=["cgroup", "proc"])
def stage(request: pytest.FixtureRequest, tmp_path: Path, root: Path | None, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    if request.param == "cgroup" and root is None:
        with capsys.disabled():
            print("no control group may be made here: the agent's test meters processes through /proc instead")
    made = Stage(tmp_path, root if request.param == "cgroup" else None)
    yield made
    made.close()


def kinds(stage: Stage, resource_id: str) -> list[int]:
    return [event.kind for event in stage.receiver.events_of(resource_id)]


def stopped(stage: Stage, resource_id: str) -> bool:
    return pb.LIFECYCLE_KIND_STOPPED in kinds(stage, resource_id)


def test_the_cpu_that_is_counted_is_the_kernels_to_the_nanosecond(stage: Stage) -> None:
    agent = stage.start()
    stage.wait(lambda: stage.receiver.heartbeats)
    time.sleep(1.1)
    load = stage.workload()
    name = load.resource_id
    kernel_ns = load.end()
    stage.wait(lambda: stopped(stage, name))
    samples = stage.receiver.samples(name)
    assert samples[-1][2] == kernel_ns
    events = stage.receiver.events_of(name)
    assert [event.kind for event in events] == [pb.LIFECYCLE_KIND_STARTED, pb.LIFECYCLE_KIND_STOPPED]
    assert events[1].at == samples[-1][0]
    assert 0 < samples[0][0] - events[0].at < 1.5e9, "from the last look on, which saw nothing"
    assert all(0 < later[0] - earlier[0] < 1.5e9 for earlier, later in pairwise(samples))
    assert all(later[2] >= earlier[2] for earlier, later in pairwise(samples))
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(15) == 0
    assert stage.receiver.heartbeats[-1].reported_until > events[1].at
    (fact,) = [fact for fact in stage.receiver.facts if fact.resource_id == name]
    assert not fact.HasField("customer_id"), "unassigned"


def test_a_killed_agent_goes_on_where_its_disk_ends(stage: Stage) -> None:
    stage.start()
    stage.wait(lambda: stage.receiver.heartbeats)
    time.sleep(1.1)
    load = stage.workload()
    name = load.resource_id
    for pause in (1.7, 0.4):
        time.sleep(pause)
        stage.agents[-1].kill()
        stage.agents[-1].wait()
        time.sleep(0.3)
        begun = len(stage.logged("resource_found"))
        stage.start()
        stage.wait(lambda known=begun: len(stage.logged("resource_found")) > known)
    kernel_ns = load.end()
    stage.wait(lambda: stopped(stage, name))
    stage.agents[-1].send_signal(signal.SIGINT)
    assert stage.agents[-1].wait(15) == 0
    samples = stage.receiver.samples(name)
    assert samples[-1][2] == kernel_ns
    assert len({batch.boot_id for batch in stage.receiver.batches.values() if batch.resource_id == name}) == 1
    assert stage.receiver.conflicts == 0
    sequences = sorted((key[2], key[3]) for key in stage.receiver.batches if key[0] == name)
    assert [sequence for _, sequence in sequences] == list(range(1, len(sequences) + 1)), "one spool, no number left out or taken twice"
    assert kinds(stage, name).count(pb.LIFECYCLE_KIND_STARTED) == 1
    assert kinds(stage, name).count(pb.LIFECYCLE_KIND_STOPPED) == 1
    instants = [sample[0] for sample in samples]
    assert len(instants) == len(set(instants)), "no sample twice"
    assert max(later - earlier for earlier, later in pairwise(instants)) < 4e9


def test_what_ended_while_the_agent_was_dead_is_read_when_it_is_back(stage: Stage) -> None:
    stage.start()
    stage.wait(lambda: stage.receiver.heartbeats)
    time.sleep(1.1)
    load = stage.workload()
    name = load.resource_id
    time.sleep(2.3)
    stage.agents[-1].kill()
    stage.agents[-1].wait()
    kernel_ns = load.end()
    stage.start()
    stage.wait(lambda: stopped(stage, name))
    assert stage.receiver.samples(name)[-1][2] == kernel_ns
    assert kinds(stage, name).count(pb.LIFECYCLE_KIND_STARTED) == 1


def test_a_server_that_is_away_costs_nothing(stage: Stage) -> None:
    stage.receiver.fault = lambda request: error(503, "unavailable")
    agent = stage.start()
    load = stage.workload()
    name = load.resource_id
    time.sleep(4)
    stage.receiver.fault = lambda request: None
    kernel_ns = load.end()
    stage.wait(lambda: stopped(stage, name), 50)
    assert stage.receiver.samples(name)[-1][2] == kernel_ns
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(15) == 0
    assert stage.logged("send_failed")


def test_an_agent_that_cannot_send_ends_in_time_and_the_next_one_sends(stage: Stage) -> None:
    load = stage.workload()
    name = load.resource_id
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    agent = stage.start(endpoint=address, stop_timeout_seconds="1")
    time.sleep(3)
    begun = time.monotonic()
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(10) == 0
    assert time.monotonic() - begun < 6
    assert stage.logged("agent_stopped")[0]["batches_left"] != 0
    stage.start()
    kernel_ns = load.end()
    stage.wait(lambda: stopped(stage, name))
    assert stage.receiver.samples(name)[-1][2] == kernel_ns


def test_its_own_metrics_and_key(tmp_path: Path) -> None:
    stage = Stage(tmp_path, None)
    try:
        (tmp_path / "key").write_text("tsk_secret\n")
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        stage.start(key_file=str(tmp_path / "key"), metrics_listen=f"127.0.0.1:{port}", metrics_per_resource="true")
        load = stage.workload()
        stage.wait(lambda: stage.receiver.batches)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            page = answer.read().decode()
        assert stage.receiver.keys == {"Bearer tsk_secret"}
        for name in (
            "metrics_collected_total",
            "metrics_collection_duration_seconds_bucket",
            "metrics_batches_sent_total",
            "metrics_batch_send_errors_total",
            "metrics_wal_writes_total",
            "metrics_wal_sync_duration_seconds_sum",
            "spool_depth",
            "spool_age_seconds",
            "missed_ticks_total",
            "clock_steps_total",
            "batches_thinned_total",
        ):
            assert f"tally_agent_{name}" in page
        assert f'tally_agent_resource_up{{resource="{load.resource_id}"}} 1' in page
    finally:
        stage.close()


def test_once_and_read_print_one_reading(tmp_path: Path) -> None:
    stage = Stage(tmp_path, None)
    try:
        load = stage.workload()
        command = [sys.executable, "-m", "tallystick.app.agent"]
        ran = subprocess.run([*command, "--once"], env=stage.environment(), capture_output=True, text=True, check=True)
        assert [json.loads(line)["resource_id"] for line in ran.stdout.splitlines()] == [load.resource_id]
        ran = subprocess.run([*command, "read", load.resource_id], env=stage.environment(), capture_output=True, text=True, check=True)
        assert json.loads(ran.stdout)["cpu_time_nanos"] > 0
        ran = subprocess.run([*command, "read", "nobody"], env=stage.environment(), capture_output=True, text=True, check=False)
        assert (ran.returncode, "'nobody'" in ran.stderr) == (1, True)
    finally:
        stage.close()


def test_a_wrong_setting_and_a_spool_in_use_are_refused_at_the_start(tmp_path: Path) -> None:
    stage = Stage(tmp_path, None)
    try:
        command = [sys.executable, "-m", "tallystick.app.agent", "run"]
        ran = subprocess.run(
            command, env=stage.environment(batch_size="0", colour="red"), capture_output=True, text=True, check=False, timeout=20
        )
        assert ran.returncode == 2
        assert "TALLY_AGENT_BATCH_SIZE = '0'" in ran.stderr
        assert "TALLY_AGENT_COLOUR = 'red'" in ran.stderr
        stage.start()
        stage.wait(lambda: stage.receiver.heartbeats)
        ran = subprocess.run(command, env=stage.environment(), capture_output=True, text=True, check=False, timeout=20)
        assert ran.returncode == 2
        assert str(tmp_path / "spool") in ran.stderr
    finally:
        stage.close()


def test_the_agent_imports_nothing_heavy() -> None:
    heavy = "numpy pydantic sqlalchemy typer rich structlog prometheus_client asyncio fastapi babel"
    code = f"import sys, tallystick.app.agent; print(*[m for m in {heavy!r}.split() if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == ""
