"""An outage from its declaration to a credit that is explained: a real server, and the command line as a person uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tallystick.app.clock import SystemClock
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.calendar import month_of
from tallystick.model.instants import HOUR_NS, iso
from tallystick.model.resources import Fact
from tallystick.store.store import open_store
from tests.contract.rows import PLACE, batch, write
from tests.integration.serving import Served

BOOK = """
book: cloud
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: standard
    currency: EUR
    charges: [{id: up, meter: uptime, per: hour, price: 3600}]
    service_levels: [{id: available, name: Availability, credits: [{below: 100, percent: 50}]}]
"""


def test_an_outage_from_its_declaration_to_its_credit(served_sqlite: Served) -> None:
    """A machine that was up for 90 s at 1.00 a second: half of 90.00 comes back, until the outage is withdrawn."""
    start_ns, end_ns = month_of(SystemClock().now_ns(), "UTC")
    store = open_store(served_sqlite.url, SystemClock())
    with store.write() as tx:
        fact = Fact(resource_id="vm-1", at_ns=start_ns, received_at_ns=start_ns, customer_id="acme", region="east")
        store.batches.write_facts(tx, PLACE, [fact])
    write(store, batch("vm-1", 1, start_ns, 91))
    while roll_up(store, DiskHorizon.CLOCK, end_ns):
        pass
    store.close()
    admin = served_sqlite.key("admin")

    def tally(*words: str, key: str = admin, code: int = 0) -> Any:
        environment = {**os.environ, "TALLY_URL": served_sqlite.server.url, "TALLY_KEY": key}
        command = [sys.executable, "-m", "tallystick", *words, "--json"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert ran.returncode == code, ran.stderr
        return json.loads(ran.stdout if code == 0 else ran.stderr)

    def rest(path: str, body: str, content_type: str) -> None:
        headers = {"authorization": f"Bearer {admin}", "content-type": content_type}
        assert served_sqlite.server.call("POST", path, body.encode(), headers).status in (200, 201)

    rest("/v1/price-books", BOOK, "application/yaml")
    rest("/v1/price-books/cloud/versions/1/activate", "", "application/json")
    rest("/v1/customers", json.dumps({"id": "acme", "currency": "EUR"}), "application/json")
    rest("/v1/subscriptions", json.dumps({"customer_id": "acme", "plan_id": "standard", "start": iso(start_ns)}), "application/json")

    span = ("--from", iso(start_ns), "--to", iso(start_ns + HOUR_NS))
    asked = ("outage", "declare", "vm-1", *span, "--reason", "host-17 lost its power", "--id", "power")
    declared = tally(*asked)
    assert tally(*asked) == declared, "the same again changes nothing"
    wrong = tally("outage", "declare", "vm-9", *span, "--reason", "x", code=1)
    assert (wrong["field"], wrong["value"]) == ("resources", "vm-9")

    (draft,) = tally("invoice", "preview", "acme")["items"]
    assert [(line["description"], line["amount"]["amount"]) for line in draft["lines"]] == [("up", "90.00"), ("Availability", "-45.00")]
    explained = tally("explain", "acme", "2", "--preview", "--verify")
    assert explained["verification"]["equal"]
    assert " h down (power), " in explained["text"]
    assert "% available: 50 % of 90 EUR" in explained["text"]
    assert tally("explain", "acme", "1", "--preview", "--verify")["verification"]["equal"]

    own = served_sqlite.key("customer", customers=["acme"])
    assert tally("outage", "list", key=own) == [declared]
    assert tally("outage", "withdraw", "power", "--reason", "x", key=own, code=1)["code"] == "forbidden"
    assert tally("outage", "withdraw", "power", "--reason", "it was another host")["withdrawn_at"]
    (draft,) = tally("invoice", "preview", "acme")["items"]
    assert draft["total"]["amount"] == "90.00"
