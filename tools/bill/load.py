"""One real workload, as a process of its own: `python load.py KIND SECONDS FOLDER`, begun by a line on its standard input.

Nothing here knows of metering: it burns CPU, holds memory and writes files, as what is billed does. It is single-threaded
and imports nothing but the standard library.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

MIB = 1 << 20


def burn(seconds: float) -> None:
    """Keep one core busy for so long."""
    until = time.monotonic() + seconds
    value = 1
    while time.monotonic() < until:
        for _ in range(2000):
            value = value * 1103515245 + 12345 & 0x7FFFFFFF


def write(folder: Path, megabytes: int) -> None:
    """Write a file and force it to the disk before going on, so that the process itself waits for it."""
    path = folder / "burst.bin"
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(MIB))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def steady(until: float, folder: Path) -> None:
    """Half of a core, evenly, with 32 MiB held."""
    held = bytearray(os.urandom(MIB)) * 32
    while time.monotonic() < until:
        burn(0.05)
        time.sleep(0.05)
    del held


def bursty(until: float, folder: Path) -> None:
    """Every four seconds: 96 MiB taken and filled, one second of a core, 8 MiB written and synced; then all is given back."""
    while time.monotonic() < until:
        held = bytearray(os.urandom(MIB)) * 96
        burn(min(1.0, max(0.0, until - time.monotonic())))
        write(folder, 8)
        del held
        time.sleep(max(0.0, min(2.5, until - time.monotonic())))


def brief(until: float, folder: Path) -> None:
    """Four fifths of a core with 48 MiB held: what stops half-way and is started again runs this twice."""
    held = bytearray(os.urandom(MIB)) * 48
    while time.monotonic() < until:
        burn(0.08)
        time.sleep(0.02)
    del held


KINDS = {"steady": steady, "bursty": bursty, "brief": brief}


def main() -> int:
    """Say that it is there, wait to be let go, work, and end."""
    kind, seconds, folder = sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    KINDS[kind](time.monotonic() + seconds, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
