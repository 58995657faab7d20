"""A price book as it is loaded: versions of plans with their charges, frozen once active (billing.md, Price book)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar

from tallystick.model.billing.money import Rounding
from tallystick.model.instants import cell_end, cell_start


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


class PriceModel:
    """How the quantity of a charge becomes an amount: a frozen value of a class that `rate/models/` holds, one a file.

    Classes are known by name, so that a charge that was frozen as evidence is read again by whoever does not price it.
    """

    __slots__ = ()
    known: ClassVar[dict[str, type[PriceModel]]] = {}

    def __init_subclass__(cls) -> None:
        """Make the class known."""
        PriceModel.known[cls.__name__] = cls


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One charge of a plan: a meter, the unit it is priced in, whom it matches, its model, its free allowance.

    `id` is stable across versions: it is part of the line key. `per` is a unit of `rate/units.py` (`core-hour`,
    `GiB-hour`, `GiB-month`, `GiB`, `million`, `hour`, ...). `month_hours` is None for the real months of the billing zone,
    or the hours of a nominal month (730), for units per month only. `group_by` names `region`, `resource` or
    `labels.<name>`. `free` and `included` (what a fee pays for) are in units of `per`, for each group and period. `cap` is the most
    that one resource costs in a period, in the plan's currency. They and the tiers are prorated (unless `prorate` is false)
    only when the subscription is not in force for the whole period. A charge with `also` is charged in addition to the first charge
    that matches; without it, two charges that could match one resource are a mistake of the book. Runs
    count in whole `increment_seconds`, each at least `minimum_seconds` (0: as they are). The tiers of a `lifetime` charge count over
    the whole subscription.
    """

    id: str
    name: str
    meter: str
    per: str
    model: PriceModel
    filters: Filters = field(default_factory=Filters)
    group_by: tuple[str, ...] = ()
    free: Fraction = Fraction(0)
    included: Fraction = Fraction(0)
    cap: Fraction | None = None
    prorate: bool = True
    month_hours: Fraction | None = None
    also: bool = False
    increment_seconds: int = 0
    minimum_seconds: int = 0
    lifetime: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """A recurring fee of a plan: an amount per billing cycle, in the plan's currency.

    The version in force when its service period begins says how much it is.
    """

    id: str
    name: str
    amount: Fraction
    timing: FeeTiming = FeeTiming.ARREARS
    proration: Proration = Proration.EXACT


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """The least or the most that some charges of a plan come to in a period, in its currency: all of them when none is named.

    What is missing to the minimum is a line of its own (true-up), as is what the maximum takes off. Both are prorated, unless
    `prorate` is false, only when the subscription is not in force for the whole period.
    """

    id: str
    name: str
    minimum: Fraction | None = None
    maximum: Fraction | None = None
    charges: tuple[str, ...] = ()
    prorate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """A share of what some charges or commitments come to that is taken off: of all charges when none is named."""

    id: str
    name: str
    percent: Fraction
    charges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevel:
    """What is credited when a resource was not available: the `percent` of the lowest of `credits` (below, percent) that it fell under.

    `credits` are percents of the time of service, highest first. The credit is of what the charges, all when none is named, cost for
    that resource.
    """

    id: str
    name: str
    credits: tuple[tuple[Fraction, Fraction], ...]
    charges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What customers of a plan can reserve: a unit of `per` in a region, of a kind, for `months` at a time.

    `upfront` is due at its start, for each unit that can be used at once; `recurring` for each unit of `per`, used or not.
    """

    id: str
    name: str
    meter: str
    per: str
    months: int
    region: str = ""
    kind: str = ""
    upfront: Fraction = Fraction(0)
    recurring: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """A billing cycle: `count` units of `hour`, `day`, `week`, `month` or `year`, on the calendar or on an anniversary.

    Only months come in counts other than 1, and only weeks, months and years have anniversaries.
    """

    unit: str = "month"
    count: int = 1
    anniversary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a subscription binds to: a currency, a cycle, perhaps fees, charges in their order of matching, and what changes their sums."""

    id: str
    name: str
    currency: str
    charges: tuple[Charge, ...]
    fees: tuple[Fee, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    discounts: tuple[Discount, ...] = ()
    reservations: tuple[Offer, ...] = ()
    service_levels: tuple[ServiceLevel, ...] = ()
    cycle: Cycle = field(default_factory=Cycle)
    default: bool = False
    rounding: Rounding = Rounding.HALF_UP


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """One version of a price book: its plans are in force for usage in [effective_from_ns, effective_until_ns).

    `effective_until_ns` None: until the next version. `corrects` is the number of the version that this one replaces for
    the same time, because it was wrong. `regions` are those that prices may be for; empty: any. `digest` is the SHA-256 of the
    canonical document, in hex.
    """

    id: str
    version: int
    effective_from_ns: int
    plans: tuple[Plan, ...]
    effective_until_ns: int | None = None
    corrects: int | None = None
    regions: tuple[str, ...] = ()
    digest: str = ""

    def plan(self, plan_id: str) -> Plan | None:
        """The plan of that id, or None."""
        return next((plan for plan in self.plans if plan.id == plan_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake of a price book as it was written: where, what was found, what is allowed there."""

    file: str
    line: int
    place: str
    found: str
    allowed: str

    def sentence(self) -> str:
        """One line for a person: `book.yaml:12: plans[0].charges[1].per: found 'GiB', allowed: core-hour`."""
        return f"{self.file}:{self.line}: {self.place}: found {self.found}, allowed: {self.allowed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSpan:
    """One version of a plan and the cells [from_ns, until_ns) that it prices."""

    from_ns: int
    until_ns: int
    book: PriceBook
    plan: Plan


def price_spans(books: Sequence[PriceBook], plan_id: str, from_ns: int, until_ns: int) -> tuple[PriceSpan, ...]:
    """Which version of a plan is in force in which cells of [from_ns, until_ns), in order; where none is, there is a hole.

    The version that began last is in force; of two that began together, the higher number (a correction). A version that
    follows another takes effect at the next cell, the first at the start of its own, an end that nothing follows at the
    end of its cell (billing.md, Subscriptions and periods).
    """
    named = {book.id for book in books if book.plan(plan_id)}
    versions = sorted((book for book in books if book.id in named), key=lambda book: (book.effective_from_ns, book.version))
    spans: list[PriceSpan] = []
    for book in versions:
        earlier = [other for other in versions if other.effective_from_ns < book.effective_from_ns]
        follows = any(_end(other, until_ns) > cell_start(book.effective_from_ns) for other in earlier)
        begin = cell_end(book.effective_from_ns) if follows else cell_start(book.effective_from_ns)
        end = min(until_ns, _end(book, until_ns))
        spans = [piece for span in spans for piece in _around(span, begin, until_ns if book.corrects is None else end)]
        plan = book.plan(plan_id)
        if plan is not None:
            spans.append(PriceSpan(from_ns=max(begin, from_ns), until_ns=end, book=book, plan=plan))
    return tuple(sorted((span for span in spans if span.from_ns < span.until_ns), key=lambda span: span.from_ns))


def _end(book: PriceBook, open_ns: int) -> int:
    return open_ns if book.effective_until_ns is None else cell_end(book.effective_until_ns)


def _around(span: PriceSpan, begin: int, end: int) -> tuple[PriceSpan, ...]:
    """What is left of a span before `begin` and from `end` on: what a correction corrects may go on after it."""
    head = PriceSpan(from_ns=span.from_ns, until_ns=min(span.until_ns, begin), book=span.book, plan=span.plan)
    tail = PriceSpan(from_ns=max(span.from_ns, end), until_ns=span.until_ns, book=span.book, plan=span.plan)
    return tuple(piece for piece in (head, tail) if piece.from_ns < piece.until_ns)
