"""Closing a billing period: the story of the product, top to bottom.

On a host, samples are taken ten times a second, kept on its disk and sent (`collect`, `spool`). They are stored once,
each batch folded as it arrives (`ingest`, `meter`), and made into usage hours (`app/jobs/rollup.py`). Here usage hours
meet a contract and become an invoice. Nothing on the way is overwritten: closing a period again finds what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tallystick.app.accounts import read_account
from tallystick.app.clock import Clock, Ids
from tallystick.invoice.assemble import assemble, finalize, issue
from tallystick.invoice.evidence import Frozen, evidence_of, freeze
from tallystick.invoice.numbers import fiscal_year, number_text
from tallystick.invoice.runs import ready, usage_window
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Run, Subscription
from tallystick.model.billing.invoices import DocumentState, Invoice, LineKind
from tallystick.rate.rate import rate
from tallystick.store.documents import Prepared
from tallystick.store.engine import Tx
from tallystick.store.records import Fence
from tallystick.store.store import Store

ACTOR = "close_period"


class Closing(StrEnum):
    """What came of a due run."""

    WAITING = "waiting"
    NOTHING = "nothing"
    PARKED = "parked"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What came of a due run, with its invoice: None while it waits, and where there is nothing to bill."""

    closing: Closing
    invoice: Invoice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """An invoice that only lacks its number, with all of it made that takes long: nobody waits meanwhile for the writers' turn."""

    draft: Invoice
    issued: Invoice
    document: Prepared
    evidence: bytes
    ended: tuple[Subscription, ...]


def close_period(store: Store, place: Place, run: Run, fence: Fence, *, clock: Clock, ids: Ids) -> Closed:
    """Close one run of one customer; once, whatever is tried again, by whatever worker.

    Its usage is whole when every agent of the customer has reported past its end and every hour of it is computed. What
    the bill is made of is chosen and frozen first, and rated from that alone, so that it can be made again in ten years.
    A blocking finding parks the invoice for a person; otherwise it takes the next number of the seller's series, in the
    transaction that finalizes it and marks the job done. A coupon of a subscription that ends with the run, and for which no
    invoice took anything off, can be redeemed again.

    Raises:
        LostLease: another worker has taken the job: nothing of this was stored.

    """
    account = read_account(store, place, run.customer_id, *usage_window(run), currency=run.currency)
    if account.hours_waiting or not ready(run, account.contract.seller, clock.now_ns(), account.reported_until_ns):
        return Closed(closing=Closing.WAITING)

    evidence = evidence_of(account.usage, account.contract, account.books, run)
    frozen = freeze(evidence)
    rated = rate(evidence.usage, evidence.contract, evidence.books, evidence.run)
    invoice = assemble(rated, evidence.contract, evidence.books, evidence.run, invoice_id=ids.new_id(), evidence_hash=frozen.hash)
    ended = tuple(each for each in evidence.contract.subscriptions if each.coupons and run.ends(each))
    if invoice.is_empty or invoice.state is DocumentState.PARKED:
        return store.transact(lambda tx: _park(tx, store, place, invoice, frozen, fence, ended))
    issued = issue(invoice, clock.now_ns())
    written = _Written(draft=invoice, issued=issued, document=Prepared(invoice), evidence=frozen.blob, ended=ended)
    return store.transact(lambda tx: _finalize(tx, store, place, written, fence))


def _park(tx: Tx, store: Store, place: Place, invoice: Invoice, frozen: Frozen, fence: Fence, ended: Sequence[Subscription]) -> Closed:
    """Mark the job of a run done; what a person has to look at is stored with it."""
    store.jobs.done(tx, fence)
    if invoice.is_empty:
        _give_back(tx, store, place, invoice, ended)
        return Closed(closing=Closing.NOTHING)
    return Closed(closing=Closing.PARKED, invoice=store.invoices.save_draft(tx, place, invoice, frozen.blob, actor=ACTOR))


def _finalize(tx: Tx, store: Store, place: Place, written: _Written, fence: Fence) -> Closed:
    """Store the invoice of a run and mark its job done, in one transaction; the number is taken last."""
    store.jobs.done(tx, fence)
    _give_back(tx, store, place, written.draft, written.ended)
    seller = written.draft.seller
    prefix, year = seller.number_prefix, fiscal_year(seller, written.issued.issued_at_ns or 0)
    finalized = store.invoices.finalize(
        tx,
        place,
        written.draft,
        written.evidence,
        series=prefix,
        fiscal_year=year,
        numbered=lambda counter: finalize(written.issued, number_text(prefix, year, counter)),
        actor=ACTOR,
        prepared=written.document,
    )
    return Closed(closing=Closing.FINALIZED, invoice=finalized)


def _give_back(tx: Tx, store: Store, place: Place, invoice: Invoice, ended: Sequence[Subscription]) -> None:
    """Count the redemptions of ended subscriptions no longer that were of no use."""
    for each in ended:
        used = {line.charge_id for line in invoice.lines if line.kind is LineKind.COUPON and line.subscription_id == each.id}
        store.coupons.give_back(tx, place, each, used, actor=ACTOR)
