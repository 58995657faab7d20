"""The sender and a real server that is overloaded, unavailable or silent: it waits as asked, and everything arrives once, in order."""

from __future__ import annotations

import itertools
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.connection import Connection
from tallystick.spool.retry import Retry
from tallystick.spool.sender import Pulse, Sender, SenderRules
from tallystick.spool.spool import Spool
from tests.integration.receiver import Receiver, error

SILENT_SECONDS = 0.4


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def sender_of(spool: Spool, receiver: Receiver) -> Sender:
    return Sender(
        backlog=spool.backlog,
        quarantine=spool.quarantine,
        connection=Connection(receiver.url, lambda: "", "test"),
        retry=Retry(lambda: 0.1),
        rules=SenderRules(
            instance_id="host-1", heartbeat_seconds=30.0, linger_seconds=0.05, monotonic=time.monotonic, now_ns=lambda: 10**15
        ),
        pulse=lambda: Pulse(active_resources=(), now_ns=10**15, handed_over_until_ns=1, missed_ticks=0),
        command=lambda command: False,
    )


def test_faults_of_a_server_delay_and_nothing_else(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.spool.connection.TIMEOUT_SECONDS", SILENT_SECONDS / 2)
    times: list[float] = []
    faults = iter(("exhausted", "unavailable", "silent", "stored, not answered"))

    def fault(request: pb.SendRequest) -> tuple[int, dict[str, str], bytes] | None:
        times.append(time.monotonic())
        match next(faults, ""):
            case "exhausted":
                return error(429, "resource_exhausted", Retry_After="1")
            case "unavailable":
                return error(503, "unavailable", Retry_After="1")
            case "silent":
                time.sleep(SILENT_SECONDS)
                return error(503, "unavailable")
            case "stored, not answered":
                for batch in request.batches:
                    receiver.store(batch)
                time.sleep(SILENT_SECONDS)
                return error(503, "unavailable")
        return None

    receiver.fault = fault
    numbers = itertools.count(1)
    spool = Spool(tmp_path / "spool", lambda: f"{next(numbers):032x}")
    given = 0

    def give(count: int) -> None:
        nonlocal given
        for _ in range(count):
            samples = array("q", [1000 + given * 100, 5, given, *[0] * 6])
            spool.batch("a", "b/1", 100, 7, samples, urgent=True)
            given += 1

    give(150)
    assert spool.flush(10)
    sender = sender_of(spool, receiver)
    sender.start()
    until = time.monotonic() + 30
    while (len(times) < 5 or spool.backlog.waiting()) and time.monotonic() < until:
        give(1)  # it goes on measuring meanwhile
        assert spool.flush(10)
        threading.Event().wait(0.05)
    assert sender.stop(5)
    assert [key[3] for key in receiver.batches] == list(range(1, given + 1)), "all, once, the oldest first"
    assert receiver.conflicts == 0
    assert receiver.repeats == 60, "what was stored without an answer is known at the second time"
    assert times[1] - times[0] >= 1.1
    assert times[2] - times[1] >= 1.1
    assert sender.counts.errors == {"resource_exhausted": 1, "unavailable": 1, "unreachable": 2}
    spool.close()
