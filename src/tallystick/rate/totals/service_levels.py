"""Service-level credits: a share of what a resource cost in a period in which it was not available enough (billing.md, Coupon)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from tallystick.model.billing.invoices import Line, LineKind, Outage, Step
from tallystick.model.billing.money import decimal_text, exact_text
from tallystick.model.billing.price_book import ServiceLevel
from tallystick.model.instants import HOUR_NS
from tallystick.rate.totals.bill import Bill, Place, Side

SHOWN_DECIMALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Downtime:
    """How long a resource was down, and by which declared outages, in order of time."""

    ns: int = 0
    outage_ids: tuple[str, ...] = ()


def credited(bill: Bill) -> Bill:
    """The bill with the credit of each service level, of what discounts and coupons left.

    A machine that cost 14.40 and was down for 10 of 720 hours, 98.61 % of the time available, has 25 % of it credited where that
    is due below 99 %: 3.60. What the customer stopped, and what nobody measured, is no downtime. The step tells of each resource
    which outages it was, how long they were, and how much of the time that leaves.
    """
    for side in bill.sides:
        down = _down(bill.outages, side.service)
        for level in side.span.plan.service_levels if down else ():
            bill = _credited(bill, side, level, down)
    return bill


def _credited(bill: Bill, side: Side, level: ServiceLevel, down: Mapping[str, Downtime]) -> Bill:
    whole_ns = side.service[1] - side.service[0]
    available = {resource_id: 100 * (1 - Fraction(each.ns, whole_ns)) for resource_id, each in down.items()}
    places, left = bill.of(level.charges, side)
    exact, told = Fraction(0), []
    for resource_id, share in sorted(available.items()):
        percent = _percent(level, share)
        costs = sum((bill.sums[place].exact * _part_of(_lines(bill, place), resource_id) for place in places), Fraction(0))
        if percent and costs:
            exact -= costs * percent / 100
            hours = f"{exact_text(Fraction(down[resource_id].ns, HOUR_NS))} of {exact_text(Fraction(whole_ns, HOUR_NS))} h down"
            named = f" ({', '.join(down[resource_id].outage_ids)})" if down[resource_id].outage_ids else ""
            credit = f"{exact_text(percent)} % of {exact_text(costs)} {bill.currency}"
            told.append(f"{resource_id}, {hours}{named}, {decimal_text(share, SHOWN_DECIMALS)} % available: {credit}")
    step = Step(name=LineKind.SERVICE_LEVEL.value, text="; ".join(told), before=left, after=exact, unit=bill.currency)
    line = bill.line(LineKind.SERVICE_LEVEL, (level.id, level.name), side, exact, (step,))
    return replace(bill.taken(places, line.amount), lines=(*bill.lines, line)) if line.amount.minor else bill


def _percent(level: ServiceLevel, available: Fraction) -> Fraction:
    """The credit of the lowest availability that it fell under: 0 if it was high enough."""
    return next((percent for below, percent in reversed(level.credits) if available < below), Fraction(0))


def _lines(bill: Bill, place: Place) -> list[Line]:
    return [line for line in bill.used if (line.plan_id, line.charge_id) == place]


def _part_of(lines: Iterable[Line], resource_id: str) -> Fraction:
    """The part of some lines that is for one resource: of each line in proportion to what it used."""
    whole, own = Fraction(0), Fraction(0)
    for line in lines:
        quantities: dict[str, Fraction] = defaultdict(Fraction)
        for part in line.derivation.parts:
            quantities[part.resource_id] += part.quantity
        used = sum(quantities.values(), Fraction(0))
        whole += line.amount.exact
        own += line.amount.exact * quantities.get(resource_id, Fraction(0)) / used if used else Fraction(0)
    return own / whole if whole else Fraction(0)


def _down(outages: Iterable[Outage], service: tuple[int, int]) -> Mapping[str, Downtime]:
    """How long each resource was down in the time of service: what two outages tell of counts once."""
    until: dict[str, int] = {}
    found: dict[str, Downtime] = {}
    for each in sorted(outages, key=lambda one: (one.resource_id, one.from_ns, one.until_ns, one.outage_id)):
        begin, end = max(each.from_ns, service[0]), min(each.until_ns, service[1])
        if each.cause.is_downtime and begin < end:
            before, past = found.get(each.resource_id, Downtime()), until.get(each.resource_id, 0)
            named = dict.fromkeys((*before.outage_ids, each.outage_id) if each.outage_id else before.outage_ids)
            found[each.resource_id] = Downtime(ns=before.ns + max(0, end - max(begin, past)), outage_ids=tuple(named))
            until[each.resource_id] = max(end, past)
    return found
