"""What the benchmarks share: kept connections, CPU until idle, bytes on disk, and the one JSON line of a figure."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

IDLE_SHARE = 0.03
IDLE_SECONDS = 20


class Connection:
    """One kept connection that posts binary rpc messages."""

    def __init__(self, port: int, path: str, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._path = path
        self._headers = {"content-type": "application/proto", "authorization": f"Bearer {key}"}

    def post(self, body: bytes) -> tuple[int, bytes]:
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def until_idle(used: Callable[[], float]) -> None:
    """Until less than 3 % of a core is used for a second: what goes on in the background belongs to the price."""
    limit = time.monotonic() + IDLE_SECONDS
    before = used()
    while time.monotonic() < limit:
        time.sleep(1)
        now = used()
        if now - before < IDLE_SHARE:
            return
        before = now


def size_on_disk(folder: Path) -> int:
    """Bytes of blocks on disk of all files of a folder but the server's log."""
    os.sync()
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".log"]
    return sum(path.stat().st_blocks * 512 for path in files)


def status_mib(name: str) -> float:
    """A figure of this process' status, such as VmRSS."""
    rows = Path("/proc/self/status").read_text().splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith(f"{name}:")) / 1024


def line(name: str, value: float, unit: str, what: str, goal: float) -> None:
    """One figure, as a JSON line on stdout."""
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "what": what, "goal": goal}), flush=True)
