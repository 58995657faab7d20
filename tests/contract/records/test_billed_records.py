"""Usage records all the way: into hours, days and months, onto an invoice, through its explanation and `tally check`; and late."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.app.answers.explaining import explain_line
from tallystick.app.answers.usage.percentiles import usage_percentiles
from tallystick.app.check import check_store
from tallystick.app.jobs.closing import close_due
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.findings import FindingCode
from tallystick.model.instants import CELL_NS, HOUR_NS, MINUTE_NS, SECOND_NS, iso, parse_iso
from tallystick.model.records import UsageRecord
from tallystick.model.resources import Fact
from tallystick.model.samples import SampleSource
from tallystick.model.usage import UsageHour
from tallystick.rate.load import load_book
from tallystick.serve.services import Depth, RankMethod, UsageQuery
from tallystick.store.store import Store
from tests.contract.records.test_usage_records import outcomes
from tests.contract.rows import PLACE, batch, dirty_hours, write
from tests.contract.test_closing import Bench, NumberedIds, heartbeat

START = parse_iso("2026-03-10T08:00:00Z")
END = START + 3 * HOUR_NS
BOOK = """
book: web
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: web
    name: Web
    currency: EUR
    cycle: monthly
    charges:
      - {id: requests, name: Requests, meter: http.requests, per: thousand, price: 2}
      - {id: gpu, name: GPU, meter: gpu.used, per: gpu-hour, price: 3}
"""


@pytest.fixture
def clock() -> Bench:
    found = Bench()
    found.at_ns = START
    return found


@pytest.fixture
def web(store: Store) -> Store:
    """A customer with one pod that nobody samples."""
    book, mistakes = load_book(BOOK, "web.yaml")
    assert book is not None, mistakes
    store.registry.create_customer(PLACE, Customer(id="acme", name="Acme", currency="EUR", time_zone="Asia/Kathmandu"), actor="test")
    store.contracts.add_book(PLACE, book, BOOK, actor="test")
    store.contracts.activate_book(PLACE, "web", 1, actor="test")
    subscription = Subscription(id="sub", customer_id="acme", plan_id="web", start_ns=START, end_ns=END)
    store.contracts.create_subscription(PLACE, subscription, actor="test")
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, [Fact(resource_id="pod", at_ns=START, received_at_ns=START, customer_id="acme")])
    return store


def told(meter: str, amount: int, from_ns: int = START, until_ns: int = START + HOUR_NS, **more: Any) -> UsageRecord:
    fields: dict[str, Any] = {"source": "exporter", "record_id": iso(from_ns), "resource_id": "pod", "peak": None} | more
    return UsageRecord(
        meter=meter, from_ns=from_ns, until_ns=until_ns, amount=amount, received_at_ns=until_ns, content_hash=str(amount).encode(), **fields
    )


def roll(store: Store, clock: Bench) -> int:
    return roll_up(store, DiskHorizon.CLOCK, clock.now_ns())


def hours(store: Store, name: str = "pod") -> list[UsageHour]:
    found = store.registry.resource(PLACE, name)
    assert found is not None
    return [hour for _, hour in store.usage.hours(PLACE, resource_keys=[found.row])]


def differences(store: Store, clock: Bench) -> tuple[str, ...]:
    return check_store(store, DiskHorizon.CLOCK, clock.now_ns()).differences


def test_records_are_billed_explained_and_checked(web: Store, clock: Bench) -> None:
    """10,000 requests over an hour and a half at 2.00 a thousand; half a GPU for an hour at 3.00."""
    requests = told("http.requests", 10_000, START + 30 * MINUTE_NS, START + 120 * MINUTE_NS)
    assert outcomes(web, requests, told("gpu.used", HOUR_NS // 2)) == ["stored"] * 2
    clock.at_ns = END + 2 * HOUR_NS
    heartbeat(web, END + 1, END + 1)
    assert roll(web, clock) == 2
    assert [hour.total("http.requests") for hour in hours(web)] == [3333, 6667]
    assert [hour.cells.get("uptime") for hour in hours(web)] == [None, None]
    assert close_due(web, clock, NumberedIds(), "worker") == 1
    (kept,) = web.invoices.list(PLACE)
    lines = {line.meter: line for line in kept.invoice.lines}
    assert {meter: line.amount.text for meter, line in lines.items()} == {"http.requests": "20.00", "gpu.used": "1.50"}
    stated = {row.meter: row.quantity for row in kept.invoice.statement}
    assert (stated["http.requests"], stated["uptime"]) == (10, None)
    assert "gpu.memory.used" not in stated
    number = 1 + list(lines).index("http.requests")
    opened = explain_line(web, PLACE, kept.invoice, number, Depth.SAMPLES, verify=True)
    assert opened.verification is not None
    assert opened.verification.equal, opened.verification.differences
    assert opened.records == (requests,)
    assert "10000 http.requests of exporter" in opened.text
    assert differences(web, clock) == ()


def test_a_late_record_makes_only_its_hours_again(web: Store, clock: Bench) -> None:
    outcomes(web, told("http.requests", 12), told("http.requests", 24, START + HOUR_NS, START + 2 * HOUR_NS))
    clock.at_ns = END
    roll(web, clock)
    late = told("http.requests", 6, START + HOUR_NS, START + HOUR_NS + 2 * CELL_NS, source="finer")
    assert outcomes(web, late) == ["stored"]
    assert dirty_hours(web)["pod"] == [(START + HOUR_NS - 491_981 * HOUR_NS) // HOUR_NS]
    roll(web, clock)
    first, second = hours(web)
    assert first.total("http.requests") == 12
    assert second.cells["http.requests"] == (3, 3, *[2] * 10)
    (finding,) = [finding for _, finding in web.usage.findings(PLACE)]
    assert (finding.code, finding.at_ns, finding.counters) == (FindingCode.SECOND_SOURCE, START + HOUR_NS, ("http.requests",))
    assert finding.detail == "left out: records of 'exporter'"
    assert differences(web, clock) == ()
    months = [period for _, period in web.usage.periods(PLACE, "month", 0, END)]
    assert [period.totals["http.requests"] for period in months] == [38]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE usage_record SET amount = '13' WHERE meter = 'http.requests'",
        "DELETE FROM usage_record",
        "UPDATE record_source SET source = 'other'",
        "DELETE FROM usage_hour",
    ],
)
def test_damage_is_found(web: Store, clock: Bench, damage: str) -> None:
    outcomes(web, told("http.requests", 12))
    clock.at_ns = END
    roll(web, clock)
    assert differences(web, clock) == ()
    with web.write() as tx:
        tx.run(damage)
    assert differences(web, clock) != ()


def test_an_agent_bills_before_a_daemon_and_a_record(web: Store, clock: Bench) -> None:
    """The daemon counts from its own start of the same counters; together they are neither added nor united."""
    agent = batch("pod", 1, START, 120)
    rows = batch("pod", 0, START + 30 * SECOND_NS, 600, boot="", spool="", level=5)
    daemon = replace(rows, identity=replace(rows.identity, source=SampleSource.ROWS))
    assert write(web, daemon, agent, daemon) == ["stored", "stored", "repeated"]
    outcomes(web, told("memory.used", 10**15, peak=9999), told("network.tx", 600))
    clock.at_ns = END
    roll(web, clock)
    (hour,) = hours(web)
    second = SECOND_NS
    # The agent: 119 s at level 1000 in the first cell. The daemon, from 08:00:30 to 08:10:29 at level 5, has the second and third.
    assert hour.cells["uptime"][:3] == (119 * second, 300 * second, 29 * second)
    assert hour.cells["memory.used"][:4] == (119_000 * second, 1500 * second, 145 * second, 10**15 // 12)
    assert hour.samples == 120 + 300 + 30
    assert hour.memory_peak_bytes == 9999
    assert hour.total("network.tx") == 600
    (finding,) = [finding for _, finding in web.usage.findings(PLACE) if finding.code is FindingCode.SECOND_SOURCE]
    assert finding.counters == ("cpu.used", "memory.used", "uptime")
    assert finding.detail == "left out: samples of rows, records of 'exporter'"
    assert differences(web, clock) == ()


def test_percentiles_are_of_what_was_its_own(web: Store, clock: Bench) -> None:
    """A pod that changed its owner in the middle of an hour: each sees its own slots only."""
    write(web, batch("pod", 1, START, 3600))
    outcomes(web, told("network.rx", 12 * 75 * 10**6))
    with web.write() as tx:
        at_ns = START + 6 * CELL_NS
        web.batches.write_facts(tx, PLACE, [Fact(resource_id="pod", at_ns=at_ns, received_at_ns=at_ns, customer_id="beta")])
    clock.at_ns = END
    roll(web, clock)
    for customers, slots in ((None, 12), (frozenset({"acme"}), 6), (frozenset({"beta"}), 6), (frozenset({"gamma"}), 0)):
        query = UsageQuery(resource_id="pod", customers=customers, from_ns=START, until_ns=START + HOUR_NS)
        found = usage_percentiles(web, PLACE, query, 95, RankMethod.NEAREST_RANK)  # type: ignore[arg-type]  # a whole number is one
        assert (found.network.slots if found.network else 0) == slots
        assert found.network is None or (found.network.percentile, found.network.average) == (2, 2)
