"""Subscriptions as they may be agreed: what is refused when one is created, and the default plan where none was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.model.billing.contracts import Contract, Coverage, Subscription
from tallystick.model.billing.price_book import PriceBook, price_spans
from tallystick.model.instants import iso
from tallystick.rate.books.consistency import contradict, default_plan

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
    for other in others:
        if other.id == subscription.id:
            found.append(f"id: {subscription.id!r} exists")
        elif other.customer_id == subscription.customer_id and _tie(subscription, other):
            found.append(f"covers: {_covered(subscription.covers)} is also covered by subscription {other.id!r} from {iso(other.start_ns)}")
    return tuple(found)


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
