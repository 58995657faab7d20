"""The spool in a temporary folder: what a crash leaves, what damage costs, what is removed when."""

from __future__ import annotations

import itertools
import os
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tallystick.model.resources import Fact
from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool import files
from tallystick.spool.entries import Entry
from tallystick.spool.spool import Spool, SpoolInUseError
from tests.unit.spool.decoder import decode

INTERVAL = 100
BOOT = "boot/1"


def rows(first: int, count: int) -> array[int]:
    return array("q", [word for k in range(first, first + count) for word in (1000 + k * INTERVAL, 5, k * 7, *[0] * 6)])


def ids() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):032x}"


class Crash:
    """An agent's spool that can be killed: what is not on disk then is lost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.new_id = ids()
        self.spool = self.open()

    def open(self) -> Spool:
        self.spool = Spool(self.folder, self.new_id, file_bytes=4096)
        return self.spool

    def kill(self) -> Spool:
        """End it as kill -9 does once all that was given is written, and open it again."""
        assert self.spool.flush(10)
        self.spool.close()
        return self.open()

    def batch(self, resource: str, samples: array[int]) -> None:
        self.spool.batch(resource, BOOT, INTERVAL, 7, samples, urgent=False)

    def tail(self, at_ns: int, *parts: tuple[str, array[int]], seen: dict[str, tuple[bool, int]] | None = None) -> None:
        self.spool.tail(at_ns, 3, "host-boot", seen, [(name, BOOT, INTERVAL, 7, own.tobytes()) for name, own in parts])

    def written(self) -> list[pb.SendRequest]:
        assert self.spool.flush(10)
        return [pb.SendRequest.FromString(piece) for piece in self.spool.backlog.read(self.entries())]

    def entries(self) -> list[Entry]:
        return self.spool.backlog.take(10_000, 10**9)

    def batches(self) -> list[tuple[str, int, list[int]]]:
        return [
            (batch.resource_id, batch.sequence, decode(batch.planes, batch.interval_ns)[2])
            for request in self.written()
            for batch in request.batches
        ]

    def acknowledge(self, count: int) -> None:
        assert self.spool.flush(10)
        self.spool.backlog.done(self.entries()[:count])

    def names(self, stem: str) -> list[Path]:
        return sorted(self.folder.glob(f"{stem}-*.spool"))


@pytest.fixture
def crash(tmp_path: Path) -> Iterator[Crash]:
    made = Crash(tmp_path / "spool")
    yield made
    made.spool.close()


def cpu(first: int, count: int) -> list[int]:
    return [k * 7 for k in range(first, first + count)]


def test_notices_and_batches_come_out_in_the_order_they_went_in(crash: Crash) -> None:
    started = LifecycleEvent(resource_id="a", boot_id=BOOT, kind=LifecycleKind.STARTED, at_ns=7, received_at_ns=0)
    fact = Fact(resource_id="a", at_ns=8, received_at_ns=0, customer_id="acme", labels={"memory": "usage"}, vcpus=2)
    crash.spool.notice([started], [fact])
    crash.batch("a", rows(0, 3))
    crash.spool.notice([LifecycleEvent(resource_id="a", boot_id=BOOT, kind=LifecycleKind.STOPPED, at_ns=9, received_at_ns=0)], [])
    first, second, third = crash.written()
    assert first.events[0].kind == pb.LIFECYCLE_KIND_STARTED
    assert (first.facts[0].customer_id, first.facts[0].vcpus, dict(first.facts[0].labels.values)) == ("acme", 2, {"memory": "usage"})
    assert not first.facts[0].HasField("memory_bytes")
    assert not first.facts[0].HasField("region")
    assert (second.batches[0].sequence, second.batches[0].spool_id) == (1, crash.spool.spool_id)
    assert third.events[0].at == 9
    assert crash.spool.backlog.first_at_ns() == 7
    assert crash.spool.backlog.depth() == 1


def test_after_a_crash_the_tail_is_the_next_batch(crash: Crash) -> None:
    spool_id = crash.spool.spool_id
    crash.batch("a", rows(0, 4))
    crash.tail(1, ("a", rows(4, 2)), ("b", rows(0, 1)), seen={"boot/1 a": (True, 5)})
    crash.tail(2, ("a", rows(6, 2)))
    crash.kill()
    assert crash.spool.spool_id == spool_id
    assert crash.batches() == [("a", 1, cpu(0, 4)), ("a", 2, cpu(4, 4)), ("b", 1, cpu(0, 1))]
    memory = crash.spool.memory
    assert memory is not None
    assert (memory.at_ns, memory.anchor_ns, memory.host_boot, memory.seen) == (2, 3, "host-boot", {"boot/1 a": (True, 5)})
    crash.batch("a", rows(8, 1))
    assert crash.batches()[-1] == ("a", 3, cpu(8, 1)), "the sequence goes on"


def test_tails_of_a_batch_that_was_written_are_not_a_second_one(crash: Crash) -> None:
    crash.tail(1, ("a", rows(0, 2)))
    crash.batch("a", rows(0, 3))
    crash.kill()
    assert crash.batches() == [("a", 1, cpu(0, 3))]


def test_the_sequence_goes_on_when_nothing_of_it_is_left(crash: Crash) -> None:
    crash.batch("a", rows(0, 2))
    crash.acknowledge(1)
    for at in range(200):
        crash.batch("b", rows(at * 9, 9))
        crash.tail(at, seen={"boot/1 a": (True, 1), "boot/1 b": (True, 1)})
        crash.acknowledge(10)
    crash.tail(999)
    assert crash.spool.flush(10)
    assert len(crash.names("batches")) + len(crash.names("tail")) <= 3, "what was acknowledged is removed"
    crash.kill()
    assert crash.batches() == []
    crash.batch("a", rows(2, 1))
    crash.batch("b", rows(0, 1))
    assert [one[:2] for one in crash.batches()] == [("a", 2), ("b", 201)]


def test_what_was_acknowledged_before_a_crash_is_not_sent_again(crash: Crash) -> None:
    for at in range(4):
        crash.batch("a", rows(at, 1))
    crash.acknowledge(3)
    crash.tail(1)
    crash.kill()
    assert [one[1] for one in crash.batches()] == [4]
    crash.kill()
    assert [one[1] for one in crash.batches()] == [4]


def test_tails_stay_until_their_batch_is_written(crash: Crash) -> None:
    for at in range(100):
        crash.tail(at, ("a", rows(at, 1)), ("b", rows(at * 50, 50)))
        if at % 10 == 9:
            crash.batch("b", rows((at - 9) * 50, 500))
        assert crash.spool.flush(10)
    assert len(crash.names("tail")) > 1
    crash.kill()
    assert [one for one in crash.batches() if one[0] == "a"] == [("a", 1, cpu(0, 100))]
    assert len(crash.names("tail")) == 1


def test_a_torn_end_is_kept_aside_and_costs_nothing_else(crash: Crash) -> None:
    crash.batch("a", rows(0, 2))
    crash.tail(1, ("a", rows(2, 2)))
    crash.tail(2, ("a", rows(4, 2)))
    assert crash.spool.flush(10)
    crash.spool.close()
    tail = crash.names("tail")[-1]
    tail.write_bytes(tail.read_bytes()[:-5])
    spool_id = crash.spool.spool_id
    crash.open()
    assert crash.batches() == [("a", 1, cpu(0, 2)), ("a", 2, cpu(2, 2))]
    assert crash.spool.spool_id == spool_id, "a torn end was never sent: the sequences hold"
    assert crash.spool.quarantine.damaged == 1
    (kept,) = crash.spool.quarantine.directory.glob("damaged-*.record")
    assert kept.stat().st_size > 10
    assert '"torn": true' in kept.with_suffix(".json").read_text()


def test_a_flipped_bit_costs_its_record_only_and_its_tails_save_it(crash: Crash) -> None:
    crash.batch("a", rows(0, 2))
    crash.batch("b", rows(0, 2))
    crash.tail(1, ("c", rows(0, 3)))
    assert crash.spool.flush(10)
    crash.batch("c", rows(0, 3))
    crash.batch("d", rows(0, 1))
    crash.tail(2)
    assert crash.spool.flush(10)
    entries = crash.entries()
    spool_id = crash.spool.spool_id
    crash.spool.close()
    (path,) = crash.names("batches")
    content = bytearray(path.read_bytes())
    for entry in (entries[1], entries[2]):
        content[entry.offset + 3] ^= 4
    path.write_bytes(content)
    crash.open()
    assert crash.batches() == [("a", 1, cpu(0, 2)), ("d", 1, cpu(0, 1)), ("c", 1, cpu(0, 3))]
    assert crash.spool.quarantine.damaged == 1, "two records side by side are one stretch"
    assert crash.spool.spool_id != spool_id, "no sequence of the damaged spool is used for other content"
    assert crash.written()[-1].batches[0].spool_id == crash.spool.spool_id
    crash.batch("a", rows(9, 1))
    assert crash.written()[-1].batches[0].spool_id == crash.spool.spool_id


def test_a_file_of_a_newer_version_is_left_alone_and_told(crash: Crash, caplog: pytest.LogCaptureFixture) -> None:
    crash.spool.close()
    newer = crash.folder / "batches-0000000777.spool"
    head = files._HEADER.pack(files._MAGIC, 2, b"x" * 16)
    content = head + files._CHECKSUM.pack(files.crc32(head)) + b"what we do not know"
    newer.write_bytes(content)
    crash.open()
    assert crash.spool.newer == (newer,)
    assert "spool_file_newer" in caplog.text
    for at in range(50):
        crash.batch("a", rows(at * 20, 20))
        crash.tail(at)
        crash.acknowledge(99)
    assert newer.read_bytes() == content


def test_a_damaged_header_costs_nothing_but_itself(crash: Crash) -> None:
    crash.batch("a", rows(0, 2))
    assert crash.spool.flush(10)
    crash.spool.close()
    (path,) = crash.names("batches")
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    path.write_bytes(content)
    crash.open()
    assert crash.batches() == [("a", 1, cpu(0, 2))]
    assert crash.spool.quarantine.damaged == 1


def test_a_batch_that_nobody_waits_for_is_written_with_the_next_tail_in_one_go(crash: Crash) -> None:
    crash.batch("a", rows(0, 2))
    crash.batch("b", rows(0, 2))
    time.sleep(0.02)
    assert (crash.spool.backlog.depth(), crash.spool.backlog.first_at_ns()) == (0, 1000)
    crash.tail(1)
    crash.spool.batch("a", BOOT, INTERVAL, 7, rows(2, 1), urgent=False)
    crash.spool.batch("b", BOOT, INTERVAL, 7, rows(2, 1), urgent=True)
    until = time.monotonic() + 10
    while crash.spool.backlog.depth() < 4 and time.monotonic() < until:
        time.sleep(0.01)
    assert [one[:2] for one in crash.batches()] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)], "one that is wanted takes the others along"


def test_two_agents_on_one_directory_are_refused(crash: Crash) -> None:
    with pytest.raises(SpoolInUseError, match=str(crash.folder)):
        Spool(crash.folder, ids())


def test_a_disk_that_fails_loses_nothing(crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.spool.spool.RETRY_SECONDS", 0.01)
    fails = [3]
    write = files.Appender.append

    def full(self: files.Appender, content: bytes) -> int:
        if len(content) > 40 and fails[0]:
            fails[0] -= 1
            self.size += 0 if self.fd < 0 else __import__("os").write(self.fd, content[:7])
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(files.Appender, "append", full)
    crash.batch("a", rows(0, 2))
    crash.tail(1, ("a", rows(2, 1)))
    crash.batch("b", rows(0, 1))
    assert crash.batches() == [("a", 1, cpu(0, 2)), ("b", 1, cpu(0, 1))]
    assert crash.spool.counts.write_errors >= 1
    crash.kill()
    assert [one for one in crash.batches() if one[0] == "a"][-1] == ("a", 2, cpu(2, 1))


def test_the_first_instant_counts_what_is_on_its_way_and_leaves_out_what_is_in_hand(crash: Crash) -> None:
    backlog = crash.spool.backlog
    assert backlog.first_at_ns() is None
    backlog.coming(999, 50)
    assert backlog.first_at_ns() == 50
    backlog.arrived([(999, e) for e in ()], urgent=False)
    crash.batch("a", rows(0, 1))
    crash.batch("a", rows(1, 1))
    assert crash.spool.flush(10)
    backlog._writing_first_at.clear()
    first, second = crash.entries()
    assert backlog.first_at_ns() == 1000
    assert backlog.first_at_ns(without=[first]) == 1100
    assert backlog.first_at_ns(without=[first, second]) is None


def test_records_given_at_once_that_fill_several_files_are_each_counted_in_their_own(crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Spool._write
    given = threading.Event()

    def together(self: Spool, batch: Sequence[Any]) -> None:
        given.wait(10)
        write(self, batch)

    monkeypatch.setattr(Spool, "_write", together)
    crash.batch("a", rows(0, 1))
    for at in range(1, 200):
        crash.batch("a", rows(at * 9, 9))
    given.set()
    assert [one[1] for one in crash.batches()] == list(range(1, 201))
    assert len(crash.names("batches")) > 3
    for left in range(195, -1, -5):
        crash.acknowledge(5)
        assert crash.spool.backlog.waiting() == left
        assert len(crash.entries()) == left, "what was acknowledged is not sent again"
    crash.tail(1)
    assert crash.spool.flush(10)
    assert len(crash.names("batches")) == 1, "what was acknowledged is removed"


def test_a_full_disk_keeps_no_files_open_and_leaves_no_empty_ones(crash: Crash, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.spool.spool.RETRY_SECONDS", 0.001)
    write = files.Appender.append
    failures = itertools.count()

    def full(self: files.Appender, content: bytes) -> int:
        if next(failures) < 50:
            raise OSError(28, "No space left on device")
        return write(self, content)

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(files.Appender, "append", full)
    crash.batch("a", rows(0, 2))
    assert crash.batches() == [("a", 1, cpu(0, 2))]
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert len(crash.names("batches")) <= 2


def test_since_when_a_batch_tells_of_usage_survives_a_crash(crash: Crash) -> None:
    crash.spool.batch("a", BOOT, INTERVAL, 7, rows(5, 1), urgent=False, since_ns=700)
    assert crash.spool.flush(10)
    assert crash.spool.backlog.first_at_ns() == 700
    part = ("b", BOOT, INTERVAL, 7, rows(0, 1).tobytes())
    crash.spool.tail(1, 3, "host-boot", None, [part], [("b", BOOT, 300)])
    crash.kill()
    assert crash.spool.backlog.first_at_ns() == 300
    crash.acknowledge(1)
    crash.acknowledge(1)
    assert crash.spool.backlog.first_at_ns() is None
