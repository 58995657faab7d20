"""Samples as they are measured and shipped: the columns of a batch and its identity (metering.md, Samples)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

MEASURED_AT = "measured_at"
MEMORY = "memory_bytes_used"
COUNTERS = (
    "cpu_time_nanos",
    "disk_read_bytes",
    "disk_write_bytes",
    "disk_read_ops",
    "disk_write_ops",
    "network_rx_bytes",
    "network_tx_bytes",
)
COLUMNS = (MEASURED_AT, MEMORY, *COUNTERS)
"""In the order of the fields of `tallystick.v1.Columns`; bit i of a presence mask is column i."""

ALL_COLUMNS_MASK = (1 << len(COLUMNS)) - 1
DIFFERENCES = 1 << 15
"""In a presence mask: the counters of these samples are what was used since the sample before, not sums (a source profile)."""
LARGEST = 2**63 - 1
FUTURE_LIMIT_NS = 300 * 10**9
GAP_AFTER_INTERVALS = 10
START_TOO_OLD_NS = 24 * 3600 * 10**9


class SampleSource(IntEnum):
    """What measured a sample: of two sources of one resource the smaller bills (metering.md, Two sources for one thing)."""

    NATIVE = 0
    """Our protocol."""
    ROWS = 1
    """A daemon or exporter that sends rows."""


def boot_name(boot_id: str, source: SampleSource) -> str:
    """The name of a boot among all of its resource: it begins with a character that no id can have unless the source is our protocol."""
    return f"{chr(source)}{boot_id}" if source else boot_id


def boot_of(name: str) -> tuple[str, SampleSource]:
    """The id of a boot as its source told it, and that source."""
    if name and ord(name[0]) in _OTHER_SOURCES:
        return name[1:], SampleSource(ord(name[0]))
    return name, SampleSource.NATIVE


_OTHER_SOURCES = frozenset(source.value for source in SampleSource if source)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchIdentity:
    """What makes a batch one batch, inside a scope.

    `sequence` 0 means that the source keeps none: identity is then the content hash, and `spool_id` is not part of it. A `source`
    has incarnations of its own: the boots without an id of two sources are not one.
    """

    resource_id: str
    boot_id: str
    spool_id: str
    sequence: int
    source: SampleSource = SampleSource.NATIVE


class LifecycleKind(StrEnum):
    """What a lifecycle notice tells of a resource."""

    STARTED = "started"
    STOPPED = "stopped"
    POSSIBLE_GAP = "possible_gap"
    CLOCK_STEPPED = "clock_stepped"


BOUNDARIES = frozenset({LifecycleKind.STARTED, LifecycleKind.STOPPED})
"""The kinds that begin or end something: the others never change usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifecycleEvent:
    """A notice that a resource started, stopped, that its source may have missed something, or that its host's clock was set.

    `at_ns` is the instant told of, `received_at_ns` the server's clock. For `possible_gap`, `at_ns` is the resume
    instant and `last_sent_ns` the last sample sent before it. For `clock_stepped`, the wall clock moved by `step_ns` against the
    monotonic one (above 0: forward) between the looks at `last_sent_ns` and `at_ns`. Neither ever changes usage.
    """

    resource_id: str
    boot_id: str
    kind: LifecycleKind
    at_ns: int
    received_at_ns: int
    last_sent_ns: int | None = None
    step_ns: int | None = None
