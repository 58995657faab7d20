"""Usage records over REST: with outcomes of their own, and the same records as by rpc."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.model.instants import HOUR_NS, parse_iso
from tests.integration.rest_world import World, fill, is_problem, open_world
from tests.integration.serving import Served
from tests.integration.test_rest_served import SEVEN, counted, rest


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[World]:
    filled = tmp_path_factory.mktemp("filled")
    fill(filled)
    made = open_world(filled, tmp_path, real=True)
    yield made
    made.store.close()


def test_usage_records_have_outcomes_of_their_own(world: World) -> None:
    """What cannot be is named with field and value, and costs none beside it; a request that has no records stores nothing."""
    span = {"from": "2026-03-10T08:00:00Z", "until": "2026-03-10T08:01:00Z"}
    good = {"source": "gateway", "record_id": "1", "resource_id": "vm-acme", "meter": "http.requests", **span, "amount": "1200"}
    wrong = (
        ({"source": ""}, "empty_id", "source", ""),
        ({"record_id": " x"}, "out_of_range", "record_id", "' x'"),
        ({"meter": "disk.io"}, "unsupported", "meter", "disk.io"),
        ({"amount": "-1"}, "out_of_range", "amount", "'-1'"),
        ({"amount": 1.5}, "damaged", "amount", "1.5"),
        ({"from": "yesterday"}, "damaged", "from", "yesterday"),
        ({"until": "2026-03-10T07:00:00Z"}, "unordered", "until", "1773126000000000000"),
        ({"peak": 7}, "unsupported", "peak", "7"),
        ({"colour": "red"}, "damaged", "colour", "red"),
    )
    large = good | {"meter": "memory.used", "amount": 2**99, "peak": 7}
    sent = [good, large, *(good | {"record_id": "9"} | change for change, *_ in wrong), {}, "x", good, good | {"amount": 1201}]
    told = world.ask("POST", "/v1/usage/records", key="agent", json={"records": sent}).json()["records"]
    assert [each["outcome"] for each in told] == ["stored"] * 2 + ["refused"] * (len(wrong) + 2) + ["repeated", "conflict"]
    assert [(each["code"], each["field"], each["value"]) for each in told[2:-4]] == [each[1:] for each in wrong]
    assert [(each["code"], each["field"]) for each in told[-4:-2]] == [("damaged", "source"), ("damaged", "body")]
    assert told[-1]["stored_hash"] != told[-1]["sent_hash"]
    headers = {"Idempotency-Key": "records-1"}
    again = [world.ask("POST", "/v1/usage/records", json={"records": [good, large]}, headers=headers) for _ in range(2)]
    assert [each["outcome"] for each in again[0].json()["records"]] == ["repeated"] * 2
    assert (again[1].json(), again[1].headers["Idempotency-Replayed"]) == (again[0].json(), "true")
    before = world.rows()
    is_problem(world.ask("POST", "/v1/usage/records", json={"records": []}), 422, "invalid", "records")
    is_problem(world.ask("POST", "/v1/usage/records", json={"records": [good | {"record_id": "2"}], "x": 1}), 422, "unknown_field", "x")
    is_problem(world.ask("POST", "/v1/usage/records", json={"records": [good | {"record_id": "2"}] * 10_001}), 422, "invalid", "records")
    assert world.rows() == before
    theirs = [good | {"record_id": "3", "resource_id": name} for name in ("vm-globex", "vm-acme")]
    told = world.ask("POST", "/v1/usage/records", key="sender", json={"records": theirs}).json()["records"]
    assert [(each["outcome"], each["code"], each["value"]) for each in told] == [
        ("refused", "not_allowed", "vm-globex"),
        ("stored", None, None),
    ]


def test_a_usage_record_is_one_by_whichever_way_it_comes(served: Served) -> None:
    """By REST, then by rpc; what is counted of it is listed."""
    at_ns = parse_iso(SEVEN)
    named = {"source": "gpus", "record_id": "1", "resource_id": "gpu-1", "meter": "gpu.used", "amount": "3600000000001"}
    by_rest = {
        "records": [{**named, "from": SEVEN, "until": "2026-02-25T08:00:00Z"}, {**named, "from": SEVEN, "until": SEVEN, "amount": "1"}]
    }
    by_rpc = {"records": [{**named, "from": str(at_ns), "until": str(at_ns + HOUR_NS)}]}
    told = rest(served, "POST", "/v1/usage/records", served.agent, by_rest)["records"]
    assert [each["outcome"] for each in told] == ["stored", "conflict"]
    assert [each["outcome"] for each in served.send(by_rpc).json["records"]] == ["OUTCOME_REPEATED"]
    assert [each["outcome"] for each in rest(served, "POST", "/v1/usage/records", served.key("admin"), by_rest)["records"]] == [
        "repeated",
        "conflict",
    ]
    counted(served, until_ns=at_ns + 2 * HOUR_NS)
    (hour,) = rest(served, "GET", "/v1/usage/hours?resource_id=gpu-1", served.key("admin"))["items"]
    assert hour["meters"]["gpu.used"]["total"] == 3600000000001
    refused = served.server.call("POST", "/v1/usage/records", b"{}", {"authorization": f"Bearer {served.key('billing')}"})
    assert (refused.status, refused.json["field"], refused.json["value"]) == (403, "role", "billing")
