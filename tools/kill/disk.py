"""What lies on a host's disk: a reader of docs/spool.md that shares nothing with the spool."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from backports import zstd

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tools.bill import raw

FILE_HEADER = 30
RECORD = struct.Struct("<3sBII")
BATCH_HEAD = struct.Struct("<qII")
PART = struct.Struct("<HHQqHI")
MARK = b"\xd7TS"
NOTICE, TAIL, BATCH = 1, 2, 3
WIDTH = len(raw.COLUMNS)

Columns = dict[str, list[int]]


@dataclass(slots=True)
class OnDisk:
    """All that one spool directory holds: whole batches, and samples of tails as (resource, boot, interval, columns)."""

    batches: list[pb.Batch] = field(default_factory=list)
    rows: list[tuple[str, str, int, Columns]] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)


def read(directory: Path) -> OnDisk:
    """Read everything; a file that is removed meanwhile is done with. A record that was cut off at the end is none."""
    found = OnDisk()
    for path in sorted(directory.glob("*-*.spool")):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        for kind, payload in _records(content):
            if kind == BATCH:
                found.batches += pb.SendRequest.FromString(payload[BATCH_HEAD.size :]).batches
            elif kind == TAIL:
                found.rows += _parts(zstd.decompress(payload))
    found.quarantined = sorted(path.name for path in directory.glob("quarantine/*.record"))
    return found


def _records(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = FILE_HEADER
    while at + RECORD.size <= len(content):
        mark, kind, length, checksum = RECORD.unpack_from(content, at)
        payload = content[at + RECORD.size : at + RECORD.size + length]
        if mark != MARK or len(payload) < length or crc32(payload, crc32(struct.pack("<BI", kind, length))) != checksum:
            return
        yield kind, payload
        at += RECORD.size + length


def _parts(content: bytes) -> Iterator[tuple[str, str, int, Columns]]:
    """The samples of a tail, after its line of JSON."""
    line, _, rest = content.partition(b"\n")
    json.loads(line)
    at = 0
    while at < len(rest):
        resource, boot, _sequence, interval_ns, presence, size = PART.unpack_from(rest, at)
        at += PART.size
        names, boots, rows = rest[at : at + resource], rest[at + resource :][:boot], rest[at + resource + boot :][:size]
        at += resource + boot + size
        values = struct.unpack(f"<{size // 8}q", rows)
        columns = {name: list(values[place::WIDTH]) for place, name in enumerate(raw.COLUMNS) if presence >> place & 1}
        yield names.decode(), boots.decode(), interval_ns, columns
