"""Byte planes as docs/planes.md says, read one value at a time: the auditor's own reader."""

from __future__ import annotations

from backports.zstd import decompress

_HEADER_BYTES = 7
_COLUMN_BYTES = 9


def columns_of(planes: bytes, interval_ns: int, wanted: int = 0x1FF) -> dict[int, list[int]]:
    """The columns of a batch by their numbers: those of `wanted`, a mask, that are there."""
    presence, count = int.from_bytes(planes[1:3], "little"), int.from_bytes(planes[3:7], "little")
    places = [column for column in range(9) if presence >> column & 1]
    heads = [planes[_HEADER_BYTES + _COLUMN_BYTES * at :][:_COLUMN_BYTES] for at in range(len(places))]
    body = planes[_HEADER_BYTES + _COLUMN_BYTES * len(places) :]
    content = decompress(body) if body else b""
    steps = count - 1
    found: dict[int, list[int]] = {}
    at = 0
    for column, head in zip(places, heads, strict=True):
        width = head[8]
        if wanted >> column & 1:
            value = first = int.from_bytes(head[:8], "little", signed=True)
            values = [first]
            for step in range(steps):
                octets = content[at + step : at + width * steps : steps] if width else b""
                residual = int.from_bytes(octets, "little", signed=True)
                value = first + (step + 1) * interval_ns + residual if column == 0 else value + residual
                values.append(value)
            found[column] = values
        at += width * steps
    return found


def instants_of(planes: bytes, interval_ns: int) -> list[int]:
    """The instants of a batch."""
    return columns_of(planes, interval_ns, 1)[0]
