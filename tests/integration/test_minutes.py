"""Usage by minute, from the wire to the command line: what a customer sees of itself, and that its minutes are the hour."""

from __future__ import annotations

import json
from pathlib import Path

from tallystick.app.clock import SystemClock
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Customer
from tallystick.model.instants import HOUR_NS, MINUTE_NS, iso
from tallystick.model.resources import Fact
from tallystick.store.store import open_store
from tests.integration.serving import SECOND_NS, Served
from tests.integration.test_cli import tally
from tests.integration.test_ingest import columns, outcomes

START_NS = 1_772_000_000 * SECOND_NS // HOUR_NS * HOUR_NS
CORE_NS = 500_000_000
"""Half a core, a second."""


def batch(number: int, count: int = 60) -> dict[str, object]:
    """A minute of samples that begins at 20 seconds past."""
    first = number * 60
    instants = tuple(START_NS + (20 + first + place) * SECOND_NS for place in range(count))
    cpu = tuple((first + place) * CORE_NS for place in range(count))
    named = {"resource_id": "vm-1", "boot_id": "boot", "spool_id": "spool", "sequence": str(number + 1), "interval_ns": str(SECOND_NS)}
    return {**named, "columns": columns(*instants, cpu=cpu)}


def test_a_customer_sees_its_minutes_and_they_are_the_hour(served_sqlite: Served, tmp_path: Path) -> None:
    store = open_store(served_sqlite.url, SystemClock())
    for name in ("acme", "globex"):
        store.registry.create_customer(Place(), Customer(id=name, name=name, currency="EUR"), actor="test")
    with store.write() as tx:
        store.batches.write_facts(
            tx, Place(), [Fact(resource_id="vm-1", at_ns=START_NS, received_at_ns=START_NS, customer_id="acme", vcpus=2)]
        )
    assert outcomes(served_sqlite.send({"batches": [batch(number) for number in range(10) if number not in (4, 5)]})) == ["stored"] * 8
    roll_up(store, DiskHorizon.CLOCK, START_NS + HOUR_NS)
    store.close()
    url = f"http://127.0.0.1:{served_sqlite.server.ports[0]}"
    acme, globex = (
        {"TALLY_URL": url, "TALLY_KEY": served_sqlite.key("customer", customers=[name]), "COLUMNS": "200"} for name in ("acme", "globex")
    )
    span = ("--from", iso(START_NS), "--to", iso(START_NS + HOUR_NS))

    ran = tally("usage", "--resource", "vm-1", *span, "--by", "minute", "--json", environment=acme)
    assert (ran.returncode, ran.stderr) == (0, "")
    minutes = {row["minute"]: row for row in json.loads(ran.stdout)}
    assert [row["customer_id"] for row in minutes.values()] == ["acme"] * 11
    second = minutes[iso(START_NS + MINUTE_NS)]
    assert second["meters"]["cpu.used"] == {"unit": "core·ns", "total": 60 * CORE_NS, "estimated": 0, "evenly": 0}
    assert (second["samples"], second["measured_ns"], second["estimated_ns"], second["unknown_ns"]) == (60, MINUTE_NS, 0, 0)
    silent = minutes[iso(START_NS + 5 * MINUTE_NS)]
    assert (silent["samples"], silent["measured_ns"], silent["estimated_ns"]) == (0, 0, MINUTE_NS)
    (hour,) = json.loads(tally("usage", "--resource", "vm-1", *span, "--json", environment=acme).stdout)
    for meter, told in hour["meters"].items():
        assert sum(row["meters"].get(meter, {"total": 0})["total"] for row in minutes.values()) == told["total"], meter
        assert sum(row["meters"].get(meter, {"estimated": 0})["estimated"] for row in minutes.values()) == told["estimated"], meter

    shown = tally("usage", "--customer", "acme", *span, "--by", "minute", "--limit", "3", environment=acme)
    assert shown.returncode == 0, shown.stderr
    assert "core-seconds" in shown.stdout
    assert "30.000" in shown.stdout
    other = tally("usage", "--resource", "vm-1", *span, "--by", "minute", environment=globex)
    assert (other.returncode, "no resource 'vm-1'" in other.stderr) == (1, True)
    assert json.loads(tally("usage", *span, "--by", "minute", "--json", environment=globex).stdout) == []
    long = tally("usage", "--from", iso(START_NS), "--to", iso(START_NS + 25 * HOUR_NS), "--by", "minute", environment=acme)
    assert (long.returncode, f"from: minutes are told of at most a day at once, and {iso(START_NS)}" in long.stderr) == (1, True)
    viewed = tally("usage", "--by", "minute", "--view", environment=acme)
    assert (viewed.returncode, "'minute' has no view" in viewed.stderr) == (2, True)
