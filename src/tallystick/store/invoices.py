"""Invoices with their lines and evidence: unique by run, numbered without gaps, never changed once finalized (billing.md, Invoices)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import cast

from tallystick.model.access import Place
from tallystick.model.codec import decode, encode
from tallystick.model.contracts import Run
from tallystick.model.invoices import DocumentState, Invoice
from tallystick.model.money import fraction_text
from tallystick.store import audit
from tallystick.store.engine import Clock, Database, Tx, Values
from tallystick.store.surrogates import Surrogates

COLUMNS = "invoice_key, document"
LINE_COLUMNS = (
    "seller_key, invoice_key, ordinal, line_key, kind, subscription_id, charge_id, plan_id, book_id, book_version, tier,"
    " service_start_ns, service_end_ns, meter, quantity, unit, unit_price, unrounded, amount_minor, currency"
)
LATEST_ROW = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInvoice:
    """An invoice; `row` orders them as they were made."""

    row: int
    invoice: Invoice


class AlreadyFinalized(Exception):  # noqa: N818 (it is an answer, not a fault)
    """The run has a finalized invoice: closing it twice gives that one."""

    def __init__(self, invoice: Invoice) -> None:
        super().__init__(f"invoice {invoice.number} is finalized")
        self.invoice = invoice


class Invoices:
    """Keeps invoices: drafts and parked ones may be made anew, finalized ones never change."""

    def __init__(self, database: Database, surrogates: Surrogates, clock: Clock) -> None:
        self._database = database
        self._surrogates = surrogates
        self._clock = clock

    def put(self, tx: Tx, place: Place, invoice: Invoice, evidence: bytes, *, actor: str) -> Invoice:
        """Store a draft or parked invoice with its evidence, in place of an earlier draft of its run, whose id it takes.

        Raises:
            AlreadyFinalized: the run has a finalized invoice.

        """
        seller_key, now_ns = self._surrogates.seller(tx, place), self._clock.now_ns()
        known = tx.row(
            f"SELECT {COLUMNS} FROM invoice WHERE seller_key = ? AND customer_id = ? AND run = ? AND currency = ? AND revision = ?",
            (seller_key, invoice.customer.id, invoice.run.key, invoice.currency, invoice.revision),
        )
        if known is not None:
            before = _invoice(known)
            if before.state is DocumentState.FINALIZED:
                raise AlreadyFinalized(before)
            invoice = replace(invoice, id=before.id)
            tx.run("DELETE FROM invoice_line WHERE seller_key = ? AND invoice_key = ?", (seller_key, known[0]))
        self._keep_evidence(tx, seller_key, invoice.evidence_hash, evidence, now_ns)
        key = self._write(tx, seller_key, invoice, now_ns, None if known is None else known[0])
        _write_lines(tx, seller_key, key, invoice)
        action = "invoice.park" if invoice.state is DocumentState.PARKED else "invoice.draft"
        details = {"run": invoice.run.key, "total": f"{invoice.total.text} {invoice.currency}", "content_hash": invoice.content_hash}
        audit.append(tx, seller_key, now_ns, actor=actor, action=action, subject=invoice.id, details=details)
        return invoice

    def finalize(
        self,
        tx: Tx,
        place: Place,
        invoice_id: str,
        *,
        series: str,
        fiscal_year: int,
        finalized: Callable[[Invoice, int], Invoice],
        actor: str,
    ) -> Invoice:
        """Give a draft its number and store it as `finalized(draft, counter)`, with its outbox message and audit entry.

        The counter is that of (seller, series, fiscal year): taken under the lock of its row, in a transaction that does
        nothing after it but write the invoice, so that no number is lost and none is given twice.

        Raises:
            LookupError: no such invoice.
            AlreadyFinalized: it is finalized.

        """
        seller_key, now_ns = self._surrogates.seller(tx, place), self._clock.now_ns()
        row = tx.row(f"SELECT {COLUMNS} FROM invoice WHERE seller_key = ? AND invoice_id = ?", (seller_key, invoice_id))
        if row is None:
            raise LookupError(f"invoice {invoice_id!r} is not there")
        draft = _invoice(row)
        if draft.state is DocumentState.FINALIZED:
            raise AlreadyFinalized(draft)
        audit.append(
            tx, seller_key, now_ns, actor=actor, action="invoice.finalize", subject=draft.id, details={"content_hash": draft.content_hash}
        )
        tx.run(
            "INSERT INTO outbox (seller_key, topic, subject, body, created_at_ns, due_at_ns) VALUES (?, ?, ?, ?, ?, ?)",
            (seller_key, "invoice.finalized", draft.id, json.dumps({"invoice_id": draft.id}), now_ns, now_ns),
        )
        counter = tx.row(
            "INSERT INTO number_series (seller_key, series, fiscal_year, last_number) VALUES (?, ?, ?, 1)"
            " ON CONFLICT (seller_key, series, fiscal_year) DO UPDATE SET last_number = number_series.last_number + 1"
            " RETURNING last_number",
            (seller_key, series, fiscal_year),
        )
        if counter is None:
            raise LookupError(f"number series {series!r} of {fiscal_year} gave no number")
        invoice = finalized(draft, int(counter[0]))
        self._write(tx, seller_key, invoice, now_ns, row[0], (series, fiscal_year, int(counter[0])))
        return invoice

    def get(self, place: Place, invoice_id: str) -> Invoice | None:
        """An invoice by its id or its number."""
        with self._database.read() as tx:
            row = tx.row(
                f"SELECT {COLUMNS} FROM invoice WHERE seller_key = ? AND (invoice_id = ? OR number = ?)",
                (self._surrogates.seller(tx, place), invoice_id, invoice_id),
            )
        return None if row is None else _invoice(row)

    def of_run(self, place: Place, run: Run, revision: int = 0) -> Invoice | None:
        """The invoice of a run, whatever its state."""
        with self._database.read() as tx:
            row = tx.row(
                f"SELECT {COLUMNS} FROM invoice WHERE seller_key = ? AND customer_id = ? AND run = ? AND currency = ? AND revision = ?",
                (self._surrogates.seller(tx, place), run.customer_id, run.key, run.currency, revision),
            )
        return None if row is None else _invoice(row)

    def list(
        self,
        place: Place,
        *,
        customers: Collection[str] | None = None,
        states: Collection[DocumentState] | None = None,
        before: int | None = None,
        limit: int = 1000,
    ) -> tuple[StoredInvoice, ...]:
        """Invoices, those made last first, of some customers or (None) of all, in some states or in any."""
        with self._database.read() as tx:
            clauses, values = [], []
            for column, wanted in (("customer_id", customers), ("state", None if states is None else [each.value for each in states])):
                if wanted is not None:
                    clause, value = tx.each_of(column, sorted(wanted))
                    clauses.append(f"AND {clause}")
                    values.append(value)
            rows = tx.rows(
                f"SELECT {COLUMNS} FROM invoice WHERE seller_key = ? AND invoice_key < ? {' '.join(clauses)}"
                " ORDER BY invoice_key DESC LIMIT ?",
                (self._surrogates.seller(tx, place), LATEST_ROW if before is None else before, *values, limit),
            )
        return tuple(StoredInvoice(row=row[0], invoice=_invoice(row)) for row in rows)

    def evidence(self, place: Place, evidence_hash: str) -> bytes | None:
        """The frozen evidence of that hash."""
        with self._database.read() as tx:
            row = tx.row(
                "SELECT body FROM evidence WHERE seller_key = ? AND evidence_hash = ?", (self._surrogates.seller(tx, place), evidence_hash)
            )
        return None if row is None else bytes(row[0])

    @staticmethod
    def _keep_evidence(tx: Tx, seller_key: int, evidence_hash: str, body: bytes, now_ns: int) -> None:
        tx.run(
            "INSERT INTO evidence (seller_key, evidence_hash, body, created_at_ns) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (seller_key, evidence_hash) DO NOTHING",
            (seller_key, evidence_hash, body, now_ns),
        )

    @staticmethod
    def _write(tx: Tx, seller_key: int, invoice: Invoice, now_ns: int, key: int | None, number: tuple[str, int, int] | None = None) -> int:
        columns = {
            "seller_key": seller_key,
            "invoice_id": invoice.id,
            "customer_id": invoice.customer.id,
            "run": invoice.run.key,
            "currency": invoice.currency,
            "revision": invoice.revision,
            "state": invoice.state.value,
            "series": number[0] if number else None,
            "fiscal_year": number[1] if number else None,
            "number_value": number[2] if number else None,
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
            "document": zlib.compress(json.dumps(encode(invoice), ensure_ascii=False).encode(), 6),
            "changed_at_ns": now_ns,
        }
        if key is not None:
            tx.run(f"UPDATE invoice SET {', '.join(f'{name} = ?' for name in columns)} WHERE invoice_key = ?", (*columns.values(), key))
            return key
        columns["created_at_ns"] = now_ns
        row = tx.row(
            f"INSERT INTO invoice ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) RETURNING invoice_key",
            tuple(columns.values()),
        )
        if row is None:
            raise LookupError(f"invoice {invoice.id!r} was not written")
        return int(row[0])


def _write_lines(tx: Tx, seller_key: int, invoice_key: int, invoice: Invoice) -> None:
    rows = [
        (
            seller_key,
            invoice_key,
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
            fraction_text(line.quantity),
            line.unit,
            fraction_text(line.unit_price),
            fraction_text(line.derivation.unrounded),
            line.amount.minor,
            line.amount.currency,
        )
        for ordinal, line in enumerate(invoice.lines, start=1)
    ]
    tx.many(f"INSERT INTO invoice_line ({LINE_COLUMNS}) VALUES ({', '.join('?' * 20)})", rows)


def _invoice(row: Values) -> Invoice:
    return cast("Invoice", decode(Invoice, json.loads(zlib.decompress(row[1]))))
