"""Raw samples out of a stored payload, with a decoder of its own: plain Python from docs/planes.md, one value at a time."""

from __future__ import annotations

from backports import zstd

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
"""In the order of their numbers in docs/planes.md."""

HEADER_BYTES = 7
COLUMN_BYTES = 9


def decode(payload: bytes, interval_ns: int) -> dict[str, list[int]]:
    """The present columns of one batch, absolute values; `interval_ns` is the one declared with it.

    Raises:
        ValueError: the bytes are no version 1 planes, or the frame does not hold what the header says.

    """
    if payload[0] != 1:
        raise ValueError(f"planes of version {payload[0]}: this reads version 1")
    presence = int.from_bytes(payload[1:3], "little")
    count = int.from_bytes(payload[3:7], "little")
    names = [name for place, name in enumerate(COLUMNS) if presence >> place & 1]
    heads = [payload[HEADER_BYTES + COLUMN_BYTES * place :][:COLUMN_BYTES] for place in range(len(names))]
    firsts = [int.from_bytes(head[:8], "little", signed=True) for head in heads]
    sizes = [head[8] for head in heads]
    frame = payload[HEADER_BYTES + COLUMN_BYTES * len(names) :]
    body = zstd.decompress(frame) if frame else b""
    rest = count - 1
    if len(body) != rest * sum(sizes):
        raise ValueError(f"{len(body)} bytes of planes where the header says {rest * sum(sizes)}")
    columns: dict[str, list[int]] = {}
    start = 0
    for name, first, size in zip(names, firsts, sizes, strict=True):
        planes = [body[start + rest * place : start + rest * (place + 1)] for place in range(size)]
        start += rest * size
        residuals = [int.from_bytes(bytes(plane[k] for plane in planes), "little", signed=True) for k in range(rest)]
        columns[name] = _absolute(name, first, residuals, interval_ns)
    return columns


def _absolute(name: str, first: int, residuals: list[int], interval_ns: int) -> list[int]:
    """Instants are offsets from an even tick; every other column is made of differences."""
    if name == "measured_at":
        return [first] + [first + k * interval_ns + residual for k, residual in enumerate(residuals, 1)]
    values = [first]
    for residual in residuals:
        values.append(values[-1] + residual)
    return values
