"""What flows through the pricing of one charge and group: the quantity of each price version, and what a model makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tallystick.model.billing.invoices import Share, Step, UsageEvent, UsagePart
from tallystick.model.billing.price_book import Charge, PriceSpan
from tallystick.model.billing.runs import RunPiece

PACKAGE = "package"
"""The unit of a quantity that was counted in packages."""


Slot = tuple[int, int, int]
"""A measured five-minute slot: its start, and what all resources together received and sent in it, in bytes."""


CoveredCell = tuple[str, str, int]
"""A resource, the charge that has its usage, and the start of a five-minute cell."""

Covered = Mapping[CoveredCell, tuple[tuple[str, Fraction], ...]]
"""How much of each cell which reservations cover, in base units of the meter."""


RunTimes = Mapping[tuple[str, int], Sequence[RunPiece]]
"""The parts of runs in each cell (resource and its start): of those that are told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketHour:
    """A quantity of one resource in one hour, and what the market asked for a unit of it."""

    resource_id: str
    hour_ns: int
    quantity: Fraction
    price: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The usage of one charge and group under one price version: the `ordinal`-th of the period, from 1.

    `quantity` is what is left to price, in the charge's unit, after `steps`; `parts` are what it began with,
    `events` what they are of where a charge prices events, `market` their hours where it follows a market,
    `slots` where it prices rates; `covered` is how much of them which reservation covers, by resource and its id.
    """

    ordinal: int
    span: PriceSpan
    charge: Charge
    parts: tuple[UsagePart, ...]
    quantity: Fraction
    steps: tuple[Step, ...] = ()
    events: tuple[UsageEvent, ...] = ()
    market: tuple[MarketHour, ...] = ()
    slots: tuple[Slot, ...] = ()
    covered: tuple[tuple[str, str, Fraction], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for a charge over the whole period: the charge as it is at the period's end, and the subscription's share of it.

    `active` is the part of the period in which the subscription is in force, 1 for all of it. `plans` is, for each plan of a period
    in which it changes, or is not paid from the beginning on, the charge as it last stands in that plan, and the part of the period
    in which that plan is to be paid. Slices that end until `trial_until_ns` cost nothing. `runs` are
    the parts of runs where the charge counts by them; `filled` is what earlier periods filled of its tiers, by group, where they count
    over the whole subscription.
    """

    charge: Charge
    active: Fraction
    plans: Mapping[str, tuple[Charge, Fraction]] = field(default_factory=dict)
    trial_until_ns: int | None = None
    runs: RunTimes = field(default_factory=dict)
    filled: Mapping[tuple[tuple[str, str], ...], Fraction] = field(default_factory=dict)

    @property
    def share(self) -> Fraction:
        """The part of allowances, tiers and caps that holds: all of them where the charge does not prorate."""
        return self.active if self.charge.prorate else Fraction(1)

    def of_plan(self, plan_id: str) -> tuple[Charge, Fraction]:
        """The charge as a plan has it, and the part of its allowances that holds: each side of a plan change has its own."""
        charge, paid = self.plans.get(plan_id, (self.charge, self.active))
        return charge, paid if charge.prorate else Fraction(1)

    def in_trial(self, piece: Slice) -> bool:
        """Whether a slice lies in the trial: versions are cut where it ends."""
        return self.trial_until_ns is not None and piece.span.until_ns <= self.trial_until_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a slice lies in the period: the quantity of the versions before it, and that of all of them.

    At a price-version change nothing restarts: a ladder goes on at `before`, a volume is that of `total`. `active` is the part
    of the period whose tiers hold: the bounds and flat fees of half a period are half. `filled` is what lies in them already, of
    periods before. `events` are those of the versions before,
    `slots` those of all versions.
    """

    before: Fraction
    total: Fraction
    active: Fraction = Fraction(1)
    events: tuple[UsageEvent, ...] = ()
    slots: tuple[Slot, ...] = ()
    filled: Fraction = Fraction(0)

    @property
    def reached(self) -> Fraction:
        """What chooses a tier of all: the whole of the period, and what periods before filled."""
        return self.filled + self.total

    @property
    def and_before(self) -> str:
        """What to say of a period whose tiers count over the whole subscription."""
        return " and before" if self.filled else ""

    def share(self, quantity: Fraction) -> Fraction:
        """The part of the whole that a quantity is: what is due once in a period is split by it. 1 of nothing."""
        return quantity / self.total if self.total else Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What a model says of a slice, one for each tier that it touches: `amount` in the plan's currency, exact.

    `amount` is quantity x unit price + `fixed`, such as the flat fee of a tier. `unit` is that of the quantity where it is
    not the charge's: a package. `steps` lead from the slice's quantity to the amount.
    """

    tier: int
    quantity: Fraction
    unit_price: Fraction
    amount: Fraction
    steps: tuple[Step, ...]
    fixed: Fraction = Fraction(0)
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A line before its rounding: what a model says of a slice of a group, its coverage and its service period."""

    group: tuple[tuple[str, str], ...]
    piece: Slice
    priced: Priced
    share: Share
    service: tuple[int, int]
