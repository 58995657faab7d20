"""Server processes on one store, as a replay drives them: each with its own clock file, killed and started again at chosen moments."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.app.cli.client import Client
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tools.live.processes import BrokenError, Process, free_port, wait_ready
from tools.streams.delivery import Delivery, LostAnswer, Sender, set_clock

HOST = "127.0.0.1"
MOST_DELAY_SECONDS = 0.03
"""How long after a delivery has begun its server is killed at most: before it has arrived, while it is stored, or afterwards."""


@dataclass(slots=True)
class Member:
    """One server. `gone`: it was killed and is not to be asked."""

    number: int
    process: Process
    url: str
    clock_file: Path
    sender: Sender
    gone: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    killing: threading.Timer | None = None
    starts: int = 0

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self.settle()
        self.process.start()
        wait_ready(self.process, self.url)
        self.gone = False
        self.starts += 1

    def kill_soon(self, delay_seconds: float) -> None:
        """Kill it and its workers in a moment."""
        self.settle()
        self.killing = threading.Timer(delay_seconds, self.process.kill)
        self.killing.start()

    def settle(self) -> None:
        """Wait for a kill that was asked for."""
        if self.killing is not None:
            self.killing.join()
            self.killing = None
            self.gone = True


class Fleet:
    """The servers of one store. `resent` are the lines of deliveries whose answer was lost and that were sent again."""

    def __init__(
        self, folder: Path, store_url: str, count: int, began_ns: int, source: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        """Make the store and its admin key; nothing runs yet. `source` is the `src` of the release that runs: None is this one."""
        self.members: list[Member] = []
        self.resent: set[int] = set()
        self.kills = 0
        self.source, self.settings = source, settings or {}
        environments = [self._environment(folder, number, store_url, began_ns) for number in range(count)]
        made = subprocess.run(
            [sys.executable, "-m", "tallystick", "init"],
            env=Process("init", [], environments[0][0], folder).environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise BrokenError(f"tally init failed\n{made.stdout}{made.stderr}")
        key = (folder / "state-0" / "admin.key").read_text().strip()
        for number, (environment, port, clock_file) in enumerate(environments):
            process = Process(f"server-{number}", ["serve"], environment, folder)
            sender = Sender(HOST, port, key, clock_file)
            self.members.append(Member(number, process, f"http://{HOST}:{port}", clock_file, sender))
        self.key = key

    def _environment(self, folder: Path, number: int, store_url: str, began_ns: int) -> tuple[dict[str, str], int, Path]:
        clock_file, port = folder / f"clock-{number}", free_port()
        set_clock(clock_file, began_ns)
        given = {
            "TALLY_STATE_DIR": str(folder / f"state-{number}"),
            "TALLY_LISTEN": f"{HOST}:{port}",
            "TALLY_CLOCK_FILE": str(clock_file),
            "TALLY_DISK_HORIZON": "resource",
            "TALLY_LOG_LEVEL": "warning",
            "TALLY_CLOSING_INTERVAL_MS": "3600000",  # usage is what is looked at, no invoices
            "TALLY_INGEST_GROUP_MS": "0",  # one request at a time: there is nothing to wait for
            "TALLY_STORE_URL": store_url,
            **({"PYTHONPATH": str(self.source)} if self.source else {}),
            **self.settings,
        }
        return given, port, clock_file

    @property
    def alive(self) -> list[Member]:
        """The servers that were not killed."""
        return [member for member in self.members if not member.gone]

    def client(self) -> Client:
        """A client of a server that runs; the first is started again if none does."""
        for member in self.members:
            member.settle()
        if not self.alive:
            self.members[0].start()
        return Client(self.alive[0].url, self.key)

    def send(self, delivery: Delivery, member: Member, chance: random.Random) -> pb.SendResponse:
        """Send one delivery; if its answer is lost, because its server was killed, again to another one, or to itself once it is back.

        Raises:
            BrokenError: a server ended that was not killed.
            LostAnswer: twice, of a server that was not killed.

        """
        unexplained = 0
        while True:
            if member.gone and self.alive:
                member = chance.choice(self.alive)
            starts = member.starts
            try:
                with member.lock:
                    return member.sender.send(delivery)
            except LostAnswer:
                if delivery.line is not None:
                    self.resent.add(delivery.line)
                with member.lock:
                    others = self._without(member)
                    if member.starts == starts and not member.gone:
                        unexplained += 1  # a kept connection is closed by a server that was idle for long
                        if unexplained > 1:
                            raise
            if others:
                member = chance.choice(others)

    def _without(self, member: Member) -> list[Member]:
        """The servers to turn to from one that did not answer: none if it runs, or if it was the last one and runs again."""
        member.settle()
        if not member.gone:
            if not member.process.running:
                raise BrokenError(f"{member.process.name} ended by itself\n{member.process.tail()}")
            return []
        others = self.alive
        if not others:
            member.start()
        return others

    def advance(self, now_ns: int) -> None:
        """Put the clocks of all servers at least at an instant: what none of them received is known to have passed."""
        for member in self.members:
            with member.lock:
                set_clock(member.clock_file, now_ns)

    def stop(self) -> None:
        """End all, as Ctrl-C does."""
        for member in self.members:
            member.settle()
        for member in self.alive:
            member.process.stop()

    def tails(self) -> str:
        """The ends of all logs."""
        return "\n".join(member.process.tail() for member in self.members)


@contextmanager
def running(
    folder: Path, store_url: str, count: int, began_ns: int, source: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Fleet]:
    """A store with its servers, all ready. `settings` are TALLY_ variables beside the usual ones."""
    fleet = Fleet(folder, store_url, count, began_ns, source, settings)
    try:
        for member in fleet.members:
            member.process.start()
        for member in fleet.members:
            wait_ready(member.process, member.url)
        yield fleet
    finally:
        fleet.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When servers are killed: at which deliveries, by their places; and in how many seconds after the last one, if at all.

    With several servers one that was killed comes back some deliveries later, the very last not at all: the others go on alone.
    """

    at: tuple[int, ...] = ()
    after: tuple[float, ...] = ()

    @classmethod
    def of(cls, kills: int, deliveries: int, chance: random.Random) -> Plan:
        """`kills` moments by chance: one of four while hours are computed after the last delivery, at least one before it."""
        later = kills // 4
        places = sorted(chance.sample(range(deliveries), min(kills - later, deliveries)))
        return cls(at=tuple(places), after=tuple(chance.uniform(0, 0.5) for _ in range(later)))


def resources_of(delivery: Delivery) -> frozenset[str]:
    """The resources that a delivery is about; a heartbeat is about none."""
    request = delivery.request
    return frozenset(each.resource_id for part in (request.batches, request.events, request.facts) for each in part)


def parted(deliveries: Sequence[Delivery], members: Sequence[Member], chance: random.Random) -> list[list[Delivery]]:
    """Deliveries in order for each server; those of one resource all go to one."""
    whose: dict[str, int] = {}
    found: list[list[Delivery]] = [[] for _ in members]
    for delivery in deliveries:
        (name,) = resources_of(delivery) or {f"heartbeat {delivery.request.heartbeat.instance_id}"}
        found[whose.setdefault(name, chance.randrange(len(members)))].append(delivery)
    return found
