"""Hours, days and months as a person reads them, with costs that add up, and usage by label, on every database."""

from __future__ import annotations

from fractions import Fraction

from tallystick.app.answers.usage.labels import usage_by_label
from tallystick.app.answers.usage.views import usage_views
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.calendar import month_of
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.model.resources import Fact
from tallystick.rate.load import load_book
from tallystick.serve.services import UsageBy, UsageQuery
from tallystick.store.store import Store
from tests.contract.rows import PLACE, SECOND, T, batch, write
from tests.contract.test_closing import NumberedIds

START, END = month_of(T, "Asia/Kathmandu")
BOOK = """
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: p
    currency: EUR
    charges:
      - {id: up, meter: uptime, per: hour, price: 3600}
"""


def fact(name: str, at_ns: int, **labels: str) -> Fact:
    return Fact(resource_id=name, at_ns=at_ns, received_at_ns=at_ns, customer_id="acme", vcpus=2, labels=labels)


def test_views_days_and_months_agree_with_the_bill(store: Store) -> None:
    """A euro a second: vm-1 is up 89 s and, a day later, 59 s; its team changes in between. vm-2 is up 29 s."""
    book, mistakes = load_book(BOOK, "b.yaml")
    assert book is not None, mistakes
    store.contracts.add_book(PLACE, book, BOOK, actor="test")
    store.contracts.activate_book(PLACE, "b", 1, actor="test")
    store.registry.create_customer(PLACE, Customer(id="acme", name="A", currency="EUR", time_zone="Asia/Kathmandu"), actor="test")
    store.contracts.create_subscription(PLACE, Subscription(id="s", customer_id="acme", plan_id="p", start_ns=START), actor="test")
    with store.write() as tx:
        facts = [fact("vm-1", START, team="a"), fact("vm-1", T + HOUR_NS, team="b"), fact("vm-2", START)]
        store.batches.write_facts(tx, PLACE, facts)
    write(store, batch("vm-1", 1, T, 90), batch("vm-1", 2, T + DAY_NS, 60, boot="next"), batch("vm-2", 1, T, 30))
    while roll_up(store, DiskHorizon.CLOCK, END):
        pass
    query = UsageQuery(resource_id=None, customers=frozenset({"acme"}), from_ns=START, until_ns=END)
    now_ns = T + 2 * DAY_NS
    by = {each: usage_views(store, NumberedIds(), PLACE, query, each, now_ns) for each in UsageBy}
    for name, up in (("vm-1", 89 + 59), ("vm-2", 29)):
        for found in by.values():
            mine = [each for each in found if each.resource_id == name]
            assert sum(each.view.uptime_ns for each in mine) == up * SECOND
            assert sum(each.view.vcpu_ns or 0 for each in mine) == 2 * up * SECOND
        for kind in (UsageBy.DAY, UsageBy.MONTH):
            costs = [each.cost_estimated or 0 for each in by[kind] if each.resource_id == name]
            assert sum(costs) == up
    (first, second) = [each for each in by[UsageBy.DAY] if each.resource_id == "vm-1" and each.view.uptime_ns]
    assert [each.cost_estimated for each in (first, second)] == [Fraction(89), Fraction(59)]
    assert first.zone == "Asia/Kathmandu"
    assert first.view.memory_average == 1000
    assert first.view.cpu_maximum == Fraction(89 * 1000, 89 * SECOND)
    assert all(each.cost_billed is None for each in by[UsageBy.MONTH])
    labels = {each.value: (each.resources, dict(each.amounts)["uptime"]) for each in usage_by_label(store, PLACE, "team", span(T))}
    assert labels == {"": (1, 29 * SECOND), "a": (1, 89 * SECOND), "b": (1, 59 * SECOND)}


def span(at_ns: int) -> UsageQuery:
    return UsageQuery(resource_id=None, customers=frozenset({"acme"}), from_ns=at_ns - DAY_NS, until_ns=at_ns + 3 * DAY_NS)
