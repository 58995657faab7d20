"""docs/pricing.md: each of its examples is a fragment of a price book with usage, and comes to the amount that it states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tallystick.rate.charge import QUANTITY_ADJUSTMENTS
from tallystick.rate.models.registry import MODELS
from tallystick.rate.totals.steps import STEPS
from tests.cases.reading import Case, read
from tests.unit.rate.test_rate_cases import closed

PAGE = (Path(__file__).parents[3] / "docs" / "pricing.md").read_text()
EXAMPLES = re.findall(r"```example\n(.*?)```", PAGE, re.DOTALL)
BOOK_KEYS = ("charges", "fees", "commitments", "discounts", "service_levels")
SECTIONS = {
    **{"event": "events", "market": "market", "run": "runs", "outage": "outages"},
    **{"reservation": "reservations", "coupon": "coupons", "subscription": "subscriptions"},
}
SUBSCRIPTION = "subscription s p 2026-05-01T00:00:00Z .. -"
CLOSES = "2026-07-01T00:00:00Z"


def case(text: str) -> Case:
    """The example as a text case: keys of a plan, then rows of the sections that their first word names, or else of usage."""
    lines = text.strip().splitlines()
    keys = [line for line in lines if line.split(":")[0] in BOOK_KEYS]
    rows = [line for line in lines if line not in keys]
    if not any(row.startswith("subscription ") for row in rows):
        rows.append(SUBSCRIPTION)
    plan = "\n".join(f"    {key}" for key in keys)
    made = "An example.\ncurrency: EUR\n\n== prices\nbook: b\neffective_from: 2026-01-01T00:00:00Z\n"
    made += f"plans:\n  - id: p\n    currency: EUR\n{plan}\n"
    for row in rows:
        word, _, rest = row.partition(" ")
        if word == "total":
            made += f"\n== invoice {CLOSES}\n{row}\n"
        elif word == "market":
            made += f"\n== market\n{rest}\n"
        else:
            made += f"\n== {SECTIONS[word]}\n{rest}\n" if word in SECTIONS else f"\n== usage\n{row}\n"
    return read("example", made)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_page(text: str) -> None:
    """Its total is what the formula says."""
    one = case(text)
    (expected,) = one.invoices
    made, _, _ = closed(one, expected)
    assert (made.total.text, made.findings) == (expected.total, ())


def test_the_page_has_every_model_and_step() -> None:
    """A model or an adjustment that nobody explains is not there for users."""
    explained = {name for name in MODELS if f"**`{name}`**" in PAGE}
    assert explained == set(MODELS)
    used = "\n".join(EXAMPLES)
    for key in ("increment:", "minimum:", "reservation ", "free:", "included:", "cap:", "commitments:", "discounts:", "coupon ", "outage "):
        assert key in used
    assert (len(QUANTITY_ADJUSTMENTS), len(STEPS)) == (4, 4), "a step that is new needs an example"
