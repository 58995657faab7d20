"""Row batches of existing daemons into columns: sorted, of equal instants the last stays, what cannot be is set aside (wire.md 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.ingest.submission import Columns, Quarantined
from tallystick.model.samples import LARGEST
from tallystick.proto.billing.v1 import billing_pb2 as wire

OLDEST_S = 946_684_800
"""2000-01-01T00:00:00Z: nothing was metered before it, so an earlier date is a clock that was never set."""
LATEST_S = LARGEST // 10**9
FIELDS = (
    "memory_usage_bytes",
    "cpu_time_nanos",
    "disk_read_bytes",
    "disk_write_bytes",
    "network_rx_bytes",
    "network_tx_bytes",
)
COLUMNS = (
    "memory_bytes_used",
    "cpu_time_nanos",
    "disk_read_bytes",
    "disk_write_bytes",
    "network_rx_bytes",
    "network_tx_bytes",
)
"""The columns of a row, in the order of `FIELDS`: these daemons count no operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The samples of a row batch as columns (empty if none is left), and those that cannot be."""

    columns: Columns
    quarantined: Sequence[Quarantined]


def columns_of(resource_id: str, metrics: Sequence[wire.VMMetrics]) -> Rows:
    """Sort the samples by instant; of equal instants the last sent stays; set aside what cannot be."""
    by_instant: dict[int, tuple[int, ...]] = {}
    aside: list[Quarantined] = []
    rising = True
    last = 0
    for index, row in enumerate(metrics):
        stamp = row.timestamp
        seconds, nanos = stamp.seconds, stamp.nanos
        values = (
            row.memory_usage_bytes,
            row.cpu_time_nanos,
            row.disk_read_bytes,
            row.disk_write_bytes,
            row.network_rx_bytes,
            row.network_tx_bytes,
        )
        if not (OLDEST_S <= seconds < LATEST_S and 0 <= nanos < 10**9 and min(values) >= 0):
            aside.append(_aside(resource_id, index, seconds, nanos, values))
            continue
        at_ns = seconds * 10**9 + nanos
        rising = rising and at_ns >= last
        last = at_ns
        by_instant[at_ns] = values
    instants = list(by_instant) if rising else sorted(by_instant)
    if not instants:
        return Rows(columns={}, quarantined=aside)
    rows = by_instant.values() if rising else [by_instant[at_ns] for at_ns in instants]
    columns: Columns = {"measured_at": instants}
    columns.update(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    return Rows(columns=columns, quarantined=aside)


def _aside(resource_id: str, index: int, seconds: int, nanos: int, values: tuple[int, ...]) -> Quarantined:
    if OLDEST_S <= seconds < LATEST_S and 0 <= nanos < 10**9:
        field, value = next((field, value) for field, value in zip(FIELDS, values, strict=True) if value < 0)
        return Quarantined(resource_id=resource_id, index=index, field=field, value=str(value))
    return Quarantined(resource_id=resource_id, index=index, field="timestamp", value=f"{seconds}.{nanos:09d} s")


def sentence(quarantined: Sequence[Quarantined], shown: int = 3) -> str:
    """What a daemon is told of the samples set aside: `2 samples cannot be and are set aside: metrics[0].timestamp = ...`."""
    if not quarantined:
        return ""
    named = ", ".join(f"metrics[{each.index}].{each.field} = {each.value}" for each in quarantined[:shown])
    more = f" and {len(quarantined) - shown} more" if len(quarantined) > shown else ""
    noun = "sample cannot be and is" if len(quarantined) == 1 else "samples cannot be and are"
    return f"{len(quarantined)} {noun} set aside: {named}{more}"
