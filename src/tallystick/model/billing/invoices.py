"""Rated lines and invoices: each line with its own derivation, each invoice frozen with its evidence (billing.md, Invoices)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from urllib.parse import quote

from tallystick.model.billing.contracts import Contract, Customer, Run, Seller
from tallystick.model.billing.money import Money
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.billing.runs import OpenRun
from tallystick.model.findings import Finding
from tallystick.model.instants import iso
from tallystick.model.resources import Attributes
from tallystick.model.usage import Cells, Gap, HourSums, MeterHours, UsageHour


class LineKind(StrEnum):
    """What a line is for."""

    USAGE = "usage"
    SURCHARGE = "surcharge"
    FEE = "fee"
    RESERVATION = "reservation"
    COMMITMENT = "commitment"
    DISCOUNT = "discount"
    COUPON = "coupon"
    SERVICE_LEVEL = "service_level"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """One event that is priced: `amount` of an event meter (`events.<name>`), and the `price` that it brings, if it brings one.

    Amounts are exact rationals of 0 or more; a price is for all of the event, in the currency of the plan.
    """

    resource_id: str
    meter: str
    at_ns: int
    amount: Fraction
    price: Fraction | None = None


def in_order(events: Iterable[UsageEvent]) -> tuple[UsageEvent, ...]:
    """Events in order of time; those of one instant by what they are, so that the order in which they come does not matter."""
    return tuple(sorted(events, key=lambda each: (each.at_ns, each.resource_id, each.meter, each.amount, each.price or Fraction(0))))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPrice:
    """What the market asked in one hour for resources of a region and kind, per unit of a `spot` charge, in the currency of its plan."""

    region: str
    kind: str
    hour_ns: int
    price: Fraction


class OutageCause(StrEnum):
    """Why a resource was not available. Only what is not the customer's doing, and is known, is downtime."""

    DECLARED = "declared"
    UNPLANNED_STOP = "unplanned_stop"
    CUSTOMER_STOP = "customer_stop"
    METERING_GAP = "metering_gap"

    @property
    def is_downtime(self) -> bool:
        """Whether it counts against the service level."""
        match self:
            case OutageCause.DECLARED | OutageCause.UNPLANNED_STOP:
                return True
            case OutageCause.CUSTOMER_STOP | OutageCause.METERING_GAP:
                return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A resource that was not available in [from_ns, until_ns); `outage_id` is what it was declared as."""

    resource_id: str
    from_ns: int
    until_ns: int
    cause: OutageCause
    outage_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TierFill:
    """How much a group of a `lifetime` charge of a subscription had filled of its tiers before the period."""

    subscription_id: str
    charge_id: str
    group: tuple[tuple[str, str], ...]
    quantity: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is rated: usage hours of any resources, whose they were, the gaps that nothing filled, priced events, market prices.

    `attributes` are the timelines of the resources in order of time; a resource without one is nobody's. A resource of `sums` has no
    hours beside them: they are never frozen as evidence. `open_runs` were open when `hours` begin, `tier_fills` is what earlier periods
    filled of tiers; `outages` may tell of times outside the period.
    """

    hours: tuple[UsageHour, ...]
    attributes: Mapping[str, tuple[Attributes, ...]]
    gaps: tuple[Gap, ...] = ()
    events: tuple[UsageEvent, ...] = ()
    market: tuple[MarketPrice, ...] = ()
    sums: tuple[HourSums, ...] = ()
    open_runs: tuple[OpenRun, ...] = ()
    tier_fills: tuple[TierFill, ...] = ()
    outages: tuple[Outage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that an invoice was made of: rating and assembling it again gives byte-equal content, today and in ten years."""

    usage: Usage
    contract: Contract
    books: tuple[PriceBook, ...]
    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePart:
    """How much of a line's quantity comes from one resource, hour by hour, in the meter's base unit.

    `hours` are (hour_ns, its twelve cells): cells outside the line are 0. `divisor` is how many base units make one unit
    of the line: 3,600,000,000,000 core·ns for a `core-hour`; a month's price has one part per month.
    """

    resource_id: str
    divisor: Fraction
    hours: Sequence[tuple[int, Cells]]

    @property
    def amount(self) -> int:
        """The part in the meter's base unit."""
        return self.hours.amount if isinstance(self.hours, MeterHours) else sum(sum(cells) for _, cells in self.hours)

    @property
    def quantity(self) -> Fraction:
        """The part in the unit of the line."""
        return self.amount / self.divisor


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step from usage to amount: what was done in a word and in a sentence, and the value before and after.

    `unit` is the unit of `after`: the line's unit, or its currency.
    """

    name: str
    text: str
    before: Fraction
    after: Fraction
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """Why a line is what it is: its usage parts (none for a fee), its steps in order, the amount before the one rounding.

    The first step begins with the sum of the parts (a fee's with the fee), each begins where the one before it ended; the
    last is `rounding`: from `unrounded` to the amount of the line.
    """

    parts: tuple[UsagePart, ...] = ()
    steps: tuple[Step, ...] = ()
    unrounded: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the time behind a line was measured, estimated (inside gaps) or unknown, in ns of resource time.

    Uptime for what runs; for `disk.allocated`, which is declared and goes on when nothing runs, the time it was held.
    """

    measured_ns: int = 0
    estimated_ns: int = 0
    unknown_ns: int = 0

    @property
    def whole_ns(self) -> int:
        """All of it: what the three are shares of."""
        return self.measured_ns + self.estimated_ns + self.unknown_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: (charge, group, price version, tier, service period), with its own quantity, unit price and amount.

    `key` is `subscription/charge/group/version ordinal/tier/service period`. `plan_id` and `book_version` are attributes.
    Every part of the key is percent-encoded, so that no two keys meet. `charge_id` is the id of the charge, or of the
    fee, commitment, discount or coupon. `quantity` is exact, in `unit`, what is left after allowances: `quantity` x
    `unit_price` + `fixed` (the flat fee of a tier; what a cap takes off) is the derivation's `unrounded`; `amount` is its
    part of the charge's one rounding. `meter` is empty where no usage is priced.
    """

    key: str
    kind: LineKind
    subscription_id: str
    charge_id: str
    group: tuple[tuple[str, str], ...]
    plan_id: str
    book_id: str
    book_version: int
    tier: int
    service_start_ns: int
    service_end_ns: int
    description: str
    meter: str
    quantity: Fraction
    unit: str
    unit_price: Fraction
    amount: Money
    derivation: Derivation
    share: Share = field(default_factory=Share)
    fixed: Fraction = Fraction(0)


def line_key(
    subscription_id: str, charge_id: str, group: tuple[tuple[str, str], ...], version_and_tier: tuple[int, int], service: tuple[int, int]
) -> str:
    """The stable key of a line: `subscription/charge/group/version ordinal/tier/service period`, each part percent-encoded."""
    (ordinal, tier), (start_ns, end_ns) = version_and_tier, service
    grouped = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in group) or "-"
    ids = f"{quote(subscription_id, safe='')}/{quote(charge_id, safe='')}"
    return f"{ids}/{grouped}/{ordinal}/{tier}/{iso(start_ns)}..{iso(end_ns)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One row of the usage statement: what one meter of one resource measured in the period, billed or not.

    `quantity` is in `unit`, exact; None: `not measured`. `billed` tells whether any charge of the plan names the meter.
    """

    resource_id: str
    resource_name: str
    meter: str
    unit: str
    quantity: Fraction | None
    billed: bool
    share: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingResult:
    """What rating makes: lines in the order of subscriptions, charges, groups, versions and tiers; statement rows; findings.

    A blocking finding parks the invoice: something could not be priced, and is not among the lines.
    """

    lines: tuple[Line, ...]
    statement: tuple[Statement, ...]
    findings: tuple[Finding, ...]


class DocumentState(StrEnum):
    """The life of an invoice document."""

    DRAFT = "draft"
    PARKED = "parked"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One invoice, whole: everything that is printed stands in it.

    `number` is None until it is finalized. `content_hash` is the SHA-256 of the canonical content (all but id, number,
    state, the instants of the document and this hash), `evidence_hash` that of the frozen evidence. `tax_rule` is
    `not_computed` until tax rules exist, and is printed. Unique per (seller, customer, run, currency, revision).
    """

    id: str
    number: str | None
    state: DocumentState
    seller: Seller
    customer: Customer
    run: Run
    currency: str
    revision: int
    lines: tuple[Line, ...]
    statement: tuple[Statement, ...]
    findings: tuple[Finding, ...]
    net: Money
    tax_rule: str
    total: Money
    issued_at_ns: int | None
    due_at_ns: int | None
    content_hash: str
    evidence_hash: str

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to bill and nothing to tell: no line, no usage, no blocking finding. Such a run needs no invoice."""
        return not self.lines and not self.statement and self.state is not DocumentState.PARKED


@dataclass(frozen=True, slots=True, kw_only=True)
class UpcomingRun:
    """A run that comes: `share` is the part of its period in which the subscription is in force, 1 for all of it.

    The period of a run at a start, for what is due then, is empty and has the share 0. `fees` are the lines that are due whatever is
    used, `due` is their sum.
    """

    run: Run
    share: Fraction
    plan_ids: tuple[str, ...]
    fees: tuple[Line, ...]
    due: Money
