"""Lines and account facts into an invoice: draft, or parked with the findings that say why (billing.md, Invoices)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.invoice.content import content_hash
from tallystick.invoice.fees import fee_lines
from tallystick.invoice.upfront import upfront_lines
from tallystick.model.billing.contracts import Contract, Run
from tallystick.model.billing.invoices import DocumentState, Invoice, RatingResult
from tallystick.model.billing.money import Money
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.calendar import day_start, local_date
from tallystick.model.findings import Finding, FindingCode, Severity

NOT_COMPUTED = "not_computed"


def assemble(
    rated: RatingResult,
    contract: Contract,
    books: Sequence[PriceBook],
    run: Run,
    *,
    invoice_id: str,
    evidence_hash: str = "",
    revision: int = 0,
    hashed: bool = True,
) -> Invoice:
    """The invoice of a run: its fees and upfront parts, then its rated lines, the usage statement, totals, and its state.

    It is parked if any finding blocks. Closing a run twice, from equal inputs, gives equal content and one hash. A
    preview has no evidence hash; without `hashed` it has no content hash either, and no hour of a line is read for it.
    """
    lines = (*fee_lines(contract, books, run), *upfront_lines(contract, books, run), *rated.lines)
    # What is wrong with an account matters where there is something to bill: a run of the default plan may find nothing left for it.
    told = bool(lines or rated.statement or rated.findings)
    findings = (*rated.findings, *(_account_findings(contract, run) if told else ()))
    net = sum((line.amount for line in lines), Money(minor=0, currency=run.currency))
    blocked = any(finding.severity is Severity.BLOCKING for finding in findings)
    invoice = Invoice(
        id=invoice_id,
        number=None,
        state=DocumentState.PARKED if blocked else DocumentState.DRAFT,
        seller=contract.seller,
        customer=contract.customer,
        run=run,
        currency=run.currency,
        revision=revision,
        lines=lines,
        statement=rated.statement,
        findings=findings,
        net=net,
        tax_rule=contract.seller.tax,
        total=net,
        issued_at_ns=None,
        due_at_ns=None,
        content_hash="",
        evidence_hash=evidence_hash,
    )
    return replace(invoice, content_hash=content_hash(invoice)) if hashed else invoice


def issue(invoice: Invoice, issued_at_ns: int) -> Invoice:
    """The invoice issued and due, all but its number: what takes long is done before a number is taken.

    It is due at the first instant of the local date `terms_days` after the one of issue, in the customer's zone.

    Raises:
        ValueError: it is not a draft, or its content is not what its hash says.

    """
    if invoice.state is not DocumentState.DRAFT:
        raise ValueError(f"invoice {invoice.id}: state is {invoice.state}, only a draft is finalized")
    if content_hash(invoice) != invoice.content_hash:
        raise ValueError(f"invoice {invoice.id}: its content is not what its hash {invoice.content_hash} says")
    zone = invoice.customer.time_zone
    due = local_date(issued_at_ns, zone).toordinal() + invoice.seller.terms_days
    due_at_ns = day_start(local_date(issued_at_ns, zone).fromordinal(due), zone)
    return replace(invoice, state=DocumentState.FINALIZED, issued_at_ns=issued_at_ns, due_at_ns=due_at_ns)


def finalize(issued: Invoice, number: str) -> Invoice:
    """The issued invoice with its number: from here on it never changes.

    Raises:
        ValueError: it is not issued, or the number is empty.

    """
    if issued.state is not DocumentState.FINALIZED:
        raise ValueError(f"invoice {issued.id}: state is {issued.state}, only an issued one takes a number")
    if not number:
        raise ValueError(f"invoice {issued.id}: the number is empty")
    return replace(issued, number=number)


def _account_findings(contract: Contract, run: Run) -> tuple[Finding, ...]:
    found = []
    if contract.seller.tax != NOT_COMPUTED:
        detail = f"tax {contract.seller.tax!r} has no rule: the only one is {NOT_COMPUTED}"
        found.append(Finding(code=FindingCode.TAX_WITHOUT_RULE, severity=Severity.BLOCKING, record=contract.seller.tax, detail=detail))
    if run.currency != contract.customer.currency:
        pair = f"{run.currency}/{contract.customer.currency}"
        customer = contract.customer
        detail = f"priced in {run.currency}, but {customer.id} is billed in {customer.currency}: no exchange rate is agreed"
        found.append(Finding(code=FindingCode.NO_EXCHANGE_RATE, severity=Severity.BLOCKING, record=pair, detail=detail))
    return tuple(found)
