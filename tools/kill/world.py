"""The processes of a kill test, real ones: agents on hosts of files, the relay, server, worker and, if asked for, PostgreSQL."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tallystick.app.cli.client import Client
from tests.stores import PostgresServer, start_postgres
from tools.kill import disk
from tools.kill.host import Host, Life
from tools.kill.ledger import Ledger
from tools.kill.relay import HOST, Relay
from tools.kill.stored import Database
from tools.live.processes import BrokenError, Process, free_port, wait_ready

AGENTS = 3
GUESTS = 6
BATCH_SAMPLES = 2
"""Small batches, often: 30 a second of each agent, so that there is a request under way whenever a kill wants one."""
CUSTOMER = "kill-test"
SETTLED_SECONDS = 120
AWAY_SECONDS = 10
"""PostgreSQL has recovered within this time."""
STOPPED = "Tt"
"""The states of a thread that SIGSTOP has reached."""


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent: its host, its process, its spool."""

    host: Host
    process: Process
    spool: Path


class World:
    """Everything that runs. It is made empty and started by `open`; `close` ends all that was started, by its id."""

    def __init__(self, folder: Path, store: str, seed: int) -> None:
        self.folder = folder
        self.began = time.monotonic()
        self._told_to_end: set[Process] = set()
        self.away_at = 0.0
        """When PostgreSQL was killed last (monotonic)."""
        self.counted: dict[str, int] = {}
        self.chance = random.Random(seed)  # noqa: S311 - a run that can be had again, no secret
        self.seed = seed
        self.postgres: PostgresServer | None = None
        self.agents: list[Agent] = []
        self.port = free_port()
        self.rest = Client(f"http://{HOST}:{self.port}", "")
        self.ledger = Ledger()
        self.relay = Relay(self.port, self.ledger)
        self.life: Life | None = None
        if store == "postgresql":
            self.postgres = start_postgres(ended_with=signal.SIGQUIT)
        self.url = self.postgres.new_database() if self.postgres else f"sqlite:///{folder / 'tallystick.db'}"
        self.database = Database(self.url)
        environment = {
            "TALLY_STATE_DIR": str(folder / "state"),
            "TALLY_LISTEN": f"{HOST}:{self.port}",
            "TALLY_STORE_URL": self.url,
            "TALLY_WORKERS": "0",  # the worker is a process beside it, killed for itself
            "TALLY_LOG_LEVEL": "warning",
        }
        self.server = self._process("server", ["serve"], environment)
        self.worker = self._process("worker", ["worker"], environment)
        self.check = self._process("check", ["check"], environment)
        self.gaps = self._process("gaps", ["gaps", "--json", "--limit", "1000000"], {"TALLY_URL": self.rest.url})

    def _process(self, name: str, arguments: list[str], environment: dict[str, str]) -> Process:
        return Process(name, arguments, environment, self.folder, ended_by=signal.SIGKILL)

    def open(self) -> None:
        """Make the store, start everything, and wait until something of each agent is acknowledged."""
        code, said = self.run(self._process("init", ["init"], self.server.environment))
        if code:
            raise BrokenError(f"tally init failed\n{said}")
        self.rest.key = (self.folder / "state" / "admin.key").read_text().strip()
        self.gaps.environment["TALLY_KEY"] = self.rest.key
        self.start("server")
        self.rest.post("/v1/customers", {"id": CUSTOMER, "name": CUSTOMER, "time_zone": "UTC"})
        key: str = self.rest.post("/v1/keys", {"role": "agent", "name": CUSTOMER})["key"]
        (self.folder / "agent.key").write_text(key)
        (self.folder / "agent.key").chmod(0o600)
        for number in range(AGENTS):
            self.agents.append(self._agent(Host(self.folder, f"host-{number}", GUESTS, self.chance)))
        self.life = Life([agent.host for agent in self.agents], self.seed)
        self.worker.start()
        for agent in self.agents:
            agent.process.start()
        self.wait_for(lambda: all(map(self._acknowledged, self.agents)), "batches of every agent", SETTLED_SECONDS)

    def _agent(self, host: Host) -> Agent:
        given = {
            "ENDPOINT": self.relay.url(host.name),
            "KEY_FILE": str(self.folder / "agent.key"),
            "SPOOL_DIRECTORY": str(host.folder / "spool"),
            "HOST": host.name,
            "CUSTOMER": CUSTOMER,
            "SOURCE": "cgroup",
            "CGROUP_ROOT": str(host.cgroup),
            "CGROUP_MATCH": "guests/*",
            "NET_ROOT": str(host.net),
            "MAPPING_FILE": str(host.mapping),
            "MEMORY": "usage",
            "BATCH_SIZE": str(BATCH_SAMPLES),
            "BATCH_SECONDS": "1",
            "HEARTBEAT_INTERVAL_SECONDS": "5",
            "STOP_TIMEOUT_SECONDS": "25",
            "LOG_LEVEL": "warning",
        }
        environment = {f"TALLY_AGENT_{name}": value for name, value in given.items()}
        return Agent(host, self._process(host.name, ["agent", "run"], environment), host.folder / "spool")

    # What a kill needs

    def agent(self, name: str) -> Agent:
        """The agent of a host."""
        return next(agent for agent in self.agents if agent.host.name == name)

    def kill(self, victim: str) -> None:
        """SIGKILL, at once; what is on the disk of an agent that was killed is read before it comes back."""
        match victim:
            case "server":
                self.server.kill()
            case "worker":
                self.worker.kill()
            case "postgresql" if self.postgres is not None:
                self.postgres.kill()
                self.away_at = time.monotonic()
            case name:
                agent = self.agent(name)
                agent.process.kill()
                self.ledger.find(name, disk.read(agent.spool))

    def start(self, victim: str) -> None:
        """Start again what was killed; a server is waited for until it is ready, with a PostgreSQL that has recovered."""
        match victim:
            case "server":
                self.server.start()
                wait_ready(self.server, self.rest.url, SETTLED_SECONDS)
            case "worker":
                self.worker.start()
            case "postgresql":
                self.recover()
                wait_ready(self.server, self.rest.url, SETTLED_SECONDS)
            case name:
                self.agent(name).process.start()

    def recover(self) -> None:
        """Start PostgreSQL again, if it was killed, and wait until it has recovered."""
        if self.postgres is not None and not self.postgres.is_running:
            self.postgres = self.postgres.restarted()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The server stands still, wherever it is, as long as the block lasts: what is found holds for the moment of a kill in it."""
        pid = self.server.pid
        os.kill(pid, signal.SIGSTOP)
        until = time.monotonic() + 5
        while time.monotonic() < until and not self._stands_still(pid):
            time.sleep(0.0002)
        try:
            yield
        finally:
            if self.server.running:
                os.kill(pid, signal.SIGCONT)

    @staticmethod
    def _stands_still(pid: int) -> bool:
        states = []
        for task in Path(f"/proc/{pid}/task").glob("*/stat"):
            with suppress(OSError):
                states.append(task.read_text().rsplit(")", 1)[1].split()[0])
        return all(state in STOPPED for state in states)

    def backlog(self, agent: Agent) -> int:
        """How many batches lie on the disk of an agent that were never acknowledged."""
        return self.ledger.waiting(disk.read(agent.spool))

    def look(self) -> None:
        """Nothing ends by itself; but a worker that finds no PostgreSQL at its start says so and ends: it is started again.

        Raises:
            BrokenError: something ended.

        """
        if not self.worker.running and self.away_at > self.worker.started_at - AWAY_SECONDS:
            self.worker.start()
        for process in (self.server, self.worker, *(agent.process for agent in self.agents)):
            if not process.running and process not in self._told_to_end:
                raise BrokenError(f"{process.name} ended by itself\n{process.tail()}")

    def wait_for(self, met: Callable[[], bool], what: str, seconds: float) -> None:
        """Until a condition is met.

        Raises:
            BrokenError: it was not met in time, or something ended by itself.

        """
        until = time.monotonic() + seconds
        while not met():
            self.look()
            if time.monotonic() > until:
                raise BrokenError(f"waited {seconds:.0f} s for {what}")
            time.sleep(0.15)

    # The end

    def settle(self) -> None:
        """Time stands still, agents send what they have and end, every hour is computed.

        Raises:
            BrokenError: an agent does not get rid of what it has, or hours are not computed, in time.

        """
        self._stand_still()
        for agent in self.agents:
            self._catch_up(agent)
        for agent in self.agents:
            while self._ended_with(agent):  # it had only begun, or the server was slow: the next run goes on
                agent.process.start()
                self._catch_up(agent)
        until = time.monotonic() + SETTLED_SECONDS
        while waiting := self.rest.get("/v1/status")["hours_waiting"]:
            if time.monotonic() > until:
                raise BrokenError(f"{waiting} hours are not computed after {SETTLED_SECONDS} s")
            time.sleep(0.1)

    def _catch_up(self, agent: Agent) -> None:
        """Wait until it has sent a sample of each guest that it took from now on: however long, as long as it gets on."""
        now_ns = time.time_ns()
        names = {guest.resource_id for guest in agent.host.guests}
        while any(self.ledger.last_at.get(name, 0) < now_ns for name in names):
            known = self._acknowledged(agent)
            self.wait_for(partial(self._has_sent, agent, known), f"{agent.host.name} to send what it has", SETTLED_SECONDS)

    def _acknowledged(self, agent: Agent) -> int:
        return sum(resource_id.startswith(f"{agent.host.name}.") for resource_id, _, _, _ in tuple(self.ledger.acknowledged))

    def _has_sent(self, agent: Agent, known: int) -> bool:
        return self._acknowledged(agent) > known

    def _ended_with(self, agent: Agent) -> int:
        """How many batches are left on the disk of an agent that was told to end, and that are not acknowledged."""
        self._told_to_end.add(agent.process)
        agent.process.stop()
        found = disk.read(agent.spool)
        self.ledger.find(agent.host.name, found)
        return self.ledger.waiting(found)

    def run(self, process: Process) -> tuple[int, str]:
        """Run one command to its end: its exit status, and what it wrote."""
        process.start()
        return process.wait(SETTLED_SECONDS), process.log.read_text()

    def tails(self) -> str:
        """The ends of all logs."""
        return "\n".join(process.tail() for process in (self.server, self.worker, *(agent.process for agent in self.agents)))

    def _stand_still(self) -> None:
        if self.life is not None:
            self.life.stop()

    def close(self) -> None:
        """End everything, at once."""
        self._stand_still()
        for process in (*(agent.process for agent in self.agents), self.worker, self.server, self.check, self.gaps):
            process.kill()
        self.relay.stop()
        for agent in self.agents:
            agent.host.close()
        if self.postgres is not None:
            self.postgres.stop()
