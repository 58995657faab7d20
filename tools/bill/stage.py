"""The stage of the first bill: a server with its worker and an agent, on free ports and an empty database, killed on demand."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.app.cli.client import Client
from tools.bill.witness import Witness
from tools.live.processes import BrokenError, Process, free_port, wait_ready

BATCH_SECONDS = 3
HEARTBEAT_SECONDS = 1
DURABLE_SECONDS = 3
"""How long an agent must have run without a break to have read a counter and written it to its spool (each second)."""
HOST = "first-bill"


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill -9, so many seconds after the workloads began; the victim comes back after `away_seconds`."""

    after_seconds: float
    victim: str
    away_seconds: float


def kill_plan(kills: int, seconds: float, seed: int) -> list[Kill]:
    """So many kills of server and agent in turns, anywhere in the middle of the workloads; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - a plan that can be had again, no secret
    first = chance.randrange(2)
    slots = [seconds * (0.1 + 0.8 * (place + chance.random()) / max(kills, 1)) for place in range(kills)]
    return [Kill(at, ("server", "agent")[(place + first) % 2], 0.2 + 1.3 * chance.random()) for place, at in enumerate(slots)]


@dataclass(slots=True)
class Stage:
    """The processes. `server`, `agent` and `rest` are there once it was opened."""

    folder: Path
    kills: list[Kill]
    in_groups: bool
    server: Process = field(init=False)
    agent: Process = field(init=False)
    rest: Client = field(init=False)
    witness: Witness | None = None
    began_at: float = 0.0
    metering_since: float = 0.0
    returning: list[tuple[float, Process]] = field(default_factory=list)
    killed: int = 0

    @property
    def state(self) -> Path:
        """The server's state directory."""
        return self.folder / "state"

    @property
    def database(self) -> Path:
        """The SQLite file of the server."""
        return self.state / "tallystick.db"

    def open_server(self) -> None:
        """Make an empty database with its first key, and start the server with its worker."""
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = {"TALLY_STATE_DIR": str(self.state), "TALLY_LISTEN": f"127.0.0.1:{port}", "TALLY_WORKERS": "1"}
        self.server = Process("server", ["serve"], environment, self.folder)
        made = subprocess.run(
            [sys.executable, "-m", "tallystick", "init"], env=self.server.environment, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise BrokenError(f"tally init failed\n{made.stdout}{made.stderr}")
        self.rest = Client(url, (self.state / "admin.key").read_text().strip())
        self.server.start()
        wait_ready(self.server, url)
        if self.kills:
            self.witness = Witness("127.0.0.1", port)
            self.witness.start()

    def open_agent(self, key: str, mapping: dict[str, str]) -> None:
        """Start an agent that meters the workloads only; `mapping` gives their groups their ids."""
        key_file = self.folder / "agent.key"
        key_file.write_text(key)
        key_file.chmod(0o600)
        environment = {
            "TALLY_AGENT_ENDPOINT": self.witness.url if self.witness else self.rest.url,
            "TALLY_AGENT_KEY_FILE": str(key_file),
            "TALLY_AGENT_SPOOL_DIRECTORY": str(self.folder / "spool"),
            "TALLY_AGENT_HOST": HOST,
            "TALLY_AGENT_BATCH_SECONDS": "1" if self.witness else str(BATCH_SECONDS),
            "TALLY_AGENT_HEARTBEAT_INTERVAL_SECONDS": str(HEARTBEAT_SECONDS),
            "TALLY_AGENT_SOURCE": "cgroup" if self.in_groups else "proc",
            "TALLY_AGENT_PROC_MATCH": "*tools/bill/load.py*",
            "TALLY_AGENT_PROC_MINIMUM_CPU_MS": "0",
        }
        if self.in_groups:
            file = self.folder / "mapping.toml"
            file.write_text("".join(f"[{json.dumps(path)}]\nid = {json.dumps(name)}\n" for path, name in mapping.items()))
            environment |= {"TALLY_AGENT_MAPPING_FILE": str(file), "TALLY_AGENT_CGROUP_MATCH": ",".join(mapping)}
        self.agent = Process("agent", ["agent", "run"], environment, self.folder)
        self.agent.start()
        self.wait_for(lambda: self.reported_until_ns() > 0, "the agent's first heartbeat", 30)

    def reported_until_ns(self) -> int:
        """Up to which instant the agent has reported; 0 if it has not yet."""
        agents = list(self.rest.pages("/v1/agents", 1000))
        return max((int(agent["reported_until_ns"] or 0) for agent in agents), default=0)

    def wait_for(self, met: Callable[[], bool], what: str, seconds: float) -> None:
        """Until a condition is met, looking a few times each second.

        Raises:
            BrokenError: it was not met in time, or a process ended by itself.

        """
        until = time.monotonic() + seconds
        while not met():
            self.look()
            if time.monotonic() > until:
                logs = "\n".join(process.tail() for process in self.processes())
                raise BrokenError(f"waited {seconds} s for {what}\n{logs}")
            time.sleep(0.2)

    def processes(self) -> list[Process]:
        """Those that were made so far."""
        return [getattr(self, name) for name in ("server", "agent") if hasattr(self, name)]

    def look(self) -> None:
        """Carry out what is due of the kills and returns, and notice a process that ended by itself.

        Raises:
            BrokenError: one did.

        """
        now = time.monotonic()
        away = [process for _, process in self.returning]
        for process in self.processes():
            if not process.running and process not in away:
                raise BrokenError(f"{process.name} ended by itself\n{process.tail()}")
        for due, process in list(self.returning):
            if now >= due:
                process.start()
                self.returning.remove((due, process))
        while self.began_at and self.kills and now - self.began_at >= self.kills[0].after_seconds:
            kill = self.kills.pop(0)
            process = self.server if kill.victim == "server" else self.agent
            if process.running:
                process.kill()
                self.returning.append((now + kill.away_seconds, process))
                self.killed += 1
                print(f"  kill -9 of the {kill.victim}", flush=True)
            else:  # it is away already: a little later, so that every kill kills
                self.kills.insert(0, Kill(kill.after_seconds + 1, kill.victim, kill.away_seconds))
                break

    def read_since(self, ended_at: float) -> bool:
        """Whether what stood still since `ended_at` (monotonic s) was read by the agent and is on its disk."""
        if not self.agent.running:
            return False
        if self.metering_since < self.agent.started_at:
            if not self.agent.said("agent_started"):
                return False
            self.metering_since = time.monotonic()
        return time.monotonic() - max(ended_at, self.metering_since) > DURABLE_SECONDS

    def close(self) -> None:
        """Stop agent and server as Ctrl-C does; kill what does not stop."""
        broken = []
        for process in reversed(self.processes()):
            try:
                process.stop()
            except BrokenError as error:
                broken.append(str(error))
        if self.witness:
            self.witness.stop()
        if broken:
            raise BrokenError("\n".join(broken))
