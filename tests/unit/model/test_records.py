"""What a usage record may be: a table of one change each to a good record, with what is said of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.model.records import LARGEST_AMOUNT, UsageRecord, record_refusal

T = 491_981 * HOUR_NS
GOOD = UsageRecord(
    source="exporter",
    record_id="1",
    resource_id="pod",
    meter="memory.used",
    from_ns=T,
    until_ns=T + HOUR_NS,
    amount=LARGEST_AMOUNT,
    received_at_ns=T + HOUR_NS - 300 * 10**9,
    content_hash=b"",
    peak=2**63 - 1,
)

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"meter": "disk.io"}, "meter = disk.io: unsupported"),
    ({"meter": ""}, "meter: unsupported"),
    ({"from_ns": 0}, "from = 0: out_of_range"),
    ({"until_ns": 2**63}, f"until = {2**63}: out_of_range"),
    ({"until_ns": T - 1}, f"until = {T - 1}: unordered"),
    ({"received_at_ns": T + HOUR_NS - 300 * 10**9 - 1}, f"until = {T + HOUR_NS}: future"),
    (
        {"from_ns": T + HOUR_NS - 31 * DAY_NS - 1},
        f"until = {T + HOUR_NS}: {31 * DAY_NS + 1} ns after its beginning, at most 31 d: too_large",
    ),
    ({"amount": -1}, "amount = -1: out_of_range"),
    ({"amount": LARGEST_AMOUNT + 1}, f"amount = {LARGEST_AMOUNT + 1}: out_of_range"),
    ({"meter": "cpu.used"}, f"peak = {2**63 - 1}: unsupported"),
    ({"peak": -1}, "peak = -1: out_of_range"),
]
RIGHT: list[dict[str, Any]] = [
    {},
    {"until_ns": T},
    {"from_ns": T + HOUR_NS - 31 * DAY_NS},
    {"amount": 0, "peak": 0},
    {"meter": "gpu.memory.used", "peak": None},
    {"meter": "http.requests", "peak": None},
    {"meter": "disk.read_ops", "peak": None},
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_what_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    refusal = record_refusal(replace(GOOD, **change))
    assert refusal is not None
    assert refusal.sentence() == said


@pytest.mark.parametrize("change", RIGHT)
def test_what_can_be_is_taken(change: dict[str, Any]) -> None:
    assert record_refusal(replace(GOOD, **change)) is None
