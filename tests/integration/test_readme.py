"""Every snippet of the README, as it is written there, against a real server."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SECONDS = 100


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_lines() -> list[str]:
    return re.findall(r"^    (make .*?)(?: +#.*)?$", README, re.MULTILINE)


def test_opens_with_the_two_commands() -> None:
    first, second = README.splitlines()[:2]
    assert first.split()[:2] == ["make", "run"]
    assert second.split()[:2] == ["make", "test"]


@pytest.mark.parametrize("line", make_lines())
def test_make_knows_what_the_readme_asks_it(line: str) -> None:
    ran = subprocess.run(["make", "-n", *line.split()[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.timeout(SECONDS + 20)
def test_every_snippet_runs(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    snippets = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert snippets
    script = "\n".join(snippets).replace("127.0.0.1:8080", address).replace("/tmp/tallystick", str(tmp_path / "state"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    environment |= {"TALLY_LISTEN": address, "TALLY_URL": f"http://{address}", "HOME": str(tmp_path)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    running = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = running.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        said, _ = running.communicate()
        pytest.fail(f"a snippet of the README waits for ever:\n{said}\n{log(tmp_path)}")
    finally:
        end(running.pid)
    assert running.returncode == 0, f"{said}\n{log(tmp_path)}"
    assert (tmp_path / "state" / "invoice.pdf").read_bytes().startswith(b"%PDF-")
    assert '"outcome": "OUTCOME_STORED"' in said
    assert "total     0.10 USD" in said
    assert "verified: it follows from its evidence" in said


def log(folder: Path) -> str:
    path = folder / "state.log"
    return path.read_text()[-3000:] if path.exists() else ""


def end(group: int) -> None:
    """What a snippet that failed left running."""
    try:
        os.killpg(group, signal.SIGTERM)
    except ProcessLookupError:
        return
