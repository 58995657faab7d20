"""Invoices: one per run, drafted again as often as needed, numbered and frozen once, with their lines and evidence."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

from backports import zstd

from tallystick.model.access import Place
from tallystick.model.billing.contracts import Run, Subscription
from tallystick.model.billing.invoices import DocumentState, Invoice
from tallystick.store.documents import Prepared, read_document, write_document
from tallystick.store.engine import Tx, Values
from tallystick.store.records import Clash, NotFound
from tallystick.store.section import Section, newest, one_of
from tallystick.store.service.audit import Outbox, append

COLUMNS = "invoice_key, document, created_at_ns, changed_at_ns"
LINE_COLUMNS = (
    "seller_key, invoice_key, ordinal, line_key, kind, subscription_id, charge_id, plan_id, book_id, book_version, tier,"
    " service_start_ns, service_end_ns, meter, quantity, unit, unit_price, unrounded, amount_minor, currency"
)
NEXT_NUMBER = (
    "INSERT INTO number_series (seller_key, series, fiscal_year, last_number) VALUES (?, ?, ?, 1)"
    " ON CONFLICT (seller_key, series, fiscal_year) DO UPDATE SET last_number = number_series.last_number + 1 RETURNING last_number"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInvoice:
    """An invoice with the number of its row, by which lists go on."""

    row: int
    invoice: Invoice
    created_at_ns: int
    changed_at_ns: int


class Invoices(Section):
    """The invoices of a seller."""

    def save_draft(self, tx: Tx, place: Place, invoice: Invoice, evidence: bytes, *, actor: str) -> Invoice:
        """Keep a draft or parked invoice, in place of the one of its run, currency and revision that was there; the id of that one stays.

        Raises:
            Clash: it is finalized already, or this one has a number.

        """
        if invoice.state is DocumentState.FINALIZED or invoice.number is not None:
            raise Clash(f"invoice {invoice.id!r} is {invoice.state.value}: only finalize() makes it so")
        seller_key = self._surrogates.seller(tx, place)
        _lock_run(tx, seller_key, invoice)
        there = self._by_run(tx, seller_key, invoice.customer.id, invoice.run, invoice.currency, invoice.revision)
        if there is not None and there.invoice.state is DocumentState.FINALIZED:
            raise Clash(f"invoice {there.invoice.number} of this run is finalized")
        kept = invoice if there is None else replace(invoice, id=there.invoice.id)
        now_ns = self._clock.now_ns()
        self._keep_evidence(tx, seller_key, kept.evidence_hash, evidence, now_ns)
        document = _packed(write_document(kept))
        key = self._write(tx, seller_key, kept, None if there is None else there.row, now_ns, document)
        self._write_lines(tx, seller_key, key, kept)
        if there is None or there.invoice.content_hash != kept.content_hash or there.invoice.state is not kept.state:
            details = {
                "state": kept.state.value,
                "total_minor": kept.total.minor,
                "currency": kept.currency,
                "content_hash": kept.content_hash,
            }
            append(tx, seller_key, now_ns, actor, "invoice.draft", kept.id, details)
        return kept

    def finalize(
        self,
        tx: Tx,
        place: Place,
        invoice: Invoice,
        evidence: bytes,
        *,
        series: str,
        fiscal_year: int,
        numbered: Callable[[int], Invoice],
        actor: str,
        prepared: Prepared | None = None,
    ) -> Invoice:
        """Freeze an invoice under the next number of its series: `numbered` makes the finalized document from that number.

        `prepared` is the document of the invoice, where it was made before the transaction: it is most of the work.

        Everything else is written before, so that the counter's row is locked for the shortest time: call it last in `tx`.
        A number that was taken by a transaction that does not commit was never taken. If the run's invoice is finalized
        already, that one is given back and nothing changes.

        Raises:
            Clash: what `numbered` makes is not this invoice, finalized.

        """
        seller_key = self._surrogates.seller(tx, place)
        _lock_run(tx, seller_key, invoice)
        there = self._by_run(tx, seller_key, invoice.customer.id, invoice.run, invoice.currency, invoice.revision)
        if there is not None and there.invoice.state is DocumentState.FINALIZED:
            return there.invoice
        now_ns = self._clock.now_ns()
        named = invoice if there is None else replace(invoice, id=there.invoice.id)
        self._keep_evidence(tx, seller_key, named.evidence_hash, evidence, now_ns)
        key = self._write(tx, seller_key, named, None if there is None else there.row, now_ns, document=b"")
        self._write_lines(tx, seller_key, key, named)
        details = {"total_minor": named.total.minor, "currency": named.currency, "content_hash": named.content_hash}
        append(tx, seller_key, now_ns, actor, "invoice.finalize", named.id, {**details, "evidence_hash": named.evidence_hash})
        Outbox(self._database, self._surrogates, self._clock).put(tx, place, "invoice.finalized", named.id, details)
        row = tx.row(NEXT_NUMBER, (seller_key, series, fiscal_year))
        value = int(row[0]) if row else 0
        final = replace(numbered(value), id=named.id)
        same_content = (final.content_hash, final.evidence_hash, final.total) == (named.content_hash, named.evidence_hash, named.total)
        if final.state is not DocumentState.FINALIZED or final.number is None or not same_content:
            raise Clash(f"invoice {named.id!r}: what was numbered is not the invoice that was written")
        document = _packed((prepared or Prepared(invoice)).write(final))
        tx.run(
            "UPDATE invoice SET state = ?, series = ?, fiscal_year = ?, number_value = ?, number = ?, issued_at_ns = ?, due_at_ns = ?,"
            " document = ? WHERE invoice_key = ?",
            (final.state.value, series, fiscal_year, value, final.number, final.issued_at_ns, final.due_at_ns, document, key),
        )
        return final

    def get(self, place: Place, invoice_id: str, *, tx: Tx | None = None) -> Invoice | None:
        """An invoice by its id or its number, or None."""
        with self._reading(tx) as reading:
            row = reading.row(
                f"SELECT {COLUMNS} FROM invoice WHERE seller_key = ? AND (invoice_id = ? OR number = ?) ORDER BY number = ? DESC LIMIT 1",
                (self._surrogates.seller(reading, place), invoice_id, invoice_id, invoice_id),
            )
        return None if row is None else _invoice(row).invoice

    def of_run(self, place: Place, run: Run, currency: str, revision: int = 0, *, tx: Tx | None = None) -> Invoice | None:
        """The invoice of a run, or None."""
        with self._reading(tx) as reading:
            found = self._by_run(reading, self._surrogates.seller(reading, place), run.customer_id, run, currency, revision)
        return None if found is None else found.invoice

    def billed_after(self, place: Place, subscription: Subscription, at_ns: int, *, tx: Tx | None = None) -> str | None:
        """The number of an invoice, no draft, that bills time of a subscription after an instant; None if none does."""
        with self._reading(tx) as reading:
            row = reading.row(
                "SELECT COALESCE(i.number, i.invoice_id) FROM invoice i JOIN invoice_line l ON l.seller_key = i.seller_key"
                " AND l.invoice_key = i.invoice_key WHERE i.seller_key = ? AND i.customer_id = ? AND i.closing_ns >= ?"
                " AND i.state <> 'draft' AND l.subscription_id = ? AND l.service_end_ns > ? ORDER BY i.closing_ns DESC LIMIT 1",
                (self._surrogates.seller(reading, place), subscription.customer_id, at_ns, subscription.id, at_ns),
            )
        return None if row is None else row[0]

    def list(
        self,
        place: Place,
        *,
        customers: frozenset[str] | None = None,
        states: frozenset[DocumentState] | None = None,
        before: int | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> builtins.list[StoredInvoice]:
        """Invoices, newest first: all, or those of the named customers and states."""
        with self._reading(tx) as reading:
            whose, names = one_of(reading, "customer_id", customers)
            some, kinds = one_of(reading, "state", None if states is None else frozenset(state.value for state in states))
            select = f"SELECT {COLUMNS} FROM invoice WHERE seller_key = ?{whose}{some}"
            rows = newest(reading, select, (self._surrogates.seller(reading, place), *names, *kinds), "invoice_key", before, limit)
        return [_invoice(row) for row in rows]

    def evidence(self, place: Place, evidence_hash: str, *, tx: Tx | None = None) -> bytes:
        """The frozen evidence with that hash, as it was given.

        Raises:
            NotFound: there is none.

        """
        with self._reading(tx) as reading:
            row = reading.row(
                "SELECT body FROM evidence WHERE seller_key = ? AND evidence_hash = ?",
                (self._surrogates.seller(reading, place), evidence_hash),
            )
        if row is None:
            raise NotFound(f"evidence {evidence_hash!r}")
        return bytes(row[0])

    def _by_run(self, tx: Tx, seller_key: int, customer_id: str, run: Run, currency: str, revision: int) -> StoredInvoice | None:
        row = tx.row(
            f"SELECT {COLUMNS} FROM invoice WHERE seller_key = ? AND customer_id = ? AND run = ? AND currency = ? AND revision = ?",
            (seller_key, customer_id, run.key, currency, revision),
        )
        return None if row is None else _invoice(row)

    def _keep_evidence(self, tx: Tx, seller_key: int, evidence_hash: str, evidence: bytes, now_ns: int) -> None:
        tx.run(
            "INSERT INTO evidence (seller_key, evidence_hash, body, created_at_ns) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (seller_key, evidence_hash, evidence, now_ns),
        )

    def _write(self, tx: Tx, seller_key: int, invoice: Invoice, key: int | None, now_ns: int, document: bytes) -> int:
        """Write the row of an invoice that has no number yet; its key."""
        columns = {
            "state": DocumentState.DRAFT.value if invoice.state is DocumentState.FINALIZED else invoice.state.value,
            "period_start_ns": invoice.run.period_start_ns,
            "period_end_ns": invoice.run.period_end_ns,
            "closing_ns": invoice.run.closing_ns,
            "net_minor": invoice.net.minor,
            "total_minor": invoice.total.minor,
            "issued_at_ns": invoice.issued_at_ns,
            "due_at_ns": invoice.due_at_ns,
            "content_hash": invoice.content_hash,
            "evidence_hash": invoice.evidence_hash,
            "document": document,
            "changed_at_ns": now_ns,
        }
        if key is not None:
            tx.run(f"UPDATE invoice SET {', '.join(f'{name} = ?' for name in columns)} WHERE invoice_key = ?", (*columns.values(), key))
            return key
        identity = {
            "seller_key": seller_key,
            "invoice_id": invoice.id,
            "customer_id": invoice.customer.id,
            "run": invoice.run.key,
            "currency": invoice.currency,
            "revision": invoice.revision,
            "created_at_ns": now_ns,
        }
        every = {**identity, **columns}
        row = tx.row(
            f"INSERT INTO invoice ({', '.join(every)}) VALUES ({', '.join('?' for _ in every)}) RETURNING invoice_key",
            tuple(every.values()),
        )
        return int(row[0]) if row else 0

    def _write_lines(self, tx: Tx, seller_key: int, key: int, invoice: Invoice) -> None:
        tx.run("DELETE FROM invoice_line WHERE seller_key = ? AND invoice_key = ?", (seller_key, key))
        tx.many(
            f"INSERT INTO invoice_line ({LINE_COLUMNS}) VALUES ({', '.join('?' for _ in LINE_COLUMNS.split(','))})",
            line_rows(seller_key, key, invoice),
        )


def line_rows(seller_key: int, key: int, invoice: Invoice) -> builtins.list[Values]:
    """The rows of an invoice's lines, in the order of `LINE_COLUMNS`."""
    return [
        (
            seller_key,
            key,
            ordinal,
            line.key,
            line.kind.value,
            line.subscription_id,
            line.charge_id,
            line.plan_id,
            line.book_id,
            line.book_version,
            line.tier,
            line.service_start_ns,
            line.service_end_ns,
            line.meter,
            _ratio(line.quantity),
            line.unit,
            _ratio(line.unit_price),
            _ratio(line.derivation.unrounded),
            line.amount.minor,
            line.amount.currency,
        )
        for ordinal, line in enumerate(invoice.lines, 1)
    ]


def _lock_run(tx: Tx, seller_key: int, invoice: Invoice) -> None:
    """Let no other transaction write the invoice of this run, which may not be there yet; SQLite has one writer anyway."""
    if not tx.is_sqlite:
        identity = json.dumps([seller_key, invoice.customer.id, invoice.run.key, invoice.currency, invoice.revision])
        tx.rows("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (identity,))


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _packed(document: str) -> bytes:
    return zstd.compress(document.encode())


def _invoice(row: Values) -> StoredInvoice:
    invoice = read_document(Invoice, zstd.decompress(bytes(row[1])))
    return StoredInvoice(row=row[0], invoice=invoice, created_at_ns=row[2], changed_at_ns=row[3])
