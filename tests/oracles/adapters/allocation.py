"""Allocation: splitting an amount or a cost so that the parts add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.meter.summaries.sharing import time_shares
from tallystick.model.billing.money import largest_remainder, shared_decimals
from tests.oracles.values import number, numbers, span

TOPIC = "allocation"

Fields = Mapping[str, Any]


def by_largest_remainder(inputs: Fields, policy: Fields) -> Fields:
    """Shares of an amount with so many decimals."""
    return {"shares": shared_decimals(number(inputs["amount"]), numbers(inputs["weights"]), inputs["digits"])}


def split_minor_units(inputs: Fields, policy: Fields) -> Fields:
    """Shares in whole minor units."""
    return {"shares": largest_remainder(inputs["amount_minor"], numbers(inputs["weights"]))}


def time_shared(inputs: Fields, policy: Fields) -> Fields:
    """One thing among those that use it at different times."""
    uses = [(each["id"], span((each["from"], each["to"]))) for each in inputs["users"]]
    return {"shares": time_shares(span((inputs["resource"]["from"], inputs["resource"]["to"])), uses)}


KINDS = {
    "largest_remainder": by_largest_remainder,
    "split_minor_units": split_minor_units,
    "time_shared": time_shared,
}
