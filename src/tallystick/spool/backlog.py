"""The backlog: every record that is not acknowledged, oldest first, in little memory however long the server is away."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from tallystick.spool.entries import Entry, entry_of
from tallystick.spool.files import FILE_HEADER_BYTES
from tallystick.spool.quarantine import Quarantine
from tallystick.spool.records import HEADER_BYTES, Damage, Record, RecordKind, is_record, scan

_LOST = (errno.ENOENT, errno.EIO, errno.ESTALE)
"""What will not be better a second later."""


class UnreadableError(Exception):
    """Some records cannot be read from the disk any more. They were told and kept aside, and wait no longer: take others."""


class BatchFile:
    """One file of batches and notices. Its `entries` are in memory only while it is the oldest, or is being written.

    `is_kept`: it is not to be thinned: something of it may have been sent, or it is thinned already. `is_lost`: the disk gives it no more.
    """

    __slots__ = ("acknowledged", "batches", "entries", "first_at_ns", "is_kept", "is_lost", "number", "path", "records", "size", "writing")

    def __init__(self, number: int, path: Path, *, writing: bool) -> None:
        self.number = number
        self.path = path
        self.writing = writing
        self.entries: list[Entry] | None = []
        self.acknowledged: set[int] = set()
        self.first_at_ns = 2**63
        self.records = 0
        self.batches = 0
        self.size = FILE_HEADER_BYTES
        self.is_kept = self.is_lost = False

    def add(self, entry: Entry) -> None:
        """Count one that waits."""
        if self.entries is not None:
            self.entries.append(entry)
        self.records += 1
        self.batches += entry.kind is RecordKind.BATCH
        self.first_at_ns = min(self.first_at_ns, entry.first_at_ns)
        self.size = max(self.size, entry.offset + entry.length)
        self.is_kept = self.is_kept or entry.is_thinned

    def load(self, quarantine: Quarantine) -> list[Entry]:
        """Its waiting entries, read from the file again if they were let go. What is damaged since is kept aside, what is lost told."""
        if self.entries is None:
            try:
                content = self.path.read_bytes()
            except OSError as error:
                self.lose(error, quarantine)
                return []
            found = tuple(scan(content, FILE_HEADER_BYTES))
            records = (one for one in found if isinstance(one, Record) and one.offset not in self.acknowledged)
            entries = [entry_of(one.kind, one.payload, self.number, one.offset, one.offset + HEADER_BYTES) for one in records]
            if len(entries) < self.records:
                for one in found:
                    if isinstance(one, Damage):
                        quarantine.keep_damaged(self.path.name, one.offset, content[one.offset : one.end], one.torn)
            self.wait_for(entries)
        return self.entries or []

    def wait_for(self, entries: list[Entry]) -> None:
        """These and no others wait."""
        self.entries = entries
        self.records = len(entries)
        self.batches = sum(entry.kind is RecordKind.BATCH for entry in entries)
        self.first_at_ns = min((entry.first_at_ns for entry in entries), default=2**63)

    def lose(self, error: OSError, quarantine: Quarantine) -> None:
        """The disk does not give it any more: tell, and wait for nothing of it. It is not removed either.

        Raises:
            OSError: the error, if it may pass.

        """
        if error.errno not in _LOST:
            raise error
        quarantine.tell_unreadable(self.path, error)
        self.wait_for([])
        self.is_lost = True


class Backlog:
    """What waits, shared by the thread that writes and the one that sends."""

    def __init__(self, quarantine: Quarantine) -> None:
        self._quarantine = quarantine
        self._changed = threading.Condition()
        self._files: list[BatchFile] = []
        self._acknowledged: list[tuple[int, int]] = []
        self._writing_first_at: dict[int, int] = {}
        self._urgent = False

    # The writer's side

    def coming(self, token: int, first_at_ns: int) -> None:
        """Something with this first instant is on its way to the disk."""
        with self._changed:
            self._writing_first_at[token] = first_at_ns

    def add_file(self, file: BatchFile) -> None:
        """A new file, after all others; what is not being written any more lets its entries go unless it is the oldest."""
        with self._changed:
            for other in self._files[1:]:
                other.entries = None
            for other in self._files:
                other.writing = False
            self._files.append(file)

    def arrived(self, entries: Iterable[tuple[int, Entry]], *, urgent: bool) -> None:
        """These are on disk now, each in the file that it names: a burst may have filled more than one."""
        with self._changed:
            files = {file.number: file for file in self._files}
            for token, entry in entries:
                files[entry.file].add(entry)
                self._writing_first_at.pop(token, None)
            self._urgent = self._urgent or urgent
            self._changed.notify_all()

    def take_acknowledged(self, *, every: bool) -> tuple[tuple[int, int], ...]:
        """The places that were acknowledged since the last call; `every`: all in files that are still there."""
        with self._changed:
            taken, self._acknowledged = tuple(self._acknowledged), []
            if every:
                return tuple((file.number, offset) for file in self._files for offset in sorted(file.acknowledged))
            return taken

    def take_finished(self) -> list[BatchFile]:
        """Files with nothing left to send and not being written: they may be removed, and are no longer listed. One that is lost stays."""
        with self._changed:
            finished = [file for file in self._files if not file.records and not file.writing]
            self._files = [file for file in self._files if file.records or file.writing]
            return [file for file in finished if not file.is_lost]

    def end_writing(self) -> None:
        """Nothing more is written to the last file."""
        with self._changed:
            for file in self._files:
                file.writing = False

    def has_finished(self) -> bool:
        """Whether `take_finished` would give any."""
        with self._changed:
            return any(not file.records and not file.writing for file in self._files)

    def last_is_done(self) -> bool:
        """Whether the file that is being written has had records and all of them are acknowledged."""
        with self._changed:
            return bool(self._files) and not self._files[-1].records and bool(self._files[-1].acknowledged)

    def size_bytes(self) -> int:
        """What the files hold, whether all in them still waits or not."""
        with self._changed:
            return sum(file.size for file in self._files)

    def thinnable(self) -> BatchFile | None:
        """The oldest file of which nothing can have been sent and nothing is thinned."""
        with self._changed:
            every = (file for file in self._files if file.batches and not (file.writing or file.is_kept or file.acknowledged))
            return next(every, None)

    def keep(self, file: BatchFile) -> None:
        """Leave a file as it is."""
        with self._changed:
            file.is_kept = True

    def replace(self, file: BatchFile, fresh: Path, entries: Sequence[Entry]) -> bool:
        """Put another content in the place of a file, unless something of it was sent meanwhile; whether it was done.

        Raises:
            OSError: it cannot be renamed.

        """
        with self._changed:
            if file.is_kept or file.acknowledged:
                return False
            fresh.replace(file.path)
            file.is_kept = True
            file.size = entries[-1].offset + entries[-1].length
            if file.entries is not None:
                file.entries = list(entries)
            return True

    # The sender's side

    def take(self, most: int, most_bytes: int, most_samples: int = 2**63) -> list[Entry]:
        """The oldest that wait, in order: at least one if any waits, else as many as fit into all limits. They stay until `done`."""
        with self._changed:
            taken: list[Entry] = []
            size = samples = 0
            for file in self._files:
                for entry in file.load(self._quarantine) if file.records else ():
                    size += entry.length
                    samples += entry.samples
                    if taken and (len(taken) >= most or size > most_bytes or samples > most_samples):
                        return taken
                    taken.append(entry)
                    file.is_kept = True
                if len(taken) >= most:
                    break
            return taken

    def read(self, entries: Sequence[Entry]) -> list[bytes]:
        """Their pieces of a request, from the disk, each held against its checksum: the disk may have changed what was written.

        Raises:
            UnreadableError: some are not there, or not what they were.
            OSError: they cannot be read just now.

        """
        with self._changed:
            files = {file.number: file for file in self._files}
        pieces, damaged = [], []
        fd, number = -1, -1
        try:
            for entry in entries:
                if entry.file != number:
                    if fd >= 0:
                        os.close(fd)
                    number, fd = entry.file, -1
                    fd = os.open(files[number].path, os.O_RDONLY | os.O_CLOEXEC)
                record = os.pread(fd, entry.offset + entry.length - entry.record_offset, entry.record_offset)
                if is_record(record):
                    pieces.append(record[entry.offset - entry.record_offset :])
                else:
                    self._quarantine.keep_damaged(files[number].path.name, entry.record_offset, record, torn=False)
                    damaged.append(entry)
        except OSError as error:
            with self._changed:
                files[number].lose(error, self._quarantine)
            raise UnreadableError from error
        finally:
            if fd >= 0:
                os.close(fd)
        if damaged:
            self.done(damaged)
            raise UnreadableError
        return pieces

    def done(self, entries: Sequence[Entry]) -> None:
        """These need not be sent again: acknowledged, or quarantined."""
        with self._changed:
            gone = {(entry.file, entry.record_offset) for entry in entries}
            for file in self._files:
                own = [entry for entry in entries if entry.file == file.number]
                if not own:
                    continue
                file.acknowledged |= {entry.record_offset for entry in own}
                file.wait_for([entry for entry in file.load(self._quarantine) if (entry.file, entry.record_offset) not in gone])
            self._acknowledged += sorted(gone)
            self._changed.notify_all()

    def path_of(self, number: int) -> Path | None:
        """The file of this number."""
        with self._changed:
            return next((file.path for file in self._files if file.number == number), None)

    def depth(self) -> int:
        """Batches on disk that are not acknowledged."""
        with self._changed:
            return sum(file.batches for file in self._files)

    def waiting(self) -> int:
        """Records on disk that are not acknowledged: batches and notices."""
        with self._changed:
            return sum(file.records for file in self._files)

    def first_at_ns(self, without: Iterable[Entry] = ()) -> int | None:
        """The earliest instant in what is not acknowledged, is not among `without`, or is on its way to the disk; None: there is none."""
        with self._changed:
            left = {(entry.file, entry.record_offset) for entry in without}
            first = min(self._writing_first_at.values(), default=2**63)
            for file in self._files:
                if file.entries is None or not left:
                    first = min(first, file.first_at_ns)
                else:
                    own = (entry.first_at_ns for entry in file.entries if (entry.file, entry.record_offset) not in left)
                    first = min(first, min(own, default=2**63))
            return None if first == 2**63 else first

    def hurry(self) -> None:
        """Wake the sender: what waits is wanted at once."""
        with self._changed:
            self._urgent = True
            self._changed.notify_all()

    def wait(self, enough: int, seconds: float) -> bool:
        """Until `enough` records wait, something urgent came, or so many seconds passed; whether anything was urgent (and is no more)."""
        with self._changed:
            self._changed.wait_for(lambda: self._urgent or sum(file.records for file in self._files) >= enough, seconds)
            urgent, self._urgent = self._urgent, False
            return urgent
