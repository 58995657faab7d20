"""Row batches of existing daemons into columns: sorted, of equal instants the last stays, what cannot be is set aside (wire.md 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from tallystick.ingest.sources.wire_columns import Kind, Table
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

DAEMON_TEXTS = (1, 2)
"""Of a request: `vm_id` and `customer_id`, which stand before its rows."""
DAEMON_ROW_FIELD = 3
DAEMON_ROW_FIELDS: Sequence[tuple[int, str, Kind]] = (
    (1, "timestamp", Kind.STAMP),
    (2, "cpu_time_nanos", Kind.INTEGER),
    (3, "memory_usage_bytes", Kind.INTEGER),
    (4, "disk_read_bytes", Kind.INTEGER),
    (5, "disk_write_bytes", Kind.INTEGER),
    (6, "network_rx_bytes", Kind.INTEGER),
    (7, "network_tx_bytes", Kind.INTEGER),
)
_VALUES, _TIMESTAMP, _STAMP = attrgetter(*FIELDS), attrgetter("timestamp"), attrgetter("seconds", "nanos")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The samples of a row batch as columns (empty if none is left), and those that cannot be."""

    columns: Columns
    quarantined: Sequence[Quarantined]


def columns_of(resource_id: str, metrics: Sequence[wire.VMMetrics]) -> Rows:
    """Sort the samples by instant; of equal instants the last sent stays; set aside what cannot be."""
    rows = list(metrics)
    values = np.fromiter(chain.from_iterable(map(_VALUES, rows)), np.int64, len(FIELDS) * len(rows)).reshape(-1, len(FIELDS))
    clock = np.fromiter(chain.from_iterable(map(_STAMP, map(_TIMESTAMP, rows))), np.int64, 2 * len(rows)).reshape(-1, 2)
    return _sorted(resource_id, clock.T, values.T)


def columns_of_table(resource_id: str, table: Table) -> Rows:
    """The same of rows that were read from their bytes."""
    stamp = table.stamps["timestamp"]
    values = np.stack([table.integers[name] for name in FIELDS]).view(np.int64)
    return _sorted(resource_id, np.stack([stamp.seconds, stamp.nanos]), values)


def _sorted(resource_id: str, clock: NDArray[np.int64], values: NDArray[np.int64]) -> Rows:
    """The samples of `values`, [6, n] in the order of `FIELDS`, at the seconds and nanoseconds of `clock`, [2, n]."""
    seconds, nanos = clock
    dated = (seconds >= OLDEST_S) & (seconds < LATEST_S) & (nanos >= 0) & (nanos < 10**9)
    possible = dated & (values >= 0).all(axis=0)
    aside: list[Quarantined] = []
    if not possible.all():
        aside = [
            _aside(resource_id, place, clock[:, place].tolist(), values[:, place].tolist()) for place in np.flatnonzero(~possible).tolist()
        ]
        seconds, nanos, values = seconds[possible], nanos[possible], values[:, possible]
    at_ns = seconds * 10**9 + nanos
    if not at_ns.size:
        return Rows(columns={}, quarantined=aside)
    if not (at_ns[1:] > at_ns[:-1]).all():
        order = np.argsort(at_ns, kind="stable")
        at_ns, values = at_ns[order], values[:, order]
        last = np.append(at_ns[1:] != at_ns[:-1], True)
        at_ns, values = at_ns[last], values[:, last]
    columns: Columns = {"measured_at": at_ns, **dict(zip(COLUMNS, values, strict=True))}
    return Rows(columns=columns, quarantined=aside)


def _aside(resource_id: str, index: int, stamp: Sequence[int], values: Sequence[int]) -> Quarantined:
    seconds, nanos = stamp
    if OLDEST_S <= seconds < LATEST_S and 0 <= nanos < 10**9:
        field, value = next((field, value) for field, value in zip(FIELDS, values, strict=True) if value < 0)
        return Quarantined(resource_id=resource_id, index=index, field=field, value=str(value))
    return Quarantined(resource_id=resource_id, index=index, field="timestamp", value=f"{seconds} s and {nanos} ns")


def sentence(quarantined: Sequence[Quarantined], shown: int = 3) -> str:
    """What a daemon is told of the samples set aside: `2 samples cannot be and are set aside: metrics[0].timestamp = ...`."""
    if not quarantined:
        return ""
    named = ", ".join(f"metrics[{each.index}].{each.field} = {each.value}" for each in quarantined[:shown])
    more = f" and {len(quarantined) - shown} more" if len(quarantined) > shown else ""
    noun = "sample cannot be and is" if len(quarantined) == 1 else "samples cannot be and are"
    return f"{len(quarantined)} {noun} set aside: {named}{more}"
