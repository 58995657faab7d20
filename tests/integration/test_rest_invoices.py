"""The routes of prices and invoices, on a real store in this process."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pypdf import PdfReader

from tallystick.invoice.codec import to_json
from tallystick.serve.documents.invoices import InvoiceDocument
from tests.integration.rest_world import World, fill, is_problem, open_world
from tests.unit.render.example import invoice as example


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


def test_price_books_are_checked_stored_and_activated(world: World) -> None:
    yaml = {"Content-Type": "application/yaml"}
    checked = world.ask("POST", "/v1/price-books?lint=true", content="mistake", headers=yaml)
    assert checked.status_code == 200
    assert checked.json()["mistakes"][0] == {"line": 3, "field": "price", "found": "-1", "allowed": "0 or more"}
    told = is_problem(world.ask("POST", "/v1/price-books", content="mistake", headers=yaml), 422, "invalid", "price", "-1")
    assert [each["line"] for each in told["mistakes"]] == [3, 9]
    made = world.ask("POST", "/v1/price-books", content="plans: {} # ä".encode(), headers=yaml)
    assert made.status_code == 201
    assert (made.json()["version"], made.json()["state"], made.json()["text"]) == (2, "draft", "plans: {} # ä")
    active = world.ask("POST", "/v1/price-books/main/versions/2/activate", json={})
    assert active.json()["state"] == "active"
    assert [(each["version"], each["state"]) for each in world.ask("GET", "/v1/price-books").json()["items"]] == [
        (2, "active"),
        (1, "draft"),
    ]
    is_problem(world.ask("GET", "/v1/price-books/main/versions/9"), 404, "not_found", "version")
    is_problem(world.ask("POST", "/v1/price-books", content=b"\xff", headers=yaml), 400, "malformed", "body")


def test_an_estimate_is_money_with_its_currency(world: World) -> None:
    told = world.ask("POST", "/v1/estimate", json={"vcpus": 2, "memory_gib": "4", "disk_gib": "50.5"}).json()
    assert told["total"] == {"amount": "34.20", "currency": "USD"}
    assert told["lines"][0]["unrounded"]["exact"] == "743/40"
    is_problem(world.ask("POST", "/v1/estimate", json={"vcpus": 0.5, "memory_gib": 1}), 422, "invalid", "vcpus", "0.5")
    is_problem(world.ask("POST", "/v1/estimate", json={"vcpus": "-1", "memory_gib": 1}), 422, "invalid", "vcpus", "-1")
    is_problem(world.ask("POST", "/v1/estimate", json={"vcpus": "1"}), 422, "missing_field", "memory_gib", "")
    is_problem(world.ask("POST", "/v1/estimate", json={"vcpus": 1, "memory_gib": 1, "plan": "x"}), 422, "invalid", "plan", "x")


def test_an_invoice_is_had_by_id_and_number_in_three_forms(world: World) -> None:
    one = world.invoices["inv-acme-finalized"]
    number = "INV/default/1"
    assert one.number == number
    for name in ("inv-acme-finalized", number, "INV%2Fdefault%2F1"):
        assert world.ask("GET", f"/v1/invoices/{name}").json() == json.loads(to_json(one))
        for path in (f"/v1/invoices/{name}.pdf", f"/v1/invoices/{name}/pdf"):
            answer = world.ask("GET", path)
            assert answer.headers["content-type"] == "application/pdf"
            assert answer.headers["content-disposition"] == 'inline; filename="INV_default_1.pdf"'
            assert number in PdfReader(io.BytesIO(answer.content)).pages[0].extract_text()
        answer = world.ask("GET", f"/v1/invoices/{name}/text")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert f"Invoice number    {number}" in answer.text
    rows = world.ask("GET", "/v1/invoices", params={"customer_id": "acme"}).json()["items"]
    assert [(row["id"], row["state"]) for row in rows] == [("inv-acme-draft", "draft"), ("inv-acme-finalized", "finalized")]
    assert rows[1]["total"] == {"amount": "84.04", "currency": "EUR"}
    assert [row["id"] for row in world.ask("GET", "/v1/invoices", params={"state": "draft"}).json()["items"]] == [
        "inv-globex-draft",
        "inv-acme-draft",
    ]


def test_a_customer_sees_what_was_sent_to_it(world: World) -> None:
    assert [row["id"] for row in world.ask("GET", "/v1/invoices", "acme").json()["items"]] == ["inv-acme-finalized"]
    assert world.ask("GET", "/v1/invoices?state=draft", "acme").json()["items"] == []
    is_problem(world.ask("GET", "/v1/invoices/inv-acme-draft", "acme"), 404, "not_found", "invoice_id")
    assert world.ask("GET", "/v1/invoices/inv-acme-finalized", "acme").status_code == 200


def test_the_schema_of_an_invoice_is_that_of_its_codec() -> None:
    for state in ("finalized", "draft", "parked"):
        document = json.loads(to_json(example(state=state)))
        assert json.loads(InvoiceDocument.model_validate(document).model_dump_json(exclude_unset=True)) == document


def test_a_preview_lists_drafts(world: World) -> None:
    told = world.ask("POST", "/v1/invoices/preview", "acme", json={"customer_id": "acme"}).json()
    assert [each["state"] for each in told["items"]] == ["draft"]
    assert told["next_cursor"] is None
    is_problem(world.ask("POST", "/v1/invoices/preview", json={"customer_id": "none"}), 404, "not_found", "customer_id", "none")
    draft = told["items"][0]
    opened = world.ask("POST", "/v1/invoices/preview/explain", "acme", json={"customer_id": "acme", "line": 1, "verify": True}).json()
    assert (opened["invoice_id"], opened["key"]) == (draft["id"], draft["lines"][0]["key"])
    is_problem(world.ask("POST", "/v1/invoices/preview/explain", json={"customer_id": "acme", "line": 99}), 404, "not_found", "line", "99")


def test_a_line_is_explained(world: World) -> None:
    path = "/v1/invoices/INV/default/1/lines/1/explain"
    told = world.ask("GET", f"{path}?verify=true&depth=cells").json()
    assert (told["line"], told["number"], told["quantity"], told["unit_price"]) == (1, "INV/default/1", "1486", "1/80")
    assert told["verification"] == {"equal": True, "quantity": "1486", "unrounded": "1/3", "differences": []}
    assert world.ask("GET", path).json()["verification"] is None
    is_problem(world.ask("GET", path.replace("lines/1", "lines/7")), 404, "not_found", "line", "7")
    is_problem(world.ask("GET", path.replace("lines/1", "lines/0")), 422, "invalid", "line", "0")
    is_problem(world.ask("GET", f"{path}?depth=atoms"), 422, "invalid", "depth", "atoms")
