"""Documents of invoices: rows of lists, the whole invoice as its codec writes it, lines opened.

The whole invoice is written by `invoice.codec`; the types here are its schema, and a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from tallystick.model.billing.invoices import DocumentState, Invoice, LineKind
from tallystick.model.findings import FindingCode, Severity
from tallystick.model.instants import iso
from tallystick.model.records import UsageRecord
from tallystick.serve.documents.accounts import AddressDocument
from tallystick.serve.documents.prices import ChosenBook
from tallystick.serve.documents.usage import ShownFinding, shown_finding
from tallystick.serve.documents.values import (
    EXACT_PATTERN,
    Document,
    Id,
    Instant,
    ShownInstant,
    ShownMoney,
    exact,
    shown_instant,
    shown_money,
)
from tallystick.serve.services import Depth, Explanation

Rational = Annotated[str, StringConstraints(pattern=EXACT_PATTERN)]
"""An exact rational: `n/d`, or `n`."""

CellsText = Annotated[str, StringConstraints(pattern=r"^-?[0-9]+( -?[0-9]+)*$")]
"""Twelve integers with spaces between, one per five-minute cell."""


class InvoicePreview(Document):
    """Whose open periods are to be previewed, as of when (now), and perhaps as if a version of prices had always been in force."""

    customer_id: Id
    at: Instant | None = None
    prices: ChosenBook | None = None


class PreviewExplanation(InvoicePreview):
    """A line of the drafts of a preview, counted through all of them; 1 is the first. How far to open it, whether to verify it."""

    line: int = Field(ge=1, le=2**31 - 1)
    depth: Depth = Depth.HOURS
    verify: bool = False


class InvoiceRow(Document):
    """An invoice in a list: without its lines."""

    id: str
    number: str | None
    state: DocumentState
    customer_id: str
    revision: int
    currency: str
    period_start: ShownInstant
    period_end: ShownInstant
    closing: ShownInstant
    net: ShownMoney
    total: ShownMoney
    issued_at: ShownInstant | None
    due_at: ShownInstant | None
    content_hash: str
    findings: tuple[ShownFinding, ...]


class SellerPart(Document):
    """The seller as it was."""

    id: str
    name: str
    currency: str
    time_zone: str
    address: AddressDocument
    email: str
    tax_id: str
    tax: str
    terms_days: int
    grace_ns: int
    grace_limit_ns: int
    fiscal_year_month: int
    number_prefix: str


class CustomerPart(Document):
    """The customer as it was."""

    id: str
    name: str
    currency: str
    time_zone: str
    address: AddressDocument
    email: str
    tax_id: str
    labels: dict[str, str]


class CyclePart(Document):
    """A billing cycle."""

    unit: str
    count: int
    anniversary: bool


class RunPart(Document):
    """What is invoiced together."""

    customer_id: str
    cycle: CyclePart
    anchor: ShownInstant
    period_start: ShownInstant
    period_end: ShownInstant
    closing: ShownInstant
    currency: str
    subscription_ids: tuple[str, ...]


class UsagePartDocument(Document):
    """How much of a line comes from one resource: pairs of an hour and its twelve cells in the meter's base unit."""

    resource_id: str
    divisor: Rational
    hours: tuple[tuple[ShownInstant, CellsText], ...]


class StepDocument(Document):
    """One step from usage to amount."""

    name: str
    text: str
    before: Rational
    after: Rational
    unit: str


class DerivationDocument(Document):
    """Why a line is what it is."""

    parts: tuple[UsagePartDocument, ...]
    steps: tuple[StepDocument, ...]
    unrounded: Rational


class ShareDocument(Document):
    """How much of the time behind a line was measured, estimated or unknown."""

    measured_ns: int
    estimated_ns: int
    unknown_ns: int


class LineDocument(Document):
    """One line with its derivation."""

    key: str
    kind: LineKind
    subscription_id: str
    charge_id: str
    group: tuple[tuple[str, str], ...]
    plan_id: str
    book_id: str
    book_version: int
    tier: int
    service_start: ShownInstant
    service_end: ShownInstant
    description: str
    meter: str
    quantity: Rational
    unit: str
    unit_price: Rational
    amount: ShownMoney
    derivation: DerivationDocument
    share: ShareDocument
    fixed: Rational = "0"


class StatementDocument(Document):
    """One row of the usage statement; `quantity` null: not measured."""

    resource_id: str
    resource_name: str
    meter: str
    unit: str
    quantity: Rational | None
    billed: bool
    share: ShareDocument


class FindingPart(Document):
    """What was noticed while the invoice was made."""

    code: FindingCode
    severity: Severity
    resource_id: str
    boot_id: str
    at: ShownInstant | None
    counters: tuple[str, ...]
    record: str
    detail: str


class InvoiceDocument(Document):
    """One invoice, whole."""

    id: str
    number: str | None
    state: DocumentState
    seller: SellerPart
    customer: CustomerPart
    run: RunPart
    currency: str
    revision: int
    lines: tuple[LineDocument, ...]
    statement: tuple[StatementDocument, ...]
    findings: tuple[FindingPart, ...]
    net: ShownMoney
    tax_rule: str
    total: ShownMoney
    issued_at: ShownInstant | None
    due_at: ShownInstant | None
    content_hash: str
    evidence_hash: str


class Previews(Document):
    """The drafts of the periods that are open; nothing was stored."""

    items: tuple[InvoiceDocument, ...]
    next_cursor: None


class ExplainedPart(Document):
    """What one resource adds to a line: `amount` in the meter's base unit, of which `divisor` are one unit of the line."""

    resource_id: str
    amount: int
    divisor: Rational
    quantity: Rational


class ExplainedHour(Document):
    """What one resource adds to a line in one hour; the twelve cells from depth `cells` on."""

    resource_id: str
    hour: ShownInstant
    amount: int
    cells: tuple[int, ...] | None


class ExplainedSampleDocument(Document):
    """One raw sample behind a line."""

    resource_id: str
    boot_id: str
    measured_at: ShownInstant
    columns: dict[str, int]


class ExplainedRecordDocument(Document):
    """One usage record behind a line: it bills where nothing better measured the same."""

    resource_id: str
    source: str
    record_id: str
    meter: str
    from_: ShownInstant = Field(alias="from")
    until: ShownInstant
    amount: int


class VerificationDocument(Document):
    """A line computed again: whether it is the same, what came out, and each difference in words."""

    equal: bool
    quantity: Rational
    unrounded: Rational
    differences: tuple[str, ...]


class ExplanationDocument(Document):
    """A line opened: its steps, the usage behind it, perhaps raw samples, perhaps computed again. `text` is for a person."""

    invoice_id: str
    number: str | None
    line: int = Field(description="The number of the line; 1 is the first.")
    key: str
    description: str
    charge_id: str
    plan_id: str
    book_id: str
    book_version: int
    tier: int
    quantity: Rational
    unit: str
    unit_price: Rational
    fixed: Rational = Field(description="What is due beside quantity x unit price: a flat fee, or what a cap takes off.")
    unrounded: Rational
    amount: ShownMoney
    steps: tuple[StepDocument, ...]
    parts: tuple[ExplainedPart, ...]
    hours: tuple[ExplainedHour, ...]
    samples: tuple[ExplainedSampleDocument, ...]
    samples_left_out: int
    records: tuple[ExplainedRecordDocument, ...]
    verification: VerificationDocument | None
    text: str


def shown_row(invoice: Invoice) -> InvoiceRow:
    """An invoice as a row of a list."""
    return InvoiceRow(
        id=invoice.id,
        number=invoice.number,
        state=invoice.state,
        customer_id=invoice.customer.id,
        revision=invoice.revision,
        currency=invoice.currency,
        period_start=iso(invoice.run.period_start_ns),
        period_end=iso(invoice.run.period_end_ns),
        closing=iso(invoice.run.closing_ns),
        net=shown_money(invoice.net),
        total=shown_money(invoice.total),
        issued_at=shown_instant(invoice.issued_at_ns),
        due_at=shown_instant(invoice.due_at_ns),
        content_hash=invoice.content_hash,
        findings=tuple(map(shown_finding, invoice.findings)),
    )


def shown_explanation(told: Explanation, number: int, *, cells: bool) -> ExplanationDocument:
    """An explanation as a document."""
    line, checked = told.line, told.verification
    return ExplanationDocument(
        invoice_id=told.invoice.id,
        number=told.invoice.number,
        line=number,
        key=line.key,
        description=line.description,
        charge_id=line.charge_id,
        plan_id=line.plan_id,
        book_id=line.book_id,
        book_version=line.book_version,
        tier=line.tier,
        quantity=exact(line.quantity).exact,
        unit=line.unit,
        unit_price=exact(line.unit_price).exact,
        fixed=exact(line.fixed).exact,
        unrounded=exact(line.derivation.unrounded).exact,
        amount=shown_money(line.amount),
        parts=tuple(
            ExplainedPart(
                resource_id=part.resource_id, amount=part.amount, divisor=exact(part.divisor).exact, quantity=exact(part.quantity).exact
            )
            for part in line.derivation.parts
        ),
        steps=tuple(
            StepDocument(name=step.name, text=step.text, before=exact(step.before).exact, after=exact(step.after).exact, unit=step.unit)
            for step in line.derivation.steps
        ),
        hours=tuple(
            ExplainedHour(resource_id=part.resource_id, hour=iso(hour_ns), amount=sum(amounts), cells=amounts if cells else None)
            for part in line.derivation.parts
            for hour_ns, amounts in part.hours
        ),
        samples=tuple(
            ExplainedSampleDocument(
                resource_id=sample.resource_id,
                boot_id=sample.boot_id,
                measured_at=iso(sample.measured_at_ns),
                columns=dict(sample.columns),
            )
            for sample in told.samples
        ),
        samples_left_out=told.samples_left_out,
        records=tuple(map(_record, told.records)),
        verification=None
        if checked is None
        else VerificationDocument(
            equal=checked.equal,
            quantity=exact(checked.quantity).exact,
            unrounded=exact(checked.unrounded).exact,
            differences=checked.differences,
        ),
        text=told.text,
    )


def _record(record: UsageRecord) -> ExplainedRecordDocument:
    return ExplainedRecordDocument.model_validate(
        {
            "resource_id": record.resource_id,
            "source": record.source,
            "record_id": record.record_id,
            "meter": record.meter,
            "from": iso(record.from_ns),
            "until": iso(record.until_ns),
            "amount": record.amount,
        }
    )
