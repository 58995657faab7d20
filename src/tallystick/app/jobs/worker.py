"""A worker: computes dirty hours, closes what is due, keeps the database; any number of them, on any number of servers."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tallystick.app.clock import Clock, Ids, RandomIds, clock_of
from tallystick.app.jobs.closing import close_due
from tallystick.app.jobs.failures import Failures
from tallystick.app.jobs.presence import watch
from tallystick.app.jobs.retention.cleaning import Cleaning
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.app.jobs.traced import HourTraces
from tallystick.app.logs import logger, set_up_logs
from tallystick.app.serving.memory import collect_seldom
from tallystick.app.settings import Settings
from tallystick.app.telemetry.tracing import Traces, traces_of
from tallystick.store.store import Store, StoreFault, open_store

SECOND_NS = 10**9
IDLE_SECONDS = 0.25
SEQUENCES_NS = 5 * SECOND_NS
"""How long a worker waits between two looks for numbers that are missing."""


@dataclass(slots=True)
class Chore:
    """Something that a worker does again and again, at least `every_ns` apart."""

    name: str
    every_ns: int
    do: Callable[[], int]
    due_at_ns: int = 0

    def run(self, now_ns: int) -> bool:
        """Do it if it is due; whether there may be more at once."""
        if now_ns < self.due_at_ns:
            return False
        try:
            done = self.do()
        except StoreFault as error:  # the database is away or busy: nothing was stored, and it is tried again
            logger("worker").error("the store failed", chore=self.name, error=str(error.orig or error))
            done = 0
        except Exception as error:
            logger("worker").error("chore failed", chore=self.name, error=f"{type(error).__name__}: {error}", exc_info=error)
            done = 0
        self.due_at_ns = now_ns + self.every_ns
        return done > 0


def chores(store: Store, settings: Settings, clock: Clock, ids: Ids, owner: str, traces: Traces | None = None) -> tuple[Chore, ...]:
    """What a worker does, in this order: room for what comes, then hours, since periods close on whole hours."""
    horizon, failures = DiskHorizon(settings.disk_horizon), Failures()
    traced = HourTraces(traces, clock)
    found = [
        Chore("partitions", 3600 * SECOND_NS, lambda: len(store.maintenance.ensure_partitions(clock.now_ns()))),
        Chore("roll_up", settings.rollup_interval_ms * 10**6, lambda: roll_up(store, horizon, clock.now_ns(), failures, traced)),
    ]
    found.append(Chore("sequences", SEQUENCES_NS, lambda: store.sequences.follow(clock.now_ns())))
    watching = watch(store, settings, clock.now_ns())
    found.append(Chore("presence", settings.watch_interval_ms * 10**6, lambda: watching.look(clock.now_ns())))
    if horizon is DiskHorizon.CLOCK:
        found.append(Chore("disk_hours", 20 * SECOND_NS, lambda: _mark_disk_hours(store, clock)))
    found.append(Chore("close_periods", settings.closing_interval_ms * 10**6, lambda: close_due(store, clock, ids, owner)))
    found.append(Chore("clean_up", 100 * 10**6, Cleaning(store, settings, clock, owner)))
    return tuple(found)


def _mark_disk_hours(store: Store, clock: Clock) -> int:
    """Some resources at a time, each in a short transaction, until no hour is left that is over."""
    done, now_ns = 0, clock.now_ns()
    while some := store.transact(lambda tx: store.batches.mark_disk_hours(tx, now_ns)):
        done += some
    return done


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; what is under way is finished or, at the latest by its lease, done by another."""
    clock, ids = clock_of(settings.clock_file), RandomIds()
    set_up_logs(settings.log_level, clock.now_ns)
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    traces = traces_of(settings.traces_endpoint, "tally-worker", settings.traces_sample_percent)
    store = open_store(settings.url, clock)
    collect_seldom()
    owner = f"{socket.gethostname()}:{os.getpid()}:{ids.new_id()[:8]}"
    try:
        work(chores(store, settings, clock, ids, owner, traces), clock, ending)
    finally:
        store.close()
        if traces:
            traces.close()


def work(found: tuple[Chore, ...], clock: Clock, ending: threading.Event) -> None:
    """Do each chore when it is due, until told to end."""
    while not ending.is_set():
        for chore in found:
            if ending.is_set():
                return
            chore.run(clock.monotonic_ns())
        ending.wait(IDLE_SECONDS)
