"""Another version of prices in place of those in force: what it would have cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.model.billing.price_book import PriceBook


def in_place_of(books: Sequence[PriceBook], instead: PriceBook | None) -> tuple[PriceBook, ...]:
    """The books, with one that has always been in force in place of all versions of its id, and of plans of its that others have too."""
    if instead is None:
        return tuple(books)
    taken = {plan.id for plan in instead.plans}
    others = [replace(book, plans=tuple(plan for plan in book.plans if plan.id not in taken)) for book in books if book.id != instead.id]
    always = replace(instead, effective_from_ns=0, effective_until_ns=None, corrects=None)
    return (*(book for book in others if book.plans), always)
