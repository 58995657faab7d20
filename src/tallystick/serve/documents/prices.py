"""Documents of prices: versions of price books with their mistakes, and estimates."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Self

from pydantic import Field, model_validator

from tallystick.model.billing.invoices import Line
from tallystick.model.billing.money import decimal_text
from tallystick.model.billing.price_book import BookState, Mistake, PriceBook
from tallystick.model.billing.price_changes import ChangeKind, PriceChange
from tallystick.model.instants import iso
from tallystick.serve.documents.values import DecimalText, Document, Exact, Id, Name, ShownInstant, ShownMoney, exact, shown_money
from tallystick.serve.services import Comparison, Estimate, EstimateRequest, TouchedPlan

LISTED = 100
"""How many customers of a plan are named."""


class ShownMistake(Document):
    """One mistake of a price book: its line (0: the whole document), the field, what was found there, what is allowed."""

    line: int
    field: str
    found: str
    allowed: str


class CheckedBook(Document):
    """What checking a price book found; nothing was stored."""

    mistakes: tuple[ShownMistake, ...]


class ShownBook(Document):
    """A version of a price book with the ids of its plans. `text` is the document as written, where one version is asked for."""

    id: str
    version: int
    state: BookState
    effective_from: ShownInstant
    effective_until: ShownInstant | None
    corrects: int | None
    digest: str
    plans: tuple[str, ...]
    text: str | None = None


class ChosenBook(Document):
    """A version of a price book: a stored one by `book` and `version` (without it, the last in force), or the `text` of one."""

    book: Id | None = None
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    text: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.book is None) == (self.text is None) or (self.text is not None and self.version is not None):
            raise ValueError("a version is named by book and version, or given as text")
        return self


class NewComparison(Document):
    """What is to be compared. Without `before`: the version that `after` would follow."""

    before: ChosenBook | None = None
    after: ChosenBook


class ComparedBook(Document):
    """A version of a price book that was compared; 0 is one that was sent and says no version."""

    id: str
    version: int
    effective_from: ShownInstant


class ShownChange(Document):
    """One difference. `plan_id` is empty for a key of the book, `part` (charge, fee, commitment, discount) for one of a plan.

    `key` is empty for what is added or removed whole. `percent` is the change of a number, to two decimals.
    """

    plan_id: str
    part: str
    id: str
    key: str
    kind: ChangeKind
    before: str
    after: str
    percent: str | None
    text: str


class ShownTouchedPlan(Document):
    """A plan of which something changes, with the subscriptions to it that have not ended when the later version begins.

    `default`: it also prices what no subscription covers. `customer_ids` are the first 100 of `customers`.
    """

    plan_id: str
    default: bool
    subscriptions: int
    customers: int
    customer_ids: tuple[str, ...]


class ShownComparison(Document):
    """What a version changes, key by key and in words, and for whom."""

    before: ComparedBook
    after: ComparedBook
    changes: tuple[ShownChange, ...]
    plans: tuple[ShownTouchedPlan, ...]


class NewEstimate(Document):
    """Sizes and traffic to be priced; numbers are texts such as `0.5`, or whole numbers. Without a plan: the default one."""

    plan: Id | None = None
    vcpus: DecimalText
    memory_gib: DecimalText
    disk_gib: DecimalText = "0"
    network_out_gib: DecimalText = "0"
    gpus: DecimalText = "0"
    hours: DecimalText = "730"
    region: Name = ""
    kind: Name = ""

    def value(self) -> EstimateRequest:
        """What is to be priced."""
        return EstimateRequest(
            plan_id=self.plan,
            vcpus=Fraction(self.vcpus),
            memory_gib=Fraction(self.memory_gib),
            disk_gib=Fraction(self.disk_gib),
            network_out_gib=Fraction(self.network_out_gib),
            gpus=Fraction(self.gpus),
            hours=Fraction(self.hours),
            region=self.region,
            kind=self.kind,
        )


class EstimatedLine(Document):
    """One line of an estimate: quantity x unit price and what is due beside it (`fixed`), before and after its rounding."""

    charge_id: str
    description: str
    meter: str
    quantity: str
    unit: str
    unit_price: str
    fixed: str
    unrounded: Exact
    amount: ShownMoney


class ShownEstimate(Document):
    """What the one formula makes of the sizes: 2 vCPU, 4 GiB, 50 GiB at 730 h on `standard` is 34.20."""

    plan_id: str
    book_id: str
    book_version: int
    lines: tuple[EstimatedLine, ...]
    total: ShownMoney
    unpriced: Annotated[tuple[str, ...], Field(description="What has no price, and is not in the total.")]


def shown_mistake(mistake: Mistake) -> ShownMistake:
    """A mistake as a document."""
    return ShownMistake(line=mistake.line, field=mistake.place, found=mistake.found, allowed=mistake.allowed)


def shown_comparison(found: Comparison) -> ShownComparison:
    """A comparison as a document."""
    return ShownComparison(
        before=_compared(found.before),
        after=_compared(found.after),
        changes=tuple(map(_change, found.changes)),
        plans=tuple(map(_touched, found.plans)),
    )


def _compared(book: PriceBook) -> ComparedBook:
    return ComparedBook(id=book.id, version=book.version, effective_from=iso(book.effective_from_ns))


def _change(change: PriceChange) -> ShownChange:
    return ShownChange(
        plan_id=change.plan_id,
        part=change.part,
        id=change.id,
        key=change.key,
        kind=change.kind,
        before=change.before,
        after=change.after,
        percent=None if change.percent is None else decimal_text(change.percent, 2),
        text=change.text,
    )


def _touched(plan: TouchedPlan) -> ShownTouchedPlan:
    return ShownTouchedPlan(
        plan_id=plan.plan_id,
        default=plan.default,
        subscriptions=plan.subscriptions,
        customers=len(plan.customer_ids),
        customer_ids=plan.customer_ids[:LISTED],
    )


def shown_estimate(estimate: Estimate) -> ShownEstimate:
    """An estimate as a document."""
    return ShownEstimate(
        plan_id=estimate.plan_id,
        book_id=estimate.book_id,
        book_version=estimate.book_version,
        lines=tuple(map(_line, estimate.lines)),
        total=shown_money(estimate.total),
        unpriced=estimate.unpriced,
    )


def _line(line: Line) -> EstimatedLine:
    return EstimatedLine(
        charge_id=line.charge_id,
        description=line.description,
        meter=line.meter,
        quantity=exact(line.quantity).decimal,
        unit=line.unit,
        unit_price=exact(line.unit_price).decimal,
        fixed=exact(line.fixed).decimal,
        unrounded=exact(line.derivation.unrounded),
        amount=shown_money(line.amount),
    )
