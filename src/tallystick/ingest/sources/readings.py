"""Rows of a collector as columns: which row is of which resource, when, and what it read; nothing is done row by row twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from tallystick.ingest.rows import LATEST_S, OLDEST_S
from tallystick.ingest.sources.wire_columns import Kind, Table
from tallystick.ingest.submission import Columns
from tallystick.model.samples import MEASURED_AT
from tallystick.proto.billing.collector.v1 import collector_pb2 as wire

Ints = NDArray[np.int64]

FIELDS = (
    "memory_bytes_used",
    "cpu_time_nanos",
    "disk_read_bytes",
    "disk_write_bytes",
    "disk_read_ops",
    "disk_write_ops",
    "network_rx_bytes",
    "network_tx_bytes",
)
"""The columns of a reading; they have the names of the columns of a sample, and are in their order."""

_VALUES, _WHOSE = attrgetter(*FIELDS), attrgetter("vm_id", "customer_id", "region")
_TIMESTAMP, _STAMP = attrgetter("timestamp"), attrgetter("seconds", "nanos")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """What a row says of its resource besides numbers: its id, its customer and its region, as sent."""

    vm_id: str
    customer_id: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """The rows of a request, by place: `whose` are the different ones, `owners` the place in it of each row.

    `values` has the shape [n, 8]: what is beyond 2^63-1 shows as negative. `at_ns` is 0 where a row has no instant that can be;
    `windowed` tells the rows with a window; `row` gives one as it was sent.
    """

    row: Callable[[int], wire.BillingMetrics]
    whose: Sequence[Whose]
    owners: Ints
    at_ns: Ints
    values: Ints
    windowed: NDArray[np.bool_]


ROW_FIELD = 1
"""Of a request: its rows."""
ROW_FIELDS: Sequence[tuple[int, str, Kind]] = (
    (1, "vm_id", Kind.TEXT),
    (2, "customer_id", Kind.TEXT),
    (3, "region", Kind.TEXT),
    (4, "timestamp", Kind.STAMP),
    (5, "window_start", Kind.STAMP),
    (6, "window_end", Kind.STAMP),
    (7, "cpu_time_nanos", Kind.INTEGER),
    (8, "cpu_utilization_pct", Kind.DOUBLE),
    (9, "cpu_cores_used", Kind.DOUBLE),
    (10, "memory_bytes_used", Kind.INTEGER),
    (11, "memory_bytes_peak", Kind.INTEGER),
    (12, "memory_bytes_seconds", Kind.INTEGER),
    (13, "disk_read_bytes", Kind.INTEGER),
    (14, "disk_write_bytes", Kind.INTEGER),
    (15, "disk_read_ops", Kind.INTEGER),
    (16, "disk_write_ops", Kind.INTEGER),
    (17, "network_rx_bytes", Kind.INTEGER),
    (18, "network_tx_bytes", Kind.INTEGER),
)


def read(metrics: Sequence[wire.BillingMetrics]) -> Readings:
    """The rows of a request as columns."""
    rows = list(metrics)
    count = len(rows)
    values = np.fromiter(chain.from_iterable(map(_VALUES, rows)), np.uint64, len(FIELDS) * count).reshape(-1, len(FIELDS)).view(np.int64)
    clock = np.fromiter(chain.from_iterable(map(_STAMP, map(_TIMESTAMP, rows))), np.int64, 2 * count).reshape(-1, 2)
    known: dict[tuple[str, str, str], int] = {}
    owners = np.fromiter((known.setdefault(each, len(known)) for each in map(_WHOSE, rows)), np.int64, count)
    return Readings(
        row=rows.__getitem__,
        whose=[Whose(vm_id=vm_id, customer_id=customer_id, region=region) for vm_id, customer_id, region in known],
        owners=owners,
        at_ns=_instants(clock[:, 0], clock[:, 1]),
        values=values,
        windowed=_windowed(rows),
    )


def read_table(table: Table) -> Readings:
    """The rows of a request, read from its bytes, as columns."""
    begin, end, stamp = (table.stamps[name] for name in ("window_start", "window_end", "timestamp"))
    return Readings(
        row=lambda row: wire.BillingMetrics.FromString(table.body[int(table.starts[row]) : int(table.ends[row])]),
        whose=[Whose(vm_id=vm_id, customer_id=customer_id, region=region) for vm_id, customer_id, region in table.texts],
        owners=table.owners,
        at_ns=_instants(stamp.seconds, stamp.nanos),
        values=np.stack([table.integers[name] for name in FIELDS], axis=1).view(np.int64),
        windowed=(begin.seconds != end.seconds) | (begin.nanos != end.nanos),
    )


def _instants(seconds: Ints, nanos: Ints) -> Ints:
    """Nanoseconds since the epoch; 0 for what is no instant from 2000 on that 64 bits hold."""
    dated = (seconds >= OLDEST_S) & (seconds < LATEST_S) & (nanos >= 0) & (nanos < 10**9)
    return np.where(dated, np.where(dated, seconds, 0) * 10**9 + nanos, 0)


def _windowed(rows: Sequence[wire.BillingMetrics]) -> NDArray[np.bool_]:
    """Which rows are of a window: not those whose ends are both unset, or equal."""
    found = np.zeros(len(rows), np.bool_)
    named = [place for place, row in enumerate(rows) if row.HasField("window_end") or row.HasField("window_start")]
    for place in named:
        begin, end = rows[place].window_start, rows[place].window_end
        found[place] = begin.seconds != end.seconds or begin.nanos != end.nanos
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """The readings of one resource in a request, in order of time; of equal instants the last sent stays.

    `rows` are the places in the request of those that stay, `copies` how many rows stand behind the resource in all.
    """

    vm_id: str
    columns: Columns
    rows: Ints
    copies: int


def streams(readings: Readings, possible: NDArray[np.bool_]) -> list[Stream]:
    """The possible rows without a window, resource by resource in the order of their first row."""
    vms: dict[str, int] = {}
    by_owner = np.array([vms.setdefault(each.vm_id, len(vms)) for each in readings.whose], np.int64)
    rows = np.flatnonzero(possible)
    if not rows.size:
        return []
    vm, at = by_owner[readings.owners[rows]], readings.at_ns[rows]
    order = np.lexsort((at, vm))
    rows, vm, at = rows[order], vm[order], at[order]
    last = np.append((vm[1:] != vm[:-1]) | (at[1:] != at[:-1]), True)
    total = np.bincount(vm, minlength=len(vms))
    rows, vm, at = rows[last], vm[last], at[last]
    values = np.ascontiguousarray(readings.values[rows].T)
    edges = [0, *(np.flatnonzero(vm[1:] != vm[:-1]) + 1).tolist(), vm.size]
    names = list(vms)
    return [
        Stream(
            vm_id=names[int(vm[low])],
            columns={MEASURED_AT: at[low:high], **dict(zip(FIELDS, values[:, low:high], strict=True))},
            rows=rows[low:high],
            copies=int(total[vm[low]]),
        )
        for low, high in pairwise(edges)
    ]
