"""The independent ledger: what was sent, what was acknowledged, what lay on a disk. It reads the wire and the disk by itself."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tools.bill import raw
from tools.kill.disk import Columns, OnDisk

Identity = tuple[str, str, str, int]
"""(resource, boot, spool, sequence)."""
SampleKey = tuple[str, str, int]
"""(resource, boot, instant)."""

FIRST_INSTANT = slice(7, 15)
"""Where it stands in byte planes (docs/planes.md)."""
GOOD = (pb.OUTCOME_STORED, pb.OUTCOME_REPEATED)
STARTED = pb.LIFECYCLE_KIND_STARTED
STOPPED = pb.LIFECYCLE_KIND_STOPPED


def identity_of(batch: pb.Batch) -> Identity:
    """What a batch is known by."""
    return batch.resource_id, batch.boot_id, batch.spool_id, batch.sequence


def digest_of(batch: pb.Batch) -> str:
    """SHA-256 of its samples as they were sent."""
    return hashlib.sha256(batch.planes).hexdigest()


@dataclass(slots=True)
class Ledger:
    """`sent` and `acknowledged`: digest by identity; `batches` as they were sent first.

    `told`: what went wrong on the wire or on a disk, in words.
    """

    sent: dict[Identity, str] = field(default_factory=dict)
    batches: dict[Identity, pb.Batch] = field(default_factory=dict)
    acknowledged: dict[Identity, str] = field(default_factory=dict)
    last_at: dict[str, int] = field(default_factory=dict)
    """By resource: the first instant of the newest batch that was sent."""
    repeats: int = 0
    told: list[str] = field(default_factory=list)
    samples: dict[SampleKey, tuple[int, dict[str, int]]] = field(default_factory=dict)
    events: set[tuple[str, str, str, int]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, request: pb.SendRequest) -> bool:
        """A request goes to the server; whether nothing of it ever did before."""
        with self._lock:
            is_fresh = bool(request.batches)
            for batch in request.batches:
                identity, digest = identity_of(batch), digest_of(batch)
                is_fresh = is_fresh and identity not in self.sent
                self.batches.setdefault(identity, batch)
                at_ns = int.from_bytes(batch.planes[FIRST_INSTANT], "little")
                self.last_at[batch.resource_id] = max(at_ns, self.last_at.get(batch.resource_id, 0))
                if (known := self.sent.setdefault(identity, digest)) != digest:
                    self.told.append(f"{named(identity)} was sent with two contents: {known[:12]} and {digest[:12]}")
            for event in request.events:
                if event.kind in (STARTED, STOPPED):
                    kind = "started" if event.kind == STARTED else "stopped"
                    self.events.add((event.resource_id, event.boot_id, kind, event.at))
            return is_fresh

    def answer(self, request: pb.SendRequest, response: pb.SendResponse) -> None:
        """The server has answered: from now on it answers for what it said."""
        with self._lock:
            outcomes = (*response.batches, *response.events, *response.facts)
            if len(outcomes) != len(request.batches) + len(request.events) + len(request.facts):
                self.told.append(f"an answer with {len(outcomes)} outcomes to a request with another number of records")
            bad = [each for each in outcomes if each.outcome not in GOOD]
            self.told += [f"outcome {pb.Outcome.Name(each.outcome)} {each.code} {each.field} {each.value}" for each in bad]
            for batch, outcome in zip(request.batches, response.batches, strict=False):
                if outcome.outcome in GOOD:
                    self.acknowledged[identity_of(batch)] = digest_of(batch)
                    self.repeats += outcome.outcome == pb.OUTCOME_REPEATED

    def find(self, host: str, disk: OnDisk) -> None:
        """What lies on the disk of a host whose agent was killed, or has ended."""
        with self._lock:
            for batch in disk.batches:
                self._keep_batch(batch)
            for resource_id, boot_id, interval_ns, columns in disk.rows:
                self._keep(resource_id, boot_id, interval_ns, columns)
            self.told += [f"{host}: {name} in the quarantine of its spool" for name in disk.quarantined]

    def waiting(self, disk: OnDisk) -> int:
        """How many batches of a disk were not acknowledged."""
        with self._lock:
            return sum(identity_of(batch) not in self.acknowledged for batch in disk.batches)

    def _keep_batch(self, batch: pb.Batch) -> None:
        self._keep(batch.resource_id, batch.boot_id, batch.interval_ns, raw.decode(batch.planes, batch.interval_ns))

    def _keep(self, resource_id: str, boot_id: str, interval_ns: int, columns: Columns) -> None:
        for at, values in rows_of(columns):
            known = self.samples.setdefault((resource_id, boot_id, at), (interval_ns, values))
            if known[1] != values:
                self.told.append(f"{resource_id} has two samples of {at} on its disk: {known[1]} and {values}")

    def by_resource(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Samples and events of each resource, from wire and disk, in the shape of the scalar reference."""
        for batch in self.batches.values():
            self._keep_batch(batch)
        found: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for (resource_id, boot_id, at), (interval_ns, values) in sorted(self.samples.items()):
            columns = {"measured_at": [at], **{name: [value] for name, value in values.items()}}
            sample = {"boot_id": boot_id, "received_at_ns": 0, "interval_ns": interval_ns, "columns": columns}
            found.setdefault(resource_id, {"samples": [], "events": []})["samples"].append(sample)
        for resource_id, boot_id, kind, at in sorted(self.events):
            if resource_id in found:
                found[resource_id]["events"].append({"boot_id": boot_id, "kind": kind, "at_ns": at})
        return found


def rows_of(columns: Columns) -> Iterator[tuple[int, dict[str, int]]]:
    """(instant, the other columns) of each sample."""
    for place, at in enumerate(columns["measured_at"]):
        yield at, {name: values[place] for name, values in columns.items() if name != "measured_at"}


def named(identity: Identity) -> str:
    """An identity in words."""
    return " ".join(map(str, identity))
