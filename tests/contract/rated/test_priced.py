"""Events and market prices are stored once, priced with the usage, and frozen with the bill, on every database."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from tallystick.app.accounts import read_account
from tallystick.app.answers.services import estimate
from tallystick.app.answers.together import read_together
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.invoice.evidence import evidence_of, freeze, thaw
from tallystick.invoice.runs import due
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.billing.invoices import MarketPrice, UsageEvent
from tallystick.model.calendar import month_of
from tallystick.model.instants import HOUR_NS
from tallystick.model.resources import Fact
from tallystick.rate.load import load_book
from tallystick.rate.rate import rate
from tallystick.serve.services import EstimateRequest
from tallystick.store.records import Clash
from tallystick.store.store import Store
from tallystick.store.usage.priced import IdentifiedEvent, QuotedPrice
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, T, batch, write

START, END = month_of(T, "UTC")
HOUR = T - T % HOUR_NS
BOOK = """
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: p
    currency: EUR
    charges:
      - {id: spot, meter: uptime, per: hour, model: spot}
      - {id: orders, meter: events.orders, per: unit, model: percentage, percent: 10}
"""


def price(amount: str, hour_ns: int = HOUR, currency: str = "EUR") -> QuotedPrice:
    return QuotedPrice(price=MarketPrice(region="eu", kind="vm", hour_ns=hour_ns, price=Fraction(amount)), currency=currency)


def order(name: str, amount: int, at_ns: int = T) -> IdentifiedEvent:
    return IdentifiedEvent(id=name, event=UsageEvent(resource_id="vm-1", meter="events.orders", at_ns=at_ns, amount=Fraction(amount)))


def test_what_was_told_once_never_changes(store: Store) -> None:
    told = [price("0.1"), price("1/3", HOUR + HOUR_NS), price("9", currency="USD")]
    assert (store.priced.put_prices(PLACE, told, actor="test"), store.priced.put_prices(PLACE, told, actor="test")) == (3, 0)
    with pytest.raises(Clash, match=r"the price is 0.1 already, not 0.2"):
        store.priced.put_prices(PLACE, [price("5", HOUR - HOUR_NS), price("0.2")], actor="test")
    assert [each.price.price for each in store.priced.quoted(PLACE, 0, END, 9)] == [Fraction(1, 3), Fraction(1, 10), 9]
    assert (store.priced.put_events(PLACE, [order("a", 1), order("a", 1)]), store.priced.put_events(PLACE, [order("a", 1)])) == (1, 0)
    with pytest.raises(Clash, match="'a' is another one"):
        store.priced.put_events(PLACE, [order("b", 1), order("a", 2)])


def test_an_estimate_says_what_it_has_no_price_for(store: Store, clock: StandingClock) -> None:
    book, _ = load_book(BOOK, "b")
    assert book is not None
    store.contracts.add_book(PLACE, book, BOOK, actor="test")
    store.contracts.activate_book(PLACE, "b", 1, actor="test")
    none = Fraction(0)
    asked = EstimateRequest(plan_id="p", vcpus=Fraction(1), memory_gib=Fraction(1), disk_gib=none, network_out_gib=none, hours=Fraction(2))
    found = estimate(store, clock, PLACE, asked)
    assert found.total.minor == 0
    assert len(found.unpriced) == 1, "the market price of both hours, not 0 for them"


def test_they_are_priced_and_frozen(store: Store) -> None:
    """3,600 s up are an hour at 0.25 in one hour and none in the other: 89 s of it at 36.00; orders of 250.00 in all cost 25.00."""
    book, mistakes = load_book(BOOK, "b.yaml")
    assert book is not None, mistakes
    store.contracts.add_book(PLACE, book, BOOK, actor="test")
    store.contracts.activate_book(PLACE, "b", 1, actor="test")
    store.registry.create_customer(PLACE, Customer(id="acme", name="A", currency="EUR", time_zone="UTC"), actor="test")
    store.contracts.create_subscription(PLACE, Subscription(id="s", customer_id="acme", plan_id="p", start_ns=START), actor="test")
    with store.write() as tx:
        store.batches.write_facts(
            tx, PLACE, [Fact(resource_id="vm-1", at_ns=START, received_at_ns=START, customer_id="acme", region="eu", kind="vm")]
        )
    write(store, batch("vm-1", 1, HOUR, 91))
    roll_up(store, DiskHorizon.CLOCK, END)
    store.priced.put_prices(PLACE, [price("36"), price("9", currency="USD")], actor="test")
    store.priced.put_events(PLACE, [order("a", 100), order("b", 150), order("later", 7, END + 1)])
    account = read_account(store, PLACE, "acme", START, END, currency="EUR")
    (run,) = [each for each in due(account.contract, account.books, END, START) if each.period_end_ns == END]
    evidence = evidence_of(account.usage, account.contract, account.books, run)
    rated = rate(evidence.usage, evidence.contract, evidence.books, run)
    assert rated.findings == ()
    assert {line.charge_id: line.amount.text for line in rated.lines} == {"spot": "0.90", "orders": "25.00"}
    frozen = freeze(evidence)
    thawed = thaw(frozen.blob, frozen.hash)
    assert rate(thawed.usage, thawed.contract, thawed.books, run) == rated
    ((contract, books, usage),) = read_together(store, PLACE, ["acme"], (START, END), at_ns=END)
    assert rate(usage, contract, books, run) == rated
    unasked = replace(account.usage, market=())
    assert [each.code for each in rate(unasked, account.contract, account.books, run).findings] == ["unpriced_market"]
