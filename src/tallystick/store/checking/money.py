"""Invoices as they stand in their rows, for whoever reads them again: the columns beside each document, its lines, the series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backports import zstd

from tallystick.model.access import Place
from tallystick.model.billing.invoices import Invoice
from tallystick.store.documents import DamagedDocument, read_document
from tallystick.store.engine import Tx, Values
from tallystick.store.invoices import LINE_COLUMNS, line_rows
from tallystick.store.section import Section

COLUMNS = (
    "invoice_id",
    "customer_id",
    "run",
    "currency",
    "revision",
    "state",
    "number",
    "period_start_ns",
    "period_end_ns",
    "closing_ns",
    "net_minor",
    "total_minor",
    "issued_at_ns",
    "due_at_ns",
    "content_hash",
    "evidence_hash",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRow:
    """An invoice as its row has it: `invoice` is None where the document cannot be read, and `damage` says why.

    `columns` are what lists are made of, by name; `series`, `fiscal_year` and `number_value` make its number.
    """

    row: int
    invoice: Invoice | None
    damage: str
    columns: dict[str, Any]
    series: str | None
    fiscal_year: int | None
    number_value: int | None

    @property
    def name(self) -> str:
        """Its number, or the id of one that has none."""
        return str(self.columns["number"] or self.columns["invoice_id"])


class StoredMoney(Section):
    """The rows of a seller's invoices and number series, from a snapshot that is given."""

    def invoices(self, place: Place, after: int, limit: int, tx: Tx) -> list[InvoiceRow]:
        """Invoices after the row of that number, oldest first."""
        rows = tx.rows(
            f"SELECT invoice_key, document, series, fiscal_year, number_value, {', '.join(COLUMNS)} FROM invoice"
            " WHERE seller_key = ? AND invoice_key > ? ORDER BY invoice_key LIMIT ?",
            (self._surrogates.seller(tx, place), after, limit),
        )
        return [_invoice_row(row) for row in rows]

    def line_differences(self, place: Place, row: int, invoice: Invoice, tx: Tx) -> list[str]:
        """Where the rows of an invoice's lines are not those of its document: the key of each line, and its columns."""
        seller_key = self._surrogates.seller(tx, place)
        names = [name.strip() for name in LINE_COLUMNS.split(",")]
        stored = {
            each[names.index("ordinal")]: tuple(each)
            for each in tx.rows(
                f"SELECT {LINE_COLUMNS} FROM invoice_line WHERE seller_key = ? AND invoice_key = ? ORDER BY ordinal", (seller_key, row)
            )
        }
        wanted = {each[names.index("ordinal")]: each for each in line_rows(seller_key, row, invoice)}
        found = []
        for ordinal in sorted(stored.keys() | wanted.keys()):
            one, other = stored.get(ordinal), wanted.get(ordinal)
            if one is None or other is None:
                found.append(f"line {ordinal}: {'has' if one else 'has no'} row, {'is' if other else 'is not'} in the document")
            elif one != other:
                columns = [
                    f"{name} {mine!r}, the document has {theirs!r}"
                    for name, mine, theirs in zip(names, one, other, strict=True)
                    if mine != theirs
                ]
                found.append(f"line {ordinal}: {'; '.join(columns)}")
        return found

    def differences_of(self, place: Place, invoice: Invoice, tx: Tx) -> list[str]:
        """The same for an invoice by its id."""
        seller_key = self._surrogates.seller(tx, place)
        row = tx.row("SELECT invoice_key FROM invoice WHERE seller_key = ? AND invoice_id = ?", (seller_key, invoice.id))
        return [f"invoice {invoice.id} has no row"] if row is None else self.line_differences(place, row[0], invoice, tx)

    def last_numbers(self, place: Place, tx: Tx) -> dict[tuple[str, int], int]:
        """The last number of each series and fiscal year."""
        rows = tx.rows(
            "SELECT series, fiscal_year, last_number FROM number_series WHERE seller_key = ?", (self._surrogates.seller(tx, place),)
        )
        return {(row[0], row[1]): row[2] for row in rows}

    def numbers(self, place: Place, series: str, fiscal_year: int, after: int, limit: int, tx: Tx) -> list[int]:
        """The numbers of a series that invoices have, after one, in order."""
        rows = tx.rows(
            "SELECT number_value FROM invoice WHERE seller_key = ? AND series = ? AND fiscal_year = ? AND number_value > ?"
            " ORDER BY number_value LIMIT ?",
            (self._surrogates.seller(tx, place), series, fiscal_year, after, limit),
        )
        return [row[0] for row in rows]

    def used_series(self, place: Place, tx: Tx) -> set[tuple[str, int]]:
        """Every series and fiscal year of which an invoice has a number."""
        rows = tx.rows(
            "SELECT DISTINCT series, fiscal_year FROM invoice WHERE seller_key = ? AND number_value IS NOT NULL",
            (self._surrogates.seller(tx, place),),
        )
        return {(row[0], row[1]) for row in rows}


def _invoice_row(row: Values) -> InvoiceRow:
    invoice, damage = None, ""
    try:
        invoice = read_document(Invoice, zstd.decompress(bytes(row[1])))
    except (zstd.ZstdError, DamagedDocument) as error:
        damage = str(error)
    return InvoiceRow(
        row=row[0],
        invoice=invoice,
        damage=damage,
        columns=dict(zip(COLUMNS, row[5:], strict=True)),
        series=row[2],
        fiscal_year=row[3],
        number_value=row[4],
    )
