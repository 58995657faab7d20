"""Subscriptions as they may be agreed: what is refused when one is created, and the default plan where none was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tallystick.model.billing.contracts import Contract, Coverage, Override, Subscription
from tallystick.model.billing.money import exact_text
from tallystick.model.billing.price_book import Charge, PriceBook, price_spans
from tallystick.model.instants import iso
from tallystick.rate.books.consistency import contradict, default_plan
from tallystick.rate.terms.overrides import overridden

DEFAULT_ID = "default"


def refusals(subscription: Subscription, others: Sequence[Subscription], books: Sequence[PriceBook]) -> tuple[str, ...]:
    """Why a subscription cannot be created beside the customer's others: one sentence each, none if it can.

    A resource's cell belongs to one subscription: named before labels before all. Two of one rank that could both cover a
    resource at one instant tie, and the later one is refused.
    """
    found = []
    if subscription.id == DEFAULT_ID:
        found.append(f"id: {DEFAULT_ID!r} is the id of the default plan's own subscription")
    if subscription.end_ns is not None and subscription.end_ns <= subscription.start_ns:
        found.append(f"end: {iso(subscription.end_ns)} is not after the start {iso(subscription.start_ns)}")
    if not any(book.plan(subscription.plan_id) for book in books):
        known = ", ".join(sorted({plan.id for book in books for plan in book.plans}))
        found.append(f"plan_id: {subscription.plan_id!r} is in no price book; there are: {known or 'none'}")
    elif not price_spans(books, subscription.plan_id, subscription.first_cell_ns, subscription.first_cell_ns + 1):
        found.append(f"plan_id: no version of {subscription.plan_id!r} is in force at the start {iso(subscription.start_ns)}")
    if subscription.covers.resources and subscription.covers.labels:
        found.append("covers: resources and labels together; name one of them, or neither for all")
    found += _beside_the_plan(subscription, books)
    for other in others:
        if other.id == subscription.id:
            found.append(f"id: {subscription.id!r} exists")
        elif other.customer_id == subscription.customer_id and _tie(subscription, other):
            found.append(f"covers: {_covered(subscription.covers)} is also covered by subscription {other.id!r} from {iso(other.start_ns)}")
    return tuple(found)


def _beside_the_plan(subscription: Subscription, books: Sequence[PriceBook]) -> list[str]:
    """What cannot be agreed beside a plan: overrides, minimums and coupons of what the plan does not have."""
    found: list[str] = []
    plans = [plan for book in books if (plan := book.plan(subscription.plan_id)) is not None]
    charges = {charge.id: charge for plan in plans for charge in plan.charges}
    known = ", ".join(charges) or "none"
    if len({each.charge_id for each in subscription.overrides}) < len(subscription.overrides):
        found.append("overrides: one charge twice; say everything about it in one of them")
    for override in subscription.overrides:
        found += _wrong_override(override, charges.get(override.charge_id), known)
    named = [("commitments", each.id, each.charges) for each in subscription.commitments]
    named += [("coupons", each.id, each.charges) for each in subscription.coupons]
    for field, identifier, some in named if plans else ():
        strange = [charge_id for charge_id in some if charge_id not in charges]
        found += [
            f"{field}: {identifier!r} names {charge_id!r}, which is no charge of the plan; there are: {known}" for charge_id in strange
        ]
    taken = set(charges)
    for plan in plans:
        taken |= {fee.id for fee in plan.fees} | {each.id for each in plan.commitments} | {each.id for each in plan.discounts}
    found += [f"commitments: {each.id!r} is an id of the plan already" for each in subscription.commitments if each.id in taken]
    for commitment in subscription.commitments:
        if commitment.minimum is not None and commitment.maximum is not None and commitment.minimum > commitment.maximum:
            found.append(f"commitments: {commitment.id!r}: minimum {exact_text(commitment.minimum)} is above its maximum")
    currency = plans[-1].currency if plans else ""
    for coupon in subscription.coupons if plans else ():
        if coupon.amount is not None and coupon.amount.currency != currency:
            found.append(f"coupons: {coupon.id!r} is in {coupon.amount.currency}, the plan in {currency}")
    return found


def _wrong_override(override: Override, charge: Charge | None, known: str) -> list[str]:
    if charge is None:
        return [f"overrides: {override.charge_id!r} is no charge of the plan; there are: {known}"]
    if override.price is not None and override.tiers:
        return [f"overrides: {override.charge_id!r} has a price and tiers; give one of them"]
    bounds = [tier.up_to for tier in override.tiers]
    rising = all(one is not None and (other is None or one < other) for one, other in pairwise(bounds))
    if override.tiers and (bounds[-1] is not None or not rising):
        return [f"overrides: {override.charge_id!r}: tiers need rising bounds, and none in the last"]
    try:
        overridden(charge, override)
    except ValueError as error:
        return [f"overrides: {error}"]
    return []


def with_default(contract: Contract, books: Sequence[PriceBook], first_usage_ns: int | None, at_ns: int) -> Contract:
    """The contract with the seller's default plan for what no subscription covers, from the customer's first usage on.

    Without a default plan in force at `at_ns` its plan is empty: what it covers is unpriced, and parks. Without usage
    there is nothing to add.
    """
    if first_usage_ns is None:
        return contract
    implicit = Subscription(
        id=DEFAULT_ID,
        customer_id=contract.customer.id,
        plan_id=default_plan(books, at_ns),
        start_ns=first_usage_ns,
        implicit=True,
    )
    return replace(contract, subscriptions=(*contract.subscriptions, implicit))


def _tie(one: Subscription, other: Subscription) -> bool:
    ends = [each.end_ns for each in (one, other)]
    latest_start = max(one.start_ns, other.start_ns)
    if any(end is not None and end <= latest_start for end in ends) or one.implicit or other.implicit:
        return False
    mine, theirs = one.covers, other.covers
    if mine.resources or theirs.resources:
        return bool(set(mine.resources) & set(theirs.resources))
    if mine.labels or theirs.labels:
        return bool(mine.labels and theirs.labels) and not contradict(mine.labels, theirs.labels)
    return True


def _covered(covers: Coverage) -> str:
    if covers.resources:
        return "resource " + ", ".join(covers.resources)
    return "labels " + ", ".join(f"{name}={value}" for name, value in sorted(covers.labels.items())) if covers.labels else "everything"
