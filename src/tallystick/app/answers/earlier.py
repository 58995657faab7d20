"""What came before a span of usage and changes what it costs: runs that are still open, and tiers that earlier invoices filled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tallystick.model.access import Place
from tallystick.model.billing.contracts import Contract
from tallystick.model.billing.invoices import TierFill
from tallystick.model.billing.price_book import Charge, PriceBook
from tallystick.model.billing.runs import open_after
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.rate.adjustments.run_rules import has_rules
from tallystick.rate.terms.known import fills_of
from tallystick.store.engine import Tx
from tallystick.store.store import Store

STRIDE_NS = 31 * DAY_NS


def charges_of(contract: Contract, books: Iterable[PriceBook]) -> list[Charge]:
    """The charges of every plan that a customer's subscriptions are on at some time."""
    plans = {plan_id for each in contract.subscriptions for plan_id in each.plan_ids}
    return [charge for book in books for plan in book.plans if plan.id in plans for charge in plan.charges]


def open_runs(store: Store, place: Place, keys: Sequence[int], charges: Iterable[Charge], at_ns: int, tx: Tx) -> dict[int, int]:
    """By resource how long the run that is open at an hour had been up; none where no charge asks, or no stored hour saw it begin."""
    first_ns = store.usage.first_hour(place, keys, tx=tx) if any(map(has_rules, charges)) else None
    found: dict[int, int] = {}
    since = dict.fromkeys(keys, 0)
    until_ns = at_ns
    while since and first_ns is not None and until_ns > first_ns:
        from_ns = max(until_ns - STRIDE_NS, first_ns)
        for key, hour in reversed(store.usage.hour_totals(place, from_ns, until_ns, resource_keys=list(since), tx=tx)):
            if key in since and hour.runs:
                opening = [row for _, row in store.usage.hours(place, hour.hour_ns, hour.hour_ns + HOUR_NS, resource_keys=[key], tx=tx)]
                found[key] = since.pop(key) + (open_after(opening, None) or 0)
            elif key in since:
                since[key] += hour.totals.get("uptime", 0)
        until_ns = from_ns
    return found


def tier_fills(store: Store, place: Place, contract: Contract, books: Sequence[PriceBook], from_ns: int, tx: Tx) -> tuple[TierFill, ...]:
    """What the invoices of periods that ended by an hour filled of tiers that count over whole subscriptions; they are closed in order."""
    if not any(charge.lifetime for charge in charges_of(contract, books)):
        return ()
    found: dict[TierFill, TierFill] = {}
    for stored in store.invoices.list(place, customers=frozenset({contract.customer.id}), tx=tx):
        if stored.invoice.run.closing_ns < from_ns + HOUR_NS:
            for fill in fills_of(stored.invoice.lines, books):
                key = replace(fill, quantity=fill.quantity * 0)
                found[key] = replace(fill, quantity=fill.quantity + (found[key].quantity if key in found else 0))
    return tuple(found.values())
