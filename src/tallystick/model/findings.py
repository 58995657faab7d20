"""Findings: what a step noticed and a person may want to know. They are values, never exceptions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters: `blocking` parks an invoice."""

    NOTE = "note"
    WARNING = "warning"
    BLOCKING = "blocking"


class FindingCode(StrEnum):
    """Every finding that a step can make. The first group is of metering.md, the second of billing.md."""

    COUNTER_RESET = "counter_reset"
    COUNTER_FELL = "counter_fell"
    CONFLICTING_SAMPLE = "conflicting_sample"
    SAMPLE_AFTER_STOP = "sample_after_stop"
    SAMPLE_AFTER_DELETE = "sample_after_delete"
    START_AFTER_SAMPLE = "start_after_sample"
    START_WHILE_RUNNING = "start_while_running"
    START_TOO_OLD = "start_too_old"
    SAMPLES_GONE = "samples_gone"
    RECORD_TOO_LATE = "record_too_late"
    FACT_TOO_LATE = "fact_too_late"
    CLOCK_STEPPED = "clock_stepped"
    SECOND_SOURCE = "second_source"
    CPU_MISMATCH = "cpu_mismatch"

    UNPRICED_FILTER = "unpriced_filter"
    UNPRICED_SIZE = "unpriced_size"
    UNPRICED_EVENT = "unpriced_event"
    UNPRICED_MARKET = "unpriced_market"
    UNASSIGNED = "unassigned"
    NO_PLAN = "no_plan"
    COVERAGE_TIE = "coverage_tie"
    NO_EXCHANGE_RATE = "no_exchange_rate"
    TAX_WITHOUT_RULE = "tax_without_rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding: its stable key is (code, resource_id, boot_id, at_ns, record).

    `at_ns` is the instant of metering.md: the start that was told of; the later of two samples; the sample in conflict
    or after the stop; the first sample that was ignored because it lies inside a batch whose samples are gone. `counters` names the
    counters (of `second_source`: the meters) concerned; `record` the record at fault (a charge, a meter, ...).
    """

    code: FindingCode
    severity: Severity
    resource_id: str = ""
    boot_id: str = ""
    at_ns: int | None = None
    counters: tuple[str, ...] = ()
    record: str = ""
    detail: str = ""
