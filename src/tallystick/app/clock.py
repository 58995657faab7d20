"""Time, ids and randomness: the only place that asks the machine for them; everything else is given them as arguments."""

from __future__ import annotations

import base64
import ctypes
import secrets
import struct
import time
import uuid
from functools import partial
from pathlib import Path
from typing import Protocol

_TIMEX_BYTES = 256
"""Room for a `struct timex`, of which 208 are used."""
_TIMEX_STATUS = struct.Struct("i")
_TIMEX_STATUS_AT = 5 * struct.calcsize("l")
"""Behind `modes`, with its padding, and four longs."""
_STA_UNSYNC = 0x40


class Clock(Protocol):
    """What tells the time."""

    def now_ns(self) -> int:
        """The present instant: nanoseconds since the epoch, UTC."""
        ...

    def monotonic_ns(self) -> int:
        """A count of nanoseconds that never goes back, for waiting and for ages; its zero means nothing."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        """The present instant: nanoseconds since the epoch, UTC."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """A count of nanoseconds that never goes back."""
        return time.monotonic_ns()


class FileClock:
    """A clock that stands in a file, for replaying the past: the file holds nanoseconds since the epoch as a decimal integer.

    It is read on each call, so whoever writes the file (by renaming a new one over it) moves the time.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.now_ns()

    def now_ns(self) -> int:
        """The instant in the file.

        Raises:
            ValueError: the file cannot be read or holds no integer; the message names the file and what it holds.

        """
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"clock file {self._path}: {error}") from None
        if not text.isdigit():
            raise ValueError(f"clock file {self._path} holds {text[:40]!r}: not nanoseconds since the epoch")
        return int(text)

    def monotonic_ns(self) -> int:
        """The machine's own count: waiting is real, also when the time of day is not."""
        return time.monotonic_ns()


def clock_of(file: Path | None) -> Clock:
    """The clock that stands in a file (the setting `clock_file`), or the machine's own."""
    return FileClock(file) if file else SystemClock()


class Ids(Protocol):
    """What makes ids that nobody can guess."""

    def new_id(self) -> str:
        """A new id: 32 hexadecimal digits."""
        ...

    def new_key(self) -> str:
        """A new API key: `tsk_` and 256 bits."""
        ...


class RandomIds:
    """Ids and keys from the machine's own randomness."""

    def new_id(self) -> str:
        """A new id: 32 hexadecimal digits."""
        return uuid.uuid4().hex

    def new_key(self) -> str:
        """A new API key: `tsk_` and 256 bits in URL-safe base64 without padding."""
        return "tsk_" + base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode("ascii")


class HostClock(SystemClock):
    """The clocks of the machine that is metered, for its agent."""

    boottime_ns = staticmethod(partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME))
    """Nanoseconds since the machine started, suspended or not: never set back, whatever becomes of the time of day."""

    def is_synchronised(self) -> bool | None:
        """Whether the kernel says that its clock is disciplined by NTP or the like (adjtimex, STA_UNSYNC); None: it does not tell."""
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            answer = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: nothing is set
            if libc.adjtimex(answer) < 0:
                return None
        except (OSError, AttributeError):
            return None
        return not _TIMEX_STATUS.unpack_from(answer.raw, _TIMEX_STATUS_AT)[0] & _STA_UNSYNC

    def process_cpu_ns(self, pid: int) -> int:
        """CPU time of all threads of a process, those that have ended included, in ns; readable until it is reaped.

        The number is that of /proc/PID/schedstat for a process with one thread (posix-cpu-timers: the scheduler's clock of a thread group).

        Raises:
            OSError: there is no such process.

        """
        return time.clock_gettime_ns((~pid << 3) | 2)
