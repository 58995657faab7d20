"""Rated lines and invoices: each line with its own derivation, each invoice frozen with its evidence (billing.md, Invoices)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from tallystick.model.contracts import Customer, Run, Seller
from tallystick.model.findings import Finding
from tallystick.model.money import Money


class LineKind(StrEnum):
    """What a line is for."""

    USAGE = "usage"
    FEE = "fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePart:
    """How much of a line's quantity comes from one resource in one UTC hour, in the meter's base unit, by cell.

    `cells` are the twelve cells of the hour; those outside the line's attribution are 0. `cell_weights`, for prices per
    month only, is empty or the factor of the hour (1 / hours of its month), as the whole part shares one period.
    """

    resource_id: str
    hour_ns: int
    cells: tuple[int, ...]
    estimated: int = 0

    @property
    def amount(self) -> int:
        """The hour's part in the meter's base unit."""
        return sum(self.cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step from quantity to amount, in words and exactly: `allowance 10 core-hour`, before and after."""

    name: str
    text: str
    before: Fraction
    after: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """Why a line is what it is: its parts, the divisor from base unit to priced unit, its steps, the unrounded amount.

    `quantity` of the line = (sum of parts / divisor) after the quantity steps; `unrounded` = after the last amount step.
    """

    parts: tuple[UsagePart, ...] = ()
    divisor: Fraction = Fraction(1)
    steps: tuple[Step, ...] = ()
    unrounded: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How much of the measured time behind a line was measured, estimated (inside gaps) or unknown, in ns of uptime."""

    measured_ns: int = 0
    estimated_ns: int = 0
    unknown_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: (charge, group, price version, tier, service period), with its own quantity, unit price and amount.

    `key` is `subscription/charge/group/version ordinal/tier/service period`. `plan_id` and `book_version` are attributes.
    `quantity` is exact, in `unit`; `amount` the rounded part of the charge's one rounding.
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


class DocumentState(StrEnum):
    """The life of an invoice document."""

    DRAFT = "draft"
    PARKED = "parked"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One invoice, whole: everything that is printed stands in it.

    `number` is None until it is finalized. `content_hash` is the SHA-256 of the canonical content (all but number, state
    and instants of the document), `evidence_hash` that of the frozen usage hours. `tax_rule` is `not_computed` until tax
    rules exist, and is printed. Unique per (seller, customer, run, currency, revision).
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
