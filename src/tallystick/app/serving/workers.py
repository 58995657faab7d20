"""Worker processes beside the server: started with it, started again when one ends, ended with it, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping

from tallystick.app.clock import Clock
from tallystick.app.logs import logger
from tallystick.app.settings import Settings, load_settings

PR_SET_PDEATHSIG = 1
END_SECONDS = 15
FIRST_WAIT_SECONDS = 1
LONGEST_WAIT_SECONDS = 30
STEADY_NS = 60 * 10**9
"""A worker that lived so long did not fail at its start: the next one is started without a longer wait."""


class Workers:
    """Keeps so many workers running."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._environment = worker_environment(settings, os.environ)
        self._clock = clock
        self._ending = threading.Event()
        self._log = logger("workers")
        self._threads = [threading.Thread(target=self._keep, args=(number,), daemon=True) for number in range(settings.workers)]

    def start(self) -> None:
        """Start all of them."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all of them and wait."""
        self._ending.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(END_SECONDS + 5)

    def _keep(self, number: int) -> None:
        wait_seconds = FIRST_WAIT_SECONDS
        while not self._ending.is_set():
            began_ns = self._clock.monotonic_ns()
            command = [sys.executable, "-m", "tallystick.app.serving.workers", str(os.getpid())]
            child = subprocess.Popen(command, env=self._environment, stdin=subprocess.DEVNULL)  # noqa: S603 (our own interpreter)
            self._log.info("worker started", worker=number, pid=child.pid)
            while child.poll() is None and not self._ending.wait(0.2):
                pass
            if self._ending.is_set():
                _end(child)
                return
            if self._clock.monotonic_ns() - began_ns > STEADY_NS:
                wait_seconds = FIRST_WAIT_SECONDS
            self._log.error("worker ended", worker=number, pid=child.pid, code=child.returncode, again_in_seconds=wait_seconds)
            self._ending.wait(wait_seconds)
            wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)


def worker_environment(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker: this one, with the settings that both share as the server has them."""
    given = {
        "TALLY_STATE_DIR": str(settings.state_dir),
        "TALLY_STORE_URL": settings.url,
        "TALLY_LOG_LEVEL": settings.log_level,
        "TALLY_CLOCK_FILE": str(settings.clock_file or ""),
    }
    return {**environment, **given}


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def main() -> None:
    """Run one worker, which ends when the server that started it (the process of the first argument) is gone."""
    from tallystick.app.jobs.worker import run_worker  # noqa: PLC0415 (only the child needs the jobs)

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == int(sys.argv[1]):
        run_worker(load_settings())


if __name__ == "__main__":
    main()
