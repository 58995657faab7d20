"""A spool that the disk gives back otherwise than it was written: flipped bits, files that vanish or fail, at the start and meanwhile."""

from __future__ import annotations

import itertools
import os
import shutil
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

import pytest

from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.backlog import UnreadableError
from tallystick.spool.files import FILE_HEADER_BYTES
from tallystick.spool.records import HEADER_BYTES, Record, RecordKind, scan
from tallystick.spool.spool import Spool
from tests.unit.spool.decoder import decode

BOOT = "boot/1"
FAILING = Path("/proc/self/mem")
"""A file of which every read at the beginning is a real EIO."""
Point = tuple[str, int, int]
"""(resource, instant, CPU time)."""


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is durable when is not the question here."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)
    monkeypatch.setattr("tallystick.spool.spool.RETRY_SECONDS", 0.01)


def rows(first: int, count: int) -> array[int]:
    return array("q", [word for k in range(first, first + count) for word in (1000 + k * 100, 5, k * 7, *[0] * 6)])


class Server:
    """What a server holds: one content for each identity, and instants of events."""

    def __init__(self, known: Server | None = None) -> None:
        self.batches: dict[tuple[str, str, int], bytes] = dict(known.batches) if known else {}
        self.events: list[int] = list(known.events) if known else []
        self.conflicts = 0
        self.came: list[tuple[str, str, int]] = []

    def take(self, piece: bytes) -> None:
        request = pb.SendRequest.FromString(piece)
        for batch in request.batches:
            identity = (batch.resource_id, batch.spool_id, batch.sequence)
            self.conflicts += self.batches.setdefault(identity, batch.planes) != batch.planes
            self.came.append(identity)
        self.events += [event.at for event in request.events]

    def points(self) -> set[Point]:
        found = set()
        for (resource, _, _), planes in self.batches.items():
            columns = decode(planes, 100)
            found |= {(resource, at, cpu) for at, cpu in zip(columns[0], columns[2], strict=True)}
        return found


def drain(spool: Spool, server: Server) -> None:
    """Send everything that waits, as the sender does."""
    for _ in range(100):
        entries = spool.backlog.take(1000, 10**9)
        if not entries:
            break
        try:
            pieces = spool.backlog.read(entries)
        except UnreadableError:
            continue
        for piece in pieces:
            server.take(piece)
        spool.backlog.done(entries)
    assert (spool.backlog.waiting(), spool.backlog.depth(), spool.backlog.first_at_ns()) == (0, 0, None)


def ids() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):032x}"


def tail(spool: Spool, at_ns: int, *parts: tuple[str, array[int]]) -> None:
    seen = {"boot/1 a": (True, 5), "boot/1 b": (True, 6)}
    spool.tail(at_ns, 3, "host-boot", seen, [(name, BOOT, 100, 7, own.tobytes()) for name, own in parts])
    assert spool.flush(10)


def batch(spool: Spool, name: str, first: int, count: int) -> None:
    spool.batch(name, BOOT, 100, 7, rows(first, count), urgent=True)
    assert spool.flush(10)


def fill(folder: Path, new_id: Callable[[], str]) -> Server:
    """A spool as a crash leaves it: batches acknowledged, sent without an answer, never sent, a notice, and samples in tails only."""
    server, spool = Server(), Spool(folder, new_id)
    tail(spool, 1, ("a", rows(0, 3)), ("b", rows(0, 3)))
    batch(spool, "a", 0, 4)
    drain(spool, server)
    spool.notice([LifecycleEvent(resource_id="b", boot_id=BOOT, kind=LifecycleKind.POSSIBLE_GAP, at_ns=9, received_at_ns=0)], [])
    tail(spool, 2, ("b", rows(3, 2)), ("a", rows(4, 2)))
    batch(spool, "b", 0, 6)
    batch(spool, "a", 4, 4)
    tail(spool, 3, ("a", rows(8, 2)), ("b", rows(6, 1)))
    server.take(spool.backlog.read(spool.backlog.take(1000, 10**9))[1])
    batch(spool, "a", 8, 3)
    tail(spool, 4, ("a", rows(11, 1)), ("b", rows(7, 1)))
    spool.close()
    return server


def places(content: bytes) -> Iterator[tuple[int, int, RecordKind | None]]:
    """Every byte of the headers and every third of what is in records: (byte, bit, the record that it is of)."""
    yield from ((at, at % 8, None) for at in range(FILE_HEADER_BYTES))
    for found in scan(content, FILE_HEADER_BYTES):
        assert isinstance(found, Record)
        for at in range(found.offset, found.end):
            if at < found.offset + HEADER_BYTES or at % 3 == 0:
                yield at, at % 8, found.kind


def test_a_flipped_bit_anywhere_costs_its_own_record_at_most_and_is_told(tmp_path: Path) -> None:
    new_id = ids()
    before = fill(tmp_path / "whole", new_id)
    every = {("a", 1000 + k * 100, k * 7) for k in range(12)} | {("b", 1000 + k * 100, k * 7) for k in range(8)}
    names = sorted(path.name for path in (tmp_path / "whole").glob("*.spool"))
    tried = 0
    for name in names:
        content = (tmp_path / "whole" / name).read_bytes()
        for at, bit, kind in places(content):
            folder = tmp_path / "flipped"
            shutil.copytree(tmp_path / "whole", folder)
            flipped = bytearray(content)
            flipped[at] ^= 1 << bit
            (folder / name).write_bytes(flipped)
            server = Server(before)
            spool = Spool(folder, new_id)
            drain(spool, server)
            where = f"bit {bit} of byte {at} of {name}"
            found = server.points()
            assert found <= every, f"{where}: something that was never measured"
            assert len(every - found) <= 2, f"{where}: {sorted(every - found)} is more than no other record holds"
            assert server.conflicts == 0, where
            assert len(server.came) == len(set(server.came)), f"{where}: sent twice"
            assert (9 in server.events) == (kind is not RecordKind.NOTICE), where
            assert spool.quarantine.damaged == 1, where
            spool.close()
            shutil.rmtree(folder)
            tried += 1
    assert tried > 400


def test_a_bit_that_flips_while_the_agent_runs_is_never_sent(tmp_path: Path) -> None:
    new_id = ids()
    for turn in range(40):
        folder, server = tmp_path / str(turn), Server()
        spool = Spool(folder, new_id, file_bytes=400 if turn % 2 else 2**20)  # let go and read again, or still in memory
        for k in range(6):
            batch(spool, "a", k * 4, 4)
        hit = sorted(folder.glob("batches-*"))[turn % 2] if turn % 2 else next(folder.glob("batches-*"))
        content = bytearray(hit.read_bytes())
        records = [one for one in scan(bytes(content), FILE_HEADER_BYTES) if isinstance(one, Record)]
        content[records[0].offset + turn * 2] ^= 1 << turn % 8
        hit.write_bytes(content)
        drain(spool, server)
        batch(spool, "a", 24, 4)
        drain(spool, server)
        sequences = [sequence for _, _, sequence in server.came]
        assert len(sequences) == 6, "one is missing, which its number tells the server"
        assert sequences == sorted(set(sequences))
        assert spool.quarantine.damaged == 1
        assert len(list(spool.quarantine.directory.glob("damaged-*.record"))) == 1
        spool.close()


@pytest.mark.parametrize("failing", [False, True])
def test_a_file_that_vanishes_or_fails_while_the_agent_runs_stops_nothing(tmp_path: Path, failing: bool) -> None:
    spool, server = Spool(tmp_path / "spool", ids(), file_bytes=400), Server()
    for k in range(9):
        batch(spool, "a", k * 4, 4)
    tail(spool, 1, ("b", rows(0, 1)))
    first, *_, last = sorted((tmp_path / "spool").glob("batches-*"))
    (written,) = (tmp_path / "spool").glob("tail-*")
    for path in (first, last, written):
        path.unlink()
        if failing:
            path.symlink_to(FAILING)
    batch(spool, "a", 36, 4)
    tail(spool, 2, ("b", rows(1, 1)))
    batch(spool, "a", 40, 4)
    drain(spool, server)
    sequences = [sequence for _, _, sequence in server.came]
    assert sequences == sorted(set(sequences))
    assert {1, 9}.isdisjoint(sequences)
    assert {10, 11} < set(sequences)
    assert spool.quarantine.damaged == 2
    assert first.is_symlink() == failing, "what cannot be read is not removed"
    spool.close()
    again = Spool(tmp_path / "spool", ids())
    drain(again, server)
    assert ("b", 1100, 7) in server.points(), "the tail went on in a new file"
    assert server.conflicts == 0
    again.close()


def test_an_agent_begins_on_a_spool_of_which_a_file_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    new_id = ids()
    fill(tmp_path / "spool", new_id)
    failing = tmp_path / "spool" / "batches-0000000077.spool"
    failing.symlink_to(FAILING)
    for _ in range(2):
        spool, server = Spool(tmp_path / "spool", new_id), Server()
        assert spool.quarantine.damaged == 1
        assert "spool_file_unreadable" in caplog.text
        batch(spool, "a", 20, 1)
        drain(spool, server)
        assert server.came[-1] == ("a", spool.spool_id, len([one for one in server.came if one[:2] == ("a", spool.spool_id)]))
        assert ("a", 3000, 140) in server.points()
        assert failing.is_symlink()
        spool.close()


def test_beside_a_file_of_a_newer_version_no_number_is_used_again(tmp_path: Path) -> None:
    new_id = ids()
    fill(tmp_path / "spool", new_id)
    old = Spool(tmp_path / "spool", new_id)
    old.close()
    header = bytearray((sorted((tmp_path / "spool").glob("tail-*"))[-1]).read_bytes()[:FILE_HEADER_BYTES])
    header[8] = 2
    newer = tmp_path / "spool" / "tail-0000000777.spool"
    newer.write_bytes(header[:26] + crc32(header[:26]).to_bytes(4, "little") + b"what we do not know")
    spool, server = Spool(tmp_path / "spool", new_id), Server()
    assert spool.newer == (newer,)
    assert spool.spool_id != old.spool_id
    batch(spool, "a", 20, 1)
    drain(spool, server)
    assert server.came[-1][1] == spool.spool_id
    assert newer.read_bytes().endswith(b"what we do not know")
    spool.close()
