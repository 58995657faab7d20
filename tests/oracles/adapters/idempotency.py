"""Idempotency: which of several events are the same one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tallystick.meter.summaries.events import of_values
from tallystick.model.outcomes import Outcome, outcomes
from tests.oracles.values import number

TOPIC = "idempotency"

Fields = Mapping[str, Any]

NAMES = {Outcome.STORED: "accepted", Outcome.REPEATED: "duplicates", Outcome.CONFLICT: "duplicates"}


def identity(event: Fields) -> tuple[object, ...]:
    """Scope, source and id, where an event has them."""
    return tuple(event.get(name) for name in ("tenant", "source", "id"))


def content(event: Fields) -> bytes:
    """All that an event says."""
    return json.dumps(event, sort_keys=True).encode()


def duplicate_events(inputs: Fields, policy: Fields) -> Fields:
    """Events in the order in which they came."""
    events = inputs["events"]
    found = [result.outcome for result in outcomes([(identity(event), content(event)) for event in events], {})]
    counts = Counter(map(NAMES.__getitem__, found))
    stored = [event for event, outcome in zip(events, found, strict=True) if outcome is Outcome.STORED]
    return {
        "accepted": counts["accepted"],
        "duplicates": counts["duplicates"],
        "sum": of_values("sum", [number(event["value"]) for event in stored if "value" in event]),
    }


KINDS = {"duplicate_events": duplicate_events}
