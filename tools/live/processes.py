"""The product's processes as a script starts, watches, kills and stops them. Each has its own process group and log file."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

READY_SECONDS = 60
STOP_SECONDS = 30
SHOWN_LINES = 30
SHOWN_CHARACTERS = 500
PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
LIBRARY = ctypes.CDLL(None)


class BrokenError(Exception):
    """A process of the product did not do what it should: which, and the end of its log."""


def end_with_parent(by: int = signal.SIGTERM) -> None:
    """In a child before it becomes its command: no process is left behind by a script that was killed."""
    with suppress(AttributeError):
        LIBRARY.prctl(PARENT_DEATH_SIGNAL, by)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """One command of the product, which can be started again after it was killed."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, *, ended_by: int = signal.SIGTERM
    ) -> None:
        """Nothing is started yet. `arguments` follow `tally`; `environment` is added to ours, without what sets Tallystick up there.

        `ended_by` is the signal that it gets when this script is killed: one that stands still takes none but SIGKILL.
        """
        self.name = name
        self.command = [sys.executable, "-m", "tallystick", *arguments]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TALLY_")}
        self.environment = {**kept, **environment}
        self.ended_by = ended_by
        self.log = folder / f"{name}.log"
        self.child: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.seen_bytes = 0

    def start(self) -> None:
        """Start it; what it writes is appended to its log."""
        with self.log.open("ab") as log:
            self.seen_bytes = log.tell()
            self.child = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: end_with_parent(self.ended_by),  # noqa: PLW1509 - it only asks the kernel for a signal
            )
        self.started_at = time.monotonic()

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            BrokenError: it was never started.

        """
        if self.child is None:
            raise BrokenError(f"{self.name} was never started")
        return self.child.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.child is not None and self.child.poll() is None

    def said(self, text: str) -> bool:
        """Whether that is in what it has written since it was started last."""
        return text.encode() in self.log.read_bytes()[self.seen_bytes :]

    def kill(self) -> None:
        """SIGKILL to it and to its children, at once: nothing is flushed."""
        if self.child is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def wait(self, seconds: float) -> int:
        """Wait until it ends by itself. Its exit status.

        Raises:
            BrokenError: it goes on.

        """
        try:
            return self.child.wait(seconds) if self.child else 0
        except subprocess.TimeoutExpired:
            raise BrokenError(f"{self.name} goes on after {seconds} s\n{self.tail()}") from None

    def stop(self) -> int:
        """End it as Ctrl-C does, and wait; killed when it does not. Its exit status."""
        if self.child is None:
            return 0
        if self.running:
            self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BrokenError(f"{self.name} did not stop within {STOP_SECONDS} s\n{self.tail()}") from None
        with suppress(ProcessLookupError):  # a child that it left behind
            os.killpg(self.child.pid, signal.SIGKILL)
        return self.child.returncode

    def tail(self) -> str:
        """The end of its log, without the far end of long lines."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  {self.name}: {line[:SHOWN_CHARACTERS]}" for line in lines[-SHOWN_LINES:])


def wait_ready(server: Process, url: str, seconds: float = READY_SECONDS) -> None:
    """Until the server says that it is ready.

    Raises:
        BrokenError: it ended, or was not ready in time; the end of its log is told.

    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not server.running:
            raise BrokenError(f"{server.name} ended while it started\n{server.tail()}")
        with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(f"{url}/ready", timeout=2) as answer:  # noqa: S310 - loopback
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise BrokenError(f"{server.name} was not ready within {seconds} s\n{server.tail()}")
