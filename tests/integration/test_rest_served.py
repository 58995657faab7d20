"""What a person and an exporter do over REST and the command line, with a real server on each store."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from tallystick.app.cli.client import RefusedError
from tallystick.app.cli.main import app
from tallystick.app.clock import SystemClock
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.instants import HOUR_NS, parse_iso
from tallystick.store.store import open_store
from tests.integration.serving import Served

BOOK = """
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: p
    currency: EUR
    charges: [{id: up, meter: uptime, per: hour, price: 0.02}]
    reservations: [{id: month, meter: uptime, per: hour, region: eu, months: 1, recurring: 0.01}]
"""
SEVEN = "2026-02-25T07:00:00Z"


def rest(served: Served, method: str, path: str, key: str, body: object = None, kind: str = "application/json") -> Any:
    """The JSON answer to a request, which must succeed."""
    sent = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    answer = served.server.call(method, path, sent, {"authorization": f"Bearer {key}", "content-type": kind})
    assert answer.status < 300, answer.body
    return answer.json


def tally(served: Served, key: str, *words: str) -> str:
    """What a command prints, which must succeed."""
    ran = CliRunner().invoke(app, words, env={"TALLY_URL": served.server.url, "TALLY_KEY": key})
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def counted(served: Served, *, until_ns: int) -> None:
    """Everything that waits is computed, as a worker does it."""
    store = open_store(served.url, SystemClock())
    try:
        while roll_up(store, DiskHorizon.CLOCK, until_ns):
            pass
    finally:
        store.close()


def test_how_well_a_reservation_is_used(served: Served) -> None:
    """One machine is reserved; one is up for an hour and another for the half of it, and in the next hour none is."""
    admin, start_ns = served.key("admin"), parse_iso(SEVEN)
    rest(served, "POST", "/v1/price-books", admin, BOOK, "application/yaml")
    rest(served, "POST", "/v1/price-books/b/versions/1/activate", admin)
    rest(served, "POST", "/v1/customers", admin, {"id": "acme", "currency": "EUR"})
    tally(served, admin, "subscription", "create", "acme", "p", "--from", "2026-02-01", "--id", "sub-acme")
    tally(served, admin, "reservation", "create", "sub-acme", "month", "1", "--from", SEVEN, "--id", "r")
    records = []
    for name, minutes in (("vm-1", 60), ("vm-2", 30)):
        rest(served, "POST", "/v1/resources", admin, {"id": name, "customer_id": "acme", "region": "eu", "at": "2026-02-01T00:00:00Z"})
        span = {"from": str(start_ns), "until": str(start_ns + minutes * HOUR_NS // 60), "amount": str(minutes * HOUR_NS // 60)}
        records.append({"source": "s", "record_id": name, "resource_id": name, "meter": "uptime", **span})
    assert [each["outcome"] for each in served.send({"records": records}).json["records"]] == ["OUTCOME_STORED"] * 2
    asked = ("reservation", "report", "acme", "--from", SEVEN, "--to", "2026-02-25T09:00:00Z")
    assert "acme: 2 hours wait to be computed" in tally(served, admin, *asked)
    counted(served, until_ns=start_ns + 2 * HOUR_NS)
    (report,) = json.loads(tally(served, admin, *asked, "--json"))
    (held,), (beside,) = report["reservations"], report["usage"]
    assert (held["reserved"]["exact"], held["used"]["exact"], held["utilization"]["percent"]) == ("2", "1", "50")
    assert held["unused_cost"] == {"amount": "0.01", "currency": "EUR"}
    assert (beside["used"]["exact"], beside["covered"]["exact"]) == ("3/2", "1")
    assert beside["coverage"] == {"exact": "2/3", "percent": "66.67"}
    shown = tally(served, admin, *asked)
    assert [word for word in ("50", "0.01 EUR", "66.67", "in all") if word not in shown] == []
    assert "wait" not in shown
    assert tally(served, served.key("customer", customers=["acme"]), *asked, "--json") == json.dumps([report], indent=2) + "\n"
    assert tally(served, served.key("customer", customers=["other"]), "reservation", "report", "--json") == "[]\n"


def test_an_activation_says_first_what_it_changes(served: Served) -> None:
    admin = served.key("admin")
    for start, price in (("2026-01-01", "0.02"), ("2026-03-01", "0.03")):
        text = BOOK.replace("2026-01-01", start).replace("0.02", price).replace("id: p", "id: q").replace("book: b", "book: c")
        rest(served, "POST", "/v1/price-books", admin, text, "application/yaml")
    assert tally(served, admin, "price", "activate", "c", "1").splitlines() == [
        "c version 1 follows none that is in force",
        "c version 1: active",
    ]
    second = tally(served, admin, "price", "activate", "c", "2").splitlines()
    assert (second[0], second[-1]) == (
        "c version 1, in force from 2026-01-01T00:00:00Z -> c version 2, in force from 2026-03-01T00:00:00Z",
        "c version 2: active",
    )
    assert second[2:-1] == ["plan q: no subscription", "  charge up: price: 0.02 -> 0.03 EUR per hour (+50 %)"]
    again = json.loads(tally(served, admin, "price", "activate", "c", "2", "--json"))
    assert (again["state"], [each["key"] for each in again["diff"]["changes"]]) == ("active", ["effective_from", "price"])
    missing = CliRunner().invoke(app, ["price", "activate", "c", "3"], env={"TALLY_URL": served.server.url, "TALLY_KEY": admin})
    assert isinstance(missing.exception, RefusedError)
    assert missing.exception.problem["value"] == "c version 3"
