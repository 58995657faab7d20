"""The sender: a thread that empties the spool towards the server, so that collection is never disturbed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tallystick.model.outcomes import Outcome, RefusalCode
from tallystick.model.samples import FUTURE_LIMIT_NS
from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tallystick.spool.backlog import Backlog, UnreadableError
from tallystick.spool.connection import Connection, Failure, FailureKind, ServerClock
from tallystick.spool.entries import Entry
from tallystick.spool.quarantine import Quarantine
from tallystick.spool.records import RecordKind
from tallystick.spool.retry import Retry

log = logging.getLogger(__name__)

MOST_RECORDS = 60
MOST_BYTES = 3_500_000
"""Of a request: under the 4 MiB that servers take by default, with room for a heartbeat."""
MOST_SAMPLES = 500_000
"""Of a request, unless one batch alone has more: servers refuse batches beyond a million."""
ENOUGH_RECORDS = 20
"""So many waiting are worth a request (stack.md: 20 batches a request cost a third of one by one)."""

AHEAD_LIMIT_NS = FUTURE_LIMIT_NS - 10 * 10**9
HOLD_SECONDS = 15.0
LONGEST_EARLY_NS = 24 * 3600 * 10**9

_OUTCOMES = {
    pb.OUTCOME_STORED: Outcome.STORED,
    pb.OUTCOME_REPEATED: Outcome.REPEATED,
    pb.OUTCOME_REFUSED: Outcome.REFUSED,
    pb.OUTCOME_CONFLICT: Outcome.CONFLICT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What the collector says for a heartbeat: what is sampled, and until when everything measured was given to the spool."""

    active_resources: tuple[str, ...]
    now_ns: int
    handed_over_until_ns: int
    missed_ticks: int
    thinned_batches: int = 0
    clock_synchronised: bool | None = None


@dataclass(slots=True)
class SenderCounts:
    """What the sender's own metrics tell."""

    batches: int = 0
    samples: int = 0
    errors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderRules:
    """How the sender works: the agent's id, seconds between heartbeats, and how long a batch may wait for others to go with."""

    instance_id: str
    heartbeat_seconds: float
    linger_seconds: float
    monotonic: Callable[[], float]
    """A count of seconds that never goes back."""
    now_ns: Callable[[], int]
    """The present instant as samples carry it."""


class Sender:
    """Sends the oldest first, many batches in a request, a heartbeat with them when one is due; removes only what was acknowledged."""

    def __init__(
        self,
        *,
        backlog: Backlog,
        quarantine: Quarantine,
        connection: Connection,
        retry: Retry,
        rules: SenderRules,
        pulse: Callable[[], Pulse],
        command: Callable[[pb.Command], bool],
    ) -> None:
        """`pulse` is asked for each heartbeat; `command` carries out one and says whether it did."""
        self._backlog, self._quarantine, self._connection, self._retry = backlog, quarantine, connection, retry
        self._rules, self._pulse, self._command = rules, pulse, command
        self._now = rules.monotonic
        self.counts = SenderCounts()
        self.server_clock = ServerClock()
        self._is_ahead = False
        self._most = MOST_RECORDS
        self._heartbeat_at = 0.0
        self._heartbeat_now = True
        self._confirmed: list[str] = []
        self._stop = threading.Event()
        self._until: float | None = None
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Begin, with a heartbeat at once."""
        self._thread.start()

    @property
    def clock_synchronised(self) -> bool | None:
        """What the kernel says of its clock now."""
        return self._pulse().clock_synchronised

    def heartbeat(self) -> None:
        """Send a heartbeat at once, with what waits."""
        self._heartbeat_now = True
        self._backlog.hurry()

    def stop(self, seconds: float) -> bool:
        """Send what waits, with a last heartbeat, for at most so long; whether nothing is left."""
        self._until = self._now() + seconds
        self._heartbeat_now = True
        self._stop.set()
        self._backlog.hurry()
        self._thread.join(seconds + 0.5)
        self._connection.close()
        return not self._backlog.waiting()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._round()
            except Exception:  # a bug in sending must not end the sending: the spool keeps everything
                log.exception("sender_failed")
                self._retry.failed(self._now())
        self._drain()

    def _round(self) -> None:
        pause = self._retry.waiting_seconds(self._now())
        if pause:
            self._stop.wait(pause)
            return
        due = self._heartbeat_at - self._now()
        if not self._heartbeat_now and due > 0:
            self._backlog.wait(ENOUGH_RECORDS, min(due, self._rules.linger_seconds))
        if self._stop.is_set():
            return
        if self._backlog.waiting() or self._heartbeat_now or self._heartbeat_at <= self._now():
            self._send_one()

    def _drain(self) -> None:
        """At the end: everything that waits, and a last heartbeat, as long as the time allows and the server answers."""
        until = self._until or 0.0
        while (self._backlog.waiting() or self._heartbeat_now) and self._now() < until:
            if not self._send_one():
                pause = min(0.5, max(0.0, until - self._now()))
                time.sleep(pause)

    def _send_one(self) -> bool:
        """One request with what waits, and a heartbeat if one is due; whether the server answered it."""
        entries = self._backlog.take(self._most, MOST_BYTES, MOST_SAMPLES)
        try:
            pieces = self._backlog.read(entries)
        except UnreadableError:
            return False
        heartbeat = self._heartbeat_now or self._heartbeat_at <= self._now()
        rest = pb.SendRequest(confirmed_commands=self._confirmed)
        if heartbeat:
            self._heartbeat_now = False
            rest.heartbeat.CopyFrom(self._heartbeat(entries))
        elif not entries:
            return True
        body = b"".join((*pieces, rest.SerializeToString()))
        sent_ns = self._rules.now_ns()
        answer = self._connection.send(body)
        if isinstance(answer, pb.SendResponse):
            self.server_clock.measure(sent_ns, self._rules.now_ns(), answer.server_time)
            problem = _mismatch(entries, answer)
            if problem is None:
                self._take_answer(entries, answer, heartbeat)
                return True
            answer = Failure(kind=FailureKind.ANSWER, detail=problem)
        self._take_failure(entries, answer, heartbeat)
        return False

    def _heartbeat(self, entries: Sequence[Entry]) -> pb.Heartbeat:
        """Asked in the direction in which samples go, from collector to disk: what moves meanwhile is counted twice, never left out.

        A clock that is too far ahead for the server says its instant by the server's clock: an agent that lives must not look away.
        """
        pulse = self._pulse()
        first = self._backlog.first_at_ns(without=entries)
        offset_ns = self.server_clock.offset_ns
        at_ns = pulse.now_ns - (offset_ns if offset_ns is not None and offset_ns > AHEAD_LIMIT_NS else 0)
        reported_until_ns = pulse.handed_over_until_ns if first is None else min(first, pulse.handed_over_until_ns)
        return pb.Heartbeat(
            instance_id=self._rules.instance_id,
            active_resources=pulse.active_resources,
            at=at_ns,
            reported_until=min(reported_until_ns, at_ns),
            clock_offset_ns=offset_ns,
            clock_synchronised=pulse.clock_synchronised,
            spool_depth=self._backlog.depth(),
            missed_ticks=pulse.missed_ticks,
            thinned_batches=pulse.thinned_batches,
        )

    def _take_answer(self, entries: Sequence[Entry], answer: pb.SendResponse, heartbeat: bool) -> None:
        self._retry.succeeded()
        self._most = min(MOST_RECORDS, self._most * 2)
        if heartbeat:
            self._heartbeat_at = self._now() + self._rules.heartbeat_seconds
            if answer.HasField("heartbeat"):
                said = answer.heartbeat
                log.error("heartbeat_refused", extra={"code": said.code, "field": said.field, "value": said.value})
        batches, events, facts = iter(answer.batches), iter(answer.events), iter(answer.facts)
        done, ahead_ns = [], 0
        for entry in entries:
            if entry.kind is RecordKind.BATCH:
                outcomes = [next(batches)]
            else:
                outcomes = [next(events) for _ in range(entry.events)] + [next(facts) for _ in range(entry.facts)]
            early_ns = max((self._early_ns(outcome, answer.server_time) for outcome in outcomes), default=0)
            ahead_ns = max(ahead_ns, early_ns)
            if not early_ns and all(self._settle(entry, outcome) for outcome in outcomes):
                done.append(entry)
                self.counts.batches += entry.kind is RecordKind.BATCH
                self.counts.samples += entry.samples
        self._backlog.done(done)
        self._tell_ahead(ahead_ns)
        if ahead_ns:
            self._retry.hold(self._now(), min(HOLD_SECONDS, ahead_ns / 1e9 + 1))
        elif len(done) < len(entries):  # the disk does not take what was refused: it is asked for again, later
            self._retry.failed(self._now())
        self._confirmed = [command.id for command in answer.commands if self._command(command)]

    def _early_ns(self, said: pb.RecordOutcome, server_ns: int) -> int:
        """For how long the server would refuse it as in its future yet, if it is worth to wait for; 0: it is not refused for that.

        Worth while: for a day, or however long if the kernel says that our clock is synchronised, so that it is the server's that is wrong.
        """
        if _OUTCOMES[said.outcome] is not Outcome.REFUSED or said.code != RefusalCode.FUTURE or not said.value.isdigit():
            return 0
        early_ns = max(1, int(said.value) - FUTURE_LIMIT_NS - server_ns)
        return early_ns if early_ns <= LONGEST_EARLY_NS or self._pulse().clock_synchronised else 0

    def _tell_ahead(self, ahead_ns: int) -> None:
        """An error in the log, once until the clocks agree again; counted each time."""
        if ahead_ns:
            self._count(RefusalCode.FUTURE.value)
            if not self._is_ahead:
                said = {"by_ns": ahead_ns + FUTURE_LIMIT_NS, "offset_ns": self.server_clock.offset_ns}
                detail = "what was measured waits until the server's clock is there: correct the clock that is wrong"
                log.error("clock_ahead_of_server", extra={**said, "synchronised": self._pulse().clock_synchronised, "detail": detail})
        self._is_ahead = bool(ahead_ns)

    def _settle(self, entry: Entry, said: pb.RecordOutcome) -> bool:
        """Stored or repeated: done. Refused or in conflict: kept aside with the reason, and an alarm in the log. Whether it may go."""
        outcome = _OUTCOMES[said.outcome]
        if outcome in (Outcome.STORED, Outcome.REPEATED):
            return True
        self._count(outcome.value)
        reason: dict[str, object] = {"outcome": outcome.value, "code": said.code, "field": said.field, "value": said.value}
        if said.HasField("index"):
            reason["index"] = said.index
        if outcome is Outcome.CONFLICT:
            reason |= {"stored_hash": said.stored_hash.hex(), "sent_hash": said.sent_hash.hex()}
        return self._put_aside(entry, reason)

    def _put_aside(self, entry: Entry, reason: dict[str, object]) -> bool:
        """Keep it in the quarantine; whether the disk took it. If not, it stays where it is."""
        path = self._backlog.path_of(entry.file)
        try:
            self._quarantine.keep_refused(path.name if path else "", entry.record_offset, self._backlog.read([entry])[0], reason)
        except UnreadableError:
            return True  # told and kept aside already
        except OSError as error:
            log.error("quarantine_failed", extra={"error": str(error), "directory": str(self._quarantine.directory), **reason})
            return False
        return True

    def _take_failure(self, entries: Sequence[Entry], failure: Failure, heartbeat: bool) -> None:
        self._count(failure.kind.value)
        said = {"error_type": failure.kind.value, "detail": failure.detail, "records": len(entries), "failures": self._retry.failures + 1}
        log.warning("send_failed", extra=said)
        if heartbeat and failure.kind is FailureKind.INVALID and entries:  # perhaps it is the heartbeat that is not taken
            self._heartbeat_at = self._now() + self._rules.heartbeat_seconds
            return
        self._heartbeat_now = self._heartbeat_now or heartbeat
        may_split = failure.kind in (FailureKind.TOO_LARGE, FailureKind.INVALID, FailureKind.EXHAUSTED)
        if may_split and len(entries) > 1 and failure.retry_after_seconds is None:
            self._most = max(1, len(entries) // 2)
            return
        is_alone = failure.kind in (FailureKind.TOO_LARGE, FailureKind.INVALID) and len(entries) == 1
        reason: dict[str, object] = {"outcome": Outcome.REFUSED.value, "code": failure.kind.value, "detail": failure.detail}
        if is_alone and self._put_aside(entries[0], reason):  # no server will take it by itself: what stands behind it goes on
            self._backlog.done(entries)
            return
        was_open = self._retry.is_open
        self._retry.failed(self._now(), failure.retry_after_seconds)
        if self._retry.is_open and not was_open:
            log.error("breaker_open", extra={"detail": failure.detail, "waiting": self._backlog.waiting()})

    def _count(self, error_type: str) -> None:
        self.counts.errors[error_type] = self.counts.errors.get(error_type, 0) + 1


def _mismatch(entries: Sequence[Entry], answer: pb.SendResponse) -> str | None:
    """What is wrong with an answer that has not one known outcome for each record; None: nothing."""
    told = (len(answer.batches), len(answer.events), len(answer.facts))
    sent = (
        sum(entry.kind is RecordKind.BATCH for entry in entries),
        sum(entry.events for entry in entries),
        sum(entry.facts for entry in entries),
    )
    if told != sent:
        return f"sent {sent} batches, events and facts, the answer has {told}"
    unknown = [one.outcome for many in (answer.batches, answer.events, answer.facts) for one in many if one.outcome not in _OUTCOMES]
    return f"outcome {unknown[0]} is not known" if unknown else None
