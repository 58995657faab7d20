"""What befalls a world: everything is drawn from its seed before it begins, and happens at its instant."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from tallystick.collect.resource import Sizes
from tallystick.sim.machine.disk import UNLIMITED
from tallystick.sim.machine.network import Network, Weather
from tallystick.sim.machine.scheduler import SECOND_NS, Scheduler
from tallystick.sim.world.host import Guest, Host, HostPlan
from tallystick.sim.world.server import Server

MINUTE_NS = 60 * SECOND_NS
LONG_INTERVAL_NS = 60 * MINUTE_NS
LONG_SHARE = 0.125
"""So many worlds last for days: a reading an hour, and everything else as much slower."""
LONGEST_FULL_NS, LONGEST_FAILING_NS = 20 * MINUTE_NS, 2 * MINUTE_NS
"""The spool tries again each second, which costs time even where nothing happens."""
HOST_STEPS_NS = (-3600, -240, -20, 1, 30, 200, 280, 900, 3600)
SERVER_STEPS_NS = (-600, -200, -5, 5, 200, 600)
"""Seconds by which clocks are set."""


class World(Protocol):
    """What a fault may touch."""

    scheduler: Scheduler
    chance: random.Random
    network: Network
    server: Server
    hosts: list[Host]
    length_ns: int
    interval_ns: int

    def fault(self, name: str) -> None:
        """Count one."""
        ...


Fault = Callable[[World], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How long a world is, how dense, and what the network is like."""

    interval_ns: int
    ticks: int
    weather: Weather
    faults: tuple[tuple[int, str], ...]
    """(instant after the beginning, name of the fault), in order."""
    is_outage: bool = False
    """One host is without network for so long that its spool is full."""


def course(chance: random.Random) -> Course:
    """A course by chance."""
    interval_ns = SECOND_NS * chance.choice((10, 20, 30, 60, 60, 120, 300, 600))
    ticks = chance.randint(120, 260)
    calm = chance.random() < 0.2
    weather = (
        Weather()
        if calm
        else Weather(
            lost=chance.choice((0, 0.02, 0.1)),
            answer_lost=chance.choice((0, 0.05, 0.2)),
            repeated=chance.choice((0, 0.1, 0.3)),
            slow=chance.choice((0, 0.05, 0.2)),
            refused=chance.choice((0, 0, 0.05)),
        )
    )
    is_outage = chance.random() < 0.15
    if is_outage:
        interval_ns, ticks = 10 * SECOND_NS, 700
    names = sorted(set(FAULTS) - {"long outage"})
    weights = [FAULTS[name][0] for name in names]
    times = sorted(chance.randrange(interval_ns * 5, interval_ns * ticks) for _ in range(chance.randint(3, 18)))
    return Course(
        interval_ns=interval_ns,
        ticks=ticks,
        weather=weather,
        faults=((80 * interval_ns, "long outage"),) * is_outage + tuple((at_ns, chance.choices(names, weights)[0]) for at_ns in times),
        is_outage=is_outage,
    )


def stretched(course: Course) -> Course:
    """The same course over days; that of a long outage is long enough."""
    if course.is_outage:
        return course
    faults = tuple((at_ns // course.interval_ns * LONG_INTERVAL_NS + at_ns % course.interval_ns, name) for at_ns, name in course.faults)
    return replace(course, interval_ns=LONG_INTERVAL_NS, faults=faults)


def host_plan(number: int, course: Course, chance: random.Random) -> HostPlan:
    """How one host is set up. In a long outage it has little room, and batches enough: what one request may hold is never thinned."""
    small = course.is_outage or chance.random() < 0.1
    batch_size = chance.randint(11, 15) if course.is_outage else chance.randint(8, 50)
    return HostPlan(
        name=f"host{number}",
        interval_ns=course.interval_ns,
        batch_size=batch_size,
        batch_ns=course.interval_ns * chance.randint(5, 60),
        heartbeat_seconds=course.interval_ns / SECOND_NS * chance.randint(6, 40),
        file_bytes=4_000 if small else chance.choice((8_000, 24_000, 64_000)),
        limit_bytes=chance.choice((8_000, 16_000, 24_000)) if small else UNLIMITED,
        synchronised=chance.choice((None, True, False)),
    )


def guest(number: int, host: Host, chance: random.Random) -> Guest:
    """Something that runs on a host: most sources have every column, some have no disk operations, some no network."""
    huge = chance.random() < 0.15
    return Guest(
        local=f"vm{number}",
        resource_id=f"{host.plan.name}:vm{number}",
        presence=chance.choice((0x1FF, 0x1FF, 0x19F, 0x07F)),
        values=[chance.randrange(2**33), *([0] * 7)],
        rates=[2**48 if huge else chance.choice((0, 3, 10**6, 10**9)) for _ in range(7)],
        sizes=chance.choice((Sizes(), Sizes(vcpus=2, memory_bytes=2**32), Sizes(vcpus=64, memory_bytes=2**44))),
        lingers=chance.random() < 0.5,
    )


# The faults


def _later(world: World, most_ticks: int, action: Callable[[], None]) -> None:
    world.scheduler.after(world.chance.randrange(world.interval_ns, world.interval_ns * most_ticks), action)


def _partition(world: World) -> None:
    for host in world.chance.sample(world.hosts, world.chance.randint(1, len(world.hosts))):
        host.link.is_cut = True

        def heal(host: Host = host) -> None:
            host.link.is_cut = False

        _later(world, world.chance.choice((5, 30, 120)), heal)


def _long_outage(world: World) -> None:
    for host in world.hosts:
        host.link.is_cut = True

        def heal(host: Host = host) -> None:
            host.link.is_cut = False

        world.scheduler.after(world.interval_ns * world.chance.randint(420, 520), heal)


def _server_killed(world: World) -> None:
    where = world.chance.choice(("before commit", "after commit", "at rest"))
    if where == "at rest":
        world.server.kill()
    else:
        world.server.crash_in = (where, world.chance.randrange(4))
    for _ in range(3):
        _later(world, world.chance.choice((5, 40)), world.server.start)


def _server_away(world: World) -> None:
    world.server.kill()
    world.scheduler.after(world.interval_ns * world.chance.randrange(100, 180), world.server.start)


def _worker_killed(world: World) -> None:
    world.server.crash_worker_after = world.chance.randrange(4)
    world.server.roll_up()
    world.server.crash_worker_after = None


def _agent_killed(world: World) -> None:
    host = world.chance.choice(world.hosts)
    if world.chance.random() < 0.6:
        host.disk.crash_after = world.chance.randrange(25)
    else:
        host.kill_agent()
    for _ in range(3):
        _later(world, world.chance.choice((3, 20, 60)), partial(_start_agent, host))


def _start_agent(host: Host) -> None:
    host.start_agent()


def _crash_while_starting(world: World) -> None:
    """Killed twice: once at work, and once while it reads what is left."""
    host = world.chance.choice(world.hosts)
    host.kill_agent()
    host.disk.crash_after = world.chance.randrange(12)
    host.start_agent()
    for _ in range(2):
        _later(world, 20, partial(_start_agent, host))


def _power_lost(world: World) -> None:
    host = world.chance.choice(world.hosts)
    host.kill_agent(power=True)
    host.begin_boot()
    _later(world, world.chance.choice((3, 40, 100)), partial(_start_agent, host))


def _bit_flipped(world: World) -> None:
    host = world.chance.choice(world.hosts)
    host.kill_agent()
    contents = host.disk.contents()
    names = sorted(name for name, content in contents.items() if content)
    if names:
        name = world.chance.choice(names)
        content = bytearray(contents[name])
        offset = world.chance.randrange(len(content))
        host.truth.forgive(host.own, bytes(content), offset)
        content[offset] ^= 1 << world.chance.randrange(8)
        host.disk.restore({**contents, name: bytes(content)})
    _later(world, 10, partial(_start_agent, host))


def _disk_rolled_back(world: World) -> None:
    """The disk of a host is what it was some time ago, as after a snapshot is restored: numbers are used a second time."""
    host = world.chance.choice(world.hosts)
    contents = host.disk.contents()

    def roll_back() -> None:
        host.kill_agent()
        host.roll_back(contents)
        _later(world, 5, partial(_start_agent, host))

    _later(world, 40, roll_back)


def _agent_restarted(world: World) -> None:
    host = world.chance.choice(world.hosts)
    host.stop_agent()
    _later(world, world.chance.choice((5, 60)), partial(_start_agent, host))


def _disk_full(world: World) -> None:
    host = world.chance.choice(world.hosts)
    host.disk.limit_bytes = host.disk.used_bytes() + world.chance.choice((0, 500, 20_000))

    def empty() -> None:
        host.disk.limit_bytes = UNLIMITED

    world.scheduler.after(world.chance.randrange(LONGEST_FULL_NS), empty)


def _sync_fails(world: World) -> None:
    host = world.chance.choice(world.hosts)
    host.disk.fails_syncs = True

    def repair() -> None:
        host.disk.fails_syncs = False

    world.scheduler.after(world.chance.randrange(LONGEST_FAILING_NS), repair)


def _host_clock_set(world: World) -> None:
    host = world.chance.choice(world.hosts)
    host.clock.offset_ns += SECOND_NS * world.chance.choice(HOST_STEPS_NS)


def _server_clock_set(world: World) -> None:
    world.server.clock.offset_ns += SECOND_NS * world.chance.choice(SERVER_STEPS_NS)


def _host_paused(world: World) -> None:
    host = world.chance.choice(world.hosts)
    host.paused_until_ns = world.scheduler.now_ns + world.interval_ns * world.chance.choice((2, 9, 12, 40))


def _guest_of(world: World) -> tuple[Host, Guest]:
    host = world.chance.choice(world.hosts)
    return host, world.chance.choice(host.guests)


def _guest_restarted(world: World) -> None:
    host, guest = _guest_of(world)
    host.stop_guest(guest)
    _later(world, world.chance.choice((2, 15, 60)), lambda: host.start_guest(guest))


def _guest_began_anew(world: World) -> None:
    host, guest = _guest_of(world)
    host.start_guest(guest)


def _guest_revived(world: World) -> None:
    """It runs again in the boot that had ended: samples after a stop."""
    host, guest = _guest_of(world)
    host.stop_guest(guest)
    boot_id = guest.boot_id

    def revive() -> None:
        if guest.boot_id == boot_id:
            guest.is_running, guest.grown_at_ns = True, world.scheduler.now_ns

    _later(world, world.chance.choice((3, 30)), revive)


def _counter_reset(world: World) -> None:
    host, guest = _guest_of(world)
    guest.grow(world.scheduler.now_ns, host.chance)
    place = world.chance.randint(1, 7)
    guest.values[place] = world.chance.choice((0, guest.values[place] // 3, guest.values[place] // 2, guest.values[place] * 2 // 3))


def _size_changed(world: World) -> None:
    _, guest = _guest_of(world)
    guest.sizes = Sizes(vcpus=world.chance.randint(1, 8), memory_bytes=world.chance.randrange(2**40))


def _rolled_up(world: World) -> None:
    world.server.roll_up()


def _looked(world: World) -> None:
    world.server.look()


FAULTS: Mapping[str, tuple[int, Fault]] = {
    "partition": (6, _partition),
    "long outage": (0, _long_outage),
    "server kill": (8, _server_killed),
    "server away": (3, _server_away),
    "worker kill": (2, _worker_killed),
    "agent kill": (8, _agent_killed),
    "agent kill while starting": (3, _crash_while_starting),
    "power loss": (6, _power_lost),
    "bit flip": (3, _bit_flipped),
    "disk roll-back": (2, _disk_rolled_back),
    "agent restart": (4, _agent_restarted),
    "disk full": (4, _disk_full),
    "sync failure": (1, _sync_fails),
    "host clock step": (4, _host_clock_set),
    "server clock step": (2, _server_clock_set),
    "host pause": (3, _host_paused),
    "guest restart": (4, _guest_restarted),
    "guest begins anew": (2, _guest_began_anew),
    "guest revival": (2, _guest_revived),
    "counter reset": (5, _counter_reset),
    "size change": (2, _size_changed),
    "roll-up": (4, _rolled_up),
    "look": (3, _looked),
}
"""By name: how often it comes up beside the others, and what it does."""
