"""Period: bounds and dates of billing periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from tallystick.invoice.cycles import dates
from tallystick.invoice.periods import period_at, previous_period
from tallystick.model.billing.price_book import Cycle
from tallystick.model.instants import parse_iso
from tests.oracles.values import date_start, instant_text, optional_day

TOPIC = "period"

Fields = Mapping[str, Any]

INTERVALS = {
    "yearly": "annual",
    "half_yearly": "semiannual",
    "half_year": "semiannual",
    "semiannually": "semiannual",
    "biannual": "semiannual",
    "bimestrial": "bimonthly",
    "quarter": "quarterly",
    "annually": "annual",
}
"""Other names of our intervals."""


def interval(name: str) -> Cycle:
    """A cycle by its name."""
    written = name.lower().replace("-", "_")
    known = INTERVALS.get(written, written)
    if known not in dates.INTERVALS:
        raise ValueError(f"interval {name!r} is not known")
    return dates.INTERVALS[known]


def billing_period(inputs: Fields, policy: Fields) -> Fields:
    """The period that holds an instant, or the one before it."""
    zone = inputs.get("timezone") or "UTC"
    cycle = replace(interval(inputs["interval"]), anniversary=inputs.get("billing_time") == "anniversary")
    at_ns = parse_iso(inputs["at"])
    anchor_ns = date_start(inputs["anchor"], zone) if inputs.get("anchor") else at_ns
    found = period_at(cycle, anchor_ns, zone, at_ns)
    if inputs["which"] == "previous":
        found = previous_period(found, anchor_ns, zone)
    return {"from": instant_text(found.start_ns), "to": instant_text(found.end_ns)}


def first_cycle_date(inputs: Fields, policy: Fields) -> Fields:
    """The first cycle date on or after the start."""
    return {"date": dates.first_cycle_date(date.fromisoformat(inputs["start"]), interval(inputs["interval"]), inputs.get("billing_day"))}


def first_periods(inputs: Fields, policy: Fields) -> Fields:
    """The period that begins on a day, a stub or a whole one."""
    begin = date.fromisoformat(inputs["from"])
    return {"from": begin, "to": dates.next_cycle_date(begin, interval(inputs["interval"]), inputs.get("billing_day"))}


def elapsed_cycles(inputs: Fields, policy: Fields) -> Fields:
    """How many cycles are over."""
    start, at = date.fromisoformat(inputs["start"]), date.fromisoformat(inputs["at"])
    return {"cycles": dates.elapsed_cycles(start, at, interval(inputs["interval"]), inputs.get("billing_day"))}


def arrears_due(inputs: Fields, policy: Fields) -> Fields:
    """What is due in arrears at a date."""
    due = dates.arrears_due(
        date.fromisoformat(inputs["start"]),
        optional_day(inputs.get("end")),
        date.fromisoformat(inputs["as_of"]),
        interval(inputs["interval"]),
        inputs.get("billing_day"),
    )
    return {
        "something_to_bill": due.is_something,
        "billed_until": due.billed_until,
        "next_cycle_date": due.next_cycle_date,
    }


def whole_periods(inputs: Fields, policy: Fields) -> Fields:
    """How many whole periods lie between two dates."""
    bounds = date.fromisoformat(inputs["from"]), date.fromisoformat(inputs["to"])
    return {"whole_periods": dates.whole_periods(*bounds, interval(inputs["interval"]))}


KINDS = {
    "arrears_due": arrears_due,
    "billing_period": billing_period,
    "elapsed_cycles": elapsed_cycles,
    "first_cycle_date": first_cycle_date,
    "first_periods": first_periods,
    "whole_periods": whole_periods,
}
