"""A real server with its worker, and a clock that is moved: months pass, invoices are closed, rows go; what comes a year later is told."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.app.clock import SystemClock
from tallystick.app.settings import SettingsError, load_settings
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.instants import parse_iso
from tallystick.model.resources import Fact
from tallystick.rate.load import load_book
from tallystick.store.store import Store, migrate, open_store
from tests.contract.test_closing import BOOK
from tests.integration.serving import SECOND_NS, SEND
from tests.integration.test_ingest import columns, outcomes
from tests.keys import make_key
from tests.servers import Reply, ServerProcess

pytestmark = pytest.mark.timeout(180)
START = parse_iso("2026-03-10T08:00:00Z")
PLACE = Place()


class Moved:
    """The clock file of a server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.to(START)

    def to(self, at_ns: int) -> None:
        following = self.path.with_suffix(".new")
        following.write_text(str(at_ns))
        os.replace(following, self.path)


def batch(sequence: int, at_ns: int, **given: object) -> dict[str, object]:
    instants = tuple(at_ns + number * SECOND_NS for number in range(60))
    named = {"resource_id": "vm-1", "boot_id": "boot", "spool_id": "spool", "sequence": str(sequence), "interval_ns": str(SECOND_NS)}
    return {**named, "columns": columns(*instants, cpu=tuple(range(0, 60_000, 1000))), **given}


def until(wanted: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < limit, what
        time.sleep(0.1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'tallystick.db'}"
    migrate(url)
    found = open_store(url, SystemClock())
    book, mistakes = load_book(BOOK, "lab.yaml")
    assert book is not None, mistakes
    found.registry.create_customer(PLACE, Customer(id="acme", name="Acme", currency="EUR", time_zone="UTC"), actor="test")
    found.contracts.add_book(PLACE, book, BOOK, actor="test")
    found.contracts.activate_book(PLACE, "lab", 1, actor="test")
    found.contracts.create_subscription(PLACE, Subscription(id="sub", customer_id="acme", plan_id="lab", start_ns=START), actor="test")
    with found.write() as tx:
        found.batches.write_facts(tx, PLACE, [Fact(resource_id="vm-1", at_ns=START, received_at_ns=START, customer_id="acme", vcpus=2)])
    yield found
    found.close()


def test_three_months_pass_and_a_year(store: Store, tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path / 'tallystick.db'}", Moved(tmp_path / "clock")
    agent, admin = make_key(url, "agent"), make_key(url, "admin")
    environment = {
        **{"TALLY_WORKERS": "1", "TALLY_CLOCK_FILE": str(clock.path), "TALLY_RETENTION": "continuous"},
        **{"TALLY_ROLLUP_INTERVAL_MS": "50", "TALLY_CLOSING_INTERVAL_MS": "100", "TALLY_ARCHIVE_DIRECTORY": str(tmp_path / "archive")},
    }

    def count(table: str) -> int:
        with store.read() as tx:
            row = tx.row(f"SELECT COUNT(*) FROM {table}")
        return int(row[0]) if row else 0

    with ServerProcess(tmp_path / "state", {**environment, "TALLY_STORE_URL": url}) as server:

        def send(*batches: dict[str, object]) -> list[str]:
            return outcomes(server.rpc(SEND, {"batches": list(batches)}, agent))

        def call(method: str, path: str, body: object = None) -> Reply:
            headers = {"authorization": f"Bearer {admin}", "content-type": "application/json"}
            return server.call(method, path, b"" if body is None else json.dumps(body).encode(), headers)

        def ask(method: str, path: str, body: object = None) -> Any:
            reply = call(method, path, body)
            assert reply.status == 200, reply.body
            return reply.json

        sent = [batch(number, START + number * 60 * SECOND_NS) for number in (0, 1, 2, 4) if number]
        assert send(*sent) == ["stored"] * 3
        for months, day in enumerate(("2026-04-05", "2026-05-05", "2026-06-05", "2026-07-05"), start=1):
            clock.to(parse_iso(f"{day}T03:00:00Z"))
            until(lambda wanted=months: len(store.invoices.list(PLACE)) == wanted, f"the invoice before {day}")  # type: ignore[misc]  # bound early
        until(lambda: (count("segment"), count("payload"), count("usage_hour"), count("batch")) == (0, 0, 0, 0), "rows are deleted")
        assert count("usage_month") == 1
        assert len(list((tmp_path / "archive").rglob("*.parquet"))) == 1
        gone = call("GET", "/v1/usage/minutes?resource_id=vm-1&from=2026-03-10T08:00:00Z&until=2026-03-10T09:00:00Z")
        assert (gone.status, gone.json["code"], gone.json["field"]) == (410, "gone", "until")
        first = store.invoices.list(PLACE)[-1].invoice
        clock.to(parse_iso("2027-03-10T08:00:00Z"))
        assert send(*sent) == ["repeated"] * 3
        late = batch(5, START + 30 * 60 * SECOND_NS)
        assert send(late, batch(3, START + 180 * SECOND_NS)) == ["stored", "stored"]
        after, inside = ask("GET", "/v1/too-late?state=open")["items"][::-1]
        if after["sequence"] == 3:
            after, inside = inside, after
        assert inside["change"] == {}
        assert {meter for meters in after["change"].values() for meter in meters} == {"cpu.used", "cpu.allocated", "uptime"}
        before = ask("GET", "/v1/usage/months?resource_id=vm-1")["items"][0]["meters"]["uptime"]["total"]
        told = ask("POST", f"/v1/too-late/{after['batch']}/admit", {"reason": "it lay in a drawer"})
        assert (told["state"], told["change"]) == ("admitted", after["change"])
        now = ask("GET", "/v1/usage/months?resource_id=vm-1")["items"][0]["meters"]["uptime"]["total"]
        assert int(now) - int(before) == sum(meters["uptime"] for meters in after["change"].values())
        assert ask("POST", f"/v1/too-late/{inside['batch']}/dismiss", {"reason": "counted"})["state"] == "dismissed"
        assert call("POST", f"/v1/too-late/{inside['batch']}/admit", {}).status == 409
        assert send(late) == ["repeated"]
        assert store.invoices.list(PLACE)[-1].invoice == first
        until(lambda: "cleaned up" in server.log, "the worker says so")
        assert b"tally_too_late_open 0" in call("GET", "/metrics").body


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    for given, told in (
        ({"retention_at": "3 o'clock"}, "retention_at"),
        ({"retention_hour_days": 10}, "retention_hour_days = 10, retention_segment_days = 30"),
        ({"retention_payload_hours": 0}, "retention_payload_hours"),
        ({"retention": "weekly"}, "retention"),
    ):
        with pytest.raises(SettingsError, match=told.partition(" ")[0]) as refused:
            load_settings(state_dir=tmp_path, **given)
        assert told in str(refused.value)
