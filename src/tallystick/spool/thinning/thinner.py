"""A full spool: files of batches that were never sent are written again without their samples, the oldest first, a few at a time."""

from __future__ import annotations

import logging
import os
import struct
from contextlib import suppress
from pathlib import Path

from backports.zstd import ZstdError
from google.protobuf.message import DecodeError

from tallystick.spool.backlog import Backlog, BatchFile
from tallystick.spool.entries import Entry, entry_of
from tallystick.spool.files import FILE_HEADER_BYTES, Reserve, sync_directory
from tallystick.spool.records import HEADER_BYTES, Damage, Record, RecordKind, pack, scan
from tallystick.spool.thinning.forms import thinned_payload

log = logging.getLogger(__name__)

_UNREADABLE = (ValueError, struct.error, ZstdError, DecodeError, IndexError)
_THINS = "batches that were never sent are thinned: their samples are lost, what billing needs of them is kept"
AT_ONCE = 16
"""Batches that are thinned between two writes, if no more were written: some 50 ms, so that samples are on disk within their second."""


class _Rewriting:
    """One file while it is thinned: its bytes, and what shall stand in their place."""

    def __init__(self, file: BatchFile) -> None:
        content = file.path.read_bytes()
        self.file = file
        self.pieces = [content[:FILE_HEADER_BYTES]]
        self.size = FILE_HEADER_BYTES
        self.entries: list[Entry] = []
        self.batches = 0
        self.is_damaged = False
        self._found = scan(content, FILE_HEADER_BYTES)

    def step(self, most: int) -> bool:
        """Thin up to `most` batches more; whether that was the last of them."""
        for _ in range(most):
            found = next(self._found, None)
            if found is None or isinstance(found, Damage):
                self.is_damaged = found is not None
                return True
            self._add(found)
        return False

    def _add(self, found: Record) -> None:
        payload = bytes(found.payload)
        if found.kind is RecordKind.BATCH:
            with suppress(*_UNREADABLE):  # it stays as it is
                thinned = thinned_payload(payload)
                if len(thinned) < len(payload):
                    payload = thinned
                    self.batches += 1
        self.entries.append(entry_of(found.kind, payload, self.file.number, self.size, self.size + HEADER_BYTES))
        self.pieces.append(pack(found.kind, payload))
        self.size += len(self.pieces[-1])


class Thinner:
    """Keeps a spool within its limit; it belongs to the thread that writes. `thinned` counts batches since the start."""

    def __init__(self, directory: Path, backlog: Backlog, reserve: Reserve, limit_bytes: int) -> None:
        self._directory, self._backlog, self._reserve = directory, backlog, reserve
        self._limit_bytes = limit_bytes
        self._rewriting: _Rewriting | None = None
        self._told: set[str] = set()
        self.thinned = self._looked_at = 0
        self.is_exhausted = False
        """Whether the spool is over its limit and nothing is left to thin: then no more samples should be taken."""
        for left in directory.glob("*.thinned"):
            left.unlink()

    def keep_within(self, written: int) -> None:
        """After so many batches were written: thin some if the spool is over its limit, and say so once each time it gets there."""
        size = self._backlog.size_bytes()
        if size <= self._limit_bytes:
            if size < self._limit_bytes // 2:
                self._told -= {"spool_full", "spool_exhausted"}
            if not self._backlog.depth():
                self._told.discard("disk_full")
            self.is_exhausted = False
            return
        self._tell("spool_full", size, _THINS)
        left, is_left = max(AT_ONCE, 2 * written), True
        try:
            while is_left and left > 0 and self._backlog.size_bytes() > self._limit_bytes:
                before = self._looked_at
                is_left = self._step(left)
                left -= self._looked_at - before
        except OSError as error:
            self._rewriting = None
            log.error("thinning_failed", extra={"error": str(error), "directory": str(self._directory)})
            return
        self.is_exhausted = not is_left
        size = self._backlog.size_bytes()
        if self.is_exhausted:
            self._tell("spool_exhausted", size, "nothing is left to thin and ticks pause: detail is lost, and no counter")

    def make_room(self) -> bool:
        """On a disk that takes nothing: thin one whole file into the room that the reserve gives up; whether there was one."""
        if self._backlog.thinnable() is None and self._rewriting is None:
            return False
        self._tell("disk_full", self._backlog.size_bytes(), _THINS)
        try:
            self._reserve.give_up()
            number = self.thinned
            while self._step(AT_ONCE) and self.thinned == number:
                pass
            return self.thinned > number
        except OSError as error:
            self._rewriting = None
            log.error("thinning_failed", extra={"error": str(error), "directory": str(self._directory)})
            return False
        finally:
            self._reserve.take()

    def _tell(self, what: str, size: int, detail: str) -> None:
        """Say it once, until there is room again."""
        if what not in self._told:
            self._told.add(what)
            log.error(what, extra={"bytes": size, "limit": self._limit_bytes, "directory": str(self._directory), "detail": detail})

    def _step(self, most: int) -> bool:
        """Go on with the file that is being thinned, or begin the oldest that may be; False: there is none.

        Raises:
            OSError: the disk does not give or take it.

        """
        if self._rewriting is None:
            file = self._backlog.thinnable()
            if file is None:
                return False
            try:
                self._rewriting = _Rewriting(file)
            except OSError:
                self._backlog.keep(file)  # the next time another
                raise
        rewriting = self._rewriting
        before = len(rewriting.entries)
        is_whole = rewriting.step(most)
        self._looked_at += 1 + len(rewriting.entries) - before
        if is_whole:
            self._rewriting = None
            self._replace(rewriting)
        return True

    def _replace(self, rewriting: _Rewriting) -> None:
        """Put the thinned file in the place of the other, durable; one that was sent meanwhile, or is damaged, stays as it is."""
        file = rewriting.file
        if rewriting.is_damaged or not rewriting.batches:
            self._backlog.keep(file)
            return
        fresh = file.path.with_suffix(".thinned")
        try:
            with fresh.open("xb") as out:
                out.writelines(rewriting.pieces)
                out.flush()
                os.fsync(out.fileno())
            if self._backlog.replace(file, fresh, rewriting.entries):
                sync_directory(self._directory)
                self.thinned += rewriting.batches
        finally:
            fresh.unlink(missing_ok=True)
