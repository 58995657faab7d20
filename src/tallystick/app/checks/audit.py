"""The audit log: the entry that is written with each customer, subscription, price book, key and invoice is there, once, and true."""

from __future__ import annotations

import json

from tallystick.app.checks.report import Report, Wanted
from tallystick.model.access import Place
from tallystick.model.billing.invoices import DocumentState
from tallystick.store.checking.registry import AUDITED
from tallystick.store.engine import Tx
from tallystick.store.store import Store

MOST_SHOWN = 20
INVOICES_AT_ONCE = 200


def check_seller(store: Store, place: Place, wanted: Wanted, report: Report) -> None:
    """All entries that are written with a row; the log is one thing, and checked only where nothing limits what is."""
    if not wanted.is_everything:
        return
    for action in AUDITED:
        with store.read() as tx:
            for subject, entries in store.stored_registry.unaudited(place, action, MOST_SHOWN, tx):
                report.differ(f"audit {action} {subject}: the log has {entries or 'no'} entries of it")
            for subject in store.stored_registry.without_subject(place, action, MOST_SHOWN, tx):
                report.differ(f"audit {action} {subject}: the log tells of it, it is not there")
        report.count("audited actions")
    after = 0
    while True:
        with store.read() as tx:
            rows = store.stored_money.invoices(place, after, INVOICES_AT_ONCE, tx)
            for row in rows:
                if row.invoice is not None and row.invoice.state is DocumentState.FINALIZED:
                    for difference in _differences(store, place, row.invoice.id, row.columns, tx):
                        report.differ(f"audit invoice.finalize {row.name}: {difference}")
        if not rows:
            return
        after = rows[-1].row


def _differences(store: Store, place: Place, invoice_id: str, columns: dict[str, object], tx: Tx) -> list[str]:
    found = []
    for text in store.stored_registry.finalizing(place, invoice_id, tx):
        details = json.loads(text)
        found += [
            f"the log says {name} {details.get(name)!r}, the invoice {columns[name]!r}"
            for name in ("total_minor", "currency", "content_hash", "evidence_hash")
            if details.get(name) != columns[name]
        ]
    return found
