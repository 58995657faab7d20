"""Proration: fees of partial periods, and plan changes in the middle of one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from tallystick.invoice.cycles.changes import PlanChange, plan_change, unused_refund, unused_share
from tallystick.invoice.cycles.stubs import DayShare, billed_in_advance, day_share, leading_stub, trailing_stub
from tallystick.model.billing.money import round_minor
from tallystick.model.calendar import next_day
from tests.oracles.adapters.period import interval
from tests.oracles.values import UNNAMED_CURRENCY, cents, days, number, number_or_zero, optional_day, whole_or_zero

TOPIC = "proration"

Fields = Mapping[str, Any]


def day_fraction_fee(inputs: Fields, policy: Fields) -> Fields:
    """A fee for the days of service."""
    found = day_share(days(inputs["period"]), days(inputs["service"]), whole_or_zero(inputs.get("trial_days")))
    return {
        "billable_days": found.active,
        "period_days": found.whole,
        "amount_cents": found.of(cents(inputs["price_cents"]), UNNAMED_CURRENCY).minor,
    }


def fraction_value(inputs: Fields, policy: Fields) -> Fields:
    """The part of a period in service."""
    return {"fraction": day_share(days(inputs["period"]), days(inputs["service"])).share}


def in_advance_cycles(inputs: Fields, policy: Fields) -> Fields:
    """What is billed in advance, in cycles."""
    billed = billed_in_advance(
        date.fromisoformat(inputs["start"]),
        optional_day(inputs.get("end")),
        date.fromisoformat(inputs["bill_through"]),
        interval(inputs["interval"]),
        inputs.get("billing_day"),
    )
    return {"cycles_billed": billed}


def stub_fraction(inputs: Fields, policy: Fields) -> Fields:
    """The part of a cycle that a stub is."""
    stub = {"leading": leading_stub, "trailing": trailing_stub}[inputs["stub"]]
    return {"fraction": stub(date.fromisoformat(inputs["from"]), date.fromisoformat(inputs["to"]), interval(inputs["interval"]))}


def own_period(inputs: Fields, policy: Fields) -> Fields:
    """A component over a period of its own."""
    part = DayShare(active=inputs["days_remaining"], whole=inputs["own_period_days"])
    return {"charge_cents": part.of(cents(inputs["price_cents"]), UNNAMED_CURRENCY).minor}


def lines(change: PlanChange) -> Fields:
    """The lines of a change in major units: a credit is below 0."""
    return {"credit": change.credit, "charge": change.charge, "net": change.net}


def lines_in_cents(change: PlanChange) -> Fields:
    """The lines of a change in minor units: a credit is what is given back."""
    return {"credit_cents": change.given_back.minor, "charge_cents": change.charge.minor}


def change_of_plan(inputs: Fields, policy: Fields) -> Fields:
    """A change within a period, whose last day may be written as part of it."""
    begin, end = days(inputs["period"])
    period = (begin, next_day(end) if inputs.get("period_end_inclusive") else end)
    unused = unused_share(period, date.fromisoformat(inputs["changed_at"]))
    change = plan_change(number(inputs["old_amount"]), number(inputs["new_amount"]), unused, UNNAMED_CURRENCY)
    return {"remaining_fraction": unused, **lines(change)}


def change_in_cents(inputs: Fields, policy: Fields) -> Fields:
    """The same in whole cents."""
    unused = unused_share(days(inputs["period"]), date.fromisoformat(inputs["changed_at"]))
    return lines_in_cents(plan_change(cents(inputs["old_cents"]), cents(inputs["new_cents"]), unused, UNNAMED_CURRENCY))


def change_of_interval(inputs: Fields, policy: Fields) -> Fields:
    """A change that begins a cycle of its own."""
    changed = date.fromisoformat(inputs["changed_at"])
    unused = unused_share(days(inputs["period"]), changed)
    change = plan_change(cents(inputs["old_cents"]), cents(inputs["new_cents"]), unused, UNNAMED_CURRENCY, starts_anew=True)
    return {**lines_in_cents(change), "new_period_start": changed}


def change_by_fraction(inputs: Fields, policy: Fields) -> Fields:
    """A change with the part that is left."""
    unused = number(inputs["remaining_fraction"])
    return lines(plan_change(number(inputs["old_amount"]), number(inputs["new_amount"]), unused, UNNAMED_CURRENCY))


def change_with_renewal(inputs: Fields, policy: Fields) -> Fields:
    """A change that waits for the next invoice."""
    unused = number(inputs["remaining_fraction"])
    change = plan_change(number(inputs["old_amount"]), number(inputs["new_amount"]), unused, UNNAMED_CURRENCY)
    return {"next_invoice": change.billed_with(round_minor(number(inputs["renewal_amount"]), UNNAMED_CURRENCY))}


def termination_credit(inputs: Fields, policy: Fields) -> Fields:
    """What is given back, with its tax."""
    unused = DayShare(active=inputs["days_unused"], whole=inputs["period_days"]).share
    refund = unused_refund(cents(inputs["price_cents"]), unused, number_or_zero(inputs.get("tax_percent")), UNNAMED_CURRENCY)
    return {"net_cents": refund.net.minor, "tax_cents": refund.tax.minor, "total_cents": refund.total.minor}


KINDS = {
    "day_fraction_fee": day_fraction_fee,
    "fraction_value": fraction_value,
    "in_advance_cycles": in_advance_cycles,
    "in_advance_cycles_invalid": in_advance_cycles,
    "interval_change_cents": change_of_interval,
    "own_period": own_period,
    "plan_change": change_of_plan,
    "plan_change_cents": change_in_cents,
    "plan_change_fraction": change_by_fraction,
    "plan_change_next_invoice": change_with_renewal,
    "stub_fraction": stub_fraction,
    "termination_credit": termination_credit,
}
