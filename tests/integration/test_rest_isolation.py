"""No key ever reads or writes what belongs to another customer or scope: on every route, made from the list of routes itself."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pypdf import PdfReader

from tests.integration.rest_world import GRANTED, SECRETS, THEIRS, World, fill, open_world

OTHERS = {
    "customer_id": ("globex", "acme", "rival-customer"),
    "resource_id": ("vm-globex", "vm-moved", "vm-rival-customer"),
    "subscription_id": ("sub-globex", "sub-acme", "sub-rival-customer"),
    "invoice_id": ("inv-globex-finalized", "inv-globex-draft", "INV/default/2", "inv-acme-draft", "inv-rival", "INV/rival/1"),
    "book_id": ("main", "rival-book"),
    "key_id": ("k-admin", "k-globex", "k-rival"),
    "version": ("1",),
    "coupon_id": ("coupon", "rival-coupon"),
    "batch": ("1",),
    "line": ("1",),
    "absence_id": ("1", "2"),
    "agent_id": ("host-1",),
    "conflict_id": ("1", "2"),
    "outage_id": ("outage-vm-globex", "outage-vm-rival-customer"),
}
"""For each path or query parameter that names something: names of what the callers below may not see, or only in their own place."""

BODIES: dict[str, tuple[dict[str, Any], ...]] = {
    "create_customer": ({"id": "globex", "name": "Taken"}, {"id": "rival-customer", "name": "Taken"}),
    "change_seller": ({"name": "Taken"}, {"id": "default", "name": "Taken"}, {"id": "rival", "name": "Taken"}),
    "create_subscription": (
        {"id": "sub-globex", "customer_id": "globex", "plan_id": "standard"},
        {"id": "sub-new", "customer_id": "rival-customer", "plan_id": "standard"},
        {"id": "sub-acme", "customer_id": "acme", "plan_id": "standard", "covers": {"resources": ["vm-globex", "vm-rival-customer"]}},
    ),
    "change_subscription": ({"plan_id": "standard"}, {"plan_id": "RIVAL-SECRET", "at": "2026-04-01T00:00:00Z"}),
    "pause_subscription": ({}, {"until": "2026-05-01T00:00:00Z"}),
    "resume_subscription": ({},),
    "cancel_subscription": ({}, {"at": "2026-04-01T00:00:00Z"}),
    "redeem_coupon": ({"coupon": "coupon"}, {"coupon": "rival-coupon"}),
    "create_coupon": ({"id": "rival-coupon", "percent": "5"},),
    "create_reservation": (
        {"subscription_id": "sub-globex", "offer_id": "o", "quantity": "1"},
        {"subscription_id": "sub-rival-customer", "offer_id": "o", "quantity": "1"},
    ),
    "create_resource": (
        {"id": "vm-globex", "name": "Taken"},
        {"id": "vm-globex", "customer_id": "globex"},
        {"id": "vm-rival-customer", "customer_id": "rival-customer"},
    ),
    "declare_fact": ({"name": "Taken"}, {"customer_id": "acme"}, {"customer_id": "rival-customer"}, {"deleted": True}),
    "add_price_book": ({"plans": {}},),
    "activate_price_book": ({},),
    "compare_price_books": (
        {"after": {"book": "rival-book"}},
        {"before": {"book": "main", "version": 1}, "after": {"book": "rival-book", "version": 1}},
    ),
    "estimate": ({"vcpus": "1", "memory_gib": "1"}, {"vcpus": "1", "memory_gib": "1", "plan": "RIVAL-SECRET"}),
    "explain_preview": ({"customer_id": "globex", "line": 1}, {"customer_id": "rival-customer", "line": 1}),
    "preview_invoice": (
        {"customer_id": "globex"},
        {"customer_id": "rival-customer"},
        {"customer_id": "acme", "prices": {"book": "rival-book", "version": 1}},
    ),
    "put_market_prices": ({"prices": [{"region": "Taken", "hour": "2026-03-10T08:00:00Z", "price": "1", "currency": "USD"}]},),
    "add_events": (
        {"events": [{"id": "e", "resource_id": "vm-globex", "meter": "events.x", "at": "2026-03-10T08:00:00Z", "amount": "1"}]},
    ),
    "add_usage_records": tuple(
        {"records": [{"source": "s", "record_id": "1", "resource_id": name, "meter": "uptime", "from": at, "until": at, "amount": "9"}]}
        for name, at in (("vm-globex", "2026-03-10T09:00:00Z"), ("vm-moved", "2026-03-10T09:30:00Z"))
    ),
    "declare_outage": tuple(
        {"resources": [name], "start": "2026-03-10T08:00:00Z", "end": "2026-03-10T09:00:00Z", "reason": "Taken"}
        for name in ("vm-globex", "vm-rival-customer")
    ),
    "withdraw_outage": ({"reason": "Taken"},),
    "create_key": ({"role": "customer", "customers": ["globex"]}, {"role": "agent"}),
    "revoke_key": ({},),
    "dismiss_absence": ({"reason": "Taken"},),
    "release_agent": ({"reason": "Taken"},),
    "resolve_conflict": ({"counts": "stored", "reason": "Taken"}, {"counts": "sent", "reason": "Taken"}),
    "admit_too_late": ({}, {"reason": "x"}),
    "dismiss_too_late": ({},),
}
"""For each route that changes or computes something: bodies that name another's. A new route must be added here."""

WITHOUT_KEY = {"health", "ready", "metrics"}
READS_OWN = {
    "status",
    "list_customers",
    "show_customer",
    "list_subscriptions",
    "show_subscription",
    "upcoming_periods",
    "list_reservations",
    "report_reservations",
    "list_resources",
    "show_resource",
    "usage_minutes",
    "list_outages",
    "show_outage",
    "usage_hours",
    "usage_days",
    "usage_months",
    "usage_percentiles",
    "usage_views",
    "usage_labels",
    "gaps",
    "findings",
    "estimate",
    "list_invoices",
    "show_invoice",
    "invoice_pdf",
    "invoice_text",
    "explain_line",
    "preview_invoice",
    "explain_preview",
}
READS_ALL = READS_OWN | {
    "list_coupons",
    "show_coupon",
    "agents",
    "list_too_late",
    "show_too_late",
    "absences",
    "missing_sequences",
    "list_conflicts",
    "show_conflict",
    "show_seller",
    "list_price_books",
    "show_price_book",
    "compare_price_books",
    "list_market_prices",
}
WRITES = {
    "put_market_prices",
    "add_events",
    "create_customer",
    "change_seller",
    "create_subscription",
    "change_subscription",
    "pause_subscription",
    "resume_subscription",
    "cancel_subscription",
    "redeem_coupon",
    "create_coupon",
    "create_reservation",
    "create_resource",
    "declare_fact",
    "declare_outage",
    "withdraw_outage",
    "add_price_book",
    "activate_price_book",
    "dismiss_absence",
    "resolve_conflict",
    "admit_too_late",
    "dismiss_too_late",
}
KEYS = {"create_key", "list_keys", "revoke_key", "release_agent"}
SENDS = {"add_usage_records"}
MAY = {
    "admin": READS_ALL | WRITES | KEYS | SENDS,
    "billing": READS_ALL | WRITES,
    "auditor": READS_ALL,
    "acme": READS_OWN,
    "globex": READS_OWN,
    "nobody": READS_OWN,
    "limited": READS_OWN,
    "agent": SENDS,
    "sender": SENDS,
    "rival": READS_ALL | WRITES | KEYS | SENDS,
}
"""What each key may ask at all: written by hand, so that a role is never widened by accident."""


@dataclass(frozen=True)
class Request:
    """One request to a route."""

    name: str
    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any] | None

    @property
    def words(self) -> str:
        return f"{self.method} {self.path} {self.query} {self.body}"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    fill(folder)
    return folder


@pytest.fixture(params=["stand-ins", "product"])
def world(filled: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """With stand-ins for what the rest of the product computes, and with the product itself."""
    made = open_world(filled, tmp_path, real=request.param == "product")
    yield made
    made.store.close()


def operations(world: World) -> Iterator[tuple[str, str, Any]]:
    for route in world.app.state.routes:
        for method in sorted(route.methods):
            yield route.name, method, route


def requests(world: World) -> Iterator[Request]:
    """Every route, with every name of another's in its path, its query and its body, and without them."""
    for name, method, route in operations(world):
        in_path = [field.alias for field in route.dependant.path_params]
        in_query = [each for each in ("customer_id", "resource_id") if each in _query(route.dependant)]
        for values in product(*(OTHERS[each] for each in in_path)):
            path = route.path_format
            for each, value in zip(in_path, values, strict=True):
                path = path.replace("{" + each + "}", quote(value, safe=""))
            queries: list[dict[str, str]] = [{}, *({each: value} for each in in_query for value in OTHERS[each])]
            bodies = BODIES[name] if method != "GET" else (None,)
            for query, body in product(queries, bodies):
                yield Request(name, method, path, query, body)


def _query(dependant: Any) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    return names.union(*(_query(inner) for inner in dependant.dependencies))


def test_every_route_is_guarded_and_known_here(world: World) -> None:
    names = {name for name, _, _ in operations(world)}
    assert names == MAY["admin"] | WITHOUT_KEY
    document = world.client.get("/openapi.json").json()
    for path in document["paths"].values():
        for operation in path.values():
            name = operation["operationId"].removesuffix("_file")
            assert bool(operation.get("security")) == (name not in WITHOUT_KEY)
            if name not in WITHOUT_KEY:
                expected = sorted({grant.role.value for key, grant in GRANTED.items() if name in MAY[key] and key != "limited"})
                assert operation["x-roles"] == expected, name


@pytest.mark.parametrize("key", [None, *GRANTED])
def test_only_the_roles_of_a_route_are_answered(world: World, key: str | None) -> None:
    for request in requests(world):
        if request.name in WITHOUT_KEY or request.name in MAY.get(key or "", set()):
            continue
        answer = world.ask(request.method, request.path, key, params=request.query, json=request.body)
        assert answer.status_code == (403 if key else 401), request.words


@pytest.mark.parametrize("key", ["acme", "nobody", "limited", "sender"])
def test_a_customers_key_reads_and_writes_nothing_of_another(world: World, key: str) -> None:
    before = world.rows()
    for request in requests(world):
        answer = world.ask(request.method, request.path, key, params=request.query, json=request.body)
        _shows_no_secret(answer, SECRETS, request)
        named = request.query | (request.body or {})
        theirs = {value for each in OTHERS for value in OTHERS[each]} - {"acme", "vm-moved", "1", "main"}
        if request.name in READS_OWN and key != "sender" and theirs & set(map(str, named.values())):
            assert answer.status_code == 404, request.words
        if request.name == "explain_line" or "{" in _template(world, request.name):
            own = key != "nobody" and any(name in request.path for name in ("acme", "vm-moved"))
            assert answer.status_code in ((200, 403, 404) if own else (403, 404)), request.words
    assert world.rows() == before


def test_another_sellers_key_reads_and_writes_nothing_of_ours(world: World) -> None:
    """It may do everything, in its own place only: what it makes by our names is its own."""
    before = _ours(world)
    for request in requests(world):
        answer = world.ask(request.method, request.path, "rival", params=request.query, json=request.body)
        _shows_no_secret(answer, ("GLOBEX-SECRET", "OURS-SECRET"), request)
    assert _ours(world) == before


def test_our_admin_reads_and_writes_nothing_of_another_seller(world: World) -> None:
    before = _of_scope(world, THEIRS.seller_id)
    for request in requests(world):
        if request.name == "revoke_key" and "k-admin" in request.path:
            continue
        answer = world.ask(request.method, request.path, "admin", params=request.query, json=request.body)
        _shows_no_secret(answer, ("RIVAL-SECRET",), request)
    assert _of_scope(world, THEIRS.seller_id) == before


def test_the_other_customer_does_see_its_own(world: World) -> None:
    """The words that the tests above look for are there to be found."""
    found = [request for request in requests(world) if "GLOBEX-SECRET" in _said(world, request, "globex")]
    assert {request.name for request in found} >= {
        "list_customers",
        "show_customer",
        "list_resources",
        "show_resource",
        "list_reservations",
        "report_reservations",
        "list_outages",
        "show_outage",
        "status",
        "show_invoice",
        "invoice_pdf",
        "invoice_text",
        "preview_invoice",
    }
    assert any("RIVAL-SECRET" in _said(world, request, "rival") for request in requests(world) if request.method == "GET")


def _said(world: World, request: Request, key: str) -> str:
    if request.method != "GET" and request.name not in {"preview_invoice", "explain_preview"}:
        return ""
    return _text(world.ask(request.method, request.path, key, params=request.query, json=request.body))


def _shows_no_secret(answer: Any, secrets: tuple[str, ...], request: Request) -> None:
    assert answer.status_code < 500, request.words
    shown = _text(answer)
    for secret in secrets:
        assert secret in request.words or secret not in shown, request.words


def _text(answer: Any) -> str:
    if answer.headers["content-type"] == "application/pdf":
        return "".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages)
    return str(answer.text)


def _template(world: World, name: str) -> str:
    return next(str(route.path_format) for route in world.app.state.routes if route.name == name)


def _ours(world: World) -> dict[str, list[tuple[Any, ...]]]:
    return _of_scope(world, "default")


def _of_scope(world: World, seller_id: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of one seller and its scopes, of every table that has a seller or a scope."""
    with sqlite3.connect(world.file) as connection:
        seller_key = connection.execute("SELECT seller_key FROM seller WHERE seller_id = ?", (seller_id,)).fetchone()[0]
        scope_key = connection.execute("SELECT scope_key FROM scope WHERE seller_key = ?", (seller_key,)).fetchone()[0]
        found: dict[str, list[tuple[Any, ...]]] = {}
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
            for column, value in (("seller_key", seller_key), ("scope_key", scope_key)):
                if column in columns:
                    found[table] = connection.execute(f"SELECT * FROM {table} WHERE {column} = ?", (value,)).fetchall()
    assert sum(map(len, found.values())) > 20
    return found
