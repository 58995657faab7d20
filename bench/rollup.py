"""What it costs to roll up an hour of many resources: CPU-seconds of one process, days and months included; and its memory.

Also how the cost grows with the resources and with the hours, and the longest transaction, which other writers wait for.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.filled import MONTH_NS, Filled, filled_store
from bench.measure import line, status_mib
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.app.serving.memory import collect_seldom
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.store.store import Store, Tx

NOON_NS = MONTH_NS + 14 * DAY_NS + 12 * HOUR_NS
"""The middle of a day in the middle of a month: half of the day's hours and of the month's days are stored."""
Result = TypeVar("Result")


@dataclass
class Measured:
    """CPU-seconds of a roll-up, CPU of its write transactions in ms, in order, and by how much the process grew."""

    cpu_s: float
    transactions_ms: list[float]
    grown_mib: float


def measure(folder: Path, wanted: Filled) -> Measured:
    store = filled_store(folder, wanted)
    spent: list[float] = []
    store.transact = _timed(store, spent)  # type: ignore[method-assign]  # measured from outside
    until_ns = wanted.from_ns + wanted.hours * HOUR_NS
    Path("/proc/self/clear_refs").write_text("5")
    resident = status_mib("VmRSS")
    before = time.process_time()
    done = roll_up(store, DiskHorizon.CLOCK, until_ns)
    cpu_s = time.process_time() - before
    grown = status_mib("VmHWM") - resident
    store.close()
    if done != wanted.resources * wanted.hours:
        raise SystemExit(f"bench/rollup.py: {done} hours were computed, not {wanted.resources * wanted.hours}")
    return Measured(cpu_s, sorted(spent), grown)


def _timed(store: Store, spent: list[float]) -> Callable[[Callable[[Tx], Result]], Result]:
    real = store.transact

    def transact(body: Callable[[Tx], Result]) -> Result:
        began = time.thread_time()
        try:
            return real(body)
        finally:
            spent.append((time.thread_time() - began) * 1e3)

    return transact


def main() -> None:
    collect_seldom()  # as a worker does
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        few = measure(Path(folder) / "few", Filled(2_000, NOON_NS))
        twice = measure(Path(folder) / "twice", Filled(4_000, NOON_NS))
        hours = measure(Path(folder) / "hours", Filled(2_000, NOON_NS, hours=2))
        whole = measure(Path(folder) / "whole", Filled(10_000, NOON_NS))
    line("rollup_10000_cpu_s", whole.cpu_s, "CPU-s", "an hour of 10,000 resources, with their days and months, SQLite", 10)
    line("rollup_memory_grown_mib", whole.grown_mib, "MiB", "by how much the process grew while it rolled up 10,000 resources", 64)
    line("rollup_resources_growth", twice.cpu_s / few.cpu_s, "x", "CPU of 4,000 resources over that of 2,000", 2.2)
    line("rollup_hours_growth", hours.cpu_s / few.cpu_s, "x", "CPU of two hours of 2,000 resources over that of one", 2.2)
    slow = whole.transactions_ms[len(whole.transactions_ms) * 99 // 100]
    line("rollup_transaction_p99_ms", slow, "CPU-ms", "99 of 100 of its write transactions take less", 5)


if __name__ == "__main__":
    main()
