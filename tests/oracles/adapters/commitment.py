"""Commitment: the least and the most that is spent, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.invoice.cycles.stubs import DayShare
from tallystick.model.billing.money import percent_of, round_minor
from tallystick.rate.totals.bounds import Window, bounded, settled_windows
from tests.oracles.values import UNNAMED_CURRENCY, cents, number, number_or_zero, optional

TOPIC = "commitment"

Fields = Mapping[str, Any]


def spend_floor_and_cap(inputs: Fields, policy: Fields) -> Fields:
    """One line of several within the bounds of a period."""
    found = bounded(
        number(inputs["line_amount"]),
        before=number_or_zero(inputs.get("already_billed_in_period")),
        minimum=optional(inputs.get("minimum")),
        maximum=optional(inputs.get("maximum")),
        last=inputs.get("last_line_of_period", True),
    )
    return {"maximum_spend_discount": found.off, "minimum_spend_charge": found.missing, "line_total": found.total}


def true_up(inputs: Fields, policy: Fields) -> Fields:
    """What is missing to a minimum, prorated by days, and its tax."""
    part = DayShare(active=inputs["days_in_service"], whole=inputs["days_in_period"])
    found = bounded(cents(inputs["used_cents"]), minimum=cents(inputs["minimum_cents"]), share=part.share)
    missing = round_minor(found.missing, UNNAMED_CURRENCY)
    return {"true_up_cents": missing.minor, "tax_cents": percent_of(missing, number_or_zero(inputs.get("tax_percent"))).minor}


def window(written: Fields) -> Window:
    """A window, with or without a commitment."""
    return Window(
        units=number(written["units"]),
        price=number(written["unit_amount"]),
        commitment=optional(written.get("commitment")),
        by_quantity=written.get("commitment_type") == "quantity",
        true_up=bool(written.get("true_up")),
        **{name: number(written[name]) for name in ("overage_factor",) if written.get(name) is not None},
    )


def windowed_commitment(inputs: Fields, policy: Fields) -> Fields:
    """Windows, each settled by itself."""
    found = settled_windows(map(window, inputs["windows"]))
    return {"total": found.total, "utilized": found.utilized, "overage": found.overage, "true_up": found.true_up}


KINDS = {"spend_floor_and_cap": spend_floor_and_cap, "true_up": true_up, "windowed_commitment": windowed_commitment}
