"""The lines of a stream's files as messages of the native protocol.

The encoder of byte planes is written from docs/planes.md alone and shares nothing with the product's two: values that no
64-bit integer of the protocol can be (-1, 2^63) travel as their bit pattern, as a broken source would send them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from backports import zstd

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb

COLUMNS = (
    "measured_at",
    "memory_bytes_used",
    "cpu_time_nanos",
    "disk_read_bytes",
    "disk_write_bytes",
    "disk_read_ops",
    "disk_write_ops",
    "network_rx_bytes",
    "network_tx_bytes",
)
"""In the order of the fields of `Columns`."""

WORD = 1 << 64
KINDS = {
    "started": pb.LIFECYCLE_KIND_STARTED,
    "stopped": pb.LIFECYCLE_KIND_STOPPED,
    "possible_gap": pb.LIFECYCLE_KIND_POSSIBLE_GAP,
}
SIZES = ("vcpus", "memory_bytes", "disk_bytes", "gpus")


def field_name(column: str) -> str:
    """The key of a column in samples.jsonl: instants are called `measured_at_ns` there."""
    return "measured_at_ns" if column == "measured_at" else column


def words(values: Sequence[int]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Any integers as 64-bit patterns: -1 and 2^64-1 are one."""
    return np.array([value % WORD for value in values], dtype=np.uint64)


def planes(columns: Mapping[str, Sequence[int]], interval_ns: int) -> bytes:
    """Columns of equal length as byte planes, version 1 (docs/planes.md)."""
    count = len(columns["measured_at"])
    present = [name for name in COLUMNS if name in columns]
    head = [struct.pack("<BHI", 1, sum(1 << COLUMNS.index(name) for name in present), count)]
    bodies: list[bytes] = []
    for name in present:
        values = words(columns[name])
        if name == "measured_at":
            residuals = values[1:] - (values[0] + np.arange(1, count, dtype=np.uint64) * np.uint64(interval_ns % WORD))
        else:
            residuals = values[1:] - values[:-1]
        kept = _planes_needed(residuals.view(np.int64))
        rows = residuals.astype("<u8").view(np.uint8).reshape(-1, 8)
        head.append(struct.pack("<QB", int(values[0]), kept))
        bodies += [rows[:, place].tobytes() for place in range(kept)]
    return b"".join(head) + _frame(bodies)


def _planes_needed(residuals: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    """The least number of bytes of two's complement that hold every residual; 0 if all are 0."""
    if not residuals.any():
        return 0
    low, high = int(residuals.min()), int(residuals.max())
    return next(size for size in range(1, 9) if -(1 << (8 * size - 1)) <= low and high < 1 << (8 * size - 1))


def _frame(bodies: list[bytes]) -> bytes:
    """One zstd frame of level 1 with a block boundary after every plane, without its content size; nothing for no planes."""
    if not bodies:
        return b""
    compressor = zstd.ZstdCompressor(level=1)
    parts = [compressor.compress(body, mode=zstd.ZstdCompressor.FLUSH_BLOCK) for body in bodies]
    return b"".join(parts) + compressor.flush(zstd.ZstdCompressor.FLUSH_FRAME)


def differences(values: Sequence[int]) -> list[int]:
    """First value absolute, then differences, each modulo 2^64 into the signed range: how `Columns` carries a column."""
    half = WORD // 2
    steps = [value - before for value, before in zip(values, (0, *values), strict=False)]
    return [(step + half) % WORD - half for step in steps]


def batch(line: Mapping[str, Any], *, typed: bool = False) -> pb.Batch:
    """One line of samples.jsonl. Columns of unequal length, or `typed`, travel as `Columns`; all others as planes."""
    columns = {name: line[field_name(name)] for name in COLUMNS}
    message = pb.Batch(
        resource_id=line["resource_id"],
        boot_id=line["boot_id"],
        spool_id=line["spool"],
        sequence=line["sequence"] or 0,
        interval_ns=line["interval_ns"],
    )
    lengths = {len(values) for values in columns.values()}
    if typed or len(lengths) > 1 or 0 in lengths:
        message.columns.CopyFrom(pb.Columns(**{name: differences(values) for name, values in columns.items()}))
    else:
        message.planes = planes(columns, line["interval_ns"])
    return message


def event(line: Mapping[str, Any]) -> pb.LifecycleEvent:
    """A start, stop or possible gap of lifecycle.jsonl."""
    return pb.LifecycleEvent(
        resource_id=line["resource_id"],
        boot_id=line["boot_id"],
        kind=KINDS[line["kind"]],
        at=line["at_ns"],
        last_sent=line.get("last_sent_ns", 0),
    )


def heartbeat(line: Mapping[str, Any]) -> pb.Heartbeat:
    """A heartbeat of lifecycle.jsonl."""
    return pb.Heartbeat(instance_id=line["instance_id"], active_resources=line["active"], at=line["at_ns"], reported_until=line["at_ns"])


def fact(line: Mapping[str, Any]) -> pb.ResourceFacts:
    """One line of sizes.jsonl."""
    return pb.ResourceFacts(
        resource_id=line["resource_id"],
        at=line["at_ns"],
        deleted=line.get("deleted", False),
        **{name: line[name] for name in SIZES if name in line},
    )


def assignment(resource_id: str, customer_id: str, region: str, at_ns: int) -> pb.ResourceFacts:
    """Whose a resource is: the first assignment holds from the first sample, whatever its instant."""
    return pb.ResourceFacts(resource_id=resource_id, at=at_ns, customer_id=customer_id, region=region)
