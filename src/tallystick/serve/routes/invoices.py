"""Routes of invoices: lists, the document as JSON, PDF and text, previews, lines opened."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from starlette.responses import PlainTextResponse, Response

from tallystick.model.access import Role
from tallystick.model.billing.invoices import DocumentState, Invoice
from tallystick.serve.books import choice_of
from tallystick.serve.documents.invoices import (
    ExplanationDocument,
    InvoiceDocument,
    InvoicePreview,
    InvoiceRow,
    PreviewExplanation,
    Previews,
    shown_explanation,
    shown_row,
)
from tallystick.serve.documents.values import Id, Listing
from tallystick.serve.guard import Call, GuardedRoute, Reader
from tallystick.serve.pages import Cursor, Limit, newest
from tallystick.serve.problems import FORBIDDEN, Problem, not_found
from tallystick.serve.services import Depth

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["invoices"])

Responses = dict[int | str, dict[str, Any]]

SENT = frozenset({DocumentState.FINALIZED})
PDF = "application/pdf"
IN_PDF: Responses = {200: {"description": "PDF/A-3b.", "content": {PDF: {"schema": {"type": "string", "format": "binary"}}}}}
IN_TEXT: Responses = {200: {"description": "Plain text.", "content": {"text/plain": {"schema": {"type": "string"}}}}}
IN_JSON: Responses = {200: {"description": "The whole invoice.", "model": InvoiceDocument}}
DRAFTS: Responses = {200: {"description": "The drafts.", "model": Previews}}


@router.get("/invoices", summary="Invoices, newest first")
def list_invoices(
    call: Reader, customer_id: Id | None = None, state: DocumentState | None = None, limit: Limit = 100, cursor: Cursor = None
) -> Listing[InvoiceRow]:
    """Without their lines. A customer's key sees what was sent to it: finalized invoices."""
    states = _states(call)
    wanted = states if state is None else frozenset({state}) & (states or {state})
    fetch = partial(call.desk.store.invoices.list, call.place, customers=call.only(customer_id), states=wanted)
    page, following = newest(fetch, cursor, limit)
    return Listing(items=tuple(shown_row(each.invoice) for each in page), next_cursor=following)


@router.post("/invoices/preview", summary="What the running periods would cost if they ended now", responses=DRAFTS)
def preview_invoice(call: Reader, wanted: InvoicePreview) -> Response:
    """The drafts of all periods open at `at`, one per cycle and currency. Nothing is stored.

    With `prices` they are as if that version of a price book had always been in force: not for a customer's key.
    """
    call.only(wanted.customer_id)
    if wanted.prices is not None and call.customers is not None:
        raise Problem(FORBIDDEN, "prices: other prices than those in force are not for a customer's key", field="prices")
    at_ns = call.desk.clock.now_ns() if wanted.at is None else wanted.at
    choice = None if wanted.prices is None else choice_of(call, wanted.prices)
    drafts = call.desk.services.preview_invoice(call.place, wanted.customer_id, at_ns, choice)
    items = ",".join(map(call.desk.services.invoice_json, drafts))
    return Response(f'{{"items": [{items}], "next_cursor": null}}', media_type="application/json")


@router.post("/invoices/preview/explain", summary="A line of a preview opened")
def explain_preview(call: Reader, wanted: PreviewExplanation) -> ExplanationDocument:
    """A line of the drafts of all periods open at `at`: what it would be made of if they ended now."""
    call.only(wanted.customer_id)
    at_ns = call.desk.clock.now_ns() if wanted.at is None else wanted.at
    drafts = call.desk.services.preview_invoice(call.place, wanted.customer_id, at_ns, None)
    lines = [(draft, number) for draft in drafts for number in range(1, len(draft.lines) + 1)]
    if wanted.line > len(lines):
        raise not_found("line", str(wanted.line))
    draft, number = lines[wanted.line - 1]
    told = call.desk.services.explain_line(call.place, draft, number, wanted.depth, wanted.verify)
    return shown_explanation(told, wanted.line, cells=wanted.depth is not Depth.HOURS)


@router.get("/invoices/{invoice_id:path}/lines/{line}/explain", summary="A line opened down to the hours, cells or raw samples behind it")
def explain_line(
    call: Reader,
    invoice_id: Id,
    line: Annotated[int, InPath(ge=1, le=2**31 - 1, description="Its number; 1 is the first.")],
    verify: Annotated[bool, Query(description="Compute it again from its derivation.")] = False,
    depth: Annotated[Depth, Query(description="How far to open it.")] = Depth.HOURS,
) -> ExplanationDocument:
    """Its steps in order, exact, and the usage that they begin with."""
    invoice = _visible(call, invoice_id)
    if line > len(invoice.lines):
        raise not_found("line", str(line))
    told = call.desk.services.explain_line(call.place, invoice, line, depth, verify)
    return shown_explanation(told, line, cells=depth is not Depth.HOURS)


@router.get("/invoices/{invoice_id:path}.pdf", summary="An invoice as PDF", response_class=Response, responses=IN_PDF)
@router.get("/invoices/{invoice_id:path}/pdf", summary="An invoice as PDF", response_class=Response, responses=IN_PDF)
def invoice_pdf(call: Reader, invoice_id: Id) -> Response:
    """PDF/A-3b, byte-equal whenever it is asked for. What is not finalized carries its state across each page."""
    invoice = _visible(call, invoice_id)
    name = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-._") else "_" for letter in invoice.number or invoice.id)
    document = call.desk.services.invoice_pdf(invoice)
    return Response(document, media_type=PDF, headers={"Content-Disposition": f'inline; filename="{name}.pdf"'})


@router.get("/invoices/{invoice_id:path}/text", summary="An invoice as text", response_class=PlainTextResponse, responses=IN_TEXT)
def invoice_text(call: Reader, invoice_id: Id) -> Response:
    """The same words and numbers as the PDF, in 100 columns."""
    return PlainTextResponse(call.desk.services.invoice_text(_visible(call, invoice_id)))


@router.get("/invoices/{invoice_id:path}", summary="An invoice, whole", responses=IN_JSON)
def show_invoice(call: Reader, invoice_id: Id) -> Response:
    """By its id or its number, each line with its derivation; exact values are `n/d`."""
    return Response(call.desk.services.invoice_json(_visible(call, invoice_id)), media_type="application/json")


def _states(call: Call) -> frozenset[DocumentState] | None:
    return SENT if call.grant.role is Role.CUSTOMER else None


def _visible(call: Call, invoice_id: str) -> Invoice:
    """The invoice, if the key may see it: what is another's, or not sent yet, is not there."""
    invoice = call.desk.store.invoices.get(call.place, invoice_id)
    states = _states(call)
    if invoice is None or not call.sees(invoice.customer.id) or (states is not None and invoice.state not in states):
        raise not_found("invoice_id", invoice_id)
    return invoice
