"""Processes as a person starts them: what they say when they cannot begin, and that all they log is JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.servers import ROOT, ServerProcess


def serve_again(state: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TALLY_STATE_DIR": str(state), "TALLY_LISTEN": "127.0.0.1:0", "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "tallystick", "serve"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_second_server_on_one_file_names_the_first_and_fails(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        second = serve_again(tmp_path)
        assert second.returncode == 1
        assert f"tallystick.db is open in another server (process {server.pid})" in second.stderr


def test_every_line_of_a_log_is_json_from_the_first_on(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, {"TALLY_WORKERS": "1"}) as server:
        limit = time.monotonic() + 20
        while "worker started" not in server.log and time.monotonic() < limit:
            time.sleep(0.05)
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert {"worker started", "listening"} <= {line["event"] for line in lines}
    assert all(line["timestamp"].endswith("Z") and line["level"] in {"info", "warning"} for line in lines)
