"""The plan in force now as four prices, where it is no more than that: for display, never for billing (wire.md section 2)."""

from __future__ import annotations

from tallystick.model.access import Place
from tallystick.model.billing.contracts import Coverage
from tallystick.model.billing.money import decimal_text
from tallystick.model.billing.phases import in_force, plan_at
from tallystick.model.billing.price_book import Filters, Plan, price_spans
from tallystick.rate.books.consistency import default_plan
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.terms.overrides import agreed
from tallystick.serve.queries.answers import Rates
from tallystick.store.engine import Tx
from tallystick.store.store import Store

SIMPLE = {
    "cpu.used": "core-hour",
    "memory.used": "GiB-hour",
    "disk.io": "GiB",
    "network.io": "GiB",
}
"""The meters of the four prices, and the unit in which each is told."""


class RatesNow:
    """The rates of customers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, tx: Tx, place: Place, customer_id: str, now_ns: int) -> Rates | None:
        """The rates of the one plan that a customer is on at an instant; None: it is on none or several, or the plan has other prices."""
        books = self._store.contracts.books_in_force(place, tx=tx)
        stored = self._store.contracts.subscriptions(place, customers=frozenset({customer_id}), tx=tx)
        active = [each.subscription for each in stored if in_force(each.subscription, now_ns)]
        if len(active) > 1 or any(each.covers != Coverage() for each in active):
            return None
        plan_id = plan_at(active[0], now_ns) if active else default_plan(books, now_ns)
        spans = price_spans(books, plan_id, now_ns, now_ns + 1) if plan_id else ()
        return simple_rates((agreed(spans[-1], active[0]) if active else spans[-1]).plan) if spans else None


def simple_rates(plan: Plan) -> Rates | None:
    """The prices of a plan that charges nothing but the four meters, whole, at one price each, without allowance or fee; else None."""
    prices: dict[str, str] = {}
    for charge in plan.charges:
        plain = charge.filters == Filters() and not charge.free and not charge.also and charge.month_hours is None
        if not plain or SIMPLE.get(charge.meter) != charge.per or charge.meter in prices or not isinstance(charge.model, UnitModel):
            return None
        prices[charge.meter] = decimal_text(charge.model.price)
    return Rates(prices=prices) if prices and not plan.fees else None
