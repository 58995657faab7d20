"""Records in a spool file: each with a mark, a kind, a length and a checksum, so that damage costs nothing but itself (docs/spool.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

MARK = b"\xd7TS"
_HEADER = struct.Struct("<3sBII")
HEADER_BYTES = _HEADER.size
LARGEST_PAYLOAD = 64 * 2**20


class RecordKind(IntEnum):
    """What a record is."""

    NOTICE = 1
    TAIL = 2
    BATCH = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A whole record at its offset in the file; `payload` is a view of the scanned bytes."""

    offset: int
    kind: RecordKind
    payload: memoryview

    @property
    def end(self) -> int:
        """The offset after it."""
        return self.offset + HEADER_BYTES + len(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Bytes [offset, end) that are no record; `torn`: a write that was cut off, fewer bytes at the end of the file than it says."""

    offset: int
    end: int
    torn: bool


def pack(kind: RecordKind, payload: bytes) -> bytes:
    """A record as it stands in the file: mark, kind, length, CRC-32 of kind, length and payload, then the payload.

    Raises:
        ValueError: the payload is larger than a reader would take.

    """
    if len(payload) > LARGEST_PAYLOAD:
        raise ValueError(f"a record of {len(payload)} bytes: the largest is {LARGEST_PAYLOAD}")
    checksum = crc32(payload, crc32(struct.pack("<BI", kind, len(payload))))
    return _HEADER.pack(MARK, kind, len(payload), checksum) + payload


def scan(content: bytes, start: int) -> Iterator[Record | Damage]:
    """All records of a file from `start` on, and the stretches between them that are none.

    After damage it goes on at the next mark that begins a record with a good checksum.
    """
    offset = start
    while offset < len(content):
        record = _record_at(content, offset)
        if record is not None:
            yield record
            offset = record.end
            continue
        after = _next_good(content, offset + 1)
        end = len(content) if after is None else after.offset
        yield Damage(offset=offset, end=end, torn=after is None and _is_cut(content, offset))
        offset = end


def _is_cut(content: bytes, offset: int) -> bool:
    """Whether a record that begins at `offset` goes on after the end of the file. One that is whole and wrong was damaged later."""
    begin = offset + HEADER_BYTES
    return begin > len(content) or begin + _HEADER.unpack_from(content, offset)[2] > len(content)


def is_record(content: bytes) -> bool:
    """Whether bytes are one whole record with a good checksum."""
    record = _record_at(content, 0)
    return record is not None and record.end == len(content)


def _next_good(content: bytes, start: int) -> Record | None:
    at = content.find(MARK, start)
    while at >= 0:
        record = _record_at(content, at)
        if record is not None:
            return record
        at = content.find(MARK, at + 1)
    return None


def _record_at(content: bytes, offset: int) -> Record | None:
    if offset + HEADER_BYTES > len(content):
        return None
    mark, kind, length, checksum = _HEADER.unpack_from(content, offset)
    begin = offset + HEADER_BYTES
    if mark != MARK or kind not in RecordKind._value2member_map_ or begin + length > len(content):
        return None
    payload = memoryview(content)[begin : begin + length]
    if crc32(payload, crc32(struct.pack("<BI", kind, length))) != checksum:
        return None
    return Record(offset=offset, kind=RecordKind(kind), payload=payload)
