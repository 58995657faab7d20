"""What may be agreed otherwise of a subscription that is there: another plan, a pause, its end (billing.md, Subscriptions and periods).

Each is `step(subscription, ...) -> (subscription, refusals)`: with a refusal the subscription is as it was. The same again changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.model.billing.contracts import Change, Pause, Subscription
from tallystick.model.billing.phases import is_paused, plan_at
from tallystick.model.billing.price_book import Plan, PriceBook, price_spans
from tallystick.model.instants import CELL_NS, cell_start, iso

Amended = tuple[Subscription, tuple[str, ...]]


def changed(subscription: Subscription, plan_id: str, at_ns: int, made_ns: int, books: Sequence[PriceBook]) -> Amended:
    """On another plan from an instant on; a change that was agreed for the same instant before gives way.

    The plan is billed in the same cycle and currency, and its charges of the same id are of the same meter and unit: tiers go on in them.
    """
    found = [*_outside("at", subscription, at_ns), *_unknown_plan(plan_id, at_ns, books)]
    if not found:
        before = _plan(plan_at(subscription, at_ns), at_ns, books)
        found += _incompatible(before, _plan(plan_id, at_ns, books))
    if found:
        return subscription, tuple(found)
    kept = tuple(change for change in subscription.changes if change.at_ns != at_ns)
    as_it_was = replace(subscription, changes=kept)
    if plan_at(as_it_was, at_ns) != plan_id:
        as_it_was = replace(as_it_was, changes=(*kept, Change(at_ns=at_ns, plan_id=plan_id, made_ns=made_ns)))
    same = {(change.at_ns, change.plan_id) for change in as_it_was.changes} == {(each.at_ns, each.plan_id) for each in subscription.changes}
    return (subscription if same else as_it_was), ()


def paused(subscription: Subscription, from_ns: int, until_ns: int | None, made_ns: int) -> Amended:
    """Paused from an instant on, until another or until it is resumed."""
    if any((pause.from_ns, pause.until_ns) == (from_ns, until_ns) for pause in subscription.pauses):
        return subscription, ()
    found = _outside("at", subscription, from_ns)
    if until_ns is not None and until_ns <= from_ns:
        found.append(f"until: {iso(until_ns)} is not after the pause begins, {iso(from_ns)}")
    for pause in subscription.pauses:
        if (pause.until_ns is None or from_ns < pause.until_ns) and (until_ns is None or pause.from_ns < until_ns):
            end = "it is resumed" if pause.until_ns is None else iso(pause.until_ns)
            found.append(f"at: {iso(from_ns)}: it is paused from {iso(pause.from_ns)} until {end} already")
    if found:
        return subscription, tuple(found)
    resumed_ns = None if until_ns is None else made_ns
    added = Pause(from_ns=from_ns, until_ns=until_ns, made_ns=made_ns, resumed_ns=resumed_ns)
    return replace(subscription, pauses=(*subscription.pauses, added)), ()


def resumed(subscription: Subscription, at_ns: int, made_ns: int) -> Amended:
    """In force again from an instant on, earlier than was said or where nothing was said."""
    if any(pause.until_ns == at_ns for pause in subscription.pauses):
        return subscription, ()
    if not is_paused(subscription, at_ns):
        return subscription, (f"at: it is not paused at {iso(at_ns)}",)
    pauses = (
        replace(pause, until_ns=at_ns, resumed_ns=made_ns)
        if pause.from_ns <= at_ns and (pause.until_ns is None or at_ns < pause.until_ns)
        else pause
        for pause in subscription.pauses
    )
    return replace(subscription, pauses=tuple(pauses)), ()


def cancelled(subscription: Subscription, end_ns: int, made_ns: int) -> Amended:
    """Ended at an instant, if it does not end before."""
    if subscription.end_ns == end_ns:
        return subscription, ()
    found = []
    if subscription.end_ns is not None and subscription.end_ns < end_ns:
        found.append(f"at: {iso(end_ns)}: it ends at {iso(subscription.end_ns)} already")
    if end_ns <= subscription.start_ns:
        found.append(f"at: {iso(end_ns)} is not after the start {iso(subscription.start_ns)}")
    return (subscription, tuple(found)) if found else (replace(subscription, end_ns=end_ns, cancelled_ns=made_ns), ())


def _outside(field: str, subscription: Subscription, at_ns: int) -> list[str]:
    if at_ns < subscription.start_ns:
        return [f"{field}: {iso(at_ns)} is before the start {iso(subscription.start_ns)}"]
    if subscription.end_ns is not None and at_ns >= subscription.end_ns:
        return [f"{field}: {iso(at_ns)} is not before the end {iso(subscription.end_ns)}"]
    return []


def _unknown_plan(plan_id: str, at_ns: int, books: Sequence[PriceBook]) -> list[str]:
    if _plan(plan_id, at_ns, books) is not None:
        return []
    known = ", ".join(sorted({plan.id for book in books for plan in book.plans})) or "none"
    if any(book.plan(plan_id) for book in books):
        return [f"plan_id: no version of {plan_id!r} is in force at {iso(at_ns)}"]
    return [f"plan_id: {plan_id!r} is in no price book; there are: {known}"]


def _plan(plan_id: str, at_ns: int, books: Sequence[PriceBook]) -> Plan | None:
    spans = price_spans(books, plan_id, cell_start(at_ns), cell_start(at_ns) + CELL_NS)
    return spans[-1].plan if spans else None


def _incompatible(before: Plan | None, after: Plan | None) -> list[str]:
    """Why tiers, caps and runs could not go on from one plan to the other."""
    if before is None or after is None:
        return []
    found = []
    if before.currency != after.currency:
        found.append(f"plan_id: {after.id!r} is in {after.currency}, {before.id!r} in {before.currency}: cancel it and create another")
    if before.cycle != after.cycle:
        found.append(f"plan_id: {after.id!r} has another billing cycle than {before.id!r}: cancel it and create another")
    metered = {charge.id: (charge.meter, charge.per) for charge in before.charges}
    for charge in after.charges:
        if metered.get(charge.id, (charge.meter, charge.per)) != (charge.meter, charge.per):
            was, now = " per ".join(metered[charge.id]), f"{charge.meter} per {charge.per}"
            found.append(f"plan_id: charge {charge.id!r} is of {now} in {after.id!r} and of {was} in {before.id!r}: give it another id")
    return found
