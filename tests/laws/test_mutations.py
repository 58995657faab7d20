"""Deliberate mutations of the meter: each must be caught by holding it against the reference, or the laws prove nothing."""

from __future__ import annotations

from types import ModuleType

import pytest

import tests.laws.compare
from tests.laws.mutated import mutated

SEEDS = 400
MUTATIONS = {
    "a fall to just half is no reset": ("fold", "if known and 2 * y > x:", "if known and 2 * y >= x:"),
    "the limit itself is a gap": ("links", "silent = until - a.at_ns > limit", "silent = until - a.at_ns >= limit"),
    "shares are rounded up": (
        "ledger",
        "upto = amounts if low == end_ns else [amount * (low - start_ns) // span for amount in amounts]",
        "upto = amounts if low == end_ns else [-(-amount * (low - start_ns) // span) for amount in amounts]",
    ),
    "of a share at a boundary the rest is lost": (
        "ledger",
        "right[place] += amount - share",
        "right[place] += amount - share - (amount * before % span > 0)",
    ),
    "a level at a boundary is counted in one cell": (
        "ledger",
        "right[MEMORY] += level * (span - before)",
        "left[MEMORY] += level * (span - before)",
    ),
    "of two copies the last stays": (
        "sealing/united",
        "sorted(segments, key=lambda one: (one.received_at_ns, one.batch_key))",
        "sorted(segments, key=lambda one: (-one.received_at_ns, one.batch_key))",
    ),
    "a stop at the instant of a start is the newer's": (
        "incarnations",
        "low = 0 if start is None else bisect_right(stops, start)",
        "low = 0 if start is None else bisect_left(stops, start)",
    ),
    "two at once count twice": ("links", "meter.newer = merged((*meter.newer, *lives))", "meter.newer = []"),
    "the highest limb of an area is lost": ("fold", "if top.any():", "if False:"),
    "of two facts at one instant the first received wins": (
        "ledger",
        "(fact.at_ns, fact.received_at_ns)",
        "(fact.at_ns, -fact.received_at_ns)",
    ),
}

MUTATIONS |= {
    "the coarser record bills": (
        "sources.combined",
        "(of_records[number].fineness_ns, number)",
        "(-of_records[number].fineness_ns, number)",
    ),
    "the source registered last bills": (
        "sources.combined",
        "(of_records[number].fineness_ns, number)",
        "(of_records[number].fineness_ns, -number)",
    ),
    "rows bill before our protocol": ("sources.combined", "first = covering[0]", "first = covering[-1]"),
    "a silence that nothing fills is measured": ("sources.combined", "(meter != MEMORY_USED or self.knows(cell))", "True"),
    "shares of a record are rounded up": (
        "sources.claims",
        "upto = amount * (low - start) // (end - start)",
        "upto = -(-amount * (low - start) // (end - start))",
    ),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_meter_is_caught(name: str) -> None:
    with mutated(*MUTATIONS[name]) as compare:
        assert any(differs(compare, seed) for seed in range(SEEDS))


def differs(compare: ModuleType, seed: int) -> bool:
    try:
        return bool(compare.check(seed))
    except (ValueError, KeyError, AssertionError):
        return True


def test_the_real_meter_passes_the_same() -> None:
    """Also that loading mutated modules left nothing behind."""
    with mutated("fold", "if known and 2 * y > x:", "if known and 2 * y >= x:"):
        pass
    assert not any(tests.laws.compare.check(seed) for seed in range(SEEDS))
