"""A real server and its worker: who falls silent is noticed within two minutes of the server's clock, and is back with its late data."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tallystick.app.cli.client import RefusedError
from tallystick.app.cli.main import app
from tallystick.model.instants import iso, parse_iso
from tallystick.store.store import migrate
from tests.integration.serving import AT_NS, SECOND_NS, SEND
from tests.keys import make_key
from tests.servers import ServerProcess
from tests.stores import database
from tools.streams.delivery import set_clock

S = SECOND_NS
START_NS = AT_NS - AT_NS % (3600 * S)
WAIT_SECONDS = 30


@dataclass
class Watched:
    """A server whose clock is moved by hand, and what is asked of it."""

    server: ServerProcess
    clock: Path
    admin: str
    agent: str
    limited: str
    url: str

    def at(self, seconds: int) -> None:
        set_clock(self.clock, START_NS + seconds * S)

    def send(self, key: str | None = None, **request: Any) -> Any:
        reply = self.server.rpc(SEND, request, key or self.agent)
        assert reply.status == 200, reply.body
        return reply.json

    def batch(self, sequence: int, from_s: int, count: int = 60, level: int = 4096, resource: str = "vm-1") -> dict[str, Any]:
        """A batch of a sample a second."""
        steps = ["1000000000"] * (count - 1)
        return {
            "resource_id": resource,
            "boot_id": "host-boot/1",
            "spool_id": "spool",
            "sequence": str(sequence),
            "interval_ns": str(S),
            "columns": {
                "measured_at": [str(START_NS + from_s * S), *steps],
                "cpu_time_nanos": [str(from_s * S), *steps],
                "memory_bytes_used": [str(level), *["0"] * (count - 1)],
            },
        }

    def beat(self, seconds: int, *active: str, key: str | None = None, until: int | None = None) -> Any:
        """A heartbeat at that second of the server's clock."""
        self.at(seconds)
        at_ns = START_NS + seconds * S
        until_ns = at_ns if until is None else START_NS + until * S
        beat = {"instance_id": "host-1", "active_resources": active, "at": str(at_ns), "reported_until": str(until_ns)}
        return self.send(key, heartbeat=beat)

    def get(self, path: str) -> Any:
        reply = self.server.call("GET", path, headers={"authorization": f"Bearer {self.admin}"})
        assert reply.status == 200, reply.body
        return reply.json

    def post(self, path: str, document: dict[str, Any], status: int = 200) -> Any:
        body = repr(document).replace("'", '"').encode()
        reply = self.server.call("POST", path, body, {"authorization": f"Bearer {self.admin}", "content-type": "application/json"})
        assert reply.status == status, reply.body
        return reply.json

    def tally(self, *words: str, code: int = 0) -> str:
        """What a command prints, or why the server refused."""
        ran = CliRunner().invoke(app, list(words), env={"TALLY_URL": self.server.url, "TALLY_KEY": self.admin})
        assert ran.exit_code == code, ran.output
        return "\n".join(ran.exception.lines()) if isinstance(ran.exception, RefusedError) else ran.output

    def until(self, what: Callable[[], Any]) -> Any:
        """What is asked, once it is true: a worker looks five times a second."""
        limit = time.monotonic() + WAIT_SECONDS
        while not (found := what()):
            assert time.monotonic() < limit, self.server.log[-2000:]
            time.sleep(0.1)
        return found

    def open(self) -> list[tuple[str, str, str]]:
        return sorted((one["kind"], one["subject"], one["cause"]) for one in self.get("/v1/absences?open=true")["items"])

    def gaps(self, state: str) -> list[tuple[int, int | None, str]]:
        found = self.get(f"/v1/gaps?state={state}")["items"]
        return [(_seconds(one["from"]) or 0, _seconds(one["until"]), one["cause"]) for one in found]

    def metric(self, name: str) -> float:
        lines = self.server.call("GET", "/metrics").body.decode().splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))

    def topics(self) -> Sequence[str]:
        with sqlite3.connect(self.url.removeprefix("sqlite:///")) as connection:
            return [row[0] for row in connection.execute("SELECT topic FROM outbox ORDER BY outbox_key")]


def _seconds(instant: str | None) -> int | None:
    return None if instant is None else (parse_iso(instant) - START_NS) // S


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    set_clock(folder / "clock", START_NS - 200 * S)
    with database("sqlite", folder) as url:
        migrate(url)
        environment = {
            "TALLY_STORE_URL": url,
            "TALLY_CLOCK_FILE": str(folder / "clock"),
            "TALLY_WORKERS": "1",
            "TALLY_WATCH_INTERVAL_MS": "200",
            "TALLY_ROLLUP_INTERVAL_MS": "100",
        }
        with ServerProcess(folder, environment) as server:
            keys = [make_key(url, role) for role in ("admin", "agent")]
            yield Watched(server, folder / "clock", keys[0], keys[1], make_key(url, "agent", customers=["acme"]), url)


@pytest.mark.timeout(180)
def test_silence_is_noticed_told_and_ended(watched: Watched) -> None:
    watched.at(60)
    watched.send(batches=[watched.batch(1, 0)])
    watched.beat(60, "vm-1")
    watched.until(lambda: watched.get("/v1/usage/hours")["items"])
    time.sleep(1)  # the worker, which began 200 s ago by this clock, has looked, and nobody is away
    assert watched.open() == []

    # Within two minutes of the last heartbeat, and of the last sample, both are away.
    watched.at(60 + 76)
    away = [("agent", "host-1", "agent_away"), ("resource", "vm-1", "agent_away")]
    assert watched.until(lambda: watched.open() == away)
    assert watched.topics() == ["metering.agent_away"]
    assert watched.gaps("live") == [(59, None, "agent_away")]
    (agent,) = watched.get("/v1/agents")["items"]
    assert agent["state"] == "away"
    (hour,) = watched.get(f"/v1/usage/hours?from={iso(START_NS)}&until={iso(START_NS + 3600 * S)}")["items"]
    assert (hour["measured_ns"], hour["unknown_ns"]) == (59 * S, (60 + 76 - 59) * S)
    watched.until(lambda: watched.metric("tally_agents_away") == 1)
    assert watched.metric("tally_hours_waiting") == 0

    # An hour later nothing has come: that hour is listed, and it is unknown, not 0.
    watched.at(3600 + 600)
    (later, _) = watched.get("/v1/usage/hours")["items"]
    assert (later["meters"], later["measured_ns"], later["unknown_ns"]) == ({}, 0, 600 * S)
    status = watched.get("/v1/status")["resources"][0]
    assert (status["silent_cause"], _seconds(status["silent_since"])) == ("agent_away", 59)

    # It is back, with a batch in between that is lost, and another that comes late.
    watched.at(3600 + 610)
    watched.send(batches=[watched.batch(4, 3600 + 540), watched.batch(2, 60)])
    watched.beat(3600 + 611, "vm-1", until=3600 + 600)
    assert watched.until(lambda: watched.open() == [])
    assert watched.topics() == ["metering.agent_away", "metering.agent_back"]
    assert watched.until(lambda: watched.gaps("standing") == [(119, 4140, "batch_missing")])
    (missing,) = watched.until(lambda: watched.get("/v1/missing-sequences")["items"])
    assert (missing["resource_id"], missing["first"], missing["last"]) == ("vm-1", 3, 3)
    watched.send(batches=[watched.batch(3, 120, count=4020)])
    assert watched.until(lambda: watched.get("/v1/missing-sequences")["items"] == [])
    assert watched.until(lambda: watched.gaps("standing") == [])
    assert (119, 4140, "batch_missing") in watched.gaps("closed")
    assert watched.get("/v1/gaps?state=closed")["items"][0]["closed_at"] is not None


@pytest.mark.timeout(120)
def test_a_conflict_is_resolved_by_a_person(watched: Watched) -> None:
    watched.at(8000)
    watched.send(batches=[watched.batch(1, 7200, resource="vm-2")])
    answer = watched.send(batches=[watched.batch(1, 7200, level=8192, resource="vm-2")])["batches"][0]
    assert answer["outcome"] == "OUTCOME_CONFLICT"
    assert "metering.conflict" in watched.topics()
    (found,) = watched.get("/v1/conflicts?open=true")["items"]
    (listed,) = json.loads(watched.tally("conflicts", "list", "--json"))
    assert listed["sent_hash"] in watched.tally("conflicts", "show", str(listed["id"]))
    resolved = watched.post(f"/v1/conflicts/{found['id']}/resolve", {"counts": "sent", "reason": "the first was a test"})
    assert (resolved["state"], resolved["reason"]) == ("replaced", "the first was a test")
    query = f"/v1/usage/hours?resource_id=vm-2&from={iso(START_NS + 7200 * S)}"
    used = 8192 * 59 * S
    assert watched.until(lambda: [one["meters"]["memory.used"]["total"] for one in watched.get(query)["items"]] == [used])
    watched.post(f"/v1/conflicts/{found['id']}/resolve", {"counts": "stored", "reason": "no"}, status=409)
    assert "was resolved already" in watched.tally("conflicts", "resolve", str(found["id"]), "--counts", "stored", "--reason", "no", code=1)


@pytest.mark.timeout(120)
def test_what_the_commands_of_silence_say(watched: Watched) -> None:
    assert isinstance(json.loads(watched.tally("absences", "list", "--all", "--json")), list)
    assert json.loads(watched.tally("too-late", "list", "--json")) == []
    assert "too late: none" in watched.tally("too-late", "list")
    for words in (("absences", "dismiss", "4711"), ("too-late", "admit", "4711"), ("too-late", "dismiss", "4711")):
        assert "'4711'" in watched.tally(*words, "--reason", "x", code=1)
    assert "no customer 'nobody'" in watched.tally("usage", "--customer", "nobody", code=1)


@pytest.mark.timeout(120)
def test_a_limited_key_reports_for_no_agent_of_another(watched: Watched) -> None:
    assert "heartbeat" not in watched.beat(9000, "vm-1")
    refused = watched.beat(9001, "vm-1", key=watched.limited)["heartbeat"]
    assert (refused["outcome"], refused["code"], refused["field"]) == ("OUTCOME_REFUSED", "not_allowed", "heartbeat.instance_id")
    watched.post("/v1/agents/host-1/release", {"reason": "a new key"})
    assert "heartbeat" not in watched.beat(9002, "vm-1", key=watched.limited)
    other = make_key(watched.url, "agent", customers=["acme"])
    assert watched.beat(9003, "vm-1", key=other)["heartbeat"]["outcome"] == "OUTCOME_REFUSED"
    watched.post("/v1/agents/nobody/release", {"reason": "x"}, status=404)
