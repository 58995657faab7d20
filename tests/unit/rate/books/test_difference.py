"""What two versions of a price book say differently, in words, and in percent."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.model.billing.price_book import Plan, PriceBook
from tallystick.model.billing.price_changes import ChangeKind
from tallystick.rate.books.difference import differences
from tallystick.rate.books.document import digest_of
from tallystick.rate.load import load_book
from tests.unit.rate.worlds import charges, reductions

BEFORE = """\
book: b
effective_from: 2026-01-01
plans:
  - id: p
    currency: EUR
    fees:
      - {id: seat, amount: 10}
    charges:
      - {id: cpu, meter: cpu.used, per: core-hour, price: 0.010, filters: {region: [eu, ch]}, free: 100}
      - id: disk
        meter: disk.allocated
        per: GiB-month
        model: graduated
        tiers: [{up_to: 10, price: 0.20}, {price: 0.10, flat: 5}]
      - {id: up, meter: uptime, per: hour, price: 1, minimum: 60}
    commitments: [{id: least, minimum: 50}]
    discounts: [{id: partner, percent: 10}]
    service_levels: [{id: sla, credits: [{below: 99.9, percent: 10}]}]
    reservations: [{id: year, meter: uptime, per: hour, upfront: 20, recurring: 0.03}]
  - {id: q, currency: USD, fees: [{id: f, amount: 0}]}
"""

CHANGES = [row for row in Path(__file__).with_name("changes.txt").read_text().splitlines() if row[0] != "#"]


def book(text: str) -> PriceBook:
    found, mistakes = load_book(text, "b.yaml")
    assert found is not None, [mistake.sentence() for mistake in mistakes]
    return found


@pytest.mark.parametrize("row", CHANGES)
def test_one_change(row: str) -> None:
    """A text of the book, what stands in its place, and the plan with the sentence that tells of it."""
    was, now, *said = (part.strip() for part in row.split("|"))
    assert was in BEFORE
    changes = differences(book(BEFORE), book(BEFORE.replace(was, now.replace("\\n", "\n"), 1)))
    assert said in [["nothing"]] if not changes else said in [[change.plan_id, change.text] for change in changes]


def test_a_change_is_told_in_parts_too() -> None:
    dearer = BEFORE.replace("0.20", "0.25").replace("id: q", "id: r")
    price, added, removed = differences(book(BEFORE), book(dearer))
    assert (price.plan_id, price.part, price.id, price.key) == ("p", "charge", "disk", "tiers[1].price")
    assert (price.kind, price.before, price.after, price.percent) == (ChangeKind.CHANGED, "0.2", "0.25", Fraction(25))
    assert (added.kind, added.plan_id, added.part, added.id) == (ChangeKind.ADDED, "r", "", "")
    assert (removed.kind, removed.plan_id) == (ChangeKind.REMOVED, "q")


@st.composite
def books(draw: st.DrawFn) -> PriceBook:
    """A version with one plan of any charges, commitments and discounts."""
    some = draw(charges(free=True))
    plan = Plan(id="p", name="P", currency=draw(st.sampled_from(["USD", "JPY"])), charges=some, **draw(reductions(some)))
    return PriceBook(id="b", version=draw(st.integers(0, 2)), effective_from_ns=0, plans=(plan,))


@settings(max_examples=40)
@given(books(), books(), st.booleans())
def test_equal_books_and_only_they_have_no_differences(first: PriceBook, other: PriceBook, same: bool) -> None:
    """And the way back has the same differences, the other way round."""
    second = first if same else other
    there, back = differences(first, second), differences(second, first)
    assert (not there) is (digest_of(first) == digest_of(second))
    assert differences(second, replace(second, version=9)) == ()
    swapped = {ChangeKind.ADDED: ChangeKind.REMOVED, ChangeKind.REMOVED: ChangeKind.ADDED, ChangeKind.CHANGED: ChangeKind.CHANGED}
    mirrored = {(change.plan_id, change.part, change.id, change.key, swapped[change.kind], change.after, change.before) for change in back}
    assert {(change.plan_id, change.part, change.id, change.key, change.kind, change.before, change.after) for change in there} == mirrored
