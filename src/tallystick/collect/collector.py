"""The collector: ticks, looks and batches of everything that is metered on this host, in one thread."""

from __future__ import annotations

import errno
import logging
import os
import select
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from tallystick.collect.mapping import Declarations, checksum
from tallystick.collect.resource import WIDTH, Found, GoneError, Reader, Sampled, Source
from tallystick.collect.tick import Anchor, Tick
from tallystick.model.instants import SECOND_NS
from tallystick.model.resources import Fact
from tallystick.model.samples import GAP_AFTER_INTERVALS, LifecycleEvent, LifecycleKind

log = logging.getLogger(__name__)

_FACTS_SECONDS = 60
_SURE_LOOKS = 15
"""What is watched is asked whether it is empty at every 15th look only: its processes may have been moved away.

The kernel takes 30 us to list the processes of a v1 group; one that is removed is seen to be gone at the next look in any case.
"""
_GOLDEN = 618
"""Thousandths: first batches are cut at spread lengths, so that all do not close at one tick."""
DURATION_BUCKETS_NS = (1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000)


class HostClock(Protocol):
    """The clocks of the host."""

    def now_ns(self) -> int:
        """Wall time, nanoseconds since the epoch."""

    def boottime_ns(self) -> int:
        """Nanoseconds since the machine started; never set back."""


class Sink(Protocol):
    """Where batches, notices and tails go: the spool."""

    def batch(
        self, resource_id: str, boot_id: str, interval_ns: int, presence: int, rows: array[int], *, urgent: bool, since_ns: int | None
    ) -> None:
        """A batch that is closed. Its first sample tells of usage from `since_ns` on: the sample before it, or the start."""

    def notice(self, events: Sequence[LifecycleEvent], facts: Sequence[Fact]) -> None:
        """Lifecycle and facts."""

    def tail(
        self,
        at_ns: int,
        anchor_ns: int,
        host_boot: str,
        seen: Mapping[str, tuple[bool, int]] | None,
        parts: Sequence[tuple[str, str, int, int, bytes]],
        since: Sequence[tuple[str, str, int]],
    ) -> None:
        """What the last look saw, and the samples since the last tail; (resource, boot, `since_ns`) of batches new in it."""

    @property
    def is_stalled(self) -> bool:
        """Whether the disk takes nothing for so long that no more samples should be taken."""

    @property
    def is_behind(self) -> bool:
        """Whether the disk still works on what it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Interval and size of batches, and this host's boot."""

    interval_ns: int
    batch_size: int
    batch_ns: int
    host_boot: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What an earlier run knew at its last look."""

    at_ns: int
    anchor_ns: int
    host_boot: str
    seen: Mapping[str, tuple[bool, int]]


@dataclass(slots=True)
class CollectorCounts:
    """What the collector's own metrics tell. `bucket_counts` are of the durations of ticks, by `DURATION_BUCKETS_NS`."""

    samples: int = 0
    ticks: int = 0
    tick_ns: int = 0
    bucket_counts: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS_NS) + 1))
    missed_ticks: int = 0
    read_errors: int = 0
    clock_steps: int = 0


class Collector:
    """Samples every resource that its sources find. `run` is its loop; what is asked for may come from other threads."""

    def __init__(
        self, *, sources: Sequence[Source], sink: Sink, clock: HostClock, rules: Rules, declarations: Declarations, earlier: Earlier | None
    ) -> None:
        """`earlier` is what the spool remembers of the run before, None if it is new."""
        self._sources, self._sink, self._clock = sources, sink, clock
        self.rules, self.declarations = rules, declarations
        self.counts = CollectorCounts()
        same_boot = earlier is not None and earlier.host_boot == rules.host_boot
        now = clock.boottime_ns()
        self._anchor = Anchor(
            clock.now_ns(),
            now,
            earlier_anchor_ns=earlier.anchor_ns if earlier and same_boot else 0,
            last_instant_ns=earlier.at_ns if earlier else 0,
        )
        self._resources: dict[str, Sampled] = {}
        self._seen: dict[str, tuple[bool, int]] = dict(earlier.seen) if earlier and same_boot else {}
        self._told_seen: Mapping[str, tuple[bool, int]] | None = None
        self._last_look_ns = earlier.at_ns if earlier and same_boot else 0
        self._earlier_until_ns = max(1, earlier.at_ns - SECOND_NS) if earlier else 0
        self._looks = 0
        self._interval_ns = rules.interval_ns
        self._tick = Tick(now, rules.interval_ns)
        self._next_second_ns = now
        self._watched: dict[int, Sampled] = {}
        self._epoll = select.epoll()
        self._event_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._event_fd, select.EPOLLIN)
        self._asked_interval_ns = 0
        self._asked_flush = self._asked_stop = False
        self._on_flush: Callable[[], None] = lambda: None
        self._tokens = 0
        self.active: tuple[str, ...] = ()
        self.handed_over_until_ns = self._last_look_ns

    # What others ask for

    def stop(self) -> None:
        """End the loop after the present round; may be called by a signal handler."""
        self._asked_stop = True
        self.wake()

    def flush(self, then: Callable[[], None]) -> None:
        """Close all batches at the next round, then call."""
        self._on_flush = then
        self._asked_flush = True
        self.wake()

    def set_interval(self, interval_ns: int) -> None:
        """Sample at another interval from the next round on."""
        self._asked_interval_ns = interval_ns
        self.wake()

    def wake(self) -> None:
        """Leave the wait for the next tick."""
        with suppress(OSError):
            os.eventfd_write(self._event_fd, 1)

    def now_ns(self) -> int:
        """The present instant as samples carry it."""
        return self._clock.boottime_ns() + self._anchor.ns

    @property
    def metered(self) -> int:
        """How many resources are metered."""
        return len(self._resources)

    def forget_sent(self) -> None:
        """One more tail at the end, so that the spool knows what was acknowledged and removes it."""
        self._tail(self.now_ns())

    # The loop

    def run(self) -> None:
        """Tick, look and batch until `stop`; then close all batches. What runs goes on running: it gets no stop notice."""
        while not self._asked_stop:
            self.round()
        self._look_and_tail(final=True)

    def round(self) -> None:
        """Wait for what is due next, and do it."""
        self._wait(self._next_second_ns if self._sink.is_stalled else min(self._tick.next_at_ns, self._next_second_ns))
        self.step()

    def step(self) -> None:
        """What is asked for, and what is due now: a tick, a look with a tail, both or neither."""
        self._obey()
        now = self._clock.boottime_ns()
        if not self._sink.is_stalled and self._tick.is_due(now):
            self.tick()
            self._count_tick(self._clock.boottime_ns() - now)
        self.counts.missed_ticks = self._tick.missed
        if now >= self._next_second_ns:
            self._next_second_ns += SECOND_NS * max(1, (now - self._next_second_ns) // SECOND_NS)
            self._look_and_tail(final=False)

    def tick(self) -> None:
        """One sample of every resource, each with its own instant, right before its reading."""
        clock, anchor = self._clock.boottime_ns, self._anchor.ns
        stopped: list[Sampled] = []
        failed = 0
        for one in self._resources.values():
            rows = one.rows
            try:
                one.reader.take(rows, clock() + anchor)
            except GoneError:
                failed += 1
                stopped.append(one)
                continue
            except (ValueError, OverflowError) as error:
                failed += 1
                self._count_error(one, error)
                continue
            if len(rows) >= one.limit:
                self._close(one, urgent=False)
            if one.ending:
                stopped.append(one)
        self.counts.samples += len(self._resources) - failed
        for one in stopped:
            self._end_if_over(one)

    def _wait(self, until_ns: int) -> None:
        """Until then, or until something is asked for. `select` wakes to the microsecond, where epoll knows whole milliseconds only."""
        while not self._asked_stop:
            left = until_ns - self._clock.boottime_ns()
            if left <= 0:
                return
            if not select.select((self._epoll,), (), (), left / 1e9)[0]:
                continue
            for fd, _ in self._epoll.poll(0):
                if fd == self._event_fd:
                    with suppress(BlockingIOError):
                        os.eventfd_read(fd)
                    return
                self._changed(fd)

    def _obey(self) -> None:
        if self._asked_interval_ns:
            interval_ns, self._asked_interval_ns = self._asked_interval_ns, 0
            self._close_all()
            self._interval_ns = interval_ns
            self._tick, missed = Tick(self._clock.boottime_ns(), interval_ns), self._tick.missed
            self._tick.missed = missed
            log.info("interval_set", extra={"interval_ms": interval_ns // 10**6})
        if self._asked_flush:
            self._asked_flush = False
            self._close_all()
            self._on_flush()

    def _count_tick(self, duration_ns: int) -> None:
        self.counts.ticks += 1
        self.counts.tick_ns += duration_ns
        bucket = next((index for index, edge in enumerate(DURATION_BUCKETS_NS) if duration_ns <= edge), len(DURATION_BUCKETS_NS))
        self.counts.bucket_counts[bucket] += 1

    def _count_error(self, one: Sampled, error: Exception) -> None:
        self.counts.read_errors += 1
        if self.counts.read_errors in (1, 10, 100) or self.counts.read_errors % 1000 == 0:
            log.error("read_failed", extra={"resource": one.resource_id, "error": str(error), "errors": self.counts.read_errors})

    # The end of a resource

    def _changed(self, fd: int) -> None:
        """A process ended, or a group's events changed: if nothing is left in it, read it at once, while it can be read."""
        one = self._watched.get(fd)
        if one is None:
            with suppress(OSError):
                self._epoll.unregister(fd)
            return
        self._unwatch(one)
        if one.reader.is_empty():
            self._seen_empty(one)
        elif not self._watch(one):
            one.ending = True  # all that is in it is ending: looked at again after the next reading

    def _seen_empty(self, one: Sampled) -> None:
        """The reading now is the last that is sure; the one of the next tick has the last instructions of what ended in it too."""
        one.ending = True
        try:
            one.reader.take(one.rows, self.now_ns())
        except GoneError:
            self._end(one)
        except (ValueError, OverflowError) as error:
            self._count_error(one, error)
        else:
            self.counts.samples += 1

    def _end_if_over(self, one: Sampled) -> None:
        """It was read once more, or is gone: its end, unless something runs in it again."""
        if one.ending and not one.reader.is_empty():
            one.ending = False
            self._watch(one)
            return
        self._end(one)

    def _end(self, one: Sampled) -> None:
        self._resources.pop(one.found.key, None)
        self._unwatch(one)
        at_ns = one.rows[-WIDTH] if one.rows else one.last_at_ns
        self._close(one, urgent=True)
        one.reader.close()
        if at_ns:
            stopped = LifecycleEvent(
                resource_id=one.resource_id, boot_id=one.boot_id, kind=LifecycleKind.STOPPED, at_ns=at_ns, received_at_ns=0
            )
            self._sink.notice([stopped], [])
        running, facts = self._seen.get(one.found.key, (False, 0))
        if running:
            self._seen[one.found.key] = (False, facts)
        log.info("resource_stopped", extra={"resource": one.resource_id, "at_ns": at_ns})

    def _watch(self, one: Sampled) -> bool:
        watched = one.reader.watch()
        if watched is None:
            return False
        try:
            self._epoll.register(*watched)
            self._watched[watched[0]] = one
            one.is_watched = True
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EEXIST, errno.ENOSPC):
                raise
            return False
        return True

    def _unwatch(self, one: Sampled) -> None:
        one.is_watched = False
        for fd in [fd for fd, other in self._watched.items() if other is one]:
            del self._watched[fd]
            with suppress(OSError):
                self._epoll.unregister(fd)

    # Batches

    def _close(self, one: Sampled, *, urgent: bool) -> None:
        """Hand the open batch over; the next has the columns that are there now."""
        if one.rows:
            one.last_at_ns = one.rows[-WIDTH]
            rows, since_ns, one.since_ns = one.rows, one.since_ns, one.last_at_ns
            self._sink.batch(one.resource_id, one.boot_id, self._interval_ns, one.presence, rows, urgent=urgent, since_ns=since_ns)
            one.rows = array("q")
            one.tailed = 0
        one.presence = one.reader.presence
        one.limit = self.rules.batch_size * WIDTH

    def _close_all(self) -> None:
        for one in self._resources.values():
            self._close(one, urgent=True)

    # Once a second

    def _look_and_tail(self, *, final: bool) -> None:
        clocks = self._clock.now_ns(), self._clock.boottime_ns()
        self._anchor.follow(*clocks)
        at_ns = self.now_ns()
        self._tell_step(self._anchor.step(*clocks), at_ns)
        if final:
            self._close_all()
        else:
            self._look(at_ns)
            for one in tuple(self._resources.values()):
                self._second(one, at_ns)
        self._tail(at_ns)
        self.active = tuple(one.resource_id for one in self._resources.values())
        # What was used between a sample that was handed over and the next is known only with the next: a bill must wait for it.
        self.handed_over_until_ns = min([at_ns, *(one.since_ns for one in self._resources.values())])

    def _tell_step(self, step_ns: int, at_ns: int) -> None:
        """The wall clock was set between the last look and this one: told of everything that is metered. Instants go on by the anchor."""
        if not step_ns or not self._looks:
            return
        self.counts.clock_steps += 1
        log.warning("clock_stepped", extra={"by_ns": step_ns, "at_ns": at_ns, "resources": len(self._resources)})
        told = [self._event(one, LifecycleKind.CLOCK_STEPPED, at_ns, self._last_look_ns, step_ns) for one in self._resources.values()]
        self._sink.notice(told, [])

    def _look(self, at_ns: int) -> None:
        """See what is there: what is new begins, what is empty or gone ends. `at_ns` is the instant before looking."""
        first = self._looks == 0
        ended_away = frozenset(key for key, (running, _) in self._seen.items() if running) if first else frozenset()
        seen: dict[str, tuple[bool, int]] = {}
        present: set[str] = set()
        running = {key: one.found for key, one in self._resources.items()}
        for source in self._sources:
            found, others = source.look(running, ended_away)
            for one in found:
                if one.key not in self._resources:
                    self._begin(source, one)
                present.add(one.key)
            present.update(others)
            seen |= {key: (False, self._seen.get(key, (False, 0))[1]) for key in others}
        for key, sampled in tuple(self._resources.items()):
            if key not in present:
                self._end(sampled)
            elif self._is_asked(sampled) and sampled.reader.is_empty():
                self._seen_empty(sampled)
        seen |= {key: (True, sampled.facts) for key, sampled in self._resources.items()}
        self._seen = seen
        self._last_look_ns = at_ns
        self._looks += 1
        if first:  # nothing could be sampled before it: the first sample is due an interval after what each began with
            self._tick = Tick(self._clock.boottime_ns() + self._interval_ns, self._interval_ns)

    def _is_asked(self, one: Sampled) -> bool:
        """Whether a look asks if it is empty: what is watched tells by itself, and is asked now and again."""
        return not one.ending and (not one.is_watched or (self._looks + one.token) % _SURE_LOOKS == 0)

    def _begin(self, source: Source, found: Found) -> None:
        """Meter what was found: its start if the last look did not see it, its facts if they are not known, its first sample at once."""
        try:
            reader: Reader = source.open(found)
        except GoneError:
            return
        try:
            row = reader.read(self.now_ns())
        except (GoneError, ValueError, OverflowError) as error:
            reader.close()
            if not isinstance(error, GoneError):
                log.error("read_failed", extra={"resource": found.local, "error": str(error)})
            return
        self._tokens += 1
        known = self._seen.get(found.key)
        starts = known is None and self._last_look_ns > 0
        one = Sampled(found, self.declarations.resource_id(found), reader, self._tokens, self._since(row[0], starts, known is not None))
        spread = self._tokens * _GOLDEN % 1000
        one.limit = WIDTH * max(1, self.rules.batch_size * max(spread, 50) // 1000)
        one.rows.extend(row)
        events = []
        if starts:
            events.append(self._event(one, LifecycleKind.STARTED, self._last_look_ns))
        elif known is not None and known[0] and row[0] - self._last_look_ns > GAP_AFTER_INTERVALS * self._interval_ns:
            events.append(self._event(one, LifecycleKind.POSSIBLE_GAP, row[0], self._last_look_ns))
        fact = self.declarations.fact(found, reader.sizes(), self._last_look_ns if starts else row[0])
        one.facts = checksum(fact)
        self._sink.notice(events, [] if known is not None and known[1] == one.facts else [fact])
        self._resources[found.key] = one
        self._watch(one)
        log.info("resource_found", extra={"resource": one.resource_id, "boot_id": one.boot_id, "started": starts})

    def _since(self, first_ns: int, starts: bool, is_known: bool) -> int:
        """From when on the first sample tells of usage. What an earlier run sent ends with its last look, or with a tick shortly before."""
        if starts or (is_known and self._looks):
            return self._last_look_ns
        return min(first_ns, self._earlier_until_ns) if self._earlier_until_ns and not self._looks else first_ns

    def _event(
        self, one: Sampled, kind: LifecycleKind, at_ns: int, last_sent_ns: int | None = None, step_ns: int | None = None
    ) -> LifecycleEvent:
        return LifecycleEvent(
            resource_id=one.resource_id,
            boot_id=one.boot_id,
            kind=kind,
            at_ns=at_ns,
            received_at_ns=0,
            last_sent_ns=last_sent_ns,
            step_ns=step_ns,
        )

    def _second(self, one: Sampled, at_ns: int) -> None:
        """What is done for a resource once a second: slow readings, the age of its batch, its facts now and again."""
        if one.reader.refresh():
            self._close(one, urgent=False)
        if one.rows and at_ns - one.rows[0] >= self.rules.batch_ns:
            self._close(one, urgent=False)
        if (self._looks + one.token) % _FACTS_SECONDS == 0:
            fact = self.declarations.fact(one.found, one.reader.sizes(), at_ns)
            if checksum(fact) != one.facts and fact.resource_id == one.resource_id:
                one.facts = checksum(fact)
                self._sink.notice([], [fact])

    def _tail(self, at_ns: int) -> None:
        """The samples since the last tail, and what was seen if that has changed. A disk that is behind gets them with the next one."""
        if self._sink.is_behind:
            return
        parts, since = [], []
        for one in self._resources.values():
            if len(one.rows) > one.tailed:
                parts.append((one.resource_id, one.boot_id, self._interval_ns, one.presence, one.rows[one.tailed :].tobytes()))
                if not one.tailed:
                    since.append((one.resource_id, one.boot_id, one.since_ns))
                one.tailed = len(one.rows)
        seen = None if self._seen == self._told_seen else self._seen
        self._told_seen = dict(self._seen) if seen is not None else self._told_seen
        self._sink.tail(at_ns, self._anchor.ns, self.rules.host_boot, seen, parts, since)
