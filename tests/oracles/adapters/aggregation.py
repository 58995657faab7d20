"""Aggregation: from single events or samples to a quantity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.meter.summaries.events import Event, Window, aggregate, evenly_spaced, of_values, quantity, windowed, windowed_by_group
from tallystick.meter.summaries.levels import Presence, levels, prorated, prorated_members, time_weighted
from tallystick.meter.summaries.sharing import overlap_share
from tallystick.model.billing.money import Rounding, rounded
from tallystick.model.billing.ranks import interpolated
from tallystick.model.calendar import local_days
from tallystick.model.instants import parse_iso
from tests.oracles.values import (
    in_seconds,
    instant_or_start,
    instant_text,
    milliseconds,
    number,
    number_or_text,
    number_or_zero,
    numbers,
    optional,
    seconds,
    span,
    whole_or_zero,
)

TOPIC = "aggregation"
ZONE = "UTC"
"""The days of these cases are those of UTC."""

Fields = Mapping[str, Any]

FUNCTIONS = {"latest": "last", "avg": "mean", "unique_count": "unique", "nunique": "unique", "std": "deviation"}
"""Other names of our functions."""

ROUNDINGS = {"round": Rounding.HALF_UP, "ceil": Rounding.CEILING, "floor": Rounding.FLOOR}
"""No function leaves a quantity as it is; without decimals told it becomes whole."""
PER_GROUP = {True: windowed_by_group, False: windowed}
LEFT_OPEN = "left-open, right-closed"


def function(name: str) -> str:
    """A function by our name."""
    return FUNCTIONS.get(name, name)


def event(written: Fields) -> Event:
    """An event: its value is a number, or an id."""
    return Event(at_ns=instant_or_start(written.get("at")), value=number_or_text(written.get("value")), group=written.get("group", ""))


def window(pair: list[str] | None) -> Window | None:
    """A half-open window, or None for all instants."""
    if pair is None:
        return None
    from_ns, until_ns = span(pair)
    return Window(from_ns=from_ns, until_ns=until_ns)


def deltas(events: list[Fields]) -> list[tuple[int, Any]]:
    """What events add to a level."""
    return [(parse_iso(each["at"]), number(each["delta"])) for each in events]


def windows(found: list[tuple[int, Any]]) -> list[dict[str, object]]:
    """Windows as cases have them."""
    return [{"start": instant_text(start_ns), "value": value} for start_ns, value in found]


def event_function(inputs: Fields, policy: Fields) -> Fields:
    """A function over the events of a window."""
    return {"value": quantity(function(inputs["function"]), map(event, inputs["events"]), window(inputs.get("window")))}


def windowed_samples(inputs: Fields, policy: Fields) -> Fields:
    """A function per window."""
    return {"windows": windows(windowed(function(inputs["function"]), map(event, inputs["samples"]), seconds(inputs["window_seconds"])))}


def windowed_total(inputs: Fields, policy: Fields) -> Fields:
    """A function of each day, and of all days together; of no event it is what the policy says of an empty day."""
    name = function(inputs["function"])
    days = [[number_or_text(each) for each in day] for day in inputs["days"]]
    empty = optional(policy.get("empty_day"))
    *daily, total = [
        empty if found is None else found for found in (of_values(name, each) for each in [*days, [one for day in days for one in day]])
    ]
    return {"daily": daily, "total": total}


def boundary_event(inputs: Fields, policy: Fields) -> Fields:
    """In which windows an event counts."""
    events = [Event(at_ns=parse_iso(inputs["event_at"]), value="")]
    return {"counts": [aggregate("count", events, window(pair)) for pair in inputs["windows"]]}


def bucketed_max(inputs: Fields, policy: Fields) -> Fields:
    """The maximum of each bucket, of all or of each group, added up."""
    found = PER_GROUP[inputs.get("per_group", False)]("max", map(event, inputs["events"]), seconds(inputs["bucket_seconds"]))
    buckets = [value for _, value in found]
    return {"buckets": buckets, "value": of_values("sum", buckets)}


def dense_window_count(inputs: Fields, policy: Fields) -> Fields:
    """The sum of evenly spaced samples in a window."""
    instants = evenly_spaced(*(milliseconds(inputs[name]) for name in ("first_ms", "last_ms", "sample_every_ms")))
    value = number(inputs["value"])
    from_ns, until_ns = map(milliseconds, inputs["window_ms"])
    looked_at = Window(from_ns=from_ns, until_ns=until_ns, until_included=inputs.get("window_bounds") == LEFT_OPEN)
    return {"sum": aggregate("sum", (Event(at_ns=at_ns, value=value) for at_ns in instants), looked_at)}


def share_in_window(inputs: Fields, policy: Fields) -> Fields:
    """The share of an item in a window."""
    return {"share_of_item_in_window": overlap_share(span(inputs["item"]), span(inputs["window"]))}


def percentile(inputs: Fields, policy: Fields) -> Fields:
    """A percentile with linear interpolation."""
    return {"value": interpolated(numbers(inputs["values"]), number(inputs["percentile"]))}


def prorated_event(inputs: Fields, policy: Fields) -> Fields:
    """One value for the days that are left."""
    return {"value": prorated([(number(inputs["value"]), inputs["days_left"])], inputs["period_days"])}


def prorated_sum(inputs: Fields, policy: Fields) -> Fields:
    """Values for the days from their own date to the window's end, and what was there before."""
    _, until_ns = span(inputs["window"])
    carried = (number_or_zero(inputs.get("carried_value")), whole_or_zero(inputs.get("carried_days")))
    events = [(number(each["value"]), local_days(ZONE, parse_iso(each["at"]), until_ns)) for each in inputs["events"]]
    return {"value": prorated([carried, *events], inputs["period_days"])}


def prorated_unique_count(inputs: Fields, policy: Fields) -> Fields:
    """Different ids, each for the days it was there."""
    presences = [Presence(at_ns=parse_iso(each["at"]), member=each["id"], there=each["op"] == "add") for each in inputs["events"]]
    return {"value": prorated_members(presences, ZONE, *span(inputs["window"]), inputs["period_days"])}


def unit_rounding(inputs: Fields, policy: Fields) -> Fields:
    """A quantity at a number of decimals."""
    units, function_named = number(inputs["units"]), inputs.get("function")
    if function_named is None:
        return {"units": units}
    return {"units": rounded(units, whole_or_zero(inputs.get("precision")), ROUNDINGS[function_named])}


def weighted_sum(inputs: Fields, policy: Fields) -> Fields:
    """The mean level of a window."""
    return {"value": time_weighted(number_or_zero(inputs.get("initial_level")), deltas(inputs["events"]), *span(inputs["window"]))}


def weighted_sum_breakdown(inputs: Fields, policy: Fields) -> Fields:
    """Each level of a window and what it adds to the mean."""
    held = levels(number_or_zero(inputs.get("initial_level")), deltas(inputs["events"]), *span(inputs["window"]))
    return {
        "segments": [
            {
                "from": instant_text(each.from_ns),
                "level": each.level,
                "seconds": in_seconds(each.length_ns),
                "contribution": each.part,
            }
            for each in held
        ]
    }


KINDS = {
    "boundary_event": boundary_event,
    "bucketed_max": bucketed_max,
    "dense_window_count": dense_window_count,
    "event_function": event_function,
    "overlap_share": share_in_window,
    "percentile": percentile,
    "prorated_event": prorated_event,
    "prorated_sum": prorated_sum,
    "prorated_unique_count": prorated_unique_count,
    "unit_rounding": unit_rounding,
    "weighted_sum": weighted_sum,
    "weighted_sum_breakdown": weighted_sum_breakdown,
    "windowed": windowed_samples,
    "windowed_total": windowed_total,
}
