"""What a large price book costs to read: 5,000 prices in four plans, each for a region, a kind and a label, one in five with tiers.

Loads and validates the text, as `tally price lint` and `POST /v1/price-books` do; CPU-seconds, the best of six. Half as many prices
show how it grows.
"""

from __future__ import annotations

import gc
import time

from bench.measure import line
from tallystick.rate.load import load_book

PRICES = 5_000
PLANS, REGIONS, LABELS = 4, 5, 5
ROUNDS = 6
GOAL_SECONDS, GOAL_RATIO = 1, 1.2

HEAD = "book: large\neffective_from: 2026-01-01T00:00:00Z\nplans:\n"
PLAN = "  - id: plan-{}\n    currency: EUR\n    charges:\n"
CHARGE = """\
      # Machines of kind {kind} in {region}.
      - id: {charge}
        name: vCPU time of {kind} in {region}
        meter: cpu.allocated
        per: vcpu-hour
        filters: {{region: {region}, kind: {kind}, labels: {{class: {label}}}}}
        group_by: [resource]
"""
FLAT = "        price: 0.01{:04d}\n"
TIERS = "        model: graduated\n        tiers:\n          - {{up_to: 1000, price: 0.02{0:04d}}}\n          - {{price: 0.01{0:04d}}}\n"


def book(prices: int) -> str:
    """A book in YAML of so many charges."""
    text = [HEAD]
    for plan in range(PLANS):
        text.append(PLAN.format(plan))
        for number in range(prices // PLANS):
            region, rest = number % REGIONS, number // REGIONS
            label, kind = rest % LABELS, rest // LABELS
            text.append(CHARGE.format(charge=f"cpu-{number}", region=f"region-{region}", kind=f"kind-{kind}", label=f"class-{label}"))
            text.append((FLAT if number % 5 else TIERS).format(number))
    return "".join(text)


def seconds(prices: int) -> float:
    """CPU-seconds of loading and validating such a book."""
    text = book(prices)
    took = []
    for _ in range(ROUNDS):
        gc.collect()
        began = time.process_time()
        found, mistakes = load_book(text, "large.yaml")
        took.append(time.process_time() - began)
        if found is None or sum(len(plan.charges) for plan in found.plans) != prices:
            raise SystemExit(f"bench/billing/book.py: {[mistake.sentence() for mistake in mistakes[:3]]}")
    return min(took)


def main() -> None:
    """The whole book and half of it."""
    half, whole = seconds(PRICES // 2), seconds(PRICES)
    line("book_5000_prices_s", whole, "s", "CPU to load and validate a price book of 5,000 prices in YAML", GOAL_SECONDS)
    what = f"CPU per price of a book of 5,000 prices to one of 2,500: {whole:.3f} s, {half:.3f} s"
    line("growth_book_twice_the_prices", whole / half / 2, "ratio", what, GOAL_RATIO)


if __name__ == "__main__":
    main()
