"""The durable queue of the host: what the collector gives is on disk before it is sent, and stays until it is acknowledged."""

from __future__ import annotations

import errno
import logging
import os
import queue
import threading
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tallystick.model.resources import Fact
from tallystick.model.samples import BatchIdentity, LifecycleEvent
from tallystick.spool.backlog import Backlog, BatchFile
from tallystick.spool.entries import Entry, batch_payload, entry_of, notice_payload
from tallystick.spool.files import Appender, Reserve, lock, sync_directory
from tallystick.spool.planes import WIDTH, PlanesEncoder
from tallystick.spool.quarantine import Quarantine
from tallystick.spool.records import HEADER_BYTES, RecordKind, pack
from tallystick.spool.recovery import OpenBatch, Recovered, recover
from tallystick.spool.tails import Key, TailEncoder, TailHead, TailPart
from tallystick.spool.thinning.thinner import Thinner

log = logging.getLogger(__name__)

FILE_BYTES = 2 * 2**20
"""A file is ended at this size: small enough to be read whole when what is in it is wanted again."""
RETRY_SECONDS = 1.0
UNWRITTEN_LIMIT = 20_000
UNWRITTEN_BYTES_LIMIT = 16 * 2**20
"""Batches and notices, and bytes of samples, that may wait for a disk that takes nothing before the collector is asked to pause."""

Seen = Mapping[str, tuple[bool, int]]
TraceOf = Callable[[BatchIdentity, tuple[int, int], int], str]
"""The trace context of a batch by its identity, its first and last instant and its number of samples; empty: it is not traced."""


class SpoolInUseError(OSError):
    """Another agent uses the spool directory."""


@dataclass(slots=True)
class SpoolCounts:
    """What the spool's own metrics tell."""

    writes: int = 0
    syncs: int = 0
    sync_seconds: float = 0.0
    write_errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What an earlier run knew at its last look: its instant, the anchor, the host boot, and what was seen (key: ran, facts)."""

    at_ns: int
    anchor_ns: int
    host_boot: str
    seen: Seen


@dataclass(slots=True, kw_only=True)
class _Work:
    """One thing for the writer: a record to be, in the order in which it was given."""

    kind: RecordKind
    token: int = 0
    payload: bytes = b""
    batch: OpenBatch | None = None
    head: TailHead | None = None
    parts: Sequence[TailPart] = ()
    urgent: bool = False
    written: bool = False
    done: threading.Event | None = None

    @property
    def bytes(self) -> int:
        """What its samples hold of memory."""
        return len(self.batch.rows) * self.batch.rows.itemsize if self.batch else 0


@dataclass(slots=True)
class _Tails:
    """The tail files: which is written, and from which file on the samples of open batches lie."""

    file: Appender | None = None
    old: list[tuple[int, Path]] = field(default_factory=list)
    first_file: dict[tuple[str, str, int], int] = field(default_factory=dict)


class Spool:
    """One directory, used by one agent. The collector's thread calls `batch`, `notice` and `tail`; a thread of its own writes.

    Nothing here waits for the disk but `flush` and `close`.
    """

    def __init__(
        self,
        directory: Path,
        new_id: Callable[[], str],
        *,
        file_bytes: int = FILE_BYTES,
        limit_bytes: int = 2**63,
        trace_of: TraceOf | None = None,
    ) -> None:
        """Open it, read what is left of an earlier run, and turn samples that never became a batch into batches.

        `trace_of` is asked for the trace context of each batch that is written, which then travels with it.

        Raises:
            SpoolInUseError: another process holds the directory.
            OSError: it cannot be made, read or written.

        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.counts = SpoolCounts()
        self.quarantine = Quarantine(directory / "quarantine")
        self.backlog = Backlog(self.quarantine)
        try:
            self._lock_fd = lock(directory)
        except BlockingIOError:
            raise SpoolInUseError(f"spool_directory {directory}: another agent uses it") from None
        self._file_bytes = min(file_bytes, max(4096, limit_bytes // 16))  # what is written is not thinned: it is a small part
        self._trace_of = trace_of
        self._encoders = (PlanesEncoder(), TailEncoder())
        self._work: queue.SimpleQueue[list[_Work] | None] = queue.SimpleQueue()
        self._held: list[_Work] = []
        self._unwritten = 0
        self._unwritten_bytes = 0
        self._tail_waits = self._is_given_up = False
        self._tokens = 0
        found = recover(directory, self.quarantine)
        self.newer = tuple(found.newer)
        self.spool_id = found.spool_id if found.spool_id and not found.damaged else new_id()
        self._sequences: dict[Key, int] = {} if found.damaged else dict(found.sequences)
        self._closed: dict[Key, int] = dict(self._sequences)
        self._newly_closed: list[tuple[str, str, int]] = []
        self._seen: Seen = found.seen
        self._number = found.last_number
        self._batches: Appender | None = None
        self._tails = _Tails()
        self._recovered: tuple[list[_Work], list[Path]] = ([], [])
        self._last_head = found.head or TailHead(at_ns=0, anchor_ns=0, host_boot="")
        self._reserve = Reserve(directory)
        self.thinner = Thinner(directory, self.backlog, self._reserve, limit_bytes)
        self.memory = (
            Memory(at_ns=found.head.at_ns, anchor_ns=found.head.anchor_ns, host_boot=found.head.host_boot, seen=found.seen)
            if found.head and found.head.host_boot
            else None
        )
        self._start_over(found)
        self._thread = threading.Thread(target=self._write_all, name="spool", daemon=True)
        self._thread.start()

    # What the collector calls

    def batch(
        self,
        resource_id: str,
        boot_id: str,
        interval_ns: int,
        presence: int,
        rows: array[int],
        *,
        urgent: bool,
        since_ns: int | None = None,
    ) -> None:
        """Close a batch: its samples as rows of nine, the spool's from now on; they tell of usage since `since_ns` (None: the first)."""
        key = (resource_id, boot_id)
        sequence = self._sequences[key] = self._sequences.get(key, 0) + 1
        closed = OpenBatch(
            resource_id=resource_id,
            boot_id=boot_id,
            spool_id=self.spool_id,
            sequence=sequence,
            interval_ns=interval_ns,
            presence=presence,
            rows=rows,
            since_ns=rows[0] if since_ns is None else since_ns,
        )
        self._held.append(_Work(kind=RecordKind.BATCH, batch=closed, urgent=urgent))
        self._expect(self._held[-1], closed.since_ns)
        if urgent:
            self._hand_over()

    def notice(self, events: Sequence[LifecycleEvent], facts: Sequence[Fact]) -> None:
        """Lifecycle and facts: on disk and sent at once, in order."""
        if events or facts:
            first = min([event.at_ns for event in events] + [fact.at_ns for fact in facts])
            self._held.append(_Work(kind=RecordKind.NOTICE, payload=notice_payload(events, facts), urgent=True))
            self._expect(self._held[-1], first)
            self._hand_over()

    def tail(
        self,
        at_ns: int,
        anchor_ns: int,
        host_boot: str,
        seen: Seen | None,
        parts: Sequence[tuple[str, str, int, int, bytes]],
        since: Sequence[tuple[str, str, int]] = (),
    ) -> None:
        """What the last look saw (None: the same as before), and the samples since the last tail.

        A part is (resource_id, boot_id, interval_ns, presence, rows), of the batch that is open now. `since`: (resource_id, boot_id,
        instant since when its samples tell of usage) of batches of which these are the first samples.
        """
        rows = [
            TailPart(resource_id, boot_id, self._sequences.get((resource_id, boot_id), 0) + 1, interval_ns, presence, content)
            for resource_id, boot_id, interval_ns, presence, content in parts
        ]
        began = tuple((one, boot, self._sequences.get((one, boot), 0) + 1, ns) for one, boot, ns in since)
        head = TailHead(at_ns=at_ns, anchor_ns=anchor_ns, host_boot=host_boot, seen=seen, since=began)
        self._tail_waits = True
        self._held.append(_Work(kind=RecordKind.TAIL, head=head, parts=rows))
        self._hand_over()

    @property
    def is_stalled(self) -> bool:
        """Whether nothing more fits, thinned or not, so that the collector should pause: counters go on, nothing is lost but detail."""
        return self.thinner.is_exhausted or self._unwritten > UNWRITTEN_LIMIT or self._unwritten_bytes > UNWRITTEN_BYTES_LIMIT

    @property
    def is_behind(self) -> bool:
        """Whether the last tail is not on disk yet: another would only queue up."""
        return self._tail_waits

    def flush(self, seconds: float) -> bool:
        """Wait until all that was given is on disk; False if it is not after so many seconds."""
        done = threading.Event()
        self._held.append(_Work(kind=RecordKind.TAIL, done=done))
        self._hand_over()
        return done.wait(seconds)

    def close(self, seconds: float = 10.0) -> None:
        """Write what is left, and give the directory free. What could not be written is told."""
        self._hand_over()
        self._work.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._is_given_up = True
            log.error("spool_not_written", extra={"waiting": self._unwritten, "directory": str(self.directory)})
        os.close(self._lock_fd)

    def _hand_over(self) -> None:
        """Give the writer what was held back: batches that nobody waits for are written with the next tail, in one go."""
        self._work.put(self._held)
        self._held = []

    # The writer's thread

    def _expect(self, work: _Work, first_at_ns: int) -> None:
        self._tokens += 1
        work.token = self._tokens
        self._unwritten += 1
        self._unwritten_bytes += work.bytes
        self.backlog.coming(work.token, first_at_ns)

    def _write_all(self) -> None:
        ending = False
        while not ending:
            item = self._work.get()
            batch: list[_Work] = []
            while True:
                if item is None:
                    ending = True
                else:
                    batch += item
                try:
                    item = self._work.get_nowait()
                except queue.Empty:
                    break
            while not self._try(batch):
                if ending or self._is_given_up:
                    return
                if not self.thinner.make_room():
                    time.sleep(RETRY_SECONDS)
            self.thinner.keep_within(sum(work.batch is not None for work in batch))

    def _try(self, batch: Sequence[_Work]) -> bool:
        """Write all of it and make it durable; False if the disk did not take it, then all of it is written again, to new files."""
        try:
            self._write(batch)
        except OSError as error:
            self.counts.write_errors += 1
            log.error("spool_write_failed", extra={"error": str(error), "directory": str(self.directory), "waiting": self._unwritten})
            self._abandon()
            self._make_room()
            return False
        for work in batch:
            if work.done:
                work.done.set()
        return True

    def _write(self, batch: Sequence[_Work]) -> None:
        appended: list[tuple[_Work, Entry]] = []
        for work in batch:
            if work.kind is not RecordKind.TAIL and not work.written:
                if appended and self._batches and self._batches.size >= self._file_bytes:
                    self._arrive(appended)  # before the next file is begun: from then on the sender may read this one
                    appended = []
                appended.append((work, self._append_entry(work)))
        self._arrive(appended)
        tails = [(work.head, work.parts) for work in batch if work.head]
        for head, parts in tails:
            self._append_tail(head, parts)
        if tails and self._tails.file:
            self._sync(self._tails.file)
            self._last_head = tails[-1][0]
            self._tail_waits = False
            self._remove_finished()

    def _arrive(self, appended: Sequence[tuple[_Work, Entry]]) -> None:
        """Make durable what was appended to the present file, and let it be sent."""
        if not appended or not self._batches:
            return
        self._sync(self._batches)
        for work, _ in appended:
            work.written = True  # if what follows fails, it is not written a second time
            if work.batch and work.batch.spool_id == self.spool_id:
                resource_id, boot_id, sequence = work.batch.resource_id, work.batch.boot_id, work.batch.sequence
                self._closed[resource_id, boot_id] = sequence
                self._tails.first_file.pop((resource_id, boot_id, sequence), None)
                self._newly_closed.append((resource_id, boot_id, sequence))
        self._unwritten -= len(appended)
        self._unwritten_bytes -= sum(work.bytes for work, _ in appended)
        urgent = any(work.urgent for work, _ in appended)
        self.backlog.arrived([(work.token, entry) for work, entry in appended], urgent=urgent)

    def _append_entry(self, work: _Work) -> Entry:
        if work.batch is not None and not work.payload:
            one = work.batch
            planes = self._encoders[0].encode(one.rows, one.presence, one.interval_ns)
            identity = BatchIdentity(resource_id=one.resource_id, boot_id=one.boot_id, spool_id=one.spool_id, sequence=one.sequence)
            instants = (one.rows[0], one.rows[-WIDTH])
            trace = self._trace_of(identity, instants, len(one.rows) // WIDTH) if self._trace_of else ""
            work.payload = batch_payload(identity, one.interval_ns, planes, one.rows, one.since_ns, trace)
        file = self._batches
        if file is None or file.size >= self._file_bytes:
            file = self._next_batches()
        at = file.append(pack(work.kind, work.payload))
        self.counts.writes += 1
        return entry_of(work.kind, work.payload, file.number, at, at + HEADER_BYTES)

    def _next_batches(self) -> Appender:
        if self._batches:
            self._sync(self._batches)
            self._batches.close()
            self._batches = None
        self._number += 1
        file = self._batches = Appender(self.directory, "batches", self._number, self.spool_id)
        self.backlog.add_file(BatchFile(self._number, file.path, writing=True))
        return file

    def _append_tail(self, head: TailHead, parts: Sequence[TailPart]) -> None:
        file = self._tails.file
        fresh = file is None or file.size >= self._file_bytes
        if file is None or fresh:
            file = self._next_tails()
        if head.seen is not None:
            self._seen = head.seen
            self._forget_unseen(parts)
        full = TailHead(
            at_ns=head.at_ns,
            anchor_ns=head.anchor_ns,
            host_boot=head.host_boot,
            closed=tuple(self._newly_closed),
            acknowledged=self.backlog.take_acknowledged(every=fresh),
            seen=self._seen if fresh else head.seen,
            since=head.since,
            sequences=tuple((*key, sequence) for key, sequence in self._closed.items()) if fresh else (),
        )
        parts = [part for part in parts if part.sequence > self._closed.get((part.resource_id, part.boot_id), 0)]  # others are in a batch
        for part in parts:
            self._tails.first_file.setdefault((part.resource_id, part.boot_id, part.sequence), file.number)
        file.append(pack(RecordKind.TAIL, self._encoders[1].pack(full, parts)))
        self._newly_closed = []
        self.counts.writes += 1

    def _forget_unseen(self, parts: Sequence[TailPart]) -> None:
        """Let go the sequences of incarnations that are gone for good: an incarnation that was removed never comes again."""
        if len(self._closed) > 2 * len(self._seen) + 64:
            boots = {key.split(" ", 1)[0] for key in self._seen} | {part.boot_id for part in parts}
            boots |= {boot_id for _, boot_id, _ in self._tails.first_file}
            for key in [key for key in self._closed if key[1] not in boots]:
                del self._closed[key]

    def _next_tails(self) -> Appender:
        if self._tails.file:
            self._sync(self._tails.file)
            self._tails.old.append((self._tails.file.number, self._tails.file.path))
            self._tails.file.close()
            self._tails.file = None
        self._number += 1
        file = self._tails.file = Appender(self.directory, "tail", self._number, self.spool_id)
        return file

    def _remove_finished(self) -> None:
        """Remove what nobody needs: tails of which every sample is in a batch, batches that are acknowledged.

        Only after a tail is durable that knows their sequences and acknowledgements.
        """
        if self.backlog.last_is_done() and self._batches and self._batches.size > self._file_bytes // 16:
            self._next_batches()
        works, gone = self._recovered
        if all(work.written for work in works):
            self._recovered = ([], [])
        else:
            gone = []
        gone = [*gone, *(file.path for file in self.backlog.take_finished())]
        needed = min(self._tails.first_file.values(), default=2**63)
        gone += [path for number, path in self._tails.old if number < needed]
        self._tails.old = [(number, path) for number, path in self._tails.old if number >= needed]
        for path in gone:
            path.unlink(missing_ok=True)

    def _sync(self, file: Appender) -> None:
        if not file.dirty:
            return
        started = time.perf_counter()
        file.sync()
        self.counts.syncs += 1
        self.counts.sync_seconds += time.perf_counter() - started

    def _abandon(self) -> None:
        """Leave files in which a write failed as they are, and begin new ones: what they hold is read again only after a crash."""
        for file in (self._batches, self._tails.file):
            if file:
                file.cut()
                file.close()
        self.backlog.end_writing()
        if self._tails.file:
            self._tails.old.append((self._tails.file.number, self._tails.file.path))
        self._batches = None
        self._tails.file = None

    def _make_room(self) -> None:
        """Remove what is acknowledged although the disk takes nothing: the tail that must be durable before has its reserve.

        It repeats the last one that is durable, without samples: what was seen since then may have notices that are not written yet.
        """
        if not self.backlog.has_finished():
            return
        try:
            self._reserve.give_up()
            head = self._last_head
            self._append_tail(TailHead(at_ns=head.at_ns, anchor_ns=head.anchor_ns, host_boot=head.host_boot), ())
            if self._tails.file:
                self._sync(self._tails.file)
            self._remove_finished()
            self._reserve.take()
        except OSError as error:
            log.error("spool_full", extra={"error": str(error), "directory": str(self.directory), "waiting": self._unwritten})
            self._abandon()

    # At the start

    def _start_over(self, found: Recovered) -> None:
        """Batches of what was open, a first tail that knows all there is to know, and only then the old tails go."""
        for file in found.files:
            self.backlog.add_file(file)
        works = []
        for one in found.open_batches:
            if found.damaged:
                key = (one.resource_id, one.boot_id)
                sequence = self._sequences[key] = self._sequences.get(key, 0) + 1
                one = replace(one, spool_id=self.spool_id, sequence=sequence)  # noqa: PLW2901 - the same samples under the new spool
            elif one.spool_id == self.spool_id:
                self._sequences[one.resource_id, one.boot_id] = one.sequence
            works.append(_Work(kind=RecordKind.BATCH, batch=one, urgent=True))
            self._expect(works[-1], one.since_ns)
        self._recovered = (list(works), found.tails)
        if found.head:
            works.append(_Work(kind=RecordKind.TAIL, head=found.head))
        try:
            self._write(works)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            log.error("spool_full", extra={"error": str(error), "directory": str(self.directory), "waiting": self._unwritten})
            self._abandon()
            self._work.put(works)  # what is on disk is sent meanwhile, and makes room
        sync_directory(self.directory)
        if found.files or found.open_batches or found.damaged:
            log.info(
                "spool_recovered",
                extra={"batches": self.backlog.depth(), "from_tails": len(found.open_batches), "damaged": self.quarantine.damaged},
            )
