"""A spool that is full: what was never sent is thinned, the oldest first, and nothing of what billing needs is lost."""

from __future__ import annotations

import logging
import random
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from tallystick.meter.thin.host import thin
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.spool import Spool
from tallystick.spool.thinning.forms import message_of

INTERVAL = 100
FILE_BYTES = 8192
COUNT = 60


def rows(piece: int, count: int = 40) -> array[int]:
    """Counters that rise by noise, which no encoding makes small."""
    noise = random.Random(piece)
    at = range(piece * count, (piece + 1) * count)
    samples = ((1000 + k * INTERVAL, noise.getrandbits(50), *((k << 50) + noise.getrandbits(50) for _ in range(7))) for k in at)
    return array("q", [word for sample in samples for word in sample])


def opened(folder: Path, limit_bytes: int) -> Spool:
    return Spool(folder, lambda: "a" * 32, file_bytes=FILE_BYTES, limit_bytes=limit_bytes)


def fill(spool: Spool, pieces: range) -> None:
    for piece in pieces:
        spool.batch("a", "b/1", INTERVAL, 511, rows(piece), urgent=False)
        spool.tail(piece, 3, "boot", None, [])
        assert spool.flush(10)


def wait(what: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def waiting(spool: Spool) -> list[pb.Batch]:
    entries = spool.backlog.take(10_000, 10**9)
    found = [pb.SendRequest.FromString(piece).batches[0] for piece in spool.backlog.read(entries)]
    assert [entry.is_thinned for entry in entries] == [batch.HasField("thinned") for batch in found]
    return found


def test_the_oldest_are_thinned_until_the_rest_fits_and_all_go_in_order(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    limit = 6 * FILE_BYTES
    with caplog.at_level(logging.ERROR):
        spool = opened(tmp_path, limit)
        fill(spool, range(COUNT))
    assert spool.backlog.size_bytes() < limit + 2 * FILE_BYTES
    assert sum(path.stat().st_size for path in tmp_path.glob("batches-*")) < limit + 3 * FILE_BYTES
    assert not spool.is_stalled
    assert spool.backlog.depth() == COUNT
    assert [record.message for record in caplog.records] == ["spool_full"], "one alarm, not one for each"
    spool.close()
    thinned = spool.thinner.thinned
    assert COUNT // 3 < thinned < COUNT
    again = opened(tmp_path, limit)
    assert (again.quarantine.damaged, again.backlog.depth()) == (0, COUNT)
    found = waiting(again)
    assert [batch.sequence for batch in found] == list(range(1, COUNT + 1)), "in order"
    assert [batch.HasField("thinned") for batch in found] == [True] * thinned + [False] * (COUNT - thinned)
    for piece, batch in enumerate(found[:thinned]):
        columns = {number: rows(piece)[number::9] for number in range(9)}
        assert batch.thinned == message_of(thin(columns, INTERVAL))
        assert batch.interval_ns == INTERVAL
    again.close()


def test_what_may_have_been_sent_is_never_thinned(tmp_path: Path) -> None:
    spool = opened(tmp_path, 2**20)
    fill(spool, range(10))
    tried = spool.backlog.take(4, 10**9)
    assert len({entry.file for entry in tried}) < len(list(tmp_path.glob("batches-*")))
    spool.close()
    spool = opened(tmp_path, FILE_BYTES)
    fill(spool, range(10, 30))
    wait(lambda: spool.thinner.is_exhausted)
    assert spool.is_stalled, "what is left may have been sent, or is thinned: the ticks pause"
    found = waiting(spool)
    assert [batch.sequence for batch in found] == list(range(1, 31))
    kept = [batch.HasField("thinned") for batch in found].index(True)
    assert kept > 4, "an earlier run may have sent what is in the first files"
    spool.backlog.done(spool.backlog.take(10_000, 10**9))
    spool.tail(99, 3, "boot", None, [])
    wait(lambda: not spool.is_stalled)
    spool.close()


def test_a_file_that_is_sent_from_while_it_is_thinned_stays_as_it_is(tmp_path: Path) -> None:
    spool = opened(tmp_path, 2**30)
    fill(spool, range(10))
    file = spool.backlog.thinnable()
    assert file is not None
    before = file.path.read_bytes()
    spool.backlog.take(1, 1)
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"")
    assert not spool.backlog.replace(file, fresh, [])
    assert file.path.read_bytes() == before
    spool.close()


def test_damage_is_not_rewritten(tmp_path: Path) -> None:
    spool = opened(tmp_path, 2**30)
    fill(spool, range(12))
    file = spool.backlog.thinnable()
    assert file is not None
    content = bytearray(file.path.read_bytes())
    content[len(content) // 2] ^= 1
    file.path.write_bytes(content)
    assert spool.thinner.make_room(), "the next one"
    assert file.path.read_bytes() == content
    spool.close()
