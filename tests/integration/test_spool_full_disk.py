"""The spool on a disk of its own that is full: nothing is lost, and it goes on by itself once the server answers.

As root on a small tmpfs; where that may not be mounted, one line says so and a stand-in for the disk fails instead.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool import files
from tallystick.spool.spool import Spool

DISK_BYTES = 400 * 2**10
PIECE = 100


@pytest.fixture
def disk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr("tallystick.spool.spool.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("tallystick.spool.files.RESERVE_BYTES", 64 * 2**10)
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        with capsys.disabled():
            print(f"no tmpfs may be mounted here ({error}): a limit in the test stands in for the full disk")
        limit_writes(folder, monkeypatch)
        yield folder
        return
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def limit_writes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = files.Appender.append

    def full(self: files.Appender, content: bytes) -> int:
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if used + len(content) > DISK_BYTES:
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(files.Appender, "append", full)


def opened(disk: Path) -> Spool:
    numbers = itertools.count(1)
    return Spool(disk / "spool", lambda: f"{next(numbers):032x}", file_bytes=32768)


def rows(piece: int) -> array[int]:
    noise = random.Random(piece)
    first = piece * PIECE
    samples = ((1000 + k * 100, *(noise.getrandbits(60) for _ in range(8))) for k in range(first, first + PIECE))
    return array("q", [word for sample in samples for word in sample])


def fill(spool: Spool) -> int:
    """Give it more than its disk takes; how many batches."""
    count = 70
    for piece in range(count):
        spool.batch("a", "b/1", 100, 511, rows(piece), urgent=False)
    spool.tail(1, 3, "boot", {"b/1 a": (True, 1)}, [])
    wait(lambda: spool.counts.write_errors > 3)
    assert 0 < spool.backlog.waiting() < count
    return count


def wait(what: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def send_all(spool: Spool, known: set[int]) -> list[int]:
    """As a server that answers again: sequences in the order in which they came."""
    order: list[int] = []

    def round_() -> bool:
        entries = spool.backlog.take(60, 3_500_000)
        for piece in spool.backlog.read(entries):
            order.extend(batch.sequence for batch in pb.SendRequest.FromString(piece).batches)
        spool.backlog.done(entries)
        return known <= set(order)

    wait(round_)
    return order


def test_what_waits_for_a_full_disk_is_written_once_the_server_took_what_is_on_it(disk: Path) -> None:
    spool = opened(disk)
    count = fill(spool)
    assert send_all(spool, set(range(1, count + 1))) == list(range(1, count + 1))
    spool.tail(2, 3, "boot", None, [])
    assert spool.flush(10)
    assert spool.backlog.waiting() == 0
    assert len(list((disk / "spool").glob("batches-*"))) <= 1
    spool.close()
    again = opened(disk)
    again.batch("a", "b/1", 100, 511, rows(count), urgent=False)
    assert again.flush(10)
    assert send_all(again, {count + 1}) == [count + 1], "nothing comes twice, and the sequence goes on"
    again.close()


def test_an_agent_begins_on_a_full_disk_and_sends_what_is_on_it(disk: Path) -> None:
    spool = opened(disk)
    for piece in range(20):
        spool.batch("a", "b/1", 100, 511, rows(piece), urgent=False)
    spool.tail(1, 3, "boot", {"b/1 a": (True, 1)}, [("a", "b/1", 100, 511, rows(20).tobytes())])
    assert spool.flush(10)
    spool.close()
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        left = DISK_BYTES - sum(path.stat().st_blocks * 512 for path in disk.rglob("*") if path.is_file())
        file.write(bytes(max(0, left - 4096)))
    again = opened(disk)
    assert again.memory is not None
    assert again.backlog.first_at_ns() == 1000
    assert send_all(again, set(range(1, 22))) == list(range(1, 22)), "the samples of the tail, too"
    again.close()


def test_a_full_disk_takes_everything_thinned_while_no_server_answers(disk: Path) -> None:
    spool = opened(disk)
    count = 150
    for piece in range(count):
        noise = random.Random(piece)
        at = range(piece * PIECE, piece * PIECE + PIECE)
        samples = ((1000 + k * 100, *((k << 44) + noise.getrandbits(44) for _ in range(8))) for k in at)
        spool.batch("a", "b/1", 100, 511, array("q", [word for sample in samples for word in sample]), urgent=False)
        spool.tail(piece, 3, "boot", {"b/1 a": (True, 1)}, [])
    assert spool.flush(20)
    assert (spool.backlog.depth(), spool.is_stalled) == (count, False)
    assert spool.counts.write_errors > 0
    assert spool.thinner.thinned > count // 3
    assert send_all(spool, set(range(1, count + 1))) == list(range(1, count + 1))
    spool.close()


@contextmanager
def failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A disk, and what makes it read-only as the kernel does after an error: a real ext4; or else a stand-in, and one line that says so."""
    folder, image = tmp_path / "disk", tmp_path / "image"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(8 * 2**20)
    try:
        subprocess.run(["mkfs.ext4", "-q", image], capture_output=True, check=True)
        subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no disk may be mounted here ({error}): a failure in the test stands in for it")
        yield folder, lambda: refuse_writes(monkeypatch)
        monkeypatch.undo()
        return
    yield folder, lambda: subprocess.run(["mount", "-o", "remount,abort", folder], check=True) and None
    subprocess.run(["umount", "-l", folder], check=True)


def refuse_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files.Appender, "append", refuse)
    monkeypatch.setattr(files.Reserve, "give_up", refuse)


def test_a_disk_that_becomes_read_only_gives_what_is_on_it_and_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.spool.spool.RETRY_SECONDS", 0.01)
    with failing_disk(tmp_path, monkeypatch) as (disk, make_read_only):
        spool = opened(disk)
        for piece in range(20):
            spool.batch("a", "b/1", 100, 511, rows(piece), urgent=True)
        spool.tail(1, 3, "boot", {"b/1 a": (True, 1)}, [])
        assert spool.flush(10)
        make_read_only()
        for piece in range(20, 30):
            spool.batch("a", "b/1", 100, 511, rows(piece), urgent=True)
        wait(lambda: spool.counts.write_errors > 3)
        assert send_all(spool, set(range(1, 21))) == list(range(1, 21))
        wait(lambda: spool.counts.write_errors > 6)
        assert spool.backlog.first_at_ns() == 1000 + 20 * PIECE * 100, "what is in memory only holds back until when all is reported"
        with pytest.raises(OSError, match="Read-only"):
            spool.quarantine.keep_refused("batches", 0, b"x", {})
        spool.close(0.1)
