"""What truly happened: every reading, every notice, every promise of a disk and every answer of the server, as they happen."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from backports.zstd import ZstdError, decompress

from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.sim.audit.planes import instants_of

Boot = tuple[str, str]
"""(resource_id, boot_id)."""
RecordKey = tuple[str, str, str]
"""(source, record_id, meter)."""
RecordContent = tuple[str, int, int, int]
"""(resource_id, from_ns, until_ns, amount)."""
RECORD = struct.Struct("<3sBII")
FILE_HEADER_BYTES = 30
NOTICE, TAIL, BATCH = 1, 2, 3
_BATCH_HEAD_BYTES = 16
_ROW_BYTES = 72


class Reading(NamedTuple):
    """What a source said: eight values in the order of the columns (memory, then counters), at an instant of the host."""

    at_ns: int
    interval_ns: int
    values: tuple[int, ...]


class Notice(NamedTuple):
    """A lifecycle notice as it was handed to the spool."""

    resource_id: str
    boot_id: str
    kind: str
    at_ns: int


class Declared(NamedTuple):
    """A size fact as it was handed to the spool."""

    resource_id: str
    at_ns: int
    vcpus: int | None
    memory_bytes: int | None
    disk_bytes: int | None


class Answered(NamedTuple):
    """What the server said of a batch: its identity, the outcome, and what was sent."""

    boot: Boot
    spool_id: str
    sequence: int
    outcome: int
    batch: wire.Batch


@dataclass(slots=True)
class HostTruth:
    """What one host's agent has done; `given` waits for its disk, `promised` is what a spool said is durable."""

    given: set[tuple[Boot, int]] = field(default_factory=set)
    given_notices: list[Notice | Declared] = field(default_factory=list)
    unwritten: set[tuple[Boot, int]] = field(default_factory=set)
    unwritten_notices: list[Notice | Declared] = field(default_factory=list)
    tails: dict[int, list[tuple[Boot, int]]] = field(default_factory=dict)
    mine: set[tuple[Boot, int]] = field(default_factory=set)
    my_notices: set[Notice | Declared] = field(default_factory=set)


@dataclass(slots=True)
class Truth:
    """All of a world. `wrong` are things that must never be, seen as they happened."""

    readings: dict[Boot, dict[int, Reading]] = field(default_factory=dict)
    promised: set[tuple[Boot, int]] = field(default_factory=set)
    handed: set[Notice | Declared] = field(default_factory=set)
    promised_notices: set[Notice | Declared] = field(default_factory=set)
    answers: list[Answered] = field(default_factory=list)
    conflicts: set[tuple[Boot, int]] = field(default_factory=set)
    rolled_back: set[str] = field(default_factory=set)
    """Spools whose disk was one of before: what they sent may be cut anew."""
    last_instants: dict[Boot, int] = field(default_factory=dict)
    acknowledged_rows: set[tuple[str, int]] = field(default_factory=set)
    """(resource_id, instant)."""
    sent_records: dict[RecordKey, RecordContent] = field(default_factory=dict)
    acknowledged_records: dict[RecordKey, RecordContent] = field(default_factory=dict)
    wrong: list[tuple[str, str, int, str]] = field(default_factory=list)
    """(resource_id, what, at_ns, detail)."""

    def read(self, host: HostTruth, boot: Boot, reading: Reading) -> None:
        """A source was read. Instants of one incarnation rise, whatever becomes of clocks and agents."""
        known = self.readings.setdefault(boot, {})
        if reading.at_ns <= self.last_instants.get(boot, 0):
            self.wrong.append((boot[0], "an instant does not rise", reading.at_ns, f"after {self.last_instants[boot]}"))
        self.last_instants[boot] = max(reading.at_ns, self.last_instants.get(boot, 0))
        known[reading.at_ns] = reading
        host.unwritten.add((boot, reading.at_ns))
        host.mine.add((boot, reading.at_ns))

    def notice(self, host: HostTruth, notices: Sequence[Notice | Declared]) -> None:
        """The collector told of something."""
        self.handed.update(notices)
        host.unwritten_notices += notices
        host.my_notices.update(notices)

    def tail(self, host: HostTruth, at_ns: int, parts: Iterable[tuple[str, str, int, int, bytes]]) -> None:
        """The collector gave a tail: all that was read before is given with it or was before."""
        found = []
        for resource_id, boot_id, _, _, rows in parts:
            found += [((resource_id, boot_id), struct.unpack_from("<q", rows, at)[0]) for at in range(0, len(rows), _ROW_BYTES)]
        host.tails[at_ns] = found
        host.given |= host.unwritten
        host.given_notices += host.unwritten_notices
        host.unwritten, host.unwritten_notices = set(), []

    def durable(self, host: HostTruth) -> None:
        """The spool says that the last tail is on disk: from now on none of it may be lost."""
        self.promised |= host.given
        self.promised_notices.update(host.given_notices)
        host.given, host.given_notices = set(), []

    def crashed(self, host: HostTruth) -> None:
        """What was not promised may be gone."""
        host.given, host.given_notices, host.unwritten, host.unwritten_notices = set(), [], set(), []

    def forgive_all(self, host: HostTruth) -> None:
        """The disk of a host is one of before: what was promised since then may be gone."""
        self.promised -= host.mine
        self.promised_notices -= host.my_notices

    def forgive(self, host: HostTruth, content: bytes, offset: int) -> None:
        """A bit of a spool file flipped at `offset`: the record that it lies in may be gone, and no other."""
        at = FILE_HEADER_BYTES
        while at + RECORD.size <= len(content):
            _, kind, length, _ = RECORD.unpack_from(content, at)
            end = at + RECORD.size + length
            if at <= offset < end:
                self._forgive_record(host, kind, content[at + RECORD.size : end])
                return
            at = end

    def _forgive_record(self, host: HostTruth, kind: int, payload: bytes) -> None:
        try:
            if kind == TAIL:
                at_ns = json.loads(decompress(payload).partition(b"\n")[0])["at"]
                self.promised -= set(host.tails.get(at_ns, ()))
                return
            request = wire.SendRequest.FromString(payload[_BATCH_HEAD_BYTES:])
        except (KeyError, TypeError, ValueError, ZstdError):  # it was torn or flipped before: it holds no promise
            return
        for batch in request.batches:
            boot = (batch.resource_id, batch.boot_id)
            self.promised -= {(boot, at_ns) for at_ns in self.instants(batch)}
        told = {(event.resource_id, event.at) for event in request.events} | {(fact.resource_id, fact.at) for fact in request.facts}
        self.promised_notices = {each for each in self.promised_notices if (each.resource_id, each.at_ns) not in told}

    def instants(self, batch: wire.Batch) -> list[int]:
        """The instants of a batch: as its planes say, or of one that was thinned those that were read in its spans."""
        if batch.HasField("thinned"):
            known = self.readings.get((batch.resource_id, batch.boot_id), {})
            spans = [(one.first_at, one.last_at) for one in batch.thinned.segments]
            return [at for at in known if any(low <= at <= high for low, high in spans)]
        return instants_of(batch.planes, batch.interval_ns)

    def answered(self, request: wire.SendRequest, response: wire.SendResponse) -> None:
        """The server answered a request of our protocol."""
        for batch, told in zip(request.batches, response.batches, strict=True):
            if not (batch.spool_id and batch.sequence):
                continue  # it is none of an agent's
            boot = (batch.resource_id, batch.boot_id)
            self.answers.append(Answered(boot, batch.spool_id, batch.sequence, told.outcome, batch))
            if told.outcome == wire.OUTCOME_CONFLICT:
                self.conflicts |= {(boot, at_ns) for at_ns in self.instants(batch)}

    def state(self) -> dict[str, Any]:
        """How much was seen, for the report."""
        return {"readings": sum(map(len, self.readings.values())), "promised": len(self.promised), "answers": len(self.answers)}
