"""Counter: how much a cumulative counter grew in a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.meter.summaries.events import windowed
from tallystick.meter.summaries.readings import Reading, change, increase, resets, steps
from tests.oracles.values import in_seconds, number, seconds

TOPIC = "counter"

Fields = Mapping[str, Any]


def readings(inputs: Fields) -> list[Reading]:
    """The samples of a case, with their starts where they are told."""
    return [
        Reading(
            at_ns=seconds(each["t_s"]),
            value=number(each["value"]),
            started_ns=None if each.get("start_s") is None else seconds(each["start_s"]),
        )
        for each in inputs["samples"]
    ]


def grown(inputs: Fields, policy: Fields) -> Fields:
    """Growth, from the last reading before the window on."""
    return {"increase": increase(readings(inputs), *map(seconds, inputs["window_s"]))}


def gauge_delta(inputs: Fields, policy: Fields) -> Fields:
    """The change of a gauge."""
    return {"delta": change(readings(inputs), *map(seconds, inputs["window_s"]))}


def per_window_delta(inputs: Fields, policy: Fields) -> Fields:
    """The last step of each window."""
    found = windowed("last", steps(readings(inputs)), seconds(inputs["window_seconds"]))
    return {"windows": [{"start_s": in_seconds(start_ns), "last_delta": value} for start_ns, value in found]}


def reset_count(inputs: Fields, policy: Fields) -> Fields:
    """How often it fell."""
    return {"resets": resets(readings(inputs), *map(seconds, inputs["window_s"]))}


KINDS = {
    "gauge_delta": gauge_delta,
    "increase_anchored": grown,
    "increase_with_start_times": grown,
    "per_window_delta": per_window_delta,
    "reset_count": reset_count,
}
