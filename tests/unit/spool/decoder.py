"""A second, slow reader of docs/planes.md that shares no code with the encoder."""

from __future__ import annotations

from backports import zstd


def decode(planes: bytes, interval_ns: int) -> dict[int, list[int]]:
    """Values by column."""
    assert planes[0] == 1
    presence, count = int.from_bytes(planes[1:3], "little"), int.from_bytes(planes[3:7], "little")
    at, heads = 7, []
    for column in range(9):
        if presence >> column & 1:
            heads.append((column, int.from_bytes(planes[at : at + 8], "little", signed=True), planes[at + 8]))
            at += 9
    size = (count - 1) * sum(depth for _, _, depth in heads)
    assert size or at == len(planes), "no frame where there is nothing to hold"
    content = zstd.decompress(planes[at:]) if size else b""
    assert len(content) == size
    columns, place = {}, 0
    for column, first, depth in heads:
        values = [first]
        for index in range(count - 1):
            residual = bytes(content[place + plane * (count - 1) + index] for plane in range(depth))
            step = int.from_bytes(residual, "little", signed=True)
            values.append(first + (index + 1) * interval_ns + step if column == 0 else values[-1] + step)
        place += depth * (count - 1)
        columns[column] = values
    return columns
