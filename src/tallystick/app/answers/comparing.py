"""Two versions of a price book side by side: what changes, and for whom."""

from __future__ import annotations

from collections import defaultdict

from tallystick.model.access import Place
from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.price_book import PriceBook
from tallystick.rate.books.difference import differences
from tallystick.serve.problems import invalid, not_found
from tallystick.serve.services import BookChoice, Comparison, TouchedPlan
from tallystick.store.store import Store


def compare_books(store: Store, place: Place, before: BookChoice | None, after: BookChoice) -> Comparison:
    """What `after` says otherwise than `before`, or than the version that it would follow.

    Raises:
        Problem: there is no such version, or nothing to compare with.

    """
    later = chosen_book(store, place, after)
    earlier = _followed(store, place, later) if before is None else chosen_book(store, place, before)
    changes = differences(earlier, later)
    touched = dict.fromkeys(change.plan_id for change in changes if change.plan_id)
    return Comparison(before=earlier, after=later, changes=changes, plans=_plans(store, place, tuple(touched), earlier, later))


def chosen_book(store: Store, place: Place, choice: BookChoice) -> PriceBook:
    """The version that is meant.

    Raises:
        Problem: there is no such version.

    """
    if choice.book is not None:
        return choice.book
    if choice.version is None:
        versions = [book for book in store.contracts.books_in_force(place) if book.id == choice.book_id]
        if not versions:
            raise not_found("book", choice.book_id)
        return max(versions, key=lambda book: (book.effective_from_ns, book.version))
    found = store.contracts.book(place, choice.book_id, choice.version)
    if found is None:
        raise not_found("version", f"{choice.book_id} version {choice.version}")
    return found.book


def _followed(store: Store, place: Place, later: PriceBook) -> PriceBook:
    """The version in force when the later one takes effect: the one that it would follow."""
    earlier = [
        book
        for book in store.contracts.books_in_force(place)
        if book.id == later.id and book.version != later.version and book.effective_from_ns <= later.effective_from_ns
    ]
    if not earlier:
        detail = f"before: no version of {later.id} is in force that this one would follow; say what to compare it with"
        raise invalid("before", "", detail)
    return max(earlier, key=lambda book: (book.effective_from_ns, book.version))


def _plans(store: Store, place: Place, touched: tuple[str, ...], earlier: PriceBook, later: PriceBook) -> tuple[TouchedPlan, ...]:
    whose: dict[str, list[str]] = defaultdict(list)
    for stored in store.contracts.subscriptions(place) if touched else ():
        bound = stored.subscription
        if bound.end_ns is None or bound.end_ns > later.effective_from_ns:
            for plan_id in _plans_from(bound, later.effective_from_ns):
                whose[plan_id].append(bound.customer_id)
    defaults = {plan.id for book in (earlier, later) for plan in book.plans if plan.default}
    return tuple(
        TouchedPlan(plan_id=plan, default=plan in defaults, subscriptions=len(whose[plan]), customer_ids=tuple(sorted(set(whose[plan]))))
        for plan in touched
    )


def _plans_from(bound: Subscription, from_ns: int) -> set[str]:
    """The plan that a subscription is on at an instant, and those that it changes to later."""
    changes = sorted(bound.changes, key=lambda change: change.at_ns)
    before = [bound.plan_id, *(change.plan_id for change in changes if change.at_ns <= from_ns)]
    return {before[-1], *(change.plan_id for change in changes if change.at_ns > from_ns)}
