"""Rows with a window: amounts of [window_start, window_end) as usage records, one for each meter (wire.md 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite

from tallystick.ingest.rows import LATEST_S, OLDEST_S
from tallystick.ingest.sources.readings import Readings
from tallystick.ingest.sources.replies import Problem
from tallystick.ingest.submission import Quarantined
from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.model.outcomes import BatchResult, Outcome
from tallystick.model.records import UsageRecord, record_refusal
from tallystick.proto.billing.collector.v1 import collector_pb2 as wire

SOURCE = "billing.collector.v1"
"""The source of these records, whoever of a scope sends them: so the same window through another key is the same."""
METERS = {
    "cpu_time_nanos": "cpu.used",
    "disk_read_bytes": "disk.read",
    "disk_write_bytes": "disk.write",
    "disk_read_ops": "disk.read_ops",
    "disk_write_ops": "disk.write_ops",
    "network_rx_bytes": "network.rx",
    "network_tx_bytes": "network.tx",
}
PER_WINDOW = 1 + len(METERS)
"""Records of a row, with the one of memory: amounts of 0 too, or other content of the same window would not be known as such."""
SECOND_NS = 10**9
PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A row with a window: its place in the request, its records, and what does not fit its CPU time."""

    row: int
    from_ns: int
    until_ns: int
    records: Sequence[UsageRecord]
    mismatch: Problem | None = None


def windows(readings: Readings, rows: Sequence[int], received_at_ns: int) -> tuple[list[Window], list[Quarantined]]:
    """The rows with a window as records, and those that cannot be: a bound, an amount or a length that is none."""
    found: list[Window] = []
    aside: list[Quarantined] = []
    for row in rows:
        vm_id = readings.whose[int(readings.owners[row])].vm_id
        one = _window(readings.row(row), row, vm_id, received_at_ns)
        if isinstance(one, Window):
            found.append(one)
        else:
            aside.append(one)
    return found, aside


def _window(sent: wire.BillingMetrics, row: int, vm_id: str, received_at_ns: int) -> Window | Quarantined:
    bounds = []
    for field, stamp in (("window_start", sent.window_start), ("window_end", sent.window_end)):
        if not (OLDEST_S <= stamp.seconds < LATEST_S and 0 <= stamp.nanos < SECOND_NS):
            return Quarantined(resource_id=vm_id, index=row, field=field, value=f"{stamp.seconds} s and {stamp.nanos} ns")
        bounds.append(stamp.seconds * SECOND_NS + stamp.nanos)
    from_ns, until_ns = bounds
    if until_ns <= from_ns:
        return Quarantined(resource_id=vm_id, index=row, field="window_end", value=f"{until_ns} ns, not after its start {from_ns} ns")
    level = sent.memory_bytes_used
    held = sent.memory_bytes_seconds * SECOND_NS if sent.memory_bytes_seconds else level * (until_ns - from_ns)
    peak = max(sent.memory_bytes_peak, level) or None
    amounts = {"memory.used": held, **{meter: int(getattr(sent, field)) for field, meter in METERS.items()}}
    digest = sha256(repr((sorted(amounts.items()), peak)).encode()).digest()
    records = [
        UsageRecord(
            source=SOURCE,
            record_id=f"{from_ns}-{until_ns}-{vm_id}",
            resource_id=vm_id,
            meter=meter,
            from_ns=from_ns,
            until_ns=until_ns,
            amount=amount,
            received_at_ns=received_at_ns,
            content_hash=digest,
            peak=peak if meter == "memory.used" else None,
        )
        for meter, amount in amounts.items()
    ]
    for record in records:
        if (refusal := record_refusal(record)) is not None:
            field = {"from": "window_start", "until": "window_end", "peak": "memory_bytes_peak"}.get(refusal.field, record.meter)
            return Quarantined(resource_id=vm_id, index=row, field=field, value=refusal.value)
    return Window(row=row, from_ns=from_ns, until_ns=until_ns, records=records, mismatch=_mismatch(sent, row, vm_id, until_ns - from_ns))


def _mismatch(sent: wire.BillingMetrics, row: int, vm_id: str, span_ns: int) -> Problem | None:
    """The first of cores and utilization (of one core) that is told and more than 1 % off the CPU time; neither is ever billed."""
    used = int(sent.cpu_time_nanos)
    for field, told in (("cpu_cores_used", sent.cpu_cores_used), ("cpu_utilization_pct", sent.cpu_utilization_pct / PERCENT)):
        if not told:
            continue
        expected = told * span_ns if isfinite(told) else 0
        if abs(expected - used) * PERCENT > used:
            cores = used / span_ns
            value = (
                f"{told * (PERCENT if field.endswith('pct') else 1):g}, CPU time says {cores * (PERCENT if field.endswith('pct') else 1):g}"
            )
            return Problem(index=row, vm_id=vm_id, code=FindingCode.CPU_MISMATCH, field=field, value=value)
    return None


def findings(windows_of: Sequence[Window]) -> list[Finding]:
    """What does not fit the CPU time, as findings: the instant is the end of the window, the record the one of `cpu.used`."""
    return [
        Finding(
            code=FindingCode.CPU_MISMATCH,
            severity=Severity.WARNING,
            resource_id=window.mismatch.vm_id,
            at_ns=window.until_ns,
            record=window.records[0].record_id,
            detail=f"{window.mismatch.field} = {window.mismatch.value}",
        )
        for window in windows_of
        if window.mismatch is not None
    ]


def as_one(results: Sequence[BatchResult]) -> BatchResult:
    """What became of a row, from what became of its records: they have one content, so they share one fate."""
    for outcome in (Outcome.REFUSED, Outcome.CONFLICT, Outcome.STORED):
        for each in results:
            if each.outcome is outcome:
                return each
    return results[0]
