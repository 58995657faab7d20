"""The sender against an answering function instead of a connection: outcomes, splitting, back-off, heartbeats."""

from __future__ import annotations

import http.client
import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.connection import Connection, Failure, FailureKind, ServerClock, failure_of
from tallystick.spool.retry import LONGEST_SECONDS, OPEN_AFTER_FAILURES, OPEN_SECONDS, Retry
from tallystick.spool.sender import MOST_RECORDS, Pulse, Sender, SenderRules
from tallystick.spool.spool import Spool

Answer = pb.SendResponse | Failure


class Stage:
    """A spool and a sender whose rounds the test makes; `reply` answers instead of a server."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.now_ns = 99_000
        self.synchronised: bool | None = None
        self.requests: list[pb.SendRequest] = []
        self.reply: Callable[[pb.SendRequest], Answer] = stored
        self.commands: list[pb.Command] = []
        self.spool = Spool(folder, lambda: "ab" * 16)
        rules = SenderRules(
            instance_id="host-1", heartbeat_seconds=30.0, linger_seconds=0.0, monotonic=lambda: self.now, now_ns=lambda: self.now_ns
        )
        self.sender = Sender(
            backlog=self.spool.backlog,
            quarantine=self.spool.quarantine,
            connection=cast(Connection, self),
            retry=Retry(lambda: 0.5),
            rules=rules,
            pulse=lambda: Pulse(
                active_resources=("a",),
                now_ns=self.now_ns,
                handed_over_until_ns=90_000,
                missed_ticks=4,
                clock_synchronised=self.synchronised,
            ),
            command=self.command,
        )

    def send(self, body: bytes) -> Answer:
        self.requests.append(pb.SendRequest.FromString(body))
        return self.reply(self.requests[-1])

    def close(self) -> None:
        pass

    def command(self, command: pb.Command) -> bool:
        self.commands.append(command)
        return True

    def give(self, count: int, name: str = "a") -> None:
        for _ in range(count):
            self.spool.batch(name, "b/1", 100, 3, array("q", [1000, 5, *[0] * 7]), urgent=False)
        assert self.spool.flush(10)

    def rounds(self, count: int = 1) -> None:
        for _ in range(count):
            self.sender._round()

    def kept(self) -> int:
        return self.spool.backlog.waiting()


def outcomes(request: pb.SendRequest, outcome: pb.Outcome) -> pb.SendResponse:
    told = [[pb.RecordOutcome(outcome=outcome) for _ in many] for many in (request.batches, request.events, request.facts)]
    return pb.SendResponse(batches=told[0], events=told[1], facts=told[2])


def stored(request: pb.SendRequest) -> Answer:
    return outcomes(request, pb.OUTCOME_STORED)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "spool")
    yield made
    made.spool.close()


def test_a_heartbeat_goes_at_once_and_says_until_when_all_is_told(stage: Stage) -> None:
    stage.rounds()
    beat = stage.requests[0].heartbeat
    assert (beat.instance_id, list(beat.active_resources), beat.at, beat.missed_ticks) == ("host-1", ["a"], 99_000, 4)
    assert beat.reported_until == 90_000
    stage.give(MOST_RECORDS + 1)
    stage.now += 31
    stage.rounds()
    beat = stage.requests[-1].heartbeat
    assert len(stage.requests[-1].batches) == MOST_RECORDS
    assert beat.reported_until == 1000, "one batch is left behind"
    assert beat.spool_depth == MOST_RECORDS + 1
    stage.now += 31
    stage.rounds()
    assert stage.requests[-1].heartbeat.reported_until == 90_000, "all of it is in this request"
    assert stage.kept() == 0


def test_notices_and_batches_are_one_request_in_order(stage: Stage) -> None:
    stage.give(2)
    stage.spool.notice([LifecycleEvent(resource_id="a", boot_id="b/1", kind=LifecycleKind.STOPPED, at_ns=5, received_at_ns=0)], [])
    assert stage.spool.flush(10)
    stage.rounds()
    (request,) = stage.requests
    assert [batch.sequence for batch in request.batches] == [1, 2]
    assert len(request.events) == 1
    assert stage.kept() == 0


def test_a_repeat_is_as_good_as_stored(stage: Stage) -> None:
    stage.reply = lambda request: outcomes(request, pb.OUTCOME_REPEATED)
    stage.give(1)
    stage.rounds()
    assert stage.kept() == 0
    assert stage.spool.quarantine.refused == 0


@pytest.mark.parametrize("outcome", [pb.OUTCOME_REFUSED, pb.OUTCOME_CONFLICT])
def test_what_is_refused_is_kept_aside_and_what_is_beside_it_goes_on(
    stage: Stage, outcome: pb.Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    def reply(request: pb.SendRequest) -> Answer:
        answer = outcomes(request, pb.OUTCOME_STORED)
        answer.batches[1].CopyFrom(
            pb.RecordOutcome(
                outcome=outcome, code="unordered", field="measured_at", index=599, value="17", stored_hash=b"a", sent_hash=b"b"
            )
        )
        return answer

    stage.reply = reply
    stage.give(3)
    stage.rounds()
    assert stage.kept() == 0
    (kept,) = stage.spool.quarantine.directory.glob("refused-*.record")
    assert pb.SendRequest.FromString(kept.read_bytes()).batches[0].sequence == 2
    assert '"index": 599' in kept.with_suffix(".json").read_text()
    assert "spool_record_refused" in caplog.text
    assert sum(stage.sender.counts.errors.values()) == 1


def test_a_failure_keeps_everything_and_waits_longer_each_time_until_the_breaker_opens(stage: Stage) -> None:
    stage.reply = lambda request: Failure(kind=FailureKind.UNAVAILABLE, detail="503")
    stage.give(2)
    waits = []
    for _ in range(OPEN_AFTER_FAILURES):
        stage.rounds()
        waits.append(stage.sender._retry.waiting_seconds(stage.now))
        stage.now += waits[-1]
    assert waits[:4] == [0.5, 1.0, 2.0, 4.0]
    assert waits[4] >= OPEN_SECONDS
    assert len(stage.requests) == OPEN_AFTER_FAILURES
    assert stage.kept() == 2
    assert stage.sender.counts.errors == {"unavailable": OPEN_AFTER_FAILURES}
    stage.reply = stored
    stage.rounds()
    assert stage.kept() == 0
    assert stage.requests[-1].HasField("heartbeat"), "the heartbeat that failed is sent again"
    assert not stage.sender._retry.is_open


def test_retry_after_is_obeyed() -> None:
    retry = Retry(lambda: 0.0)
    retry.failed(10.0, 77.0)
    assert retry.waiting_seconds(10.0) == 77.0
    assert retry.waiting_seconds(87.0) == 0.0
    retry.failed(10.0, 10**9)
    assert retry.waiting_seconds(10.0) == 3600.0


def test_an_open_breaker_waits_as_long_as_the_server_asks() -> None:
    """A busy server that answers each time is not left alone for half a minute."""
    retry = Retry(lambda: 0.5)
    for _ in range(9):
        retry.failed(0.0, 2.0)
    assert retry.is_open
    assert retry.waiting_seconds(0.0) < OPEN_SECONDS
    retry.failed(0.0)
    assert retry.waiting_seconds(0.0) >= OPEN_SECONDS


@pytest.mark.parametrize(
    ("failures", "asked", "most"), [(1, 10.0, 550), (1, None, 550), (5, None, 60), (5, 30.0, 60), (9, None, 40), (9, 100.0, 40)]
)
def test_a_thousand_agents_that_failed_together_come_back_apart(failures: int, asked: float | None, most: int) -> None:
    waits = []
    for agent in range(1000):
        retry = Retry(random.Random(agent).random)
        for _ in range(failures):
            retry.failed(0.0, asked)
        waits.append(retry.waiting_seconds(0.0))
    assert min(waits) >= (asked or 0.0)
    assert max(waits) <= OPEN_SECONDS + LONGEST_SECONDS + (asked or 0.0)
    at_once = Counter(int(2 * wait) for wait in waits)
    assert max(at_once.values()) <= most, "in one half of a second"


def test_too_large_a_request_is_split(stage: Stage) -> None:
    stage.reply = lambda request: (
        stored(request) if len(request.batches) <= 7 else Failure(kind=FailureKind.EXHAUSTED, detail="429 resource_exhausted")
    )
    stage.give(40)
    stage.rounds(40)
    assert stage.kept() == 0
    assert [batch.sequence for request in stage.requests if len(request.batches) <= 7 for batch in request.batches] == list(range(1, 41))


def test_one_that_no_server_takes_is_kept_aside_and_the_others_are_sent(stage: Stage) -> None:
    stage.reply = lambda request: (
        Failure(kind=FailureKind.INVALID, detail="400") if any(batch.sequence == 3 for batch in request.batches) else stored(request)
    )
    stage.rounds()
    stage.give(8)
    stage.rounds(30)
    assert stage.kept() == 0
    assert stage.spool.quarantine.refused == 1


def test_an_answer_without_an_outcome_for_each_is_no_acknowledgement(stage: Stage) -> None:
    stage.reply = lambda request: pb.SendResponse()
    stage.give(2)
    stage.rounds()
    assert stage.kept() == 2
    assert stage.sender.counts.errors == {"bad_answer": 1}
    stage.now += 10
    stage.reply = lambda request: outcomes(request, pb.OUTCOME_UNSPECIFIED)
    stage.rounds()
    assert stage.kept() == 2


def test_commands_are_carried_out_and_confirmed(stage: Stage) -> None:
    stage.reply = lambda request: pb.SendResponse(commands=[pb.Command(id="c1", flush=True)])
    stage.rounds()
    assert [command.id for command in stage.commands] == ["c1"]
    stage.reply = stored
    stage.now += 31
    stage.rounds()
    assert list(stage.requests[-1].confirmed_commands) == ["c1"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, b'{"code":"resource_exhausted"}', FailureKind.EXHAUSTED),
        (413, b"", FailureKind.TOO_LARGE),
        (401, b'{"code":"unauthenticated"}', FailureKind.DENIED),
        (403, b'{"code":"permission_denied"}', FailureKind.DENIED),
        (400, b'{"code":"invalid_argument"}', FailureKind.INVALID),
        (400, b"Bad Request", FailureKind.UNAVAILABLE),
        (502, b"<html>", FailureKind.UNAVAILABLE),
        (404, b"[]", FailureKind.UNAVAILABLE),
    ],
)
def test_what_failures_mean(status: int, body: bytes, kind: FailureKind) -> None:
    headers = http.client.HTTPMessage()
    headers["Retry-After"] = "12"
    failure = failure_of(status, body, headers)
    assert (failure.kind, failure.retry_after_seconds) == (kind, 12.0)


def test_what_cannot_be_put_aside_stays_and_holds_up_nothing_else(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.give(3)
    refused = pb.RecordOutcome(outcome=pb.OUTCOME_REFUSED, code="future")

    def reply(request: pb.SendRequest) -> Answer:
        answer = outcomes(request, pb.OUTCOME_STORED)
        answer.batches[0].CopyFrom(refused)
        return answer

    def full(*said: object) -> None:
        raise OSError(28, "No space left on device")

    stage.reply = reply
    with monkeypatch.context() as disk:
        disk.setattr(stage.spool.quarantine, "keep_refused", full)
        stage.rounds(3)
    assert stage.kept() == 1
    assert stage.sender.counts.batches == 2
    assert len(stage.requests) == 1, "it is not asked for again at once"
    stage.now += 60
    stage.rounds()
    assert stage.kept() == 0
    assert stage.spool.quarantine.refused == 1


DAY_NS = 24 * 3600 * 10**9
EARLY_NS = 3600 * 10**9


def early(by_ns: int) -> Callable[[pb.SendRequest], Answer]:
    """A server whose clock is so far behind that it may take what was measured only later."""

    def answer(request: pb.SendRequest) -> Answer:
        said = outcomes(request, pb.OUTCOME_REFUSED)
        said.server_time = 10**18
        for each in said.batches:
            each.code, each.field, each.index, each.value = "future", "measured_at", 0, str(10**18 + 300 * 10**9 + by_ns)
        return said

    return answer


def test_what_is_measured_in_the_servers_future_waits_for_its_clock(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.give(2)
    stage.reply = early(EARLY_NS)
    with caplog.at_level("ERROR"):
        stage.rounds()
        assert (stage.kept(), stage.spool.quarantine.refused) == (2, 0)
        stage.now += 14
        stage.rounds()
        assert len(stage.requests) == 1, "asked again after a while only"
        stage.now += 2
        stage.rounds()
    assert (len(stage.requests), stage.sender.counts.errors) == (2, {"future": 2})
    assert [record.message for record in caplog.records] == ["clock_ahead_of_server"], "said once"
    stage.reply = stored
    stage.now += 16
    stage.rounds()
    assert stage.kept() == 0


@pytest.mark.parametrize(("synchronised", "kept"), [(True, 1), (False, 0), (None, 0)])
def test_more_than_a_day_is_waited_for_only_if_the_kernel_vouches_for_our_clock(stage: Stage, synchronised: bool | None, kept: int) -> None:
    stage.synchronised = synchronised
    stage.give(1)
    stage.reply = early(DAY_NS + 1)
    stage.rounds()
    assert (stage.kept(), stage.spool.quarantine.refused) == (kept, 1 - kept)


def test_a_heartbeat_tells_of_the_clock_and_lives_though_it_is_far_ahead(stage: Stage) -> None:
    server_ns = 10**18

    def answer(request: pb.SendRequest) -> Answer:
        stage.now_ns += 2_000
        return pb.SendResponse(server_time=server_ns)

    stage.reply, stage.now_ns = answer, server_ns + EARLY_NS
    stage.rounds()
    first = stage.requests[0].heartbeat
    assert not first.HasField("clock_offset_ns"), "never measured"
    assert not first.HasField("clock_synchronised"), "the kernel does not tell"
    stage.synchronised = False
    stage.now += 31
    stage.rounds()
    beat = stage.requests[1].heartbeat
    assert (beat.clock_offset_ns, beat.clock_synchronised) == (EARLY_NS + 1_000, False)
    assert beat.at == stage.now_ns - 2_000 - beat.clock_offset_ns, "by the server's clock"
    assert beat.reported_until <= beat.at


def test_the_quickest_of_the_last_requests_says_how_far_the_clocks_are_apart() -> None:
    clock = ServerClock()
    assert clock.offset_ns is None
    for sent, answered, server in ((1000, 1400, 700), (2000, 2020, 1710), (3000, 3900, 2900)):
        clock.measure(sent, answered, server)
    assert clock.offset_ns == 300
    clock.measure(4000, 4001, 0)
    assert clock.offset_ns == 300, "a server that does not tell its time"
    hour_ns = 3600 * 10**9
    clock.measure(hour_ns, hour_ns + 5000, 4000)
    assert clock.offset_ns == hour_ns - 1500, "ours was set: what was measured before is no longer so"
    for number in range(1, 20):
        clock.measure(hour_ns + number, hour_ns + number + 6000, 4000)
    assert clock.offset_ns == hour_ns + 12 - 1000, "the last eight"
