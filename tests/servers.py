"""A real server process on a free port, its keys, and requests to it with nothing but the standard library."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SERVE = "from tallystick.app.settings import load_settings; from tallystick.app.server import run_server; run_server(load_settings())"
START_SECONDS = 60


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ServerProcess:
    """`with ServerProcess(state_dir) as server:`; `environment` are further settings."""

    state_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    ports: tuple[int, ...] = ()

    def start(self) -> ServerProcess:
        self.state_dir.mkdir(parents=True, exist_ok=True)
        log = self.log_file.open("ab")
        seen = self.log_file.stat().st_size
        given = {
            "TALLY_STATE_DIR": str(self.state_dir),
            "TALLY_LISTEN": "127.0.0.1:0",
            "TALLY_WORKERS": "0",
            "PYTHONPATH": str(ROOT / "src"),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE], env={**kept, **given, **self.environment}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        log.close()
        limit = time.monotonic() + START_SECONDS
        while time.monotonic() < limit:
            for line in self.log_file.read_bytes()[seen:].splitlines():
                if b'"listening"' in line:
                    self.ports = tuple(int(address.rpartition(":")[2]) for address in json.loads(line)["addresses"])
                    return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"the server did not start: {self.log[seen:][-3000:]}")

    @property
    def log_file(self) -> Path:
        return self.state_dir / "server.log"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def peak_memory_mib(self) -> float:
        """MiB of the largest resident set of each process of the tree, added up."""
        total = 0
        for each in tree(self.pid):
            rows = Path(f"/proc/{each}/status").read_text().splitlines()
            total += sum(int(row.split()[1]) for row in rows if row.startswith("VmHWM:"))
        return total / 1024

    def stop(self, how: int = signal.SIGTERM, seconds: float = 20) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def __enter__(self) -> ServerProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, *, port: int | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            if found.get("content-encoding") == "gzip":
                content = gzip.decompress(content)
            return Reply(answer.status, found, content)
        finally:
            connection.close()

    def rpc(self, path: str, message: object, key: str | None, headers: Mapping[str, str] | None = None) -> Reply:
        """A Connect request: a protobuf message in binary, anything else as JSON."""
        binary = hasattr(message, "SerializeToString")
        body = message.SerializeToString() if binary else json.dumps(message).encode()  # type: ignore[attr-defined]  # JSON, or a message
        given = {"content-type": "application/proto" if binary else "application/json", **(headers or {})}
        if key is not None:
            given["authorization"] = f"Bearer {key}"
        return self.call("POST", path, body, given)


def tree(pid: int) -> Sequence[int]:
    """A process and its living descendants."""
    found, todo = [], [pid]
    while todo:
        each = todo.pop()
        found.append(each)
        for children in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                todo += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its living descendants, and those that it waited for."""
    ticks = 0
    for each in tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
