"""The audit log: who did what to which money, appended in the transaction that does it (architecture.md, Processes)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tallystick.store.engine import Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One financial operation: by whom, what, on which subject, with what; `row` orders entries as they were written."""

    row: int
    at_ns: int
    actor: str
    action: str
    subject: str
    details: Mapping[str, str]


def append(tx: Tx, seller_key: int, at_ns: int, *, actor: str, action: str, subject: str, details: Mapping[str, str] | None = None) -> None:
    """Append one entry, unsealed: a sealer chains entries in the order of their commits."""
    tx.run(
        "INSERT INTO audit_log (seller_key, at_ns, actor, action, subject, details) VALUES (?, ?, ?, ?, ?, ?)",
        (seller_key, at_ns, actor, action, subject, json.dumps(dict(details or {}), sort_keys=True)),
    )


def entries(tx: Tx, seller_key: int, subject: str | None = None, limit: int = 1000) -> tuple[AuditEntry, ...]:
    """The newest entries first, of one subject or of all."""
    condition, values = ("AND subject = ?", (subject,)) if subject is not None else ("", ())
    rows = tx.rows(
        f"SELECT audit_key, at_ns, actor, action, subject, details FROM audit_log WHERE seller_key = ? {condition}"
        " ORDER BY audit_key DESC LIMIT ?",
        (seller_key, *values, limit),
    )
    return tuple(
        AuditEntry(row=row[0], at_ns=row[1], actor=row[2], action=row[3], subject=row[4], details=json.loads(row[5])) for row in rows
    )
