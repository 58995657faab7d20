"""How well reservations were used, read week by week from what is stored, on every database."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tallystick.app.answers.reservations import report_reservations
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.model.resources import Fact
from tallystick.rate.load import load_book
from tallystick.store.store import Store
from tests.contract.rows import PLACE, T, batch, reservation, write

BOOK = """
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - {id: p, currency: CHF, charges: [{id: up, meter: uptime, per: hour, price: 1}]}
"""


def test_reservations_are_reported(store: Store) -> None:
    """30 s of every hour of ten days, of which two hours, in two weeks, used 89 s together: 29 and 59, of which 30 are covered."""
    book, mistakes = load_book(BOOK, "b.yaml")
    assert book is not None, mistakes
    store.contracts.add_book(PLACE, book, BOOK, actor="test")
    store.contracts.activate_book(PLACE, "b", 1, actor="test")
    store.registry.create_customer(PLACE, Customer(id="acme", name="A", currency="EUR"), actor="test")
    store.contracts.create_subscription(PLACE, Subscription(id="s", customer_id="acme", plan_id="p", start_ns=T), actor="test")
    held = replace(reservation("r", "s"), quantity=Fraction(30, 3600), start_ns=T, end_ns=T + 10 * DAY_NS, upfront=Fraction(1))
    store.reservations.create(PLACE, "acme", held, actor="test")
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, [Fact(resource_id="vm-1", at_ns=T, received_at_ns=T, customer_id="acme")])
    write(store, batch("vm-1", 1, T, 30), batch("vm-1", 2, T + 8 * DAY_NS, 60, boot="next"))
    end_ns = T + 30 * DAY_NS
    waiting = report_reservations(store, PLACE, "acme", T, end_ns)
    assert (waiting.hours_waiting, waiting.report.reservations[0].used) == (8 * 24 + 1, 0)
    while roll_up(store, DiskHorizon.CLOCK, end_ns):
        pass
    found = report_reservations(store, PLACE, "acme", T, end_ns)
    assert (found.hours_waiting, found.currencies) == (0, {"r": "CHF"})
    (one,) = found.report.reservations
    assert (one.reserved, one.used) == (Fraction(240 * 30, 3600), Fraction(29 + 30, 3600))
    assert one.unused_cost == (one.reserved - one.used) * (held.recurring + Fraction(1, 2))
    (beside,), (total,) = found.report.usage, found.report.totals
    assert beside == total
    assert (beside.used, beside.covered) == (Fraction(29 + 59, 3600), one.used)
    part = report_reservations(store, PLACE, "acme", T + HOUR_NS, T + 8 * DAY_NS).report
    assert [each.used for each in part.reservations] == [0]
    assert [each.coverage for each in part.usage] == [None]
