"""`tally up`: server, worker and agent from nothing, a last table, and a clean end."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 8
BURN = "import time\nwhile True: [0 for _ in range(10**6)]; time.sleep(0.05)"


def command(state: Path, *words: str, **environment: str) -> tuple[list[str], dict[str, str]]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TALLY_", "RUN_"))}
    return [sys.executable, "-m", "tallystick", "up", *words], {**kept, "TALLY_STATE_DIR": str(state), **environment}


def nobody() -> dict[str, int]:
    """Who runs it: another user than root, which this one is already if it is not root.

    An interpreter below a closed folder (one of root's own) cannot be started by anyone else: then it is root after all.
    """
    interpreter = Path(sys.executable).resolve()
    is_open = all(folder.stat().st_mode & stat.S_IXOTH for folder in (*interpreter.parents, *Path(sys.executable).parents))
    return {"user": 65534, "group": 65534} if os.geteuid() == 0 and is_open else {}


def left_over(state: Path) -> list[str]:
    """Processes that still have this state directory in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(state).encode() in environment and b"tallystick" in line:
            found.append(line.replace(b"\0", b" ").decode())
    return found


def wait_metering(log: Path, seconds: float = 60) -> None:
    """Until the agent has found something, and a moment more."""
    until = time.monotonic() + seconds
    while not (log.exists() and "resource_found" in log.read_text()):
        assert time.monotonic() < until, "the agent found nothing"
        time.sleep(0.1)
    time.sleep(3)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_it_meters_this_machine_and_prints_the_last_table(tmp_path: Path) -> None:
    words, environment = command(tmp_path, "--seconds", str(SECONDS), TALLY_LISTEN=f"127.0.0.1:{free_port()}")
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "cost so far this month" in ran.stdout
    assert "samples sent" in ran.stdout
    assert " 0 waiting" in ran.stdout, ran.stdout
    assert left_over(tmp_path) == []


def test_ctrl_c_flushes_what_was_measured_last(tmp_path: Path) -> None:
    words, environment = command(tmp_path, "--json", TALLY_LISTEN=f"127.0.0.1:{free_port()}", TALLY_AGENT_SOURCE="proc")
    running = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    busy = subprocess.Popen([sys.executable, "-c", BURN])
    try:
        wait_metering(tmp_path / "agent.log")
        asked_ns = time.time_ns()
        running.send_signal(signal.SIGINT)
        told, wrong = running.communicate(timeout=60)
    finally:
        busy.kill()
        busy.wait()
    assert running.returncode == 0, wrong
    status = json.loads(told)
    assert status["resources"]
    assert {one["customer_id"] for one in status["resources"]} == {"local"}
    assert max(agent["reported_until_ns"] for agent in status["agents"]) > asked_ns - 10**9
    assert left_over(tmp_path) == []


def test_it_works_for_a_user_who_is_not_root(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    for place in (state, *[parent for parent in tmp_path.parents if str(parent).startswith("/tmp/")], tmp_path):
        place.chmod(0o777)
    words, environment = command(state, "--seconds", str(SECONDS), TALLY_LISTEN=f"127.0.0.1:{free_port()}", HOME=str(state))
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=90, check=False, **nobody())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "cost so far this month" in ran.stdout


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words, environment = command(tmp_path, "--seconds", "1", TALLY_LISTEN=address)
        ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "TALLY_LISTEN" in ran.stderr
    assert address.rpartition(":")[2] in ran.stderr
    assert left_over(tmp_path) == []
