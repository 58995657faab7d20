from __future__ import annotations

from tools.streams import compare

TRUTH = {
    "outcomes_not_stored": [{"line": 1, "outcome": "refused", "code": "future", "field": "measured_at_ns", "index": 3}],
    "outcome_counts": {"refused": 1, "stored": 1},
    "gaps": [{"resource_id": "a", "from_ns": 1, "until_ns": 5, "filled": "unknown"}],
    "findings": [{"resource_id": "a", "boot_id": "b", "at_ns": 5, "code": "counter_reset", "counters": ["x", "y"]}],
    "missing_sequences": [{"resource_id": "a", "boot_id": "b", "spool": "s", "sequence": 4}],
}
STORED = {"outcome": "stored"}
REFUSED = {"outcome": "refused", "code": "future", "field": "measured_at_ns", "index": 3}


def test_what_is_equal_tells_nothing() -> None:
    assert compare.outcome_differences(TRUTH, [STORED, REFUSED]) == []
    assert compare.gap_differences(TRUTH, TRUTH["gaps"]) == []
    assert compare.finding_differences(TRUTH, [{**TRUTH["findings"][0], "counters": ["y", "x"]}]) == []
    assert compare.missing_differences(TRUTH, TRUTH["missing_sequences"]) == []


def test_every_difference_is_told() -> None:
    assert compare.outcome_differences(TRUTH, [STORED, {**REFUSED, "index": 4}]) == [
        "delivery 1: expected refused future measured_at_ns 3, found refused future measured_at_ns 4"
    ]
    assert len(compare.outcome_differences(TRUTH, [STORED, STORED])) == 2
    assert compare.missing_differences(TRUTH, []) == ["missing sequence missing: a b s 4"]
    assert compare.gap_differences(TRUTH, []) == ["gap missing: a 1 5 unknown"]
    assert compare.finding_differences(TRUTH, TRUTH["findings"] * 2) == ["finding extra: a b 5 counter_reset ('x', 'y')"]
