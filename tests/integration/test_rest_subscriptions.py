"""What is agreed with a customer, over REST and on the product itself: from the first day to a preview that adds up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rest_world import World, fill, is_problem, open_world

BOOK = """
book: cloud
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: old
    currency: EUR
    fees: [{id: base, amount: 30, timing: advance}]
    charges: [{id: up, meter: uptime, per: hour, price: 0.02, free: 100}]
    reservations: [{id: year, meter: uptime, per: hour, months: 12, recurring: 0.01, upfront: 5}]
  - {id: new, currency: EUR, fees: [{id: base, amount: 60, timing: advance}], charges: [{id: up, meter: uptime, per: hour, price: 0.01}]}
  - {id: dollars, currency: USD, charges: [{id: up, meter: uptime, per: hour, price: 0.01}]}
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    fill(folder)
    return folder


@pytest.fixture
def world(filled: Path, tmp_path: Path) -> Iterator[World]:
    """The product with a book, and a customer of its own with one machine that is up."""
    made = open_world(filled, tmp_path, real=True)
    assert made.ask("POST", "/v1/price-books", content=BOOK, headers={"Content-Type": "application/yaml"}).status_code == 201
    assert made.ask("POST", "/v1/price-books/cloud/versions/1/activate").status_code == 200
    made.ask("POST", "/v1/customers", json={"id": "bolt", "currency": "EUR"})
    yield made
    made.store.close()


def agreed(world: World, **words: object) -> Any:
    """A subscription of the customer."""
    wanted = {"id": "s", "customer_id": "bolt", "plan_id": "old", "start": "2026-03-01T00:00:00Z", **words}
    return world.ask("POST", "/v1/subscriptions", json=wanted)


def amended(world: World, kind: str, **words: object) -> Any:
    """What becomes of it."""
    return world.ask("POST", f"/v1/subscriptions/s/{kind}", json=words)


def refusal(answer: Any) -> tuple[int, str, str, str]:
    """The status, field and value of a refusal, and what it says."""
    told = answer.json()
    return answer.status_code, told.get("field", ""), told.get("value", ""), told["detail"]


def test_a_subscription_from_its_first_day_to_a_preview(world: World) -> None:
    made = agreed(world).json()
    assert (made["state"], made["current_plan_id"], made["changes"]) == ("active", "old", [])
    assert agreed(world).json() == made, "the same again changes nothing"
    first = world.ask("GET", "/v1/subscriptions/s/periods", params={"after": "2026-02-28T00:00:00Z", "count": 3}).json()["items"]
    assert [(each["closing"][:10], each["share"]["exact"], each["due"]["amount"]) for each in first] == [
        ("2026-03-01", "0", "30.00"),
        ("2026-04-01", "1", "30.00"),
        ("2026-05-01", "1", "30.00"),
    ]
    changed = amended(world, "change", plan_id="new", at="2026-04-17T13:37:00Z").json()
    assert (changed["plan_id"], changed["changes"]) == ("old", [{"at": "2026-04-17T13:37:00Z", "plan_id": "new"}])
    paused = amended(world, "pause", at="2026-06-01T00:00:00Z").json()
    assert paused["pauses"] == [{"start": "2026-06-01T00:00:00Z", "end": None}]
    assert amended(world, "resume", at="2026-06-11T00:00:00Z").json()["pauses"][0]["end"] == "2026-06-11T00:00:00Z"
    ended = amended(world, "cancel", at="2026-08-01T00:00:00Z").json()
    assert (ended["end"], amended(world, "cancel", at="2026-07-16T00:00:00Z").json()["end"]) == (
        "2026-08-01T00:00:00Z",
        "2026-07-16T00:00:00Z",
    )
    coming = world.ask("GET", "/v1/subscriptions/s/periods", params={"after": "2026-04-01T00:00:00Z"}).json()["items"]
    shown = [(each["closing"][:10], each["share"]["decimal"], [fee["amount"]["amount"] for fee in each["fees"]]) for each in coming]
    # April: 30.00 was billed on the 1st; 16 days, 13 h 37 min of 30 are 16.57, so 13.43 come back; the new plan's rest is 26.87.
    # June is billed in advance without its ten days of pause; of July the unused 16 days are not billed at all: both were announced.
    assert shown == [
        ("2026-05-01", "1", ["-13.43", "26.87", "60.00"]),
        ("2026-06-01", "1", ["40.00"]),
        ("2026-07-01", "0.666666666667", ["29.03"]),
        ("2026-07-16", "0.483870967742", []),
    ]


def test_a_preview_by_other_prices(world: World) -> None:
    """What the running period would be, by prices in force, by a draft and by a text; the book itself is not changed."""
    agreed(world)
    dearer = BOOK.replace("amount: 30", "amount: 45")
    world.ask("POST", "/v1/price-books", content=BOOK.replace("amount: 30", "amount: 40"), headers={"Content-Type": "application/yaml"})
    for prices, total in ((None, "30.00"), ({"book": "cloud", "version": 2}, "40.00"), ({"text": dearer}, "45.00"), (None, "30.00")):
        wanted = {"customer_id": "bolt", "at": "2026-04-20T00:00:00Z"} | ({"prices": prices} if prices else {})
        (draft,) = world.ask("POST", "/v1/invoices/preview", json=wanted).json()["items"]
        assert draft["total"] == {"amount": total, "currency": "EUR"}
    (draft,) = world.ask(
        "POST", "/v1/invoices/preview", json={"customer_id": "bolt", "prices": {"text": dearer.replace("old", "x")}}
    ).json()["items"]
    assert draft["total"]["amount"] == "0.00", "a book without the plan has no fee of it"
    elsewhere = dearer.replace("old", "x").replace("book: cloud", "book: elsewhere")
    wrong = world.ask(
        "POST", "/v1/invoices/preview", json={"customer_id": "bolt", "at": "2026-04-20T00:00:00Z", "prices": {"text": elsewhere}}
    )
    assert refusal(wrong)[:3] == (422, "prices", "elsewhere"), "not the prices in force, as if nothing were asked"
    wrong = world.ask("POST", "/v1/invoices/preview", json={"customer_id": "bolt", "prices": {"book": "cloud", "version": 9}})
    assert refusal(wrong)[:3] == (404, "version", "cloud version 9")
    wrong = world.ask("POST", "/v1/invoices/preview", json={"customer_id": "bolt", "prices": {"text": "book: b"}})
    assert wrong.status_code == 422
    assert wrong.json()["mistakes"]
    own = world.ask("POST", "/v1/invoices/preview", key="acme", json={"customer_id": "acme", "prices": {"book": "cloud"}})
    assert refusal(own)[:2] == (403, "prices")


@pytest.mark.parametrize(
    ("words", "field", "value", "said"),
    [
        ({"customer_id": "nobody"}, "customer_id", "nobody", "there is no customer 'nobody'"),
        ({"plan_id": "gold"}, "plan_id", "gold", "'gold' is in no price book"),
        ({"end": "2026-02-01T00:00:00Z"}, "end", "2026-02-01T00:00:00Z", "is not after the start"),
        ({"overrides": [{"charge": "down", "price": "1"}]}, "overrides", "", "'down' is no charge of the plan; there are: up"),
        ({"overrides": [{"charge": "up", "tiers": [{"up_to": "5", "price": "1"}]}]}, "overrides", "", "tiers need rising bounds"),
        ({"commitments": [{"id": "least", "minimum": "1", "charges": ["down"]}]}, "commitments", "", "'least' names 'down'"),
        ({"coupons": ["NONE"]}, "coupons", "NONE", "there is no coupon 'NONE'"),
        ({"coupons": ["DOLLARS"]}, "coupons", "", "'DOLLARS' is in USD, the plan in EUR"),
    ],
)
def test_what_is_refused_is_not_there(world: World, words: dict[str, object], field: str, value: str, said: str) -> None:
    """The field and the value at fault, and nothing stored."""
    world.ask("POST", "/v1/coupons", json={"id": "DOLLARS", "amount": {"amount": "5.00", "currency": "USD"}})
    status, at, found, detail = refusal(agreed(world, **words))
    assert (status, at, found) == (422, field, value)
    assert said in detail
    assert world.ask("GET", "/v1/subscriptions/s").status_code == 404
    assert world.ask("GET", "/v1/coupons/DOLLARS").json()["redeemed"] == 0


def test_what_becomes_of_it_or_not(world: World) -> None:
    before = agreed(world).json()
    again = refusal(agreed(world, id="other"))
    assert (again[0], again[1]) == (422, "covers")
    for kind, words, field, said in (
        ("change", {"plan_id": "gold"}, "plan_id", "'gold' is in no price book"),
        ("change", {"plan_id": "dollars"}, "plan_id", "'dollars' is in USD, 'old' in EUR"),
        ("change", {"plan_id": "new", "at": "2026-02-01T00:00:00Z"}, "at", "is before the start"),
        ("pause", {"at": "2026-04-05T00:00:00Z", "until": "2026-04-05T00:00:00Z"}, "until", "is not after the pause begins"),
        ("resume", {"at": "2026-04-05T00:00:00Z"}, "at", "it is not paused"),
        ("cancel", {"at": "2026-03-01T00:00:00Z"}, "at", "is not after the start"),
        ("redeem", {"coupon": "NONE"}, "coupons", "there is no coupon"),
    ):
        status, at, _, detail = refusal(amended(world, kind, **words))
        assert (status, at) == (422, field), detail
        assert said in detail
    assert world.ask("GET", "/v1/subscriptions/s").json() == before
    assert amended(world, "cancel", at_period_end=True).json()["end"] == "2026-05-01T00:00:00Z"


def test_a_coupon_used_too_often_is_refused_with_what_came_with_it(world: World) -> None:
    coupon = {"id": "WELCOME", "percent": "20", "periods": 2, "limit": 2, "limit_per_customer": 1}
    assert world.ask("POST", "/v1/coupons", json=coupon).status_code == 201
    assert world.ask("POST", "/v1/coupons", json=coupon).status_code == 200
    assert world.ask("POST", "/v1/coupons", json={**coupon, "percent": "30"}).status_code == 409
    made = agreed(world, coupons=["WELCOME"], trial_days=10, covers={"resources": ["vm"]}).json()
    assert made["coupons"] == [{"id": "WELCOME", "start": "2026-03-01T00:00:00Z", "end": "2026-05-01T00:00:00Z"}]
    assert made["trial_end"] == "2026-03-11T00:00:00Z"
    status, field, value, detail = refusal(agreed(world, id="t", coupons=["WELCOME"], covers={"resources": ["vm2"]}))
    assert (status, field, value) == (409, "coupons", "WELCOME")
    assert "redeemed 1 times by 'bolt'" in detail
    assert world.ask("GET", "/v1/subscriptions/t").status_code == 404
    assert world.ask("GET", "/v1/coupons/WELCOME").json()["redeemed"] == 1
    assert refusal(amended(world, "redeem", coupon="WELCOME"))[0] == 409
    assert world.ask("GET", "/v1/coupons").json()["items"][0]["id"] == "WELCOME"


def test_capacity_is_reserved_of_an_offer(world: World) -> None:
    agreed(world)
    wanted = {"id": "r", "subscription_id": "s", "offer_id": "year", "quantity": "2", "start": "2026-04-01T00:00:00Z"}
    made = world.ask("POST", "/v1/reservations", json=wanted)
    assert made.status_code == 201
    assert (made.json()["end"], made.json()["upfront"], made.json()["recurring"]) == ("2027-04-01T00:00:00Z", "10", "0.01")
    assert world.ask("POST", "/v1/reservations", json=wanted).json() == made.json()
    assert refusal(world.ask("POST", "/v1/reservations", json={**wanted, "quantity": "3"}))[:2] == (409, "id")
    assert refusal(world.ask("POST", "/v1/reservations", json={**wanted, "id": "x", "offer_id": "none"}))[:3] == (422, "offer_id", "none")
    assert refusal(world.ask("POST", "/v1/reservations", json={**wanted, "id": "x", "subscription_id": "none"}))[0] == 404
    assert [each["id"] for each in world.ask("GET", "/v1/reservations", params={"customer_id": "bolt"}).json()["items"]] == ["r"]


def test_how_well_it_is_used(world: World) -> None:
    """Two machines are reserved from the 1st of April on, and none is up: 72 hours by the 2nd at noon."""
    agreed(world)
    wanted = {"id": "r", "subscription_id": "s", "offer_id": "year", "quantity": "2", "start": "2026-04-01T00:00:00Z"}
    assert world.ask("POST", "/v1/reservations", json=wanted).status_code == 201

    def asked(**words: str) -> Any:
        return world.ask("GET", "/v1/reservations/report", params={"customer_id": "bolt", **words})

    (report,) = asked().json()["items"]
    assert (report["from"], report["until"]) == ("2026-03-02T12:00:00Z", "2026-04-02T12:00:00Z")
    (held,) = report["reservations"]
    assert (held["reserved"]["exact"], held["used"]["exact"], held["utilization"]) == ("72", "0", {"exact": "0", "percent": "0"})
    # A year has 2 x 8,760 machine-hours, for which 2 x 5 were paid: 72 x (0.01 + 10 / 17,520) is 0.7611.
    assert held["unused_cost"] == {"amount": "0.76", "currency": "EUR"}
    assert report["unused_costs"] == [held["unused_cost"]]
    assert report["usage"] == report["totals"] == [{**report["totals"][0], "used": {"exact": "0", "decimal": "0"}, "coverage": None}]
    assert asked(until="2026-04-01T00:00:00Z").json()["items"] == []
    assert asked(**{"from": "2026-05-01T00:00:00Z"}).json()["items"] == []
    assert [each["customer_id"] for each in world.ask("GET", "/v1/reservations/report").json()["items"]] == ["bolt", "globex"]
    one = world.ask("GET", "/v1/reservations/report", params={"limit": 1}).json()
    following = world.ask("GET", "/v1/reservations/report", params={"limit": 1, "cursor": one["next_cursor"]}).json()
    assert [each["customer_id"] for each in (*one["items"], *following["items"])] == ["bolt", "globex"]
    early = {"from": "2025-04-01T11:00:00Z", "until": "2026-04-02T12:00:00Z"}
    assert refusal(asked(**early)) == (422, "from", "2025-04-01T11:00:00Z", "from: a span of more than 366 days")
    assert refusal(asked(**{"from": early["until"], "until": early["until"]}))[:3] == (422, "until", early["until"])
    assert refusal(asked(customer_id="none"))[:3] == (404, "customer_id", "none")


def test_outages_are_declared_seen_by_those_concerned_and_withdrawn(world: World) -> None:
    outage = {
        "id": "o",
        "resources": ["vm-acme", "vm-globex"],
        "start": "2026-03-10T08:00:00Z",
        "end": "2026-03-10T09:00:00Z",
        "reason": "r",
    }
    made = world.ask("POST", "/v1/outages", json=outage)
    assert (made.status_code, made.json()["cause"], made.json()["withdrawn_at"]) == (201, "declared", None)
    again = world.ask("POST", "/v1/outages", json=outage)
    assert (again.status_code, again.json()) == (200, made.json())
    for words, field, value in (
        ({"end": outage["start"]}, "end", outage["start"]),
        ({"resources": ["vm-acme", "none"]}, "resources", "none"),
        ({"resources": []}, "resources", ""),
        ({"region": "eu"}, "resources", "vm-acme, vm-globex"),
        ({"resources": [], "region": "nowhere"}, "region", "nowhere"),
        ({"cause": "metering_gap"}, "cause", "metering_gap"),
    ):
        is_problem(world.ask("POST", "/v1/outages", json={**outage, "id": "x", **words}), 422, "invalid", field, value)
    is_problem(world.ask("POST", "/v1/outages", json={**outage, "reason": "other"}), 409, "conflict", "id", "o")
    for number in range(3):
        labelled = {**outage, "id": f"g{number}", "resources": ["vm-globex"], "cause": "unplanned_stop"}
        assert world.ask("POST", "/v1/outages", json=labelled).status_code == 201
    (own,) = world.ask("GET", "/v1/outages", key="acme").json()["items"]
    assert own == {**made.json(), "resources": ["vm-acme"]}
    first = world.ask("GET", "/v1/outages", key="globex", params={"limit": 3}).json()
    rest = world.ask("GET", "/v1/outages", key="globex", params={"limit": 3, "cursor": first["next_cursor"]}).json()
    assert [each["id"] for each in (*first["items"], *rest["items"])] == ["g2", "g1", "g0", "o", "outage-vm-globex"]
    assert (rest["next_cursor"], world.ask("GET", "/v1/outages/g1", key="acme").status_code) == (None, 404)
    gone = world.ask("POST", "/v1/outages/o/withdraw", json={"reason": "another host"}).json()
    assert (gone["withdrawal"], gone["withdrawn_at"]) == ("another host", "2026-04-02T12:00:00Z")
    assert world.ask("GET", "/v1/outages/o", key="acme").json()["withdrawal"] == "another host"
    is_problem(world.ask("POST", "/v1/outages/none/withdraw", json={"reason": "x"}), 404, "not_found", "outage_id", "none")
