"""Findings that nothing can derive again: what a source told beside what it sent, and what arrived too late to count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.model.instants import iso
from tallystick.model.records import UsageRecord
from tallystick.model.resources import Fact
from tallystick.store.engine import Tx

CHANGING = ("customer_id", "kind", "region", "labels", "vcpus", "memory_bytes", "disk_bytes", "gpus")
"""What a fact may tell that usage or its price depends on: all but the name."""


def keep_told(tx: Tx, scope_key: int, keys: Mapping[str, int], findings: Iterable[Finding], received_at_ns: int) -> None:
    """Keep findings, each once; they stay when their hour is computed again. `keys`: the numbers of their resources."""
    tx.many(
        "INSERT INTO told_finding (scope_key, resource_key, at_ns, code, record, severity, detail, received_at_ns)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            (
                *(scope_key, keys[each.resource_id], each.at_ns, each.code.value, each.record),
                *(each.severity.value, each.detail, received_at_ns),
            )
            for each in findings
        ],
    )


def record_too_late(record: UsageRecord, sealed_until_ns: int) -> Finding | None:
    """What is told of a record that reaches into sealed hours, where it is not counted; None: it does not."""
    if record.from_ns >= sealed_until_ns:
        return None
    amount = record.amount
    if record.until_ns > sealed_until_ns:  # cut as the meter cuts it (meter/sources/claims.py)
        amount = record.amount * (sealed_until_ns - record.from_ns) // (record.until_ns - record.from_ns)
    return Finding(
        code=FindingCode.RECORD_TOO_LATE,
        severity=Severity.WARNING,
        resource_id=record.resource_id,
        at_ns=record.from_ns,
        record=f"{record.source}/{record.record_id}/{record.meter}",
        detail=f"{record.meter}: {amount} of {record.amount} lie before {iso(sealed_until_ns)}, in sealed hours: not counted there",
    )


def fact_too_late(fact: Fact, content_hash: bytes, sealed_until_ns: int) -> Finding | None:
    """What is told of a size, an assignment or what else changes usage or its price, from an instant in sealed hours on; None: nothing."""
    changes = [name for name in CHANGING if getattr(fact, name) is not None] + ["deleted"] * fact.deleted
    if fact.at_ns >= sealed_until_ns or not changes:
        return None
    return Finding(
        code=FindingCode.FACT_TOO_LATE,
        severity=Severity.WARNING,
        resource_id=fact.resource_id,
        at_ns=fact.at_ns,
        record=f"{fact.origin.value}/{content_hash.hex()[:16]}",
        detail=f"{', '.join(changes)}: holds from {iso(sealed_until_ns)} on, as the hours before are sealed",
    )


def sealed_until(tx: Tx, resource_keys: Iterable[int]) -> dict[int, int]:
    """Up to where the hours of resources are sealed, by number; of those that have sealed hours. Hold when the resources are locked."""
    clause, value = tx.each_of("resource_key", sorted(resource_keys))
    rows = tx.rows(f"SELECT resource_key, sealed_until_ns FROM resource WHERE sealed_until_ns IS NOT NULL AND {clause}", (value,))
    return {row[0]: row[1] for row in rows}
