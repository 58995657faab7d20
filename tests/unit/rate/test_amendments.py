"""What becomes otherwise of a subscription: what is agreed, what is asked, and what it becomes or why not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tallystick.model.billing.contracts import AgreedTier, Coupon, Override, Subscription
from tallystick.model.billing.money import Money
from tallystick.model.billing.phases import as_known, phases, plan_at
from tallystick.model.billing.price_book import Commitment, PriceBook
from tallystick.model.instants import iso, parse_iso
from tallystick.rate.agreements import refusals
from tallystick.rate.load import load_book
from tallystick.rate.terms.amendments import Amended, cancelled, changed, paused, resumed

BOOKS = (
    """
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - {id: small, currency: USD, fees: [{id: base, amount: 3}], charges: [{id: up, meter: uptime, per: hour, price: 1}]}
  - {id: large, currency: USD, charges: [{id: up, meter: uptime, per: hour, price: 2}]}
  - {id: euro, currency: EUR, charges: [{id: up, meter: uptime, per: hour, price: 1}]}
  - {id: yearly, currency: USD, cycle: yearly, charges: [{id: up, meter: cpu.used, per: core-hour, price: 1}]}
""",
    """
book: later
effective_from: 2026-07-01T00:00:00Z
plans: [{id: late, currency: USD, charges: [{id: up, meter: uptime, per: hour, price: 1}]}]
""",
)
MADE_NS = parse_iso("2026-06-05T00:00:00Z")
ROWS = Path(__file__).with_name("subscriptions_amended.txt").read_text().strip().splitlines()[1:]
NEW = Subscription(id="s", customer_id="c", plan_id="small", start_ns=parse_iso("2026-06-01T00:00:00Z"))


def books() -> tuple[PriceBook, ...]:
    """The books of this file."""
    found = [load_book(text, "b") for text in BOOKS]
    assert not any(mistakes for _, mistakes in found), found
    return tuple(book for book, _ in found if book is not None)


def asked(subscription: Subscription, words: str) -> Amended:
    """What becomes of a subscription: `change plan instant`, `pause from .. until`, `resume instant`, `cancel instant`."""
    if words == "-":
        return subscription, ()
    kind, *rest = words.split()
    if kind == "change":
        return changed(subscription, rest[0], parse_iso(rest[1]), MADE_NS, books())
    if kind == "pause":
        return paused(subscription, parse_iso(rest[0]), None if rest[2] == "-" else parse_iso(rest[2]), MADE_NS)
    return {"resume": resumed, "cancel": cancelled}[kind](subscription, parse_iso(rest[0]), MADE_NS)


def told(subscription: Subscription) -> str:
    """What was agreed, as the table writes it."""
    words = [f"change {change.plan_id} {iso(change.at_ns)}" for change in subscription.changes]
    words += [f"pause {iso(each.from_ns)} .. {'-' if each.until_ns is None else iso(each.until_ns)}" for each in subscription.pauses]
    words += [] if subscription.end_ns is None else [f"cancel {iso(subscription.end_ns)}"]
    return ", ".join(words) or "-"


@pytest.mark.parametrize("row", ROWS)
def test_what_is_agreed_later(row: str) -> None:
    """A refusal leaves it as it was."""
    before, wanted, said = (part.strip() for part in row.split("|"))
    agreed, none = asked(NEW, before)
    assert not none
    found, refused = asked(agreed, wanted)
    if said.startswith(("change", "pause", "cancel", "-")):
        assert (told(found), refused) == (said, ())
        assert asked(found, wanted) == (found, ()), "the same again changes nothing"
    else:
        assert found == agreed
        assert all(sentence.startswith(part) for sentence, part in zip(refused, said.split("; "), strict=True)), refused


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ({"overrides": (Override(charge_id="up", price=Fraction(2)),)}, ""),
        ({"overrides": (Override(charge_id="down", price=Fraction(2)),)}, "overrides: 'down' is no charge of the plan; there are: up"),
        ({"overrides": (Override(charge_id="up"), Override(charge_id="up"))}, "overrides: one charge twice"),
        (
            {"overrides": (Override(charge_id="up", tiers=(AgreedTier(up_to=Fraction(3)),)),)},
            "overrides: 'up': tiers need rising bounds, and none in the last",
        ),
        (
            {"overrides": (Override(charge_id="up", price=Fraction(1), tiers=(AgreedTier(up_to=None),)),)},
            "overrides: 'up' has a price and tiers",
        ),
        ({"commitments": (Commitment(id="m", name="M", charges=("down",)),)}, "commitments: 'm' names 'down', which is no charge"),
        ({"commitments": (Commitment(id="base", name="M"),)}, "commitments: 'base' is an id of the plan already"),
        (
            {"commitments": (Commitment(id="m", name="M", minimum=Fraction(2), maximum=Fraction(1)),)},
            "commitments: 'm': minimum 2 is above its maximum",
        ),
        ({"coupons": (Coupon(id="w", name="W", amount=Money(minor=5, currency="EUR")),)}, "coupons: 'w' is in EUR, the plan in USD"),
    ],
)
def test_what_is_agreed_beside_a_plan(beside: dict[str, tuple[Override, ...]], said: str) -> None:
    """Of charges that the plan has, in its currency."""
    found = refusals(replace(NEW, **beside), (), books())
    assert (not found) if not said else [sentence for sentence in found if sentence.startswith(said)], found


def test_what_a_fee_in_advance_knew() -> None:
    """What came before, and what was announced for later; a pause that was resumed later was open then."""
    at_ns, later_ns = parse_iso("2026-06-05T00:00:00Z"), parse_iso("2026-06-20T00:00:00Z")
    agreed = asked(asked(asked(NEW, "change large 2026-06-17T13:37:00Z")[0], "pause 2026-06-18T00:00:00Z .. -")[0], "-")[0]
    agreed = cancelled(resumed(agreed, later_ns, later_ns)[0], parse_iso("2026-06-25T00:00:00Z"), later_ns)[0]
    assert as_known(agreed, at_ns - 1) == NEW
    assert told(as_known(agreed, at_ns)) == "change large 2026-06-17T13:37:00Z, pause 2026-06-18T00:00:00Z .. -"
    assert as_known(agreed, later_ns) == agreed
    stretches = [(phase.plan_id, iso(phase.from_ns)[8:13]) for phase in phases(agreed, NEW.start_ns, parse_iso("2026-07-01T00:00:00Z"))]
    assert stretches == [("small", "01T00"), ("large", "17T13"), ("large", "20T00")]
    assert plan_at(agreed, later_ns) == "large"
