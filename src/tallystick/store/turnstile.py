"""Turns of SQLite's writers across processes: a turnstile of two locks, and the lock of the one server of a file.

SQLite has one writer at a time and its waiting is not fair. A writer takes the queue's lock, then the writer's lock, then gives
the queue's back: so whoever waits for the writer's lock is alone in waiting, and gets it next. The locks are `flock` on two
files beside the database; threads of one process take turns by two locks of the process in the same way.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class StoreInUse(Exception):  # noqa: N818 (it is a state of the world, not a fault)
    """Another server has this database file open; the message names the file and the server's process id."""


class Turnstile:
    """The turns of the writers of one database file."""

    def __init__(self, database: Path) -> None:
        self._paths = (database.with_name(database.name + "-queue"), database.with_name(database.name + "-writer"))
        self._queue = threading.Lock()
        self._writer = threading.Lock()
        self._files: tuple[int, int] | None = None
        self._owner = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the writer's lock; waits its turn."""
        with self._queue:
            queue, writer = self._opened()
            fcntl.flock(queue, fcntl.LOCK_EX)
            try:
                self._writer.acquire()
                try:
                    fcntl.flock(writer, fcntl.LOCK_EX)
                except BaseException:
                    self._writer.release()
                    raise
            finally:
                fcntl.flock(queue, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(writer, fcntl.LOCK_UN)
            self._writer.release()

    def close(self) -> None:
        """Close the lock files."""
        if self._files and self._owner == os.getpid():
            for each in self._files:
                os.close(each)
        self._files = None

    def _opened(self) -> tuple[int, int]:
        # A forked child shares its parent's open files, and so the parent's locks: it needs its own.
        if self._files is None or self._owner != os.getpid():
            first, second = (os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for path in self._paths)
            self._files, self._owner = (first, second), os.getpid()
        return self._files


class ServerLock:
    """Held by the one server of a database file as long as its process lives; its workers hold none."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + "-server")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(self._file, 32, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise StoreInUse(f"{database} is open in another server (process {owner or 'unknown'}): one server at a time") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Let another server have the file."""
        with suppress(OSError):
            os.ftruncate(self._file, 0)
            os.close(self._file)
