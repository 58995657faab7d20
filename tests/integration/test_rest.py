"""The REST API on a real store, in this process."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tallystick.ingest.writer import StoreFailed
from tallystick.model.billing.money import fraction_text
from tallystick.model.instants import CELL_NS, HOUR_NS, iso
from tests.integration.rest_world import CELLS, HOUR, NOW_NS, World, fill, is_problem, open_world
from tests.integration.stand_ins import Direct


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    fill(folder)
    return folder


@pytest.fixture
def world(filled: Path, tmp_path: Path) -> Iterator[World]:
    made = open_world(filled, tmp_path)
    yield made
    made.store.close()


def test_a_customer_is_created_once(world: World) -> None:
    wanted = {
        "id": "new/one",
        "name": "Neu",
        "currency": "EUR",
        "time_zone": "Europe/Berlin",
        "address": {"lines": ["Gasse 1"], "country": "AT"},
    }
    made = world.ask("POST", "/v1/customers", json=wanted)
    assert made.status_code == 201
    assert made.json()["address"]["lines"] == ["Gasse 1"]
    assert made.json()["created_at"] == iso(NOW_NS)
    again = world.ask("POST", "/v1/customers", json=wanted)
    assert (again.status_code, again.json()) == (200, made.json())
    is_problem(world.ask("POST", "/v1/customers", json={**wanted, "name": "Other"}), 409, "conflict", "id", "new/one")
    for path in ("/v1/customers/new/one", "/v1/customers/new%2Fone"):
        assert world.ask("GET", path).json() == made.json()


@pytest.mark.parametrize(
    ("body", "status", "code", "field", "value"),
    [
        ({"id": "x", "nam": "X"}, 422, "unknown_field", "nam", "X"),
        ({"id": "x", "address": {"lines": ["ok", 5]}}, 422, "invalid", "address.lines[1]", "5"),
        ({"id": "x", "address": {"street": "S"}}, 422, "unknown_field", "address.street", "S"),
        ({"id": ""}, 422, "invalid", "id", ""),
        ({"id": " x"}, 422, "invalid", "id", " x"),
        ({"id": "a\x00b"}, 422, "invalid", "id", "a\x00b"),
        ({"id": "x", "currency": "EURO"}, 422, "invalid", "currency", "EURO"),
        ({"id": "x", "time_zone": "Mars/Base"}, 422, "invalid", "time_zone", "Mars/Base"),
        ({"id": "x", "labels": {"team": 5}}, 422, "invalid", "labels.team", "5"),
        ([], 422, "invalid", "body", "[]"),
        ("text", 422, "invalid", "body", "text"),
        (None, 422, "missing_field", "body", ""),
    ],
)
def test_a_wrong_customer_is_refused_by_field_and_value(world: World, body: object, status: int, code: str, field: str, value: str) -> None:
    is_problem(world.ask("POST", "/v1/customers", json=body), status, code, field, value)


def test_what_a_text_must_look_like_is_told_in_words(world: World) -> None:
    told = is_problem(world.ask("POST", "/v1/coupons", json={"id": "c", "percent": "110"}), 422, "invalid", "percent", "110")
    assert told["detail"] == "percent: '110' is not a percentage from 0 to 100, such as 12.5"
    is_problem(world.ask("POST", "/v1/coupons", json={"id": "c"}), 422, "invalid", "body", "")


def test_all_faults_are_told_at_once(world: World) -> None:
    told = is_problem(world.ask("POST", "/v1/customers", json={"currency": "x", "email": 5, "foo": 1}), 422, "invalid", "currency", "x")
    assert [(each["code"], each["field"], each["value"]) for each in told["errors"]] == [
        ("invalid", "currency", "x"),
        ("invalid", "email", "5"),
        ("unknown_field", "foo", "1"),
    ]


@pytest.mark.parametrize(
    ("content", "kind", "status", "code", "field"),
    [
        ("{", "application/json", 400, "malformed", "body"),
        ("[" * 100_000, "application/json", 400, "malformed", "body"),
        (b"\xff\xfe{", "application/json", 400, "malformed", "body"),
        ('{"id": "x", "name": "\\ud800"}', "application/json", 422, "invalid", "name"),
        ("{}", "text/plain", 415, "unsupported_media_type", "content-type"),
        ("{}", "", 415, "unsupported_media_type", "content-type"),
        ("x" * (4 * 2**20 + 1), "application/json", 413, "too_large", "body"),
    ],
)
def test_what_cannot_be_read_is_a_problem(world: World, content: str | bytes, kind: str, status: int, code: str, field: str) -> None:
    is_problem(world.ask("POST", "/v1/customers", content=content, headers={"Content-Type": kind}), status, code, field)


def test_a_large_request_without_a_length_is_refused_too(world: World) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(10):
            yield b" " * 2**20

    answer = world.ask("POST", "/v1/customers", content=parts(), headers={"Content-Type": "application/json"})
    is_problem(answer, 413, "too_large", "body")


def test_a_compressed_request_is_refused(world: World) -> None:
    answer = world.ask("POST", "/v1/customers", content=b"x", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
    is_problem(answer, 415, "unsupported_media_type", "content-encoding", "gzip")


def test_routes_and_methods_that_are_not_there(world: World) -> None:
    is_problem(world.ask("GET", "/v1/nothing"), 404, "not_found", "path", "/v1/nothing")
    is_problem(world.ask("GET", "/v1/customers/none"), 404, "not_found", "customer_id", "none")
    answer = world.ask("PATCH", "/v1/customers")
    is_problem(answer, 405, "method_not_allowed", "method", "PATCH")
    assert answer.headers["allow"] == "GET, POST"
    is_problem(world.ask("GET", "/v1/customers/"), 422, "invalid", "customer_id", "")


def test_keys_are_asked_for(world: World) -> None:
    answer = world.ask("GET", "/v1/customers", key=None)
    is_problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
    is_problem(world.client.get("/v1/customers", headers={"Authorization": "Bearer tsk_wrong"}), 401, "unauthenticated")
    is_problem(world.client.get("/v1/customers", headers={"Authorization": "Basic eDp5"}), 401, "unauthenticated")
    is_problem(world.ask("GET", "/v1/invoices", key="agent"), 403, "forbidden", "role", "agent")
    is_problem(world.ask("POST", "/v1/customers", key="acme", json={}), 403, "forbidden", "role", "customer")
    is_problem(world.ask("POST", "/v1/customers", key="limited", json={}), 403, "forbidden", "customers", "acme")
    # Nothing is told about a request before its key is known.
    is_problem(world.ask("POST", "/v1/customers", key=None, content="{"), 401, "unauthenticated")


def test_a_bug_is_answered_without_its_trace(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret of the server")

    monkeypatch.setattr(world.store.registry, "customers", broken)
    client = TestClient(world.app, raise_server_exceptions=False)
    answer = client.get("/v1/customers", headers={"Authorization": "Bearer tsk_admin"})
    is_problem(answer, 500, "internal")
    assert "secret" not in answer.text
    assert "Zero" not in answer.text


def test_lists_go_page_by_page_newest_first(world: World) -> None:
    for number in range(5):
        assert world.ask("POST", "/v1/customers", json={"id": f"c{number}"}).status_code == 201
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = world.ask("GET", "/v1/customers", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [each["id"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["c4", "c3", "c2", "c1", "c0", "globex", "acme"]


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "invalid", "limit"),
        ("limit=1001", "invalid", "limit"),
        ("limit=ten", "invalid", "limit"),
        ("cursor=xyz", "invalid", "cursor"),
        ("cursor=WyJhIl0", "invalid", "cursor"),
        ("cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTld", "invalid", "cursor"),
        ("limitt=5", "unknown_field", "limitt"),
        ("customer_id=acme", "unknown_field", "customer_id"),
    ],
)
def test_a_wrong_query_is_refused_by_name(world: World, query: str, code: str, field: str) -> None:
    is_problem(world.ask("GET", f"/v1/customers?{query}"), 422, code, field)


def test_repeats_are_answered_once(world: World) -> None:
    headers = {"Idempotency-Key": "a-1"}
    first = world.ask("POST", "/v1/customers", json={"name": "Made"}, headers=headers)
    again = world.ask("POST", "/v1/customers", json={"name": "Made"}, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    is_problem(
        world.ask("POST", "/v1/customers", json={"name": "Other"}, headers=headers), 409, "idempotency_key_reused", "Idempotency-Key", "a-1"
    )
    is_problem(world.ask("POST", "/v1/subscriptions", json={"name": "Made"}, headers=headers), 409, "idempotency_key_reused")
    # Another caller's key of that name is another.
    assert world.ask("POST", "/v1/customers", "billing", json={"name": "Other"}, headers=headers).status_code == 201
    is_problem(world.ask("POST", "/v1/customers", json={}, headers={"Idempotency-Key": "a b"}), 422, "invalid", "Idempotency-Key")


def test_a_refusal_is_not_kept(world: World) -> None:
    headers = {"Idempotency-Key": "b-1"}
    wanted = {"customer_id": "later", "plan_id": "standard"}
    is_problem(world.ask("POST", "/v1/subscriptions", json=wanted, headers=headers), 422, "invalid", "customer_id", "later")
    assert world.ask("POST", "/v1/customers", json={"id": "later"}).status_code == 201
    assert world.ask("POST", "/v1/subscriptions", json=wanted, headers=headers).status_code == 201


def test_a_repeat_under_way_is_a_conflict_until_it_is_stale(world: World) -> None:
    from tallystick.serve.repeats import STALE_NS, fingerprint

    body = json.dumps({"id": "slow"}).encode()
    digest = fingerprint("POST", "/v1/customers", "", body)
    grant = world.store.keys.find_by_hash(hashlib.sha256(b"tsk_admin").digest())
    assert grant is not None
    assert world.store.repeats.claim(grant.grant.place, "k-admin", "c-1", digest, STALE_NS) is None
    send = {"content": body, "headers": {"Idempotency-Key": "c-1", "Content-Type": "application/json"}}
    is_problem(world.ask("POST", "/v1/customers", **send), 409, "conflict", "Idempotency-Key", "c-1")
    world.clock.at_ns += STALE_NS + 1
    assert world.ask("POST", "/v1/customers", **send).status_code == 201


def test_the_secret_of_a_key_is_shown_once_and_never_stored(world: World) -> None:
    headers = {"Idempotency-Key": "k-1"}
    made = world.ask("POST", "/v1/keys", json={"role": "agent", "name": "host"}, headers=headers).json()
    assert made["key"].startswith("tsk_")
    again = world.ask("POST", "/v1/keys", json={"role": "agent", "name": "host"}, headers=headers).json()
    assert again == {**made, "key": None}
    assert made["key"].encode() not in world.file.read_bytes()
    assert made["key"] not in world.ask("GET", "/v1/keys").text


def test_a_revoked_key_opens_nothing(world: World) -> None:
    made = world.ask("POST", "/v1/keys", json={"role": "customer", "customers": ["acme"]}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert [each["id"] for each in world.client.get("/v1/customers", headers=headers).json()["items"]] == ["acme"]
    gone = world.ask("DELETE", f"/v1/keys/{made['id']}")
    assert gone.json()["revoked_at"] == iso(NOW_NS)
    is_problem(world.client.get("/v1/customers", headers=headers), 401, "unauthenticated")
    assert world.ask("DELETE", f"/v1/keys/{made['id']}").json() == gone.json()
    is_problem(world.ask("DELETE", "/v1/keys/none"), 404, "not_found", "key_id", "none")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"role": "customer"}, "customers"),
        ({"role": "billing", "customers": ["acme"]}, "customers"),
        ({"role": "customer", "customers": ["acme"], "regions": ["eu"]}, "regions"),
        ({"role": "root"}, "role"),
    ],
)
def test_keys_are_limited_where_it_means_something(world: World, wanted: dict[str, object], field: str) -> None:
    is_problem(world.ask("POST", "/v1/keys", json=wanted), 422, "invalid", field)


def test_a_resource_is_declared(world: World) -> None:
    made = world.ask("POST", "/v1/resources", json={"id": "/system.slice/a", "customer_id": "acme", "vcpus": 2, "memory_bytes": 4})
    assert made.status_code == 201
    assert made.json()["customer_id"] == "acme"
    path = "/v1/resources/%2Fsystem.slice%2Fa"
    changed = world.ask("POST", f"{path}/facts", json={"memory_bytes": 8, "labels": {"team": "x"}})
    assert changed.status_code == 200
    found = world.ask("GET", path).json()
    assert found == changed.json()
    assert (found["vcpus"], found["memory_bytes"], found["disk_bytes"], found["labels"]) == (2, 8, None, {"team": "x"})
    assert [each["memory_bytes"] for each in found["facts"]] == [8, 4]
    assert [each["origin"] for each in found["facts"]] == ["person", "person"]
    assert world.ask("POST", f"{path}/facts", json={"deleted": True, "at": iso(NOW_NS + 1)}).status_code == 200
    world.clock.at_ns += 10
    gone = world.ask("GET", path).json()
    assert (gone["deleted"], gone["vcpus"]) == (True, None)


@pytest.mark.parametrize(
    ("fact", "field"),
    [
        ({}, "body"),
        ({"customer_id": "nobody-knows"}, "customer_id"),
        ({"vcpus": -1}, "vcpus"),
        ({"vcpus": 1.5}, "vcpus"),
        ({"vcpus": True}, "vcpus"),
        ({"memory_bytes": 2**63}, "memory_bytes"),
        ({"vcpus": 1, "at": "2026-03-10T08:00:00"}, "at"),
        ({"vcpus": 1, "at": "1969-03-10T08:00:00Z"}, "at"),
        ({"vcpus": 1, "at": "9999-03-10T08:00:00Z"}, "at"),
        ({"vcpus": 1, "at": 1773129600}, "at"),
        ({"vcpus": 1, "at": iso(NOW_NS + HOUR_NS)}, "at"),
    ],
)
def test_a_wrong_fact_is_refused(world: World, fact: dict[str, object], field: str) -> None:
    is_problem(world.ask("POST", "/v1/resources/vm-acme/facts", json=fact), 422, "invalid", field)


def test_an_instant_is_exact_to_the_nanosecond(world: World) -> None:
    wanted = {"customer_id": "acme", "plan_id": "standard", "start": "2026-03-10T09:00:00.000000001+01:00", "end": "2026-03-11T08:00:00.5Z"}
    made = world.ask("POST", "/v1/subscriptions", json=wanted).json()
    assert (made["start"], made["end"]) == ("2026-03-10T08:00:00.000000001Z", "2026-03-11T08:00:00.500Z")
    assert world.ask("GET", f"/v1/subscriptions/{made['id']}").json() == made
    is_problem(world.ask("POST", "/v1/subscriptions", json={**wanted, "end": wanted["start"]}), 422, "invalid", "end")


def test_a_subscription_is_cancelled(world: World) -> None:
    ended = world.ask("POST", "/v1/subscriptions/sub-acme/cancel", json={"at": "2026-04-01T00:00:00Z"}).json()
    assert (ended["end"], ended["state"]) == ("2026-04-01T00:00:00Z", "ended")
    assert world.ask("POST", "/v1/subscriptions/sub-globex/cancel", json={}).json()["end"] == iso(NOW_NS)
    is_problem(world.ask("POST", "/v1/subscriptions/none/cancel", json={}), 404, "not_found", "subscription_id", "none")


def test_the_seller_that_is_shown_can_be_sent_back(world: World) -> None:
    seller = world.ask("GET", "/v1/seller").json()
    assert seller["tax"] == "not_computed"
    changed = world.ask("PUT", "/v1/seller", json={**seller, "name": "Kernel & Sons", "grace_ns": 0})
    assert changed.json() == {**seller, "name": "Kernel & Sons", "grace_ns": 0}
    assert world.ask("GET", "/v1/seller").json() == changed.json()
    is_problem(world.ask("PUT", "/v1/seller", json={**seller, "id": "other"}), 422, "invalid", "id", "other")
    is_problem(world.ask("PUT", "/v1/seller", json={**seller, "grace_limit_ns": 1}), 422, "invalid", "grace_limit_ns", "1")
    is_problem(world.ask("PUT", "/v1/seller", json={**seller, "tax": "vat"}), 422, "invalid", "tax", "vat")


def test_usage_hours_are_exact(world: World) -> None:
    page = world.ask("GET", "/v1/usage/hours", params={"resource_id": "vm-acme", "from": iso(HOUR), "until": iso(HOUR + HOUR_NS)}).json()
    (hour,) = page["items"]
    assert (hour["resource_id"], hour["customer_id"], hour["hour"], hour["samples"]) == ("vm-acme", "acme", iso(HOUR), 36_000)
    assert hour["meters"]["cpu.used"] == {
        "unit": "core·ns",
        "total": 78 * 10**20,
        "estimated": 0,
        "cells": [10**20 * cell for cell in CELLS],
    }
    assert hour["meters"]["network.io"]["total"] == 156
    assert "memory.used" not in hour["meters"]
    assert hour["meters"]["uptime"]["estimated"] == 300 * 10**9
    assert hour["runs"] == [iso(HOUR + 1)]


def test_percentiles_are_exact_and_of_the_span(world: World) -> None:
    """Twelve slots of 1 to 12 times 10^20 core·ns each; the day around them was not measured."""
    span = {"resource_id": "vm-acme", "from": iso(HOUR), "until": iso(HOUR + HOUR_NS)}
    found = world.ask("GET", "/v1/usage/percentiles", params=span).json()
    assert (found["slots"], found["percentile"], found["method"]) == (12, "95", "nearest_rank")
    largest = max(CELLS) * 10**20
    assert found["cpu"]["maximum"]["exact"] == fraction_text(Fraction(largest, CELL_NS))
    assert (found["cpu"]["unit"], found["network"]["unit"]) == ("cores", "Mbit/s")
    assert world.ask("GET", "/v1/usage/percentiles", "acme", params=span).json() == found
    half = world.ask("GET", "/v1/usage/percentiles", params=span | {"percentile": "50", "method": "linear"}).json()
    assert half["method"] == "linear"
    long = {"from": iso(HOUR), "until": iso(HOUR + 32 * 24 * HOUR_NS)}
    is_problem(world.ask("GET", "/v1/usage/percentiles", params=long), 422, "invalid", "from", str(HOUR))
    for wrong in ("101", "-1", "1e1", ""):
        is_problem(world.ask("GET", "/v1/usage/percentiles", params=span | {"percentile": wrong}), 422, "invalid", "percentile", wrong)


def test_views_and_labels_say_what_the_cells_say(world: World) -> None:
    """The twelve cells of 1 to 12 times 10^20 core·ns over the time up of each."""
    span = {"resource_id": "vm-acme", "from": iso(HOUR), "until": iso(HOUR + HOUR_NS)}
    (hour,) = world.ask("GET", "/v1/usage/hours", params=span).json()["items"]
    (view,) = world.ask("GET", "/v1/usage/views", params=span | {"by": "hour"}).json()["items"]
    up, cpu = hour["meters"]["uptime"], hour["meters"]["cpu.used"]
    assert view["cpu_average"]["exact"] == fraction_text(Fraction(cpu["total"], up["total"]))
    largest = max(Fraction(used, time) for used, time in zip(cpu["cells"], up["cells"], strict=True) if time)
    assert view["cpu_maximum"]["exact"] == fraction_text(largest)
    assert view["uptime_hours"]["exact"] == fraction_text(Fraction(up["total"], HOUR_NS))
    assert (view["network_bytes"], view["samples"]) == (hour["meters"]["network.io"]["total"], hour["samples"])
    assert view["memory_average_bytes"] is None
    (day,) = world.ask("GET", "/v1/usage/views", "acme", params=span | {"by": "day"}).json()["items"]
    assert (day["date"], day["cpu_maximum"]) == ("2026-03-10", view["cpu_maximum"])
    labels = world.ask("GET", "/v1/usage/labels", params=span | {"name": "none"}).json()["items"]
    assert [(row["value"], row["resources"]) for row in labels] == [("", 1)]
    assert {meter: row["total"] for meter, row in labels[0]["meters"].items()} == {m: each["total"] for m, each in hour["meters"].items()}
    assert world.ask("GET", "/v1/usage/labels", "globex", params=span | {"name": "none"}).status_code == 404
    is_problem(world.ask("GET", "/v1/usage/views", params={"by": "year"}), 422, "invalid", "by", "year")


def test_market_prices_and_events_are_told_once(world: World) -> None:
    quoted = {"region": "eu", "hour": "2026-03-10T08:00:00Z", "price": "0.125", "currency": "USD"}
    assert world.ask("PUT", "/v1/market-prices", json={"prices": [quoted]}).json() == {"stored": 1, "repeated": 0}
    assert world.ask("PUT", "/v1/market-prices", json={"prices": [quoted]}).json() == {"stored": 0, "repeated": 1}
    other = world.ask("PUT", "/v1/market-prices", json={"prices": [quoted | {"price": "1"}]})
    is_problem(other, 409, "conflict", "prices")
    half = world.ask("PUT", "/v1/market-prices", json={"prices": [quoted | {"hour": "2026-03-10T08:30:00Z"}]})
    is_problem(half, 422, "invalid", "prices[0].hour")
    assert world.ask("GET", "/v1/market-prices").json()["items"] == [quoted | {"kind": ""}]
    event = {"id": "e1", "resource_id": "vm-acme", "meter": "events.orders", "at": "2026-03-10T08:00:01Z", "amount": "12.5", "price": "3"}
    assert world.ask("POST", "/v1/events", json={"events": [event, event]}).json() == {"stored": 1, "repeated": 1}
    is_problem(world.ask("POST", "/v1/events", json={"events": [event | {"amount": "1"}]}), 409, "conflict", "events")
    is_problem(world.ask("POST", "/v1/events", json={"events": [event | {"meter": "cpu.used"}]}), 422, "invalid", "events[0].meter")


def test_usage_lists_go_page_by_page(world: World) -> None:
    for path in ("/v1/usage/hours", "/v1/gaps", "/v1/findings", "/v1/usage/days", "/v1/usage/months"):
        whole = world.ask("GET", path).json()
        assert whole["next_cursor"] is None
        seen: list[Any] = []
        cursor: str | None = None
        while True:
            page = world.ask("GET", path, params={"limit": 1, **({"cursor": cursor} if cursor else {})}).json()
            assert len(page["items"]) == 1
            seen += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == whole["items"], path
        assert len(seen) >= 3


def test_an_hour_of_two_customers_is_shown_to_each_as_far_as_it_is_its_own(world: World) -> None:
    span = {"resource_id": "vm-moved", "from": iso(HOUR), "until": iso(HOUR + HOUR_NS)}
    both = world.ask("GET", "/v1/usage/hours", params=span).json()["items"]
    assert [each["customer_id"] for each in both] == ["acme", "globex"]
    assert [each["meters"]["network.rx"]["cells"] for each in both] == [[1, 2, 3, 4, 5, 6, *[0] * 6], [*[0] * 6, 7, 8, 9, 10, 11, 12]]
    assert [each["runs"] for each in both] == [[iso(HOUR + 1)], []]
    assert {each["samples"] for each in both} == {None}
    assert world.ask("GET", "/v1/usage/hours", "acme", params=span).json()["items"] == both[:1]
    assert world.ask("GET", "/v1/usage/hours", "globex", params=span).json()["items"] == both[1:]
    gaps = world.ask("GET", "/v1/gaps", params={"resource_id": "vm-moved"}).json()["items"]
    assert [each["customer_id"] for each in gaps] == ["acme", "globex"]
    assert gaps[0]["until"] == gaps[1]["from"] == iso(HOUR + 6 * 300 * 10**9)
    assert world.ask("GET", "/v1/findings", "acme", params={"resource_id": "vm-moved"}).json()["items"] == []
    assert len(world.ask("GET", "/v1/findings", "globex", params={"resource_id": "vm-moved"}).json()["items"]) == 2


def test_a_resource_that_moved_is_shown_as_it_was(world: World) -> None:
    was = world.ask("GET", "/v1/resources/vm-moved", "acme").json()
    assert (was["customer_id"], was["name"], was["labels"], len(was["facts"])) == ("acme", "shared", {}, 1)
    now = world.ask("GET", "/v1/resources/vm-moved", "globex").json()
    assert (now["customer_id"], now["name"], len(now["facts"])) == ("globex", "GLOBEX-SECRET", 1)
    assert len(world.ask("GET", "/v1/resources/vm-moved").json()["facts"]) == 2


def test_an_empty_or_unknown_span_is_refused(world: World) -> None:
    is_problem(world.ask("GET", "/v1/gaps", params={"from": iso(HOUR), "until": iso(HOUR)}), 422, "invalid", "until")
    is_problem(world.ask("GET", "/v1/gaps", params={"from": "yesterday"}), 422, "invalid", "from", "yesterday")
    is_problem(world.ask("GET", "/v1/gaps", params={"resource_id": "none"}), 404, "not_found", "resource_id", "none")


def test_the_live_table(world: World) -> None:
    whole = world.ask("GET", "/v1/status").json()
    assert {each["resource_id"] for each in whole["resources"]} == {"vm-acme", "vm-globex", "vm-moved"}
    assert whole["resources"][0]["cost"] == {"amount": "34.20", "currency": "EUR"}
    assert whole["month_start"] == "2026-04-01T00:00:00Z"
    assert [each["agent_id"] for each in whole["agents"]] == ["host-1"]
    own = world.ask("GET", "/v1/status", "acme").json()
    assert ([each["resource_id"] for each in own["resources"]], own["agents"]) == (["vm-acme"], [])
    (agent,) = world.ask("GET", "/v1/agents").json()["items"]
    assert (agent["reported_until"], agent["reported_until_ns"]) == (iso(NOW_NS - 1), NOW_NS - 1)


def test_health_and_metrics_need_no_key(world: World) -> None:
    assert world.ask("GET", "/health", key=None).json() == {"status": "ok"}
    assert world.ask("GET", "/ready", key=None).json() == {"status": "ready"}
    answer = world.ask("GET", "/metrics", key=None)
    assert answer.text.endswith("x 1\n")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_every_route_is_in_the_docs_and_every_route_in_the_docs_is_there(world: World) -> None:
    written = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
    there = {f"{method} {route.path_format}" for route in world.app.state.routes for method in route.methods}
    assert [name for name in sorted(there) if f"`{name}`" not in written] == []
    assert set(re.findall(r"`((?:GET|POST|PUT|DELETE) /[^`?]*)`", written)) - there == set()


async def away(*_: object) -> None:
    raise StoreFailed("the store failed")


def test_a_store_that_is_away_is_told_as_such(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.store.transact(lambda tx: tx.run("ALTER TABLE customer RENAME TO customer_away"))
    record = {"source": "s", "record_id": "1", "resource_id": "vm", "meter": "uptime", "from": "2026-03-10T08:00:00Z", "amount": 1}
    sent = {"records": [record | {"until": record["from"]}]}
    monkeypatch.setattr(Direct, "submit", away)
    for answer in (world.ask("GET", "/v1/customers"), world.ask("POST", "/v1/usage/records", json=sent)):
        assert answer.headers["retry-after"] == "1"
        is_problem(answer, 503, "unavailable")
