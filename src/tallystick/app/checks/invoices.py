"""Invoices: each follows from its frozen evidence, to the byte; its columns, its lines and its number are those of its document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick.app.checks.report import Report, Wanted
from tallystick.invoice.evidence import thaw
from tallystick.invoice.explain import verify_invoice
from tallystick.invoice.numbers import number_text
from tallystick.model.access import Place
from tallystick.model.billing.invoices import DocumentState, Invoice
from tallystick.rate.rate import rate
from tallystick.store.checking.money import InvoiceRow
from tallystick.store.engine import Tx
from tallystick.store.store import Store

INVOICES_AT_ONCE = 50


def check_seller(store: Store, place: Place, wanted: Wanted, report: Report) -> None:
    """Every invoice, draft and parked one of a seller, a few of them from a snapshot."""
    after = 0
    while True:
        with store.read() as tx:
            rows = store.stored_money.invoices(place, after, INVOICES_AT_ONCE, tx)
            for row in rows:
                if _is_wanted(row, wanted):
                    report.count("invoices")
                    for difference in _differences(store, place, row, tx):
                        report.differ(f"invoice {row.name}: {difference}")
        if not rows:
            return
        after = rows[-1].row
        report.step(f"{report.compared['invoices']} invoices")


def _is_wanted(row: InvoiceRow, wanted: Wanted) -> bool:
    """Whether an invoice is to be checked; those of one resource alone are not told from others without reading them."""
    if wanted.resource_id is not None or wanted.customer_id not in (None, row.columns["customer_id"]):
        return False
    return wanted.touches(row.columns["period_start_ns"], row.columns["period_end_ns"])


def _differences(store: Store, place: Place, row: InvoiceRow, tx: Tx) -> Iterator[str]:
    if row.invoice is None:
        yield f"document cannot be read: {row.damage}"
        return
    invoice = row.invoice
    for name, value in _columns(invoice).items():
        if row.columns[name] != value:
            yield f"{name}: the row says {row.columns[name]!r}, the document {value!r}"
    yield from _number_differences(row, invoice)
    yield from store.stored_money.line_differences(place, row.row, invoice, tx)
    try:
        evidence = thaw(store.invoices.evidence(place, invoice.evidence_hash, tx=tx), invoice.evidence_hash)
    except (LookupError, ValueError) as error:
        yield f"evidence: {error}"
        return
    for each in verify_invoice(invoice, evidence, invoice.evidence_hash, rate):
        yield f"{each.place}: says {each.says}, recomputed {each.recomputed}"


def _columns(invoice: Invoice) -> dict[str, Any]:
    return {
        "invoice_id": invoice.id,
        "customer_id": invoice.customer.id,
        "run": invoice.run.key,
        "currency": invoice.currency,
        "revision": invoice.revision,
        "state": invoice.state.value,
        "number": invoice.number,
        "period_start_ns": invoice.run.period_start_ns,
        "period_end_ns": invoice.run.period_end_ns,
        "closing_ns": invoice.run.closing_ns,
        "net_minor": invoice.net.minor,
        "total_minor": invoice.total.minor,
        "issued_at_ns": invoice.issued_at_ns,
        "due_at_ns": invoice.due_at_ns,
        "content_hash": invoice.content_hash,
        "evidence_hash": invoice.evidence_hash,
    }


def _number_differences(row: InvoiceRow, invoice: Invoice) -> Iterator[str]:
    numbered = None not in (row.series, row.fiscal_year, row.number_value)
    if (invoice.state is DocumentState.FINALIZED) != numbered:
        yield f"is {invoice.state.value} and has {'a' if numbered else 'no'} number of a series"
    if row.series is not None and row.fiscal_year is not None and row.number_value is not None:
        told = number_text(row.series, row.fiscal_year, row.number_value)
        if invoice.number != told:
            yield f"number: the document says {invoice.number!r}, its series {told!r}"
