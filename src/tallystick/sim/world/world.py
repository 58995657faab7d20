"""One world: made of its seed, lived through in virtual time, healed, drained, and handed to the auditor."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tallystick.collect.mapping import Declared
from tallystick.sim.audit.check import Audit, Wrong, audit
from tallystick.sim.audit.truth import Truth
from tallystick.sim.machine.disk import UNLIMITED
from tallystick.sim.machine.network import Link, Network, Weather
from tallystick.sim.machine.scheduler import SECOND_NS, Scheduler
from tallystick.sim.machine.seams import simulated
from tallystick.sim.world import clients, plan
from tallystick.sim.world.host import Host
from tallystick.sim.world.server import PLACE, Server
from tallystick.sim.world.strangers import Strangers

BEGIN_NS = 1_767_225_600 * SECOND_NS
"""The first of January 2026: what a world begins with, give or take a day."""
DRAIN_NS = 30 * 3600 * SECOND_NS
"""So long it may take until everything has arrived: what is ahead of the server's clock waits for up to a day."""
MOST_ROUNDS = 20
LOOK_NS = 60 * SECOND_NS


@dataclass(slots=True, kw_only=True)
class Run:
    """What one seed came to."""

    seed: int
    hours: int = 0
    """Virtual hours."""
    events: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    audited_hours: int = 0
    readings: int = 0
    wrong: list[Wrong] = field(default_factory=list)


class World:
    """Hosts, network, server and clients of one seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(f"plan {seed}")
        self.begin_ns = BEGIN_NS + self.chance.randrange(86400) * SECOND_NS
        self.scheduler = Scheduler(self.begin_ns)
        self.faults: Counter[str] = Counter()
        self.truth = Truth()
        self.course = plan.course(self.chance)
        if random.Random(f"length {seed}").random() < plan.LONG_SHARE:
            self.course = plan.stretched(self.course)
        self.interval_ns = self.course.interval_ns
        self.length_ns = self.interval_ns * self.course.ticks
        self.server = Server(self.scheduler, self.truth, folder, random.Random(f"server {seed}"), self.faults)
        self.network = Network(self.scheduler, self.server, random.Random(f"network {seed}"), self.faults, self.course.weather)
        self.hosts: list[Host] = []
        for number in range(1, (1 if self.course.is_outage else self.chance.choice((1, 1, 1, 2, 2, 3))) + 1):
            self.hosts.append(self._host(number, folder, random.Random(f"host {number} {seed}")))
        strange = random.Random(f"strangers {seed}")
        self.strangers = Strangers(self.scheduler, self.server, self.truth, strange, self.length_ns // strange.choice((10, 25)))
        self.are_strange = strange.random() < 0.5
        self.clients = self._clients(random.Random(f"clients {seed}"))

    def _host(self, number: int, folder: Path, chance: random.Random) -> Host:
        host = Host(plan.host_plan(number, self.course, self.chance), self.scheduler, self.network, self.truth, folder, chance, self.faults)
        guests = 3 if self.course.is_outage else self.chance.randint(1, 1 if self.hosts else 3)
        host.guests = [plan.guest(place, host, self.chance) for place in range(1, guests + 1)]
        if self.chance.random() < 0.4:
            host.tables = (Declared(local="vm1", sizes={"disk_bytes": 10 * 2**30}),)
        for guest in host.guests:
            host.start_guest(guest)
            guest.values = [guest.values[0], *(self.chance.randrange(2**40) for _ in range(7))]
        return host

    def _clients(self, chance: random.Random) -> list[clients.Client]:
        if self.chance.random() < 0.6:
            return []
        kinds = ((clients.daemon_rows, 5), (clients.collector_rows, 7), (clients.usage_records, 0))
        return [
            clients.Client(
                scheduler=self.scheduler,
                network=self.network,
                truth=self.truth,
                chance=chance,
                make=make,
                period_ns=max(self.length_ns // 12, 60 * SECOND_NS),
                counters=[0] * counters,
                link=Link(),
            )
            for make, counters in kinds
        ]

    def fault(self, name: str) -> None:
        """Count one."""
        self.faults[name] += 1

    def live(self) -> None:
        """Everything that was planned."""
        self.server.start()
        for host in self.hosts:
            self.scheduler.after(self.chance.randrange(self.interval_ns), host.start_agent)
        for number, client in enumerate(self.clients):
            self.scheduler.after(0, partial(client.start, f"client {number}"))
        if self.are_strange:
            self.scheduler.after(0, self.strangers.start)
        for at_ns, name in self.course.faults:
            self.scheduler.at(self.begin_ns + at_ns, partial(self._befall, name))
        self.scheduler.run(self.begin_ns + self.length_ns)

    def _befall(self, name: str) -> None:
        self.fault(name)
        plan.FAULTS[name][1](self)

    def heal(self) -> bool:
        """No more faults; whether everything that was measured arrived in time."""
        self.network.weather = Weather()
        self.server.crash_in = None
        for host in self.hosts:
            host.link.is_cut = False
            host.disk.limit_bytes, host.disk.fails_syncs, host.disk.crash_after = UNLIMITED, False, None
            host.paused_until_ns = 0
        for client in self.clients:
            client.is_ending = True
        self.strangers.is_ending = True
        until_ns = self.scheduler.now_ns + DRAIN_NS
        waits_ns = max(LOOK_NS, 12 * self.interval_ns)
        for host in self.hosts:
            self.server.start()
            host.start_agent()
        self.scheduler.run(self.scheduler.now_ns + waits_ns)
        for host in self.hosts:
            host.paused_until_ns = 2**63
        while self.scheduler.now_ns < until_ns:
            self.server.start()
            for host in self.hosts:
                host.start_agent()
            if all(host.is_drained for host in self.hosts) and all(client.is_done for client in self.clients):
                return self._end()
            self.scheduler.run(self.scheduler.now_ns + waits_ns)
        return False

    def _end(self) -> bool:
        last_ns = max((at_ns for known in self.truth.readings.values() for at_ns in known), default=0)
        self.scheduler.run(max(self.scheduler.now_ns, last_ns - self.server.clock.offset_ns))
        for host in self.hosts:
            host.is_retired = True
            host.stop_agent()
        self.scheduler.run(self.scheduler.now_ns + self.interval_ns + 200 * SECOND_NS)
        return all(not host.is_running for host in self.hosts)

    def close(self) -> None:
        """Let nothing of it go on."""
        for host in self.hosts:
            if host.process is not None:
                self.scheduler.bury(host.process)
        self.server.close()

    def judge(self) -> Audit:
        """Roll up what is stored, and audit it."""
        store = self.server.store
        if store is None:
            return Audit(wrong=[Wrong(what="the server did not come back")])
        try:
            for _ in range(MOST_ROUNDS):
                if not self.server.roll_up():
                    break
            return audit(self.truth, store, PLACE, self.server.database)
        except Exception as error:  # whatever cannot be read is wrong, and the seed says so
            return Audit(wrong=[Wrong(what="the store cannot be rolled up or audited", got=repr(error))])


@contextmanager
def _quiet(truth: Truth) -> Iterator[None]:
    """No log of the product's, but what a thread of it died of is wrong."""

    class _Died(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                truth.wrong.append(("", record.getMessage(), 0, repr(record.exc_info[1])))

    logger = logging.getLogger("tallystick")
    handler, level, propagates = _Died(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


def run(seed: int, folder: Path) -> Run:
    """Live through the world of a seed in an empty folder."""
    world = World(seed, folder)
    with simulated(world.scheduler), _quiet(world.truth):
        try:
            world.live()
            drained = world.heal()
            found = world.judge()
            found.wrong += [] if drained else [Wrong(what="what was measured never arrived")]
        except Exception as error:  # one world's end is no reason to leave the others: its seed says how to have it again
            found = Audit(wrong=[Wrong(what="the world broke", got=repr(error))])
        finally:
            world.close()
    hours = (world.scheduler.now_ns - world.begin_ns) // (3600 * SECOND_NS)
    found.wrong += [Wrong(what=f"{name} died", got=repr(error)) for name, error in world.scheduler.errors]
    found.wrong += [Wrong(what=what, resource=resource, at_ns=at_ns, got=detail) for resource, what, at_ns, detail in world.truth.wrong]
    return Run(
        seed=seed,
        hours=hours,
        events=world.scheduler.events,
        faults=world.faults + Counter({"batches thinned": sum(host.thinned for host in world.hosts)}),
        audited_hours=found.hours,
        readings=sum(map(len, world.truth.readings.values())),
        wrong=found.wrong,
    )
