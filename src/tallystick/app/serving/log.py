"""The thread that looks after SQLite's log, so that no commit of the ingest has to."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tallystick.store.service.log import Log

MOVE_SECONDS = 1
"""Between two moves while there are commits: what was written in it is moved in some 20 ms, and a page that changed often but once."""
SETTLE_SECONDS = 5
"""After so long without a commit the log is cut to nothing: there is time for it now."""


class LogMover:
    """Moves the log of a store once a second while this process commits, and cuts it five seconds after the last commit."""

    def __init__(self, log: Log, failed: Callable[[str, BaseException], None]) -> None:
        self._log = log
        self._failed = failed
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-mover", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is in the log stays there, as durable as before."""
        self._ending.set()
        self._log.wake()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        is_cut = True
        while not self._ending.is_set():
            try:
                if self._log.wait_written(None if is_cut else SETTLE_SECONDS - MOVE_SECONDS):
                    is_cut = False
                    self._ending.wait(MOVE_SECONDS)
                    self._log.move()
                else:
                    is_cut = self._log.shorten()
            except Exception as error:  # the log stays as it is, and is moved the next time or by a commit
                self._failed("log-mover", error)
                self._ending.wait(SETTLE_SECONDS)
