"""What is kept beside a resource for lists, and who was written down in the audit log, for whoever looks whether it is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.store.engine import Tx
from tallystick.store.section import Section

OF_SCOPE = " JOIN scope c ON c.scope_key = w.scope_key WHERE c.seller_key = ?"
AUDITED: Mapping[str, tuple[str, str]] = {
    "customer.create": ("customer w", "w.customer_id"),
    "subscription.create": ("subscription w", "w.subscription_id"),
    "price_book.draft": ("price_book w", "w.book_id || '/' || w.version"),
    "key.create": ("api_key w", "w.key_id"),
    "invoice.finalize": ("invoice w", "w.invoice_id"),
}
"""The entries of the audit log that are written with a row of a table, and the subject that they name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBeside:
    """What the row of a resource repeats of its facts: until when its disk is held (None: on and on), and whose it ever was."""

    disk_from_ns: int | None
    disk_until_ns: int | None
    owners: frozenset[str]


class StoredRegistry(Section):
    """The rows of the registry and the audit log, from a snapshot that is given."""

    def beside(self, place: Place, resource_key: int, tx: Tx) -> KeptBeside:
        """What is kept beside a resource, besides what `StoredResource` has."""
        row = tx.row("SELECT disk_from_ns, disk_until_ns FROM resource WHERE resource_key = ?", (resource_key,))
        owners = tx.rows(
            "SELECT customer_id FROM resource_customer WHERE scope_key = ? AND resource_key = ?",
            (self._surrogates.scope(tx, place), resource_key),
        )
        return KeptBeside(
            disk_from_ns=row[0] if row else None, disk_until_ns=row[1] if row else None, owners=frozenset(each[0] for each in owners)
        )

    def unaudited(self, place: Place, action: str, limit: int, tx: Tx) -> list[tuple[str, int]]:
        """The subjects of rows without exactly one entry of an action (`AUDITED`), with how many there are."""
        table, subject = AUDITED[action]
        seller_key = self._surrogates.seller(tx, place)
        where = OF_SCOPE if table.startswith("api_key") else " WHERE w.seller_key = ?"
        finalized = " AND w.state = 'finalized'" if action == "invoice.finalize" else ""
        counted = "(SELECT COUNT(*) FROM audit_log a WHERE a.seller_key = ? AND a.action = ? AND a.subject = " + subject + ")"
        rows = tx.rows(
            f"SELECT {subject}, {counted} FROM {table}{where}{finalized} AND {counted} <> 1 ORDER BY 1 LIMIT ?",
            (seller_key, action, seller_key, seller_key, action, limit),
        )
        return [(str(row[0]), int(row[1])) for row in rows]

    def without_subject(self, place: Place, action: str, limit: int, tx: Tx) -> list[str]:
        """The subjects of entries of an action (`AUDITED`) of which there is no row."""
        table, subject = AUDITED[action]
        seller_key = self._surrogates.seller(tx, place)
        where = OF_SCOPE if table.startswith("api_key") else " WHERE w.seller_key = ?"
        rows = tx.rows(
            "SELECT a.subject FROM audit_log a WHERE a.seller_key = ? AND a.action = ?"
            f" AND NOT EXISTS (SELECT 1 FROM {table}{where} AND {subject} = a.subject) ORDER BY a.audit_key LIMIT ?",
            (seller_key, action, seller_key, limit),
        )
        return [str(row[0]) for row in rows]

    def finalizing(self, place: Place, invoice_id: str, tx: Tx) -> list[str]:
        """The details of the entries that tell of the finalizing of an invoice."""
        rows = tx.rows(
            "SELECT details FROM audit_log WHERE seller_key = ? AND action = 'invoice.finalize' AND subject = ?",
            (self._surrogates.seller(tx, place), invoice_id),
        )
        return [str(row[0]) for row in rows]
