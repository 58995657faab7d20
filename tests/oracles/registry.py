"""The topics that have adapters: the next one is a file beside the others and a line here."""

from __future__ import annotations

from tests.oracles.adapters import (
    aggregation,
    allocation,
    calendar,
    charge,
    cloud_bill,
    commitment,
    counter,
    idempotency,
    minor_units,
    money_format,
    period,
    proration,
    rounding,
    threshold,
)
from tests.oracles.judge import Adapter

TOPICS = (
    aggregation,
    allocation,
    calendar,
    charge,
    cloud_bill,
    commitment,
    counter,
    idempotency,
    minor_units,
    money_format,
    period,
    proration,
    rounding,
    threshold,
)

ADAPTERS: dict[tuple[str, str], Adapter] = {(topic.TOPIC, kind): adapter for topic in TOPICS for kind, adapter in topic.KINDS.items()}
"""An adapter for each topic and kind."""
