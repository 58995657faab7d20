"""The clean-up as a chore: every night, or all the time, a slice at a time, by one worker of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tallystick.app.clock import Clock
from tallystick.app.jobs.retention.rules import Rules
from tallystick.app.jobs.retention.steps import CleanUp
from tallystick.app.logs import logger
from tallystick.app.settings import Settings
from tallystick.model.calendar import day_start, local_date
from tallystick.model.instants import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from tallystick.store.records import Fence
from tallystick.store.store import Store

JOB = "clean_up"
SCOPE = "store"
CONTINUOUS = "continuous"
LEASE_SECONDS = 120
FAILED_SECONDS = 300
SLICE_NS = 50 * 10**6
"""So long a worker cleans before it looks for other work."""
LOOK_NS = 5 * SECOND_NS
LAST = "retention.last"
"""The setting under which the last clean-up is told."""


@dataclass(slots=True)
class _Running:
    """A clean-up under way: its job, its steps, and when its lease is to be extended."""

    fence: Fence
    clean_up: CleanUp
    steps: Iterator[None]
    extend_at_ns: int


class Cleaning:
    """What a worker calls again and again; it does one slice of the clean-up that is due, if there is one."""

    def __init__(self, store: Store, settings: Settings, clock: Clock, owner: str) -> None:
        self._store = store
        self._settings = settings
        self._rules = Rules.of(settings)
        self._clock = clock
        self._owner = owner
        self._running: _Running | None = None
        self._look_at_ns = 0

    def __call__(self) -> int:
        """One slice; 1 if there is more to do at once."""
        if self._running is None:
            self._running = self._begin()
        running = self._running
        if running is None:
            return 0
        try:
            return self._slice(running)
        except Exception as error:
            self._running = None
            self._store.jobs.failed(running.fence, f"{type(error).__name__}: {error}", FAILED_SECONDS)
            raise

    def _begin(self) -> _Running | None:
        now_ns = self._clock.monotonic_ns()
        if self._settings.retention == "off" or now_ns < self._look_at_ns:
            return None
        self._look_at_ns = now_ns + LOOK_NS
        period = CONTINUOUS if self._settings.retention == CONTINUOUS else self._night()
        if period != CONTINUOUS and self._store.jobs.is_done(JOB, SCOPE, period):
            return None
        fence = self._store.jobs.claim(JOB, SCOPE, period, self._owner, LEASE_SECONDS)
        if fence is None:
            return None
        clean_up = CleanUp(store=self._store, rules=self._rules, now_ns=self._clock.now_ns())
        return _Running(fence, clean_up, clean_up.steps(), now_ns + LEASE_SECONDS * SECOND_NS // 4)

    def _night(self) -> str:
        """The local date of the last night whose hour has come: one that was missed is caught up with."""
        now_ns = self._clock.now_ns()
        zone = self._store.contracts.seller(self._store.registry.places()[0]).time_zone
        hours, minutes = self._settings.retention_at.split(":")
        after_ns = int(hours) * HOUR_NS + int(minutes) * MINUTE_NS
        today = local_date(now_ns, zone)
        if now_ns < day_start(today, zone) + after_ns:
            today = local_date(day_start(today, zone) - DAY_NS // 2, zone)
        return today.isoformat()

    def _slice(self, running: _Running) -> int:
        began_ns = self._clock.monotonic_ns()
        if began_ns > running.extend_at_ns:
            self._store.jobs.extend(running.fence, LEASE_SECONDS)
            running.extend_at_ns = began_ns + LEASE_SECONDS * SECOND_NS // 4
        for _ in running.steps:
            if self._clock.monotonic_ns() - began_ns > SLICE_NS:
                return 1
        self._running = None
        told = running.clean_up.told()
        with self._store.write() as tx:
            self._store.settings.put(self._store.registry.places(tx=tx)[0], LAST, told, tx=tx)
            if running.fence.period != CONTINUOUS:
                self._store.jobs.done(tx, running.fence)
            else:
                self._store.jobs.failed(running.fence, "waits for what grows old", 0, tx=tx)
        logger("retention").info("cleaned up", **told)
        return 0
