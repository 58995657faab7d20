"""Cloud bills: worked bills of public clouds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.model.billing.money import round_minor
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.rate.models.graduated import GraduatedModel
from tallystick.rate.models.graduated_percentage import GraduatedPercentageModel
from tallystick.rate.models.tiers import Tier, share_tier
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.quotes.capacity import Component, memory_seconds, priced_components, size_hours, size_months
from tallystick.rate.quotes.durations import THIRTY_DAYS_NS, Align, billable_ns, hours_of_days, samples_in
from tallystick.rate.quotes.quote import capped_from, discount_of, quoted, together
from tallystick.rate.units import GIBIBYTE, GIGABYTE, MILLION
from tests.oracles.values import UNNAMED_CURRENCY, in_seconds, milliseconds, number, number_or_zero, optional, seconds, span, whole_or_zero

TOPIC = "cloud_bill"

Fields = Mapping[str, Any]

COMPONENT = {"size": "size", "free": "free", "hours": "hours", "count": "count", "unit_amount": "price", "fixed": "fixed"}
"""What a case calls the figures of a component, and we."""


def billable_duration(inputs: Fields, policy: Fields) -> Fields:
    """The billed time of runs."""
    runs = list(map(span, inputs["runs"]))
    billed = billable_ns(
        runs,
        seconds(inputs["granularity_seconds"]),
        seconds(whole_or_zero(inputs.get("minimum_seconds"))),
        Align(inputs.get("align") or Align.START),
    )
    return {"billed_seconds": in_seconds(billed)}


def segments(inputs: Fields, size: str) -> list[tuple[Any, Any]]:
    """Sizes and the hours that they were held."""
    return [(number(each[size]), number(each["hours"])) for each in inputs["segments"]]


def capacity_time(inputs: Fields, policy: Fields) -> Fields:
    """Sizes in units of a month, and what they cost."""
    months = size_months(segments(inputs, "size"), number(inputs["hours_per_month"]))
    price = number_or_zero(inputs.get("unit_amount_month"))
    return {"size_months": months, "amount": round_minor(quoted(UnitModel(price=price), months).amount, UNNAMED_CURRENCY)}


def component(written: Fields) -> Component:
    """One component: what it does not say is as if it were not there."""
    return Component(
        id=written["id"], **{ours: number(written[theirs]) for theirs, ours in COMPONENT.items() if written.get(theirs) is not None}
    )


def components_sum(inputs: Fields, policy: Fields) -> Fields:
    """Components and their sum."""
    found = priced_components(list(map(component, inputs["components"])), inputs.get("round_each_to"))
    return {"amounts": dict(found.amounts), "total": found.total}


def gb_seconds(inputs: Fields, policy: Fields) -> Fields:
    """Memory in time and requests, each above what is free."""
    executions = number(inputs["executions"])
    used = memory_seconds(number(inputs["memory_mb"]), executions, number(inputs["seconds_each"]))
    compute = quoted(UnitModel(price=number(inputs["gb_second_price"])), used, free=number_or_zero(inputs.get("free_gb_seconds")))
    price = UnitModel(price=number(inputs["price_per_million_requests"]))
    requests = quoted(price, MILLION.of(executions), free=MILLION.of(number_or_zero(inputs.get("free_requests"))))
    return {"gb_seconds": used, "compute": compute.amount, "requests": requests.amount, "total": together([compute, requests])}


def hourly_with_cap(inputs: Fields, policy: Fields) -> Fields:
    """An hourly price until a monthly one takes over."""
    price = UnitModel(price=number(inputs["hour_rate"]))
    amount = capped_from(price, number(inputs["hours"]), cap=number(inputs["monthly_price"]), reached_at=number(inputs["cap_hours"]))
    return {"amount": amount}


def report_units(inputs: Fields, policy: Fields) -> Fields:
    """Bytes in both units."""
    held = number(inputs["bytes"])
    return {
        "gb_2_30_two_decimals": round_minor(GIBIBYTE.of(held), UNNAMED_CURRENCY).exact,
        "gb_1e9_two_decimals": round_minor(GIGABYTE.of(held), UNNAMED_CURRENCY).exact,
    }


def sampling(inputs: Fields, policy: Fields) -> Fields:
    """Samples of a batch and of longer spans."""
    interval_ns = milliseconds(inputs["interval_ms"])
    return {
        "samples_per_batch": samples_in(seconds(inputs["batch_seconds"]), interval_ns),
        "samples_per_hour": samples_in(HOUR_NS, interval_ns),
        "samples_per_day": samples_in(DAY_NS, interval_ns),
        "samples_per_30_day_month": samples_in(THIRTY_DAYS_NS, interval_ns),
    }


def storage_byte_hours(inputs: Fields, policy: Fields) -> Fields:
    """Bytes in time, in units of a month, by tiers."""
    held = segments(inputs, "bytes")
    months = size_months(held, number(inputs["hours_per_month"]), number(inputs["bytes_per_gb"]))
    ladder = tuple(Tier(up_to=optional(each["up_to_gb"]), price=number(each["unit_amount"])) for each in inputs["tiers"])
    found = quoted(GraduatedModel(tiers=ladder), months)
    amounts = [part.amount for part in found.parts]
    return {"byte_hours": size_hours(held), "gb_months": months, "tier_amounts": amounts, "amount": found.amount}


def sustained_use(inputs: Fields, policy: Fields) -> Fields:
    """The discount of a share of the month."""
    bands = tuple(share_tier(optional(each["up_to"]), number(each["percent_of_base"])) for each in inputs["bands"])
    return {"effective_discount_percent": discount_of(GraduatedPercentageModel(tiers=bands), number(inputs["percent_of_month"]))}


def sustained_use_rate(inputs: Fields, policy: Fields) -> Fields:
    """The price of one band."""
    return {"rate": share_tier(None, number(inputs["percent_of_base"])).costs(number(inputs["base"]))}


def vm_hours(inputs: Fields, policy: Fields) -> Fields:
    """The hours of machines that are there for whole days."""
    hours = {each["id"]: hours_of_days(each["from_day"], each["to_day"]) for each in inputs["vms"]}
    return {
        "hours": hours,
        "total_hours": priced_components([Component(id=name, fixed=number(each)) for name, each in hours.items()]).total,
    }


KINDS = {
    "billable_duration": billable_duration,
    "capacity_time": capacity_time,
    "components_sum": components_sum,
    "gb_seconds": gb_seconds,
    "hourly_with_cap": hourly_with_cap,
    "report_units": report_units,
    "sampling": sampling,
    "storage_byte_hours": storage_byte_hours,
    "sustained_use": sustained_use,
    "sustained_use_rate": sustained_use_rate,
    "vm_hours": vm_hours,
}
