"""Many worlds: one after the other, on as many processors as asked for, and what they came to."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from tallystick.sim.coverage import Lines, traced
from tallystick.sim.world.world import Run, run

MEMORY = Path("/dev/shm")  # noqa: S108 (files of a simulated disk in memory)
SEEDS_AT_ONCE = 4
PARTS_OF_A_PROCESS = 50
"""Then it ends, and what it has kept in memory with it."""


@dataclass(slots=True, kw_only=True)
class Runs:
    """What a range of seeds came to."""

    first_seed: int
    runs: int = 0
    virtual_hours: int = 0
    events: int = 0
    readings: int = 0
    audited_hours: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failed: list[Run] = field(default_factory=list)
    lines: Lines = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, one: Run) -> None:
        """Count one."""
        self.runs += 1
        self.virtual_hours += one.hours
        self.events += one.events
        self.readings += one.readings
        self.audited_hours += one.audited_hours
        self.faults += one.faults
        if one.wrong:
            self.failed.append(one)

    @property
    def virtual_hours_a_minute(self) -> int:
        """How fast it went."""
        return round(self.virtual_hours * 60 / self.seconds) if self.seconds else 0


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one world: in memory if the machine has that."""
    with tempfile.TemporaryDirectory(prefix="tally-sim-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


def one(seed: int, lines: Lines | None = None) -> Run:
    """The world of one seed; `lines`: note there which lines it went through."""
    with folder() as place:
        if lines is None:
            return run(seed, place)
        with traced(lines):
            return run(seed, place)


def _some(seeds: Sequence[int], is_traced: bool) -> tuple[list[Run], Lines]:
    logging.disable(logging.WARNING)
    lines: Lines = {}
    return [one(seed, lines if is_traced else None) for seed in seeds], lines


def many(first_seed: int, count: int, *, jobs: int = 1, traced_runs: int = 0) -> Iterator[Runs]:
    """The worlds of `count` seeds from `first_seed` on: what they came to so far, after every few, and at last all."""
    began = time.perf_counter()  # how fast it goes is real
    result = Runs(first_seed=first_seed)
    seeds = range(first_seed, first_seed + count)
    parts = [seeds[at : at + SEEDS_AT_ONCE] for at in range(0, count, SEEDS_AT_ONCE)]
    chosen = [part.start - first_seed < traced_runs for part in parts]
    for runs, lines in _mapped(parts, chosen, jobs):
        for each in runs:
            result.add(each)
        for path, numbers in lines.items():
            result.lines.setdefault(path, set()).update(numbers)
        result.seconds = time.perf_counter() - began
        yield result


def _mapped(parts: Sequence[range], chosen: Sequence[bool], jobs: int) -> Iterator[tuple[list[Run], Lines]]:
    if min(jobs, len(parts)) <= 1:
        yield from map(_some, parts, chosen)
        return
    workers = min(jobs, os.cpu_count() or 1)
    for at in range(0, len(parts), PARTS_OF_A_PROCESS * workers):
        # `max_tasks_per_child` would do the same, and hangs where all workers come to it at once (CPython before 3.12.2).
        some = slice(at, at + PARTS_OF_A_PROCESS * workers)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(_some, parts[some], chosen[some])
