"""The query service over HTTP: exact totals, billing periods, the live stream, and nobody sees another's."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from tallystick.app.answers.services import activate_book, add_book, subscribe
from tallystick.app.clock import FileClock, RandomIds
from tallystick.app.jobs.closing import close_due
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.instants import DAY_NS, HOUR_NS, iso, parse_iso
from tallystick.model.resources import Fact, Origin
from tallystick.model.usage import METERS
from tallystick.proto.billing.collector.v1 import query_pb2 as wire
from tallystick.serve.owners import hour_parts
from tallystick.store.store import Store, open_store
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, SECOND, batch, write
from tests.keys import make_key
from tests.servers import ROOT, Reply, ServerProcess
from tests.stores import migrated_database

SERVICES = ("/billing.collector.v1.BillingQueryService/", "/billing.v1.BillingQueryService/")
FIRST = parse_iso("2026-02-14T00:00:00Z")
NOW = FIRST + 10 * DAY_NS
HANDOVER = FIRST + DAY_NS + 5 * HOUR_NS + 600 * SECOND
BOOK = """
book: plain
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: plain
    currency: EUR
    charges:
      - {id: cpu, meter: cpu.used, per: core-hour, price: 0.05}
      - {id: memory, meter: memory.used, per: GiB-hour, price: "0.012"}
"""


@dataclass(frozen=True)
class World:
    server: ServerProcess
    url: str
    keys: Mapping[str, str]

    def ask(self, method: str, message: Mapping[str, Any], key: str = "billing", service: str = SERVICES[0]) -> Reply:
        return self.server.rpc(service + method, dict(message), self.keys[key])

    def store(self) -> Store:
        return open_store(self.url, StandingClock())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """`acme` in Berlin has vm-1, and vm-2 until it is `bolt`'s in the middle of an hour; an unknown gap lies between two boots."""
    folder = tmp_path_factory.mktemp("queries")
    clock = folder / "clock"
    clock.write_text(str(NOW))
    with migrated_database("sqlite", folder) as url:
        store = open_store(url, StandingClock())
        store.registry.add_place(PLACE)
        for name, zone in (("acme", "Europe/Berlin"), ("bolt", "UTC")):
            store.registry.create_customer(PLACE, Customer(id=name, name=name, currency="EUR", time_zone=zone), actor="test")
        facts = [("vm-1", "acme", FIRST, Origin.AGENT), ("vm-2", "acme", FIRST, Origin.AGENT), ("vm-2", "bolt", HANDOVER, Origin.PERSON)]
        with store.write() as tx:
            for name, owner, at_ns, origin in facts:
                fact = Fact(resource_id=name, at_ns=at_ns, received_at_ns=at_ns, customer_id=owner, origin=origin, memory_bytes=2**34)
                store.batches.write_facts(tx, PLACE, [fact])
        for name in ("vm-1", "vm-2"):
            write(store, *(batch(name, number + 1, FIRST + number * HOUR_NS, 3600, level=2**33) for number in range(30)))
            write(store, batch(name, 1, FIRST + 34 * HOUR_NS, 1800, boot="next", level=2**33))
        roll_up(store, DiskHorizon.CLOCK, NOW)
        add_book(store, PLACE, "test", BOOK)
        activate_book(store, PLACE, "test", "plain", 1)
        ended = Subscription(id="b", customer_id="bolt", plan_id="plain", start_ns=FIRST + DAY_NS, end_ns=FIRST + 3 * DAY_NS)
        subscribe(store, PLACE, "test", ended)
        subscribe(
            store, PLACE, "test", Subscription(id="s", customer_id="acme", plan_id="plain", start_ns=parse_iso("2026-01-31T23:00:00Z"))
        )
        store.close()
        keys = {
            "billing": make_key(url, "billing"),
            "acme": make_key(url, "customer", customers=["acme"]),
            "bolt": make_key(url, "customer", customers=["bolt"]),
            "agent": make_key(url, "agent"),
            "other": make_key(url, "admin", scope="elsewhere"),
        }
        environment = {"TALLY_CLOCK_FILE": str(clock), "TALLY_STORE_URL": url}
        with ServerProcess(folder, environment) as server:
            yield World(server, url, keys)


def truth(world: World, customer: str, from_ns: int, until_ns: int) -> dict[str, tuple[int, int]]:
    """The sums of the cells of a customer in a span of whole hours, by meter: total and estimated."""
    store = world.store()
    owners = store.registry.attributes(PLACE)
    found: dict[str, tuple[int, int]] = {}
    for _, hour in store.usage.hours(PLACE, from_ns, until_ns):
        for owner, part, _ in hour_parts(hour, owners[hour.resource_id]):
            for meter in METERS if owner == customer else ():
                total = part.total(meter)
                if total is not None:
                    before = found.get(meter, (0, 0))
                    found[meter] = (before[0] + total, before[1] + part.estimated_total(meter))
    store.close()
    return found


def amounts(answer: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    return {each["meter"]: (int(each["total"]), int(each.get("estimated", "0"))) for each in answer["meters"]}


BERLIN_FEBRUARY = (parse_iso("2026-01-31T23:00:00Z"), parse_iso("2026-02-28T23:00:00Z"))
SPANS = [
    ("acme", {"month": "2026-02"}, BERLIN_FEBRUARY),
    ("acme", {}, BERLIN_FEBRUARY),
    ("bolt", {"month": "2026-02"}, (parse_iso("2026-02-01T00:00:00Z"), parse_iso("2026-03-01T00:00:00Z"))),
    ("acme", {"from": "2026-02-13T23:00:00Z", "until": "2026-02-14T23:00:00Z"}, (FIRST - HOUR_NS, FIRST + 23 * HOUR_NS)),
    ("acme", {"from": "2026-02-14T02:00:00Z", "until": "2026-02-15T09:00:00Z"}, (FIRST + 2 * HOUR_NS, FIRST + 33 * HOUR_NS)),
    ("bolt", {"from": "2026-02-15T04:00:00Z", "until": "2026-02-15T06:00:00Z"}, (FIRST + 28 * HOUR_NS, FIRST + 30 * HOUR_NS)),
]


@pytest.mark.parametrize(("customer", "asked", "span"), SPANS)
@pytest.mark.parametrize("service", SERVICES)
def test_totals_are_the_sums_of_the_cells_of_the_customer(
    world: World, customer: str, asked: Mapping[str, str], span: tuple[int, int], service: str
) -> None:
    answer = world.ask("GetCustomerUsage", {"customerId": customer, "perResource": True, **asked}, service=service).json
    assert (parse_iso(answer["from"]), parse_iso(answer["until"])) == span
    expected = truth(world, customer, *span)
    assert amounts(answer) == expected
    assert expected["memory.used"][0] > 2**64, "64 bits would not hold it"
    by_resource: dict[str, int] = {}
    for each in answer["resources"]:
        for meter, (total, _) in amounts(each).items():
            by_resource[meter] = by_resource.get(meter, 0) + total
    assert by_resource == {meter: total for meter, (total, _) in expected.items()}
    assert int(answer["coverage"]["measuredNs"]) == expected["uptime"][0] - expected["uptime"][1]


def test_cells_inside_an_hour_can_be_asked_for(world: World) -> None:
    whole = amounts(world.ask("GetCustomerUsage", {"customerId": "acme", "from": iso(FIRST), "until": iso(FIRST + HOUR_NS)}).json)
    bounds = [FIRST, FIRST + 300 * SECOND, FIRST + 3000 * SECOND, FIRST + HOUR_NS]
    parts = [
        amounts(world.ask("GetCustomerUsage", {"customerId": "acme", "from": iso(low), "until": iso(high)}).json)
        for low, high in pairwise(bounds)
    ]
    assert {meter: sum(part[meter][0] for part in parts) for meter in whole} == {meter: total for meter, (total, _) in whole.items()}


def test_what_is_unknown_is_told_and_the_plan_in_force_is_shown(world: World) -> None:
    answer = world.ask("GetCustomerUsage", {"month": "2026-02", "withCost": True}, "acme").json
    assert answer["customerId"] == "acme"
    assert int(answer["coverage"]["unknownNs"]) == 4 * HOUR_NS + SECOND, "the gap of vm-2 is another's"
    assert answer["coverage"]["estimatedShare"] == "0.000000"
    assert answer["pricing"] == {"cpuPerCoreHour": 0.05, "memoryPerGbHour": 0.012}
    assert answer["currency"] == "EUR"
    memory = amounts(answer)["memory.used"][0] / 2**30 / HOUR_NS * 0.012
    assert abs(float(answer["estimatedCost"]) - memory) < 0.02
    assert "pricing" not in world.ask("GetCustomerUsage", {}, "bolt").json
    january = world.ask("GetCustomerUsage", {"month": "2026-01", "withCost": True}, "acme").json
    assert "does not hold the present" in january["costMissing"]


def test_the_curl_of_the_documentation_is_answered(world: World) -> None:
    text = (ROOT / "docs" / "query.md").read_text()
    path, body = re.search(r"http://127\.0\.0\.1:8080(/\S+)", text), re.search(r"-d '([^']+)'", text)
    assert path is not None
    assert body is not None
    assert amounts(world.server.rpc(path[1], json.loads(body[1]), world.keys["billing"]).json) == truth(world, "acme", *BERLIN_FEBRUARY)


REFUSED = [
    ({"customerId": "acme", "month": "2026-13"}, "month"),
    ({"customerId": "acme", "month": "2026-02", "from": "2026-02-14T00:00:00Z"}, "month"),
    ({"customerId": "acme", "from": "2026-02-14T00:00:00Z"}, "go together"),
    ({"customerId": "acme", "from": "2026-02-14T00:00:01Z", "until": "2026-02-15T00:00:00Z"}, "five-minute cell"),
    ({"customerId": "acme", "from": "2026-02-14T00:00:00Z", "until": "2026-02-14T00:00:00Z"}, "not after"),
    ({"month": "2026-02"}, "customer_id"),
    ({"customerId": "acme", "colour": 1}, "colour"),
]


@pytest.mark.parametrize(("asked", "named"), REFUSED)
def test_what_cannot_be_answered_says_why(world: World, asked: Mapping[str, Any], named: str) -> None:
    reply = world.ask("GetCustomerUsage", asked)
    assert (reply.status, reply.json["code"]) == (400, "invalid_argument")
    assert named in reply.json["message"]


@pytest.mark.parametrize("method", ["GetCustomerUsage", "GetBillingWindow"])
@pytest.mark.parametrize("service", SERVICES)
def test_nobody_asks_for_another(world: World, method: str, service: str) -> None:
    answers = [
        world.ask(method, {"customerId": name}, key, service) for name, key in (("bolt", "acme"), ("none", "acme"), ("acme", "bolt"))
    ]
    assert {(each.status, each.json["code"]) for each in answers} == {(404, "not_found")}
    assert answers[0].json["message"].replace("bolt", "none") == answers[1].json["message"], "ids cannot be probed"
    other = world.ask(
        method, {"customerId": "acme", "from": iso(FIRST), "until": iso(NOW)} if method == "GetCustomerUsage" else {}, "other", service
    )
    assert "meters" not in other.json, "usage is of the scope of the key"
    assert world.ask(method, {"customerId": "acme"}, "agent", service).json["code"] == "permission_denied"
    nobody = world.server.rpc(service + method, {"customerId": "acme"}, None)
    assert (nobody.status, nobody.json["code"]) == (401, "unauthenticated")


def test_binary_and_grpc_web_answer_as_json_does(world: World) -> None:
    path, asked = SERVICES[0] + "GetCustomerUsage", wire.GetCustomerUsageRequest(customer_id="acme", month="2026-02")
    binary = world.server.rpc(path, asked, world.keys["acme"])
    found = wire.GetCustomerUsageResponse.FromString(binary.body)
    assert {each.meter: each.total for each in found.meters} == {
        meter: str(total)
        for meter, (total, _) in amounts(world.ask("GetCustomerUsage", {"customerId": "acme", "month": "2026-02"}).json).items()
    }
    content = asked.SerializeToString()
    headers = {"content-type": "application/grpc-web+proto", "authorization": f"Bearer {world.keys['acme']}"}
    web = world.server.call("POST", path, b"\0" + len(content).to_bytes(4, "big") + content, headers)
    size = int.from_bytes(web.body[1:5], "big")
    assert wire.GetCustomerUsageResponse.FromString(web.body[5 : 5 + size]) == found
    assert b"grpc-status: 0" in web.body[5 + size :]


def test_a_billing_window_has_its_state_its_gaps_and_its_coverage(world: World) -> None:
    (running,) = world.ask("GetBillingWindow", {}, "acme").json["windows"]
    assert (parse_iso(running["start"]), parse_iso(running["end"])) == BERLIN_FEBRUARY
    assert (running["state"], running["subscriptionIds"]) == ("BILLING_WINDOW_STATE_OPEN", ["s"])
    gap = {"resourceId": "vm-1", "from": iso(FIRST + 30 * HOUR_NS - SECOND), "until": iso(FIRST + 34 * HOUR_NS), "filled": "unknown"}
    (told,) = running["gaps"]
    assert {**told, "cause": ""} == {**gap, "cause": ""}
    assert int(running["coverage"]["unknownNs"]) == 4 * HOUR_NS + SECOND
    assert world.ask("GetBillingWindow", {"customerId": "acme", "at": "2025-06-01T00:00:00Z"}).json.get("windows", []) == []


def test_a_billing_window_that_is_over_waits_and_is_closed(world: World) -> None:
    asked = {"at": iso(HANDOVER + HOUR_NS)}
    (waiting,) = world.ask("GetBillingWindow", asked, "bolt").json["windows"]
    assert (waiting["state"], waiting["waitsFor"]) == ("BILLING_WINDOW_STATE_WAITING", ["a worker that closes it"])
    assert parse_iso(waiting["closing"]) == FIRST + 3 * DAY_NS
    store = open_store(world.url, FileClock(world.server.state_dir / "clock"))
    assert close_due(store, FileClock(world.server.state_dir / "clock"), RandomIds(), "test") == 1
    store.close()
    (closed,) = world.ask("GetBillingWindow", asked, "bolt").json["windows"]
    assert (closed["state"], closed["invoiceNumber"]) == ("BILLING_WINDOW_STATE_CLOSED", "INV-2026-000001")


@dataclass
class Stream:
    """A live stream as Connect frames it: five bytes before each message."""

    answer: http.client.HTTPResponse
    connection: http.client.HTTPConnection

    def next(self) -> tuple[int, dict[str, Any]]:
        head = self.answer.read(5)
        return head[0], json.loads(self.answer.read(int.from_bytes(head[1:], "big")) or b"{}")


def stream(world: World, asked: Mapping[str, Any], key: str = "acme", service: str = SERVICES[0]) -> Stream:
    connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=20)
    content = json.dumps(asked).encode()
    headers = {"content-type": "application/connect+json", "authorization": f"Bearer {world.keys[key]}"}
    connection.request("POST", service + "StreamLiveUsage", b"\0" + len(content).to_bytes(4, "big") + content, headers)
    return Stream(connection.getresponse(), connection)


def test_a_stream_tells_of_hours_as_they_change_and_is_taken_up_again(world: World) -> None:
    live = stream(world, {})
    flag, first = live.next()
    assert (flag, "hours" in first) == (0, False), "nothing is known of the running hour"
    store = world.store()
    write(store, batch("vm-1", 90, NOW - 120 * SECOND, 60, boot="live", level=3), batch("vm-2", 90, NOW - 120 * SECOND, 60, boot="live"))
    roll_up(store, DiskHorizon.CLOCK, NOW)
    store.close()
    flag, update = live.next()
    names = {hour["resourceId"] for hour in update["hours"]}
    assert names == {"vm-1"}, "vm-2 is another's by now"
    assert update["hours"][-1]["memoryBytes"] == "3"
    live.connection.close()
    again = stream(world, {"after": first["cursor"], "resourceIds": ["vm-1"]}, service=SERVICES[1])
    assert {hour["resourceId"] for hour in again.next()[1]["hours"]} == {"vm-1"}
    again.connection.close()
    for asked, code in (
        ({"after": "x"}, "invalid_argument"),
        ({"customerId": "bolt"}, "not_found"),
        ({"resourceIds": ["vm-9"]}, "not_found"),
    ):
        flag, ended = stream(world, asked).next()
        assert (flag, ended["error"]["code"]) == (2, code)


def test_a_key_has_few_streams_at_once_and_they_end_with_the_server(world: World) -> None:
    open_ones = [stream(world, {}, "bolt") for _ in range(8)]
    assert all(each.next()[0] == 0 for each in open_ones)
    flag, refused = stream(world, {}, "bolt").next()
    assert (flag, refused["error"]["code"]) == (2, "resource_exhausted")
    open_ones.pop().connection.close()
    deadline = time.monotonic() + 10
    while stream(world, {}, "bolt").next()[0] != 0:
        assert time.monotonic() < deadline, "what a client left is free again"
        time.sleep(0.1)
    ending = threading.Thread(target=world.server.stop)
    ending.start()
    flag, last = open_ones[0].next()
    assert (flag, last.get("last")) == (0, True)
    assert open_ones[0].next()[0] == 2, "it ends as streams do"
    ending.join()
