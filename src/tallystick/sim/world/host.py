"""A host: its clocks, its guests that run and stop and begin anew, its disk, and the agent that meters them."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.collect.collector import Collector, Earlier, Rules
from tallystick.collect.mapping import Declarations, Declared
from tallystick.collect.resource import Found, GoneError, Row, Sizes
from tallystick.model.resources import Fact
from tallystick.model.samples import LifecycleEvent
from tallystick.sim.audit import truth
from tallystick.sim.machine.disk import Disk
from tallystick.sim.machine.network import Link, Network
from tallystick.sim.machine.scheduler import SECOND_NS, Killed, Process, Scheduler
from tallystick.spool.connection import Connection
from tallystick.spool.retry import Retry
from tallystick.spool.sender import Pulse, Sender, SenderRules
from tallystick.spool.spool import Spool

COUNTERS = 7
STEP_NS = 1_000
"""Between two readings of a clock."""
STOP_SECONDS = 40.0
RESTART_NS = 30 * SECOND_NS


@dataclass(slots=True, kw_only=True)
class HostPlan:
    """How a host and its agent are set up."""

    name: str
    interval_ns: int
    batch_size: int
    batch_ns: int
    heartbeat_seconds: float
    file_bytes: int
    limit_bytes: int
    synchronised: bool | None


class HostClock:
    """The clocks of a host: one that may be set, and one that only grows while the host runs."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.offset_ns = 0
        self.booted_ns = scheduler.now_ns - 1000 * SECOND_NS
        self._last_ns = 0

    def boottime_ns(self) -> int:
        """Nanoseconds since the machine started."""
        self._last_ns = max(self._last_ns + STEP_NS, self._scheduler.now_ns - self.booted_ns)
        return self._last_ns

    def now_ns(self) -> int:
        """Wall time."""
        return self.boottime_ns() + self.booted_ns + self.offset_ns

    def reboot(self) -> None:
        """The machine starts anew: what only grows begins again."""
        self.booted_ns = self._scheduler.now_ns - 5 * SECOND_NS
        self._last_ns = 0


@dataclass(slots=True)
class Guest:
    """Something that is metered: it has its counters as they truly are, and a new boot each time it starts."""

    local: str
    resource_id: str
    presence: int
    values: list[int]
    """Memory, then the counters."""
    rates: list[int]
    """What each counter grows by in a second, at most."""
    sizes: Sizes
    boot_id: str = ""
    is_running: bool = True
    lingers: bool = False
    """Whether its group is still there once nothing runs in it."""
    grown_at_ns: int = 0

    def grow(self, now_ns: int, chance: random.Random) -> None:
        """Use what it uses until now."""
        took_ns, self.grown_at_ns = now_ns - self.grown_at_ns, now_ns
        if not self.is_running or took_ns <= 0:
            return
        for place, rate in enumerate(self.rates):
            most = rate * took_ns // SECOND_NS
            self.values[place + 1] = min(2**63 - 1, self.values[place + 1] + (chance.randint(0, most) if most > 0 else 0))
        if chance.random() < 0.3:
            self.values[0] = chance.choice((chance.randrange(2**44), chance.randrange(2**34), self.values[0]))


class GuestReader:
    """Reads a guest: `collect.resource.Reader`."""

    def __init__(self, host: Host, guest: Guest) -> None:
        self._host, self._guest, self._boot_id = host, guest, guest.boot_id
        self.presence = guest.presence

    def read(self, at_ns: int) -> Row:
        """A sample; the auditor notes it."""
        guest, host = self._guest, self._host
        if guest.boot_id != self._boot_id or not (guest.is_running or guest.lingers):
            raise GoneError
        guest.grow(host.scheduler.now_ns, host.chance)
        values = [value if guest.presence >> place & 1 else 0 for place, value in enumerate(guest.values, 1)]
        boot = (guest.resource_id, guest.boot_id)
        host.truth.read(host.own, boot, truth.Reading(at_ns, host.plan.interval_ns, tuple(values)))
        return (at_ns, *values)  # type: ignore[return-value]  # nine of them

    def take(self, rows: array[int], at_ns: int) -> None:
        """Put a sample to others."""
        rows.extend(self.read(at_ns))

    def refresh(self) -> bool:
        """Nothing is read slowly."""
        return False

    def is_empty(self) -> bool:
        """Whether nothing runs in it."""
        return not self._guest.is_running or self._guest.boot_id != self._boot_id

    def watch(self) -> None:
        """Nothing tells of a change."""
        return

    def sizes(self) -> Sizes:
        """Its limits."""
        return self._guest.sizes

    def close(self) -> None:
        """Nothing is open."""


class Guests:
    """All guests of a host: `collect.resource.Source`."""

    name = "cgroup"

    def __init__(self, host: Host) -> None:
        self._host = host

    def look(self, running: Mapping[str, Found], ended_away: frozenset[str]) -> tuple[list[Found], list[str]]:
        """What runs, or is still to be read a last time; and keys of what is there empty."""
        found, empty = [], []
        for guest in self._host.guests:
            one = Found(source="cgroup", local=guest.local, boot_id=guest.boot_id, pid=0, kind="vm")
            if guest.is_running or (guest.lingers and (one.key in running or one.key in ended_away)):
                found.append(one)
            elif guest.lingers:
                empty.append(one.key)
        return found, empty

    def open(self, found: Found) -> GuestReader:
        """Open one."""
        for guest in self._host.guests:
            if guest.boot_id == found.boot_id and (guest.is_running or guest.lingers):
                return GuestReader(self._host, guest)
        raise GoneError


class Handing:
    """What the collector gives, on its way to the spool, noted by the auditor: `collect.collector.Sink`."""

    def __init__(self, host: Host, spool: Spool) -> None:
        self._host, self._spool = host, spool

    def batch(
        self, resource_id: str, boot_id: str, interval_ns: int, presence: int, rows: array[int], *, urgent: bool, since_ns: int | None
    ) -> None:
        """A batch that is closed."""
        self._spool.batch(resource_id, boot_id, interval_ns, presence, rows, urgent=urgent, since_ns=since_ns)

    def notice(self, events: Sequence[LifecycleEvent], facts: Sequence[Fact]) -> None:
        """Lifecycle and facts."""
        told: list[truth.Notice | truth.Declared] = [
            truth.Notice(each.resource_id, each.boot_id, each.kind.value, each.at_ns) for each in events
        ]
        told += [truth.Declared(each.resource_id, each.at_ns, each.vcpus, each.memory_bytes, each.disk_bytes) for each in facts]
        self._host.truth.notice(self._host.own, told)
        self._spool.notice(events, facts)

    def tail(self, *what: Any) -> None:  # noqa: ANN401 (handed on as it is)
        """What the last look saw, and the samples since the last tail."""
        self._host.truth.tail(self._host.own, what[0], what[4])
        self._spool.tail(*what)

    @property
    def is_stalled(self) -> bool:
        """Whether no more samples should be taken."""
        return self._spool.is_stalled

    @property
    def is_behind(self) -> bool:
        """Whether the disk still works on what it was given."""
        return self._spool.is_behind


@dataclass(slots=True)
class Belongings:
    """What system calls of an agent's process need."""

    disk: Disk
    link: Link
    network: Network


class Host:
    """One machine with its guests and its agent."""

    def __init__(
        self,
        plan: HostPlan,
        scheduler: Scheduler,
        network: Network,
        told: truth.Truth,
        root: Path,
        chance: random.Random,
        faults: Counter[str],
    ) -> None:
        self.plan, self.scheduler, self.network, self.truth, self.chance, self.faults = plan, scheduler, network, told, chance, faults
        self.clock = HostClock(scheduler)
        self.guests: list[Guest] = []
        self.own = truth.HostTruth()
        self.link = Link()
        self.disk = Disk(root / plan.name, chance, faults)
        self.disk.on_crash = self.kill_agent
        self.tables: tuple[Declared, ...] = ()
        self.paused_until_ns = 0
        self.process: Process | None = None
        self.spool: Spool | None = None
        self.sender: Sender | None = None
        self.thinned = 0
        self.spools: set[str] = set()
        self.is_retired = False
        """Whether its agent never starts again."""
        self._stopping = False
        self._boots = 0
        self.boot_id = ""
        self.begin_boot()

    def new_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self.chance.getrandbits(128):032x}"

    # The machine

    def begin_boot(self) -> None:
        """The machine starts: every guest with it, each with new counters and a new boot."""
        self._boots += 1
        self.boot_id = f"{self.plan.name}-boot{self._boots}"
        if self._boots > 1:
            self.clock.reboot()
        for guest in self.guests:
            self.start_guest(guest)

    def start_guest(self, guest: Guest) -> None:
        """A guest starts anew: counters from 0, a boot of its own."""
        guest.boot_id = f"{self.boot_id}/{self.chance.randrange(10**6)}"
        guest.values = [guest.values[0], *([0] * COUNTERS)]
        guest.is_running, guest.grown_at_ns = True, self.scheduler.now_ns

    def stop_guest(self, guest: Guest) -> None:
        """A guest ends; its counters stay readable as long as its group lingers."""
        guest.grow(self.scheduler.now_ns, self.chance)
        guest.is_running = False

    # The agent

    @property
    def is_running(self) -> bool:
        """Whether its agent runs."""
        return self.process is not None and self.process.alive

    def start_agent(self) -> None:
        """Start it, if it does not run."""
        if not self.is_running and not self.is_retired:
            self._stopping = False
            self.process = Process(f"agent {self.plan.name}", Belongings(self.disk, self.link, self.network))
            self.scheduler.spawn(self.process, "agent", self._run)

    def stop_agent(self) -> None:
        """Ask it to end, as SIGTERM does."""
        self._stopping = True

    def kill_agent(self, *, power: bool = False) -> None:
        """`kill -9`; `power`: the machine loses its power, and what its disk had not synced."""
        if self.process is None or not self.process.alive:
            return
        self.faults["power lost" if power else "agent killed"] += 1
        if self.spool is not None:
            self.thinned += self.spool.thinner.thinned
        self.spool = self.sender = None
        self.scheduler.kill(self.process)
        self.truth.crashed(self.own)
        self.disk.crash_after = None
        self.disk.crash(power=power)

    def roll_back(self, contents: dict[str, bytes]) -> None:
        """The disk is what it was before, under an agent that was killed."""
        self.truth.forgive_all(self.own)
        self.truth.rolled_back.update(self.spools)
        self.disk.restore(contents)

    def _run(self) -> None:
        """What `app.agent.Agent` wires, stepped by the host: looks are as far apart as ticks, or a virtual hour would take a minute."""
        try:
            spool = Spool(self.disk.folder, self.new_id, file_bytes=self.plan.file_bytes, limit_bytes=self.plan.limit_bytes)
        except OSError:  # the disk does not work: the agent ends with an error, and whoever watches over it starts it again
            self.faults["agent did not start"] += 1
            self.kill_agent()
            self.scheduler.after(RESTART_NS, self.start_agent)
            raise Killed from None
        self.spool = spool
        self.spools.add(spool.spool_id)
        collector = self._collector(spool)
        sender = self.sender = self._sender(spool, collector)
        sender.start()
        interval = self.plan.interval_ns
        next_ns = self.scheduler.now_ns + 5_000_000  # ticks are due a moment before they are asked for
        while not self._stopping:
            if not spool.is_behind:
                self.truth.durable(self.own)
            if self.scheduler.now_ns >= self.paused_until_ns:
                collector.step()
            next_ns += interval
            self.scheduler.sleep((next_ns - self.scheduler.now_ns) / SECOND_NS)
        collector.stop()
        collector.run()
        if spool.flush(STOP_SECONDS):
            self.truth.durable(self.own)
        sender.stop(STOP_SECONDS)
        collector.forget_sent()
        spool.close()
        self.truth.crashed(self.own)  # what the disk did not take by now is gone with the process
        self.thinned += spool.thinner.thinned
        self.spool = self.sender = None
        if self.process is not None:
            self.process.alive = False

    def _collector(self, spool: Spool) -> Collector:
        memory, plan = spool.memory, self.plan
        return Collector(
            sources=[Guests(self)],
            sink=Handing(self, spool),
            clock=self.clock,
            rules=Rules(interval_ns=plan.interval_ns, batch_size=plan.batch_size, batch_ns=plan.batch_ns, host_boot=self.boot_id),
            declarations=Declarations(host=plan.name, customer="acme", tables=self.tables),
            earlier=Earlier(at_ns=memory.at_ns, anchor_ns=memory.anchor_ns, host_boot=memory.host_boot, seen=memory.seen)
            if memory
            else None,
        )

    def _sender(self, spool: Spool, collector: Collector) -> Sender:
        def pulse() -> Pulse:
            return Pulse(
                handed_over_until_ns=collector.handed_over_until_ns,
                active_resources=collector.active,
                now_ns=collector.now_ns(),
                missed_ticks=collector.counts.missed_ticks,
                thinned_batches=spool.thinner.thinned,
                clock_synchronised=self.plan.synchronised,
            )

        return Sender(
            backlog=spool.backlog,
            quarantine=spool.quarantine,
            connection=Connection("http://tally:8080", lambda: "", "tally-agent/1"),
            retry=Retry(self.chance.random),
            rules=SenderRules(
                instance_id=self.plan.name,
                heartbeat_seconds=self.plan.heartbeat_seconds,
                linger_seconds=min(60.0, self.plan.batch_ns / SECOND_NS / 10),
                monotonic=lambda: self.scheduler.now_ns / SECOND_NS,
                now_ns=collector.now_ns,
            ),
            pulse=pulse,
            command=lambda _command: False,
        )

    @property
    def is_drained(self) -> bool:
        """Whether everything it measured is acknowledged, but what is not yet in a batch."""
        return self.spool is not None and self.is_running and not self.spool.backlog.waiting()
