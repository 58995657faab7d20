"""Tail records: each second, what the agent saw and the samples since the last record, so that a crash loses a second at most."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from backports.zstd import ZstdCompressor, decompress

_PART = struct.Struct("<HHQqHI")
"""Bytes of the resource id, bytes of the boot id, sequence, interval, presence, bytes of rows."""

Key = tuple[str, str]
"""(resource_id, boot_id): what sequences are counted by."""


class TailPart(NamedTuple):
    """Samples of one resource that belong to the batch with this sequence number, as rows of nine little-endian integers."""

    resource_id: str
    boot_id: str
    sequence: int
    interval_ns: int
    presence: int
    rows: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TailHead:
    """What stands before the samples.

    `at_ns` is the instant of the agent's last look, `anchor_ns` its anchor (metering.md), in the host boot `host_boot`.
    `closed` are batches that became durable since the record before, with their sequence; `acknowledged` places of records
    (file number, offset) that need not be sent again. `seen` is everything that the last look saw, by incarnation key: whether it
    ran and the checksum of the facts sent of it; None: as in the record before. `sequences` stands in the first record of a
    file: the last closed sequence of every resource. `since` are batches of which the first samples stand here, with their sequence and
    the instant since when they tell of usage.
    """

    at_ns: int
    anchor_ns: int
    host_boot: str
    closed: tuple[tuple[str, str, int], ...] = ()
    acknowledged: tuple[tuple[int, int], ...] = ()
    seen: Mapping[str, tuple[bool, int]] | None = None
    sequences: tuple[tuple[str, str, int], ...] = field(default=())
    since: tuple[tuple[str, str, int, int], ...] = ()


class TailEncoder:
    """Packs tails with one compressor; it belongs to one thread."""

    def __init__(self) -> None:
        self._compressor = ZstdCompressor(level=1)

    def pack(self, head: TailHead, parts: Iterable[TailPart]) -> bytes:
        """The payload of a tail record: one zstd frame of a line of JSON and the parts."""
        said: dict[str, Any] = {"at": head.at_ns, "anchor": head.anchor_ns, "host_boot": head.host_boot}
        lists = {"closed": head.closed, "acknowledged": head.acknowledged, "sequences": head.sequences, "since": head.since}
        said |= {name: places for name, places in lists.items() if places}
        if head.seen is not None:
            said["seen"] = head.seen
        pieces = [json.dumps(said, separators=(",", ":")).encode() + b"\n"]
        for part in parts:
            resource, boot = part.resource_id.encode(), part.boot_id.encode()
            pieces.append(_PART.pack(len(resource), len(boot), part.sequence, part.interval_ns, part.presence, len(part.rows)))
            pieces += (resource, boot, part.rows)
        return self._compressor.compress(b"".join(pieces), ZstdCompressor.FLUSH_FRAME)


def unpack(payload: bytes | memoryview) -> tuple[TailHead, list[TailPart]]:
    """What `TailEncoder.pack` packed.

    Raises:
        ValueError, KeyError, struct.error, zstd.ZstdError: it was never packed by us, although its checksum is good.

    """
    content = decompress(bytes(payload))
    line, _, rest = content.partition(b"\n")
    said = json.loads(line)
    seen = said.get("seen")
    head = TailHead(
        at_ns=int(said["at"]),
        anchor_ns=int(said["anchor"]),
        host_boot=str(said["host_boot"]),
        closed=tuple((str(r), str(b), int(s)) for r, b, s in said.get("closed", ())),
        acknowledged=tuple((int(n), int(o)) for n, o in said.get("acknowledged", ())),
        seen=None if seen is None else {str(key): (bool(running), int(facts)) for key, (running, facts) in seen.items()},
        sequences=tuple((str(r), str(b), int(s)) for r, b, s in said.get("sequences", ())),
        since=tuple((str(r), str(b), int(s), int(ns)) for r, b, s, ns in said.get("since", ())),
    )
    parts = []
    at = 0
    while at < len(rest):
        resource_bytes, boot_bytes, sequence, interval_ns, presence, row_bytes = _PART.unpack_from(rest, at)
        at += _PART.size
        ends = (at + resource_bytes, at + resource_bytes + boot_bytes, at + resource_bytes + boot_bytes + row_bytes)
        if ends[2] > len(rest):
            raise ValueError("a tail ends inside of its samples")
        parts.append(
            TailPart(
                resource_id=rest[at : ends[0]].decode(),
                boot_id=rest[ends[0] : ends[1]].decode(),
                sequence=sequence,
                interval_ns=interval_ns,
                presence=presence,
                rows=rest[ends[1] : ends[2]],
            )
        )
        at = ends[2]
    return head, parts
