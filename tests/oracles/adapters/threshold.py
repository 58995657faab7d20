"""Thresholds: budgets and alerts, each told of once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.model.billing.thresholds import (
    Spend,
    Thresholds,
    alerts,
    crossed,
    crossed_falling,
    crossed_fixed,
    crossed_steps,
    progress,
    reached_percents,
)
from tests.oracles.values import number, number_or_zero, numbers, optional

TOPIC = "threshold"

Fields = Mapping[str, Any]

DIRECTIONS = {"increasing": crossed, "decreasing": crossed_falling}


def alert_crossing(inputs: Fields, policy: Fields) -> Fields:
    """The thresholds between two readings."""
    thresholds = Thresholds(fixed=numbers(inputs["thresholds"]), recurring=optional(inputs.get("recurring")))
    found = DIRECTIONS[inputs["direction"]](thresholds, number_or_zero(inputs["previous"]), number(inputs["current"]))
    return {"crossed": found}


def lifetime_thresholds(inputs: Fields, policy: Fields) -> Fields:
    """The thresholds that a lifetime's spend newly passed; recurring ones are told of once, however many."""
    thresholds = Thresholds(fixed=numbers(inputs["fixed"]), recurring=optional(inputs.get("recurring_every_after_last")))
    spend = Spend(
        invoiced=number(inputs["invoiced"]),
        current=number(inputs["current"]),
        billed_ahead=number_or_zero(inputs.get("already_billed_progressively")),
        historical=number_or_zero(inputs.get("historical")),
    )
    recurring = ["recurring"] if crossed_steps(thresholds, spend.told, spend.now) else []
    return {"newly_passed": [*crossed_fixed(thresholds, spend.told, spend.now), *recurring]}


def budget_once_per_month(inputs: Fields, policy: Fields) -> Fields:
    """The alerts of a series of spends."""
    series = [(each["month"], number(each["spend"])) for each in inputs["spend_series"]]
    return {"alerts": alerts(number(inputs["limit"]), numbers(inputs["thresholds_percent"]), series)}


def budget_percent_strict(inputs: Fields, policy: Fields) -> Fields:
    """Whether a spend is beyond a percentage."""
    beyond = inputs["comparison"] == "greater_than"
    return {"alert": bool(reached_percents(number(inputs["limit"]), numbers([inputs["percent"]]), number(inputs["spend"]), beyond=beyond))}


def threshold_progress(inputs: Fields, policy: Fields) -> Fields:
    """The last and the next threshold, and the way between them."""
    thresholds = Thresholds(fixed=numbers(inputs["fixed"]), recurring=optional(inputs.get("recurring")))
    found = progress(thresholds, number(inputs["usage"]))
    return {"last": found.last, "next": found.next, "ratio_to_next": found.ratio}


KINDS = {
    "alert_crossing": alert_crossing,
    "budget_once_per_month": budget_once_per_month,
    "budget_percent_strict": budget_percent_strict,
    "lifetime_thresholds": lifetime_thresholds,
    "threshold_progress": threshold_progress,
}
