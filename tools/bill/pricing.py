"""What usage costs, in a few lines of `Fraction`: the third opinion on every line of an invoice.

It imports nothing of the product. Usage comes from raw samples by the scalar reference; prices from `tools/bill/book.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from tools.bill.book import Charge, Plan

HOUR_NS = 3600 * 10**9
GIB = 2**30
DIVISORS: Mapping[str, int] = {"core-hour": HOUR_NS, "vcpu-hour": HOUR_NS, "hour": HOUR_NS, "GiB-hour": GIB * HOUR_NS, "GiB": GIB}
"""How many base units of a meter (ns, byte·ns, bytes) one priced unit is."""
MINOR = 100
"""Both currencies of the first bill have two decimals."""

Usage = Mapping[str, Mapping[str, int]]
"""Per resource its meters in base units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """One line: its quantity in the charge's unit, its amount before and after the one rounding (in minor units)."""

    charge_id: str
    resource_id: str
    quantity: Fraction
    unrounded: Fraction
    minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """When a subscription was in force, ns since the epoch, and the zone of its calendar months."""

    start_ns: int
    end_ns: int
    zone: str


def lines(plan: Plan, usage: Usage, term: Term) -> list[Priced]:
    """Every line of the bill of resources that are all used inside one term of one month."""
    found = [line for charge in plan.charges for line in charged(charge, usage)]
    return [*found, fee(plan, term)]


def charged(charge: Charge, usage: Usage) -> list[Priced]:
    """The lines of one charge: one rounding of their sum, parts by largest remainder, ties to the earlier."""
    resources = sorted(name for name, meters in usage.items() if charge.meter in meters)
    groups = [[name] for name in resources] if charge.by_resource else [resources]
    quantities = [Fraction(sum(usage[name][charge.meter] for name in group), DIVISORS[charge.per]) for group in groups]
    amounts = [quantity * charge.price for quantity in quantities]
    return [
        Priced(
            charge_id=charge.id,
            resource_id=group[0] if charge.by_resource else "",
            quantity=quantity,
            unrounded=amount,
            minor=minor,
        )
        for group, quantity, amount, minor in zip(groups, quantities, amounts, shared(amounts), strict=True)
    ]


def half_up(amount: Fraction) -> int:
    """An amount of 0 or more in whole minor units."""
    return int(amount * MINOR + Fraction(1, 2))


def shared(amounts: list[Fraction]) -> list[int]:
    """Minor units of each part of a sum that is rounded once."""
    parts = [int(amount * MINOR) for amount in amounts]
    by_rest = sorted(range(len(amounts)), key=lambda place: (parts[place] - amounts[place] * MINOR, place))
    for place in by_rest[: half_up(sum(amounts, Fraction(0))) - sum(parts)]:
        parts[place] += 1
    return parts


def fee(plan: Plan, term: Term) -> Priced:
    """The month's fee for the exact part of the month that the subscription was in force."""
    month_start, month_end = month(term.start_ns, term.zone)
    active = Fraction(term.end_ns - term.start_ns, month_end - month_start)
    amount = plan.fee * active
    return Priced(charge_id="fee", resource_id="", quantity=active, unrounded=amount, minor=half_up(amount))


def month(at_ns: int, zone: str) -> tuple[int, int]:
    """The calendar month in a zone that holds an instant, ns since the epoch."""
    local = datetime.fromtimestamp(at_ns // 10**9, ZoneInfo(zone))
    first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (first.replace(tzinfo=None) + timedelta(days=32)).replace(day=1, tzinfo=ZoneInfo(zone))
    return int(first.timestamp()) * 10**9, int(following.timestamp()) * 10**9


def calm_zone(candidates: tuple[str, ...], from_ns: int, until_ns: int) -> str:
    """The first zone in which both instants are of one month: a bill of two months would be two bills."""
    return next(zone for zone in candidates if month(from_ns, zone) == month(until_ns, zone))
