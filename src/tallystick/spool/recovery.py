"""What an earlier run left on disk: batches to send, samples that never became one, and what it knew; damage is set aside."""

from __future__ import annotations

import logging
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backports.zstd import ZstdError
from google.protobuf.message import DecodeError

from tallystick.spool.backlog import BatchFile
from tallystick.spool.entries import entry_of, identity_of
from tallystick.spool.files import FILE_HEADER_BYTES, FORMAT_VERSION, Numbered, listed, read_header
from tallystick.spool.quarantine import Quarantine
from tallystick.spool.records import HEADER_BYTES, Damage, RecordKind, scan
from tallystick.spool.tails import Key, TailHead, TailPart, unpack

MAYBE_SENT_FILES = 3
"""A request holds at most 3.5 MB, the oldest: of so many files an earlier run may have sent something without an answer."""

Identity = tuple[str, str, str, int]
"""(resource_id, boot_id, spool_id, sequence)."""

log = logging.getLogger(__name__)

_UNREADABLE = (ValueError, KeyError, TypeError, IndexError, struct.error, ZstdError, DecodeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBatch:
    """Samples of tails that never became a batch: the next one of their resource, in the spool they were taken in."""

    resource_id: str
    boot_id: str
    spool_id: str
    sequence: int
    interval_ns: int
    presence: int
    rows: array[int]
    since_ns: int


@dataclass(slots=True, kw_only=True)
class Recovered:
    """All that was found. `head` is the last look, None for a new spool.

    `damaged`: something was lost that may have been sent, so no number of this spool may be used for anything but what it was used for.
    """

    quarantine: Quarantine
    spool_id: str = ""
    head: TailHead | None = None
    seen: Mapping[str, tuple[bool, int]] = field(default_factory=dict)
    sequences: dict[Key, int] = field(default_factory=dict)
    files: list[BatchFile] = field(default_factory=list)
    open_batches: list[OpenBatch] = field(default_factory=list)
    tails: list[Path] = field(default_factory=list)
    newer: list[Path] = field(default_factory=list)
    last_number: int = 0
    damaged: bool = False
    cut: bool = False
    written: set[Identity] = field(default_factory=set)
    parts: dict[Identity, list[TailPart]] = field(default_factory=dict)
    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    since: dict[Identity, int] = field(default_factory=dict)


def recover(directory: Path, quarantine: Quarantine) -> Recovered:
    """Read every file of the spool in `directory`. Nothing is written but to the quarantine."""
    result = Recovered(quarantine=quarantine)
    for file in listed(directory):
        result.last_number = max(result.last_number, file.number)
        try:
            content = file.path.read_bytes()
        except OSError as error:  # it stays where it is, and is tried again at the next start
            quarantine.tell_unreadable(file.path, error)
            result.damaged = True
            continue
        header = read_header(content)
        if header is not None and header.version > FORMAT_VERSION:
            result.newer.append(file.path)
            result.damaged = True  # nobody knows which numbers stand in it
            log.error("spool_file_newer", extra={"file": file.path.name, "version": header.version, "known": FORMAT_VERSION})
            continue
        if header is None:
            _set_aside(Damage(offset=0, end=FILE_HEADER_BYTES, torn=len(content) <= FILE_HEADER_BYTES), file, content, result)
        spool_id = header.spool_id if header else ""
        result.spool_id = spool_id or result.spool_id
        if file.stem == "batches":
            _read_batches(file, content, result)
        else:
            _read_tails(file, content, spool_id, result)
    _forget_acknowledged(result)
    for identity in result.written:
        if identity[2] == result.spool_id:
            key = (identity[0], identity[1])
            result.sequences[key] = max(result.sequences.get(key, 0), identity[3])
    unwritten = [identity for identity in result.parts if identity not in result.written]
    closed = {identity for identity in unwritten if identity[3] <= result.sequences.get((identity[0], identity[1]), 0)}
    result.damaged = result.damaged or (result.cut and bool(closed))  # one that is missing was durable: it was not cut off
    for identity in unwritten:
        if result.damaged or identity not in closed:  # a damaged batch lives on in its tails
            result.open_batches.append(_join(identity, result.parts[identity], result.since.get(identity)))
    return result


def _set_aside(found: Damage, file: Numbered, content: bytes, result: Recovered) -> None:
    result.quarantine.keep_damaged(file.path.name, found.offset, content[found.offset : found.end], found.torn)
    result.damaged = result.damaged or not found.torn
    result.cut = result.cut or file.stem == "batches"


def _read_batches(file: Numbered, content: bytes, result: Recovered) -> None:
    kept = BatchFile(file.number, file.path, writing=False)
    for found in scan(content, FILE_HEADER_BYTES):
        if isinstance(found, Damage):
            _set_aside(found, file, content, result)
            continue
        try:
            entry = entry_of(found.kind, found.payload, file.number, found.offset, found.offset + HEADER_BYTES)
            if found.kind is RecordKind.BATCH:
                result.written.add(identity_of(found.payload))
        except _UNREADABLE:
            _set_aside(Damage(offset=found.offset, end=found.end, torn=False), file, content, result)
            continue
        kept.add(entry)
    result.files.append(kept)


def _read_tails(file: Numbered, content: bytes, spool_id: str, result: Recovered) -> None:
    result.tails.append(file.path)
    for found in scan(content, FILE_HEADER_BYTES):
        if isinstance(found, Damage):
            _set_aside(found, file, content, result)
            continue
        try:
            head, own = unpack(found.payload)
        except _UNREADABLE:
            _set_aside(Damage(offset=found.offset, end=found.end, torn=False), file, content, result)
            continue
        result.head = head
        result.acknowledged |= set(head.acknowledged)
        result.seen = result.seen if head.seen is None else head.seen
        for resource_id, boot_id, sequence in (*head.sequences, *head.closed):
            key = (resource_id, boot_id)
            result.sequences[key] = max(result.sequences.get(key, 0), sequence)
        for resource_id, boot_id, sequence, since_ns in head.since:
            result.since.setdefault((resource_id, boot_id, spool_id, sequence), since_ns)
        for part in own:
            result.parts.setdefault((part.resource_id, part.boot_id, spool_id, part.sequence), []).append(part)


def _forget_acknowledged(result: Recovered) -> None:
    """What was acknowledged before the end of the earlier run is not sent again."""
    for file in result.files:
        own = [entry for entry in file.load(result.quarantine) if (file.number, entry.record_offset) not in result.acknowledged]
        fresh = BatchFile(file.number, file.path, writing=False)
        for entry in own:
            fresh.add(entry)
        fresh.acknowledged = {offset for number, offset in result.acknowledged if number == file.number}
        result.files[result.files.index(file)] = fresh
    for file in result.files[1:]:
        file.entries = None
    for file in result.files[:MAYBE_SENT_FILES]:
        file.is_kept = True


def _join(identity: Identity, pieces: list[TailPart], since_ns: int | None) -> OpenBatch:
    """The samples of several tails, in the order of their instants; a piece that was written twice counts once."""
    rows = array("q")
    for piece in pieces:
        own = array("q")
        own.frombytes(piece.rows)
        if not rows or own[0] > rows[-9]:
            rows += own
    resource_id, boot_id, spool_id, sequence = identity
    return OpenBatch(
        resource_id=resource_id,
        boot_id=boot_id,
        spool_id=spool_id,
        sequence=sequence,
        interval_ns=pieces[0].interval_ns,
        presence=pieces[0].presence,
        rows=rows,
        since_ns=rows[0] if since_ns is None else min(since_ns, rows[0]),
    )
