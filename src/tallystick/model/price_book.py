"""A price book as it is loaded: versions of plans with their charges, frozen once active (billing.md, Price book)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from tallystick.model.money import Rounding


class BookState(StrEnum):
    """The life of a version: an active version never changes."""

    DRAFT = "draft"
    ACTIVE = "active"
    SUPERSEDED = "superseded"


class FeeTiming(StrEnum):
    """When a recurring fee is billed: by a run at the period's start, or with its usage at the end."""

    ADVANCE = "advance"
    ARREARS = "arrears"


class Proration(StrEnum):
    """How a fee follows a partial period: active time over period length, active local days over days, or not at all."""

    EXACT = "exact"
    DAILY = "daily"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which resources a charge matches: empty means any. A label must have the value given."""

    region: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitModel:
    """`unit`: quantity x price, in the plan's currency per unit, up to 12 decimals."""

    price: Fraction


Model = UnitModel
"""The price models that can be loaded; the next one is added to this union and to `rate/models/`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One charge of a plan: a meter, the unit it is priced in, whom it matches, its model, its free allowance.

    `id` is stable across versions: it is part of the line key. `per` is a unit of `rate/units.py` (`core-hour`,
    `GiB-hour`, `GiB-month`, `GiB`, `million`, `hour`, ...). `month_hours` is None for the real month of the period, or
    the hours of a nominal month (730), for `GiB-month` only. `free` is in units of `per` and prorated only when the
    subscription is not in force for the whole period. `also` allows an overlap with an earlier charge.
    """

    id: str
    name: str
    meter: str
    per: str
    model: Model
    filters: Filters = field(default_factory=Filters)
    group_by: tuple[str, ...] = ()
    free: Fraction = Fraction(0)
    month_hours: Fraction | None = None
    also: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """A recurring fee of a plan: an amount per billing cycle, in the plan's currency."""

    id: str
    name: str
    amount: Fraction
    timing: FeeTiming = FeeTiming.ARREARS
    proration: Proration = Proration.EXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A billing cycle: `count` units of `hour`, `day`, `week`, `month` or `year`, on the calendar or on an anniversary."""

    unit: str = "month"
    count: int = 1
    anniversary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a subscription binds to: a currency, a cycle, perhaps fees, and charges in their order of matching."""

    id: str
    name: str
    currency: str
    charges: tuple[Charge, ...]
    fees: tuple[Fee, ...] = ()
    cycle: Cycle = field(default_factory=Cycle)
    default: bool = False
    rounding: Rounding = Rounding.HALF_UP


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """One version of the seller's price book: its plans are in force for usage in [effective_from_ns, effective_until_ns).

    `effective_until_ns` None: until the next version. `digest` is the SHA-256 of the canonical document, in hex.
    """

    id: str
    version: int
    effective_from_ns: int
    plans: tuple[Plan, ...]
    effective_until_ns: int | None = None
    digest: str = ""

    def plan(self, plan_id: str) -> Plan | None:
        """The plan of that id, or None."""
        return next((plan for plan in self.plans if plan.id == plan_id), None)
