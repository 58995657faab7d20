"""Gaps and findings: those that the hours of their beginning make again."""

from __future__ import annotations

from collections.abc import Iterable

from tallystick.app.checks.subjects import CheckedWindow
from tallystick.model.findings import Finding, FindingCode
from tallystick.model.instants import hour_start, iso
from tallystick.model.usage import Gap

DERIVED = frozenset(
    {
        FindingCode.COUNTER_RESET,
        FindingCode.COUNTER_FELL,
        FindingCode.CONFLICTING_SAMPLE,
        FindingCode.SAMPLE_AFTER_STOP,
        FindingCode.SAMPLE_AFTER_DELETE,
        FindingCode.START_AFTER_SAMPLE,
        FindingCode.START_WHILE_RUNNING,
        FindingCode.START_TOO_OLD,
        FindingCode.SAMPLES_GONE,
        FindingCode.SECOND_SOURCE,
    }
)
"""What the meter finds. Others are told by what arrived, and cannot be made again."""


def check_window(window: CheckedWindow) -> None:
    """The gaps and findings that begin in the window, but in hours that wait to be computed."""
    of = window.of
    if window.again is None:
        return
    span = (window.from_ns, window.until_ns)
    gaps = [gap for _, gap in of.store.usage.gaps(of.place, *span, resource_keys=[of.key], tx=of.tx)]
    findings = [finding for _, finding in of.store.usage.findings(of.place, *span, resource_keys=[of.key], tx=of.tx)]
    _compare(window, "gap", map(_gap, gaps), map(_gap, window.again.gaps))
    _compare(window, "finding", map(_finding, _derived(findings)), map(_finding, _derived(window.again.findings)))


def _derived(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.code in DERIVED]


def _gap(gap: Gap) -> tuple[int, str]:
    return gap.from_ns, f"until {iso(gap.until_ns)} {gap.filled.value}, {gap.cause.value}"


def _finding(finding: Finding) -> tuple[int, str]:
    counters = " ".join(finding.counters)
    told = (finding.code.value, finding.severity.value, finding.boot_id, finding.record, counters, finding.detail)
    return finding.at_ns or 0, " ".join(filter(None, told))


def _compare(window: CheckedWindow, noun: str, stored: Iterable[tuple[int, str]], again: Iterable[tuple[int, str]]) -> None:
    rows, made = set(_inside(window, stored)), set(_inside(window, again))
    window.of.report.count(f"{noun}s", len(rows))
    for at_ns, told in sorted(rows - made):
        window.of.report.differ(f"{noun} {window.of.id} {iso(at_ns)}: stored, not made again: {told}")
    for at_ns, told in sorted(made - rows):
        window.of.report.differ(f"{noun} {window.of.id} {iso(at_ns)}: made again, not stored: {told}")


def _inside(window: CheckedWindow, rows: Iterable[tuple[int, str]]) -> Iterable[tuple[int, str]]:
    return (row for row in rows if window.from_ns <= row[0] < window.until_ns and hour_start(row[0]) not in window.waiting)
