"""Price books from the first file to what a version changes: the command line without a server, and the server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tallystick.app.cli.books import told as told_of
from tallystick.app.cli.client import RefusedError
from tallystick.app.cli.main import app
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Change, Subscription
from tallystick.model.instants import parse_iso
from tests.integration.rest_world import World, fill, is_problem, open_world


def tally(*words: str) -> Result:
    return CliRunner().invoke(app, ["price", *words], env={"TALLY_URL": "http://127.0.0.1:9"})


def test_from_an_example_to_what_it_changes_without_a_server(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    assert tally("new", str(first)).exit_code == 0
    assert tally("new").stdout == first.read_text()
    assert tally("lint", str(first)).stdout == f"{first}: a price book without mistakes\n"
    second.write_text(first.read_text().replace("price: 0.01\n", "price: 0.012\n"))
    told = tally("diff", str(first), str(second)).stdout.splitlines()
    assert told[1:] == ["plan small", "  charge vcpu: price: 0.01 -> 0.012 USD per vcpu-hour (+20 %)"]
    assert tally("diff", str(first), str(first)).stdout.splitlines()[1:] == ["nothing changes"]
    compared = json.loads(tally("diff", str(first), str(second), "--json").stdout)
    assert (compared["changes"][0]["key"], compared["changes"][0]["percent"], compared["plans"]) == ("price", "20", None)


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(tally("new").stdout.replace("price: 0.01\n", "price: -1\n").replace("currency: USD", "currency: EURO"))
    linted = tally("lint", str(path))
    assert linted.exit_code == 1
    assert [line.partition(": found")[0] for line in linted.stderr.splitlines()] == [
        f"{path}:20: plans[0].currency",
        f"{path}:37: plans[0].charges[0].price",
    ]
    assert [each["field"] for each in json.loads(tally("lint", str(path), "--json").stdout)["mistakes"]] == [
        "plans[0].currency",
        "plans[0].charges[0].price",
    ]
    assert tally("diff", str(path), str(path)).exit_code == 1


def test_the_examples_are_listed_and_nothing_is_overwritten(tmp_path: Path) -> None:
    listed = json.loads(tally("new", "--list", "--json").stdout)
    assert listed[0] == {"example": "starter", "what": "A price book to begin with: one plan for machines by their size"}
    path = tmp_path / "book.yaml"
    path.write_text("mine")
    refused = tally("new", str(path))
    assert (refused.exit_code, path.read_text()) == (2, "mine")
    assert "File exists" in refused.stderr
    assert "there are: starter, " in tally("new", "--example", "none").stderr
    assert "BOOK@VERSION" in tally("diff", "default@x").stderr


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[World]:
    filled = tmp_path_factory.mktemp("filled")
    fill(filled)
    made = open_world(filled, tmp_path, real=True)
    yield made
    made.store.close()


BOOK = """\
book: main
effective_from: {start}
plans:
  - id: standard
    currency: EUR
    default: true
    charges: [{{id: cpu, meter: cpu.used, per: core-hour, price: {price}}}]
"""


def test_what_a_version_changes_and_for_whom(world: World) -> None:
    yaml = {"Content-Type": "application/yaml"}
    second, third = BOOK.format(start="2026-01-01", price=0.1), BOOK.format(start="2026-06-01", price=0.2)
    version = world.ask("POST", "/v1/price-books", content=second, headers=yaml).json()["version"]
    path = f"/v1/price-books/main/versions/{version}"
    assert world.ask("POST", f"{path}/activate", json={}).json()["state"] == "active"
    told = world.ask("POST", "/v1/price-books/diff", json={"after": {"text": third}}).json()
    assert (told["before"]["version"], told["after"]["version"]) == (version, 0)
    assert [change["text"] for change in told["changes"]] == [
        "effective_from: 2026-01-01T00:00:00Z -> 2026-06-01T00:00:00Z",
        "charge cpu: price: 0.1 -> 0.2 EUR per core-hour (+100 %)",
    ]
    plan = told["plans"][0]
    assert (plan["plan_id"], plan["default"], plan["subscriptions"], plan["customers"]) == ("standard", True, 2, 2)
    assert plan["customer_ids"] == ["acme", "globex"]
    assert list(told_of(told))[2:] == [
        "plan standard: 2 subscriptions of 2 customers (acme, globex), and what no subscription covers",
        "  charge cpu: price: 0.1 -> 0.2 EUR per core-hour (+100 %)",
    ]
    stored = {"before": {"book": "main", "version": version}, "after": {"text": third}}
    assert world.ask("POST", "/v1/price-books/diff", json=stored).json() == told
    assert world.ask("POST", "/v1/price-books/diff", json=stored | {"after": {"book": "main"}}).json()["changes"] == []


REFUSED = """
price: 0.1         | price: -0.1                          | 7: plans[0].charges[0].price: found -0.1
price: 0.1         | price: .inf                          | 7: plans[0].charges[0].price: found '.inf'
meter: cpu.used    | meter: cpu.usage                     | 7: plans[0].charges[0].meter: found 'cpu.usage'
per: core-hour     | per: minute                          | 7: plans[0].charges[0].per: found 'minute'
currency: EUR      | currency: EURO                       | 5: plans[0].currency: found 'EURO'
per: core-hour     | per: core-hour, filters: {region: eu-wst} | 8: plans[0].charges[0].filters.region: found 'eu-wst'
price: 0.1         | model: graduated, tiers: [{price: 1}, {price: 2}] | 7: plans[0].charges[0].tiers[0].up_to: found nothing
price: 0.1         | model: volume, tiers: [{up_to: 9, price: 1}, {up_to: 5, price: 2}, {price: 3}] | 7: plans[0].charges[0].tiers[1]
price: 0.1         | model: volume, tiers: [{up_to: 9, price: 1}] | 7: plans[0].charges[0].tiers[0].up_to: found 9
price: 0.1}        | price: 0.1}, {id: s, model: surcharge, percent: 1, of: s} | 7: plans[0].charges[1].of: found surcharges are shares
price: 0.1}        | price: 0.1}, {id: x, meter: cpu.used, per: core-hour, price: 1} | 7: plans[0].charges[1]: found 'x', which
2026-01-01         | 2026-13-01                           | 2: effective_from: found '2026-13-01'
book: main         | book: [                              | 3: document: found no ',' or ']'
"""


def test_bad_input_is_refused_by_line_and_nothing_changes(world: World) -> None:
    """What stands in the place of what in a good book, and what is said of it."""
    yaml = {"Content-Type": "application/yaml"}
    good = BOOK.format(start="2026-01-01", price=0.1)
    before = world.rows()
    for row in REFUSED.strip().splitlines():
        was, now, said = (part.strip() for part in row.split(" | "))
        bad = good.replace(was, now)
        text = bad.replace("plans:", "regions: [eu-west]\nplans:") if "region" in now else bad
        told = is_problem(world.ask("POST", "/v1/price-books", content=text, headers=yaml), 422, "invalid")
        mistakes = [f"{each['line']}: {each['field']}: found {each['found']}" for each in told["mistakes"]]
        assert any(mistake.startswith(said) for mistake in mistakes), (row, mistakes)
    assert world.rows() == before


OVERLAPPING = """
book: main                   | also takes effect at 2026-01-01T00:00:00Z: a version that replaces it says `corrects: 2`
book: other                  | plan 'standard' is also in version 2 of main: plan ids are unique among a seller's books
standard -> gold book: other | plan 'gold' is a default, but 'standard' of version 2 of main already is: a seller has one
EUR -> USD 2026-01 -> 2027-01 | plan 'standard' changes its currency from EUR in version 2 of main to USD: that is another plan
core-hour -> X 2026-01 -> 2027-01 cpu.used -> uptime X -> hour | charge 'cpu' of plan 'standard' was cpu.used per core-hour
corrects: 7                  | corrects: 7: there is no such version of main
"""


def test_versions_that_overlap_are_refused_and_stay_drafts(world: World) -> None:
    """What is put in the place of what in a book that is in force, and why it cannot be in force beside it."""
    yaml = {"Content-Type": "application/yaml"}
    good = BOOK.format(start="2026-01-01", price=0.1)
    assert world.ask("POST", "/v1/price-books", content=good, headers=yaml).json()["version"] == 2
    assert world.ask("POST", "/v1/price-books/main/versions/2/activate", json={}).status_code == 200
    for row in OVERLAPPING.strip().splitlines():
        change, said = (part.strip() for part in row.split(" | "))
        text = good
        for was, now in re.findall(r"(\S+) -> (\S+)", change):
            text = text.replace(was, now)
        text = text.replace("book: main", "book: other") if "other" in change else text
        text += "corrects: 7\n" if "corrects" in change else "# another text\n"
        made = world.ask("POST", "/v1/price-books", content=text, headers=yaml).json()
        before = world.rows()
        path = f"/v1/price-books/{made['id']}/versions/{made['version']}"
        told = is_problem(world.ask("POST", f"{path}/activate", json={}), 409, "conflict", "version")
        assert said in told["detail"], told
        assert world.rows() == before
        assert world.ask("GET", path).json()["state"] == "draft"


def test_who_changes_its_plan_later_is_told_of_both(world: World) -> None:
    def text(start: str, price: int) -> str:
        one = BOOK.format(start=start, price=price).replace("standard", "basic")
        return one + one.partition("plans:\n")[2].replace("basic", "premium").replace("    default: true\n", "")

    added = world.ask("POST", "/v1/price-books", content=text("2026-01-01", 1), headers={"Content-Type": "application/yaml"}).json()
    assert world.ask("POST", f"/v1/price-books/main/versions/{added['version']}/activate", json={}).status_code == 200
    july = parse_iso("2026-07-01T00:00:00Z")
    change = Change(at_ns=july, plan_id="premium", made_ns=0)
    bound = Subscription(id="s", customer_id="acme", plan_id="basic", start_ns=0, changes=(change,))
    assert world.store.contracts.create_subscription(Place(), bound, actor="test")
    for start, names in (("2026-06-01", ["basic", "premium"]), ("2026-08-01", ["premium"])):
        told = world.ask("POST", "/v1/price-books/diff", json={"after": {"text": text(start, 2)}}).json()
        assert [each["plan_id"] for each in told["plans"] if each["subscriptions"]] == names


def test_what_cannot_be_compared_is_named(world: World) -> None:
    is_problem(world.ask("POST", "/v1/price-books/diff", json={"after": {"book": "none"}}), 404, "not_found", "book", "none")
    missing = {"after": {"book": "main", "version": 7}}
    is_problem(world.ask("POST", "/v1/price-books/diff", json=missing), 404, "not_found", "version", "main version 7")
    nothing_before = {"after": {"text": BOOK.format(start="2026-01-01", price=1).replace("main", "other")}}
    is_problem(world.ask("POST", "/v1/price-books/diff", json=nothing_before), 422, "invalid", "before")
    wrong = {"after": {"text": BOOK.format(start="2026-01-01", price=-1)}}
    told = is_problem(world.ask("POST", "/v1/price-books/diff", json=wrong), 422, "invalid", "plans[0].charges[0].price", "-1")
    assert list(RefusedError(422, told).lines()) == [
        "line 7: plans[0].charges[0].price: found -1, allowed: a decimal of 0 or more with at most 12 decimals, such as 0.01"
    ]
    both = {"after": {"book": "main", "text": "x"}}
    is_problem(world.ask("POST", "/v1/price-books/diff", json=both), 422, "invalid", "after")
