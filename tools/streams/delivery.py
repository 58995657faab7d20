"""A stream's files as one delivery: what is sent, in the order in which the server received it, and over HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tools.streams import wire

SEND = "/tallystick.v1.IngestService/Send"
TYPED_EVERY = 10
"""One batch of so many travels as `Columns` even where planes would do, so that both ways in are used."""

OUTCOMES = {
    pb.OUTCOME_STORED: "stored",
    pb.OUTCOME_REPEATED: "repeated",
    pb.OUTCOME_REFUSED: "refused",
    pb.OUTCOME_CONFLICT: "conflict",
}


class LostAnswer(Exception):  # noqa: N818 (it is a state of the world, not a fault)
    """The server went away: what was sent may be stored or not, and is to be sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request: when the server receives it, and which line of samples.jsonl it is (None: no batch)."""

    received_at_ns: int
    request: pb.SendRequest
    line: int | None = None


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file with one JSON object per line; integers of any size are exact."""
    with path.open() as file:
        for line in file:
            yield json.loads(line)


def deliveries(folder: Path) -> tuple[list[Delivery], int]:
    """Everything in a stream's folder in the order of reception, and how many heartbeats were left out.

    The first request of all assigns each resource to its first customer. Of heartbeats of one instance with nothing else between
    them only the last is sent: two days of them at 30 s would be most of the requests, and they change no usage.
    """
    batches = list(lines(folder / "samples.jsonl"))
    found = [
        Delivery(
            received_at_ns=line["received_at_ns"],
            request=pb.SendRequest(batches=[wire.batch(line, typed=number % TYPED_EVERY == 0)]),
            line=number,
        )
        for number, line in enumerate(batches)
    ]
    found += [
        Delivery(received_at_ns=line["received_at_ns"], request=pb.SendRequest(facts=[wire.fact(line)]))
        for line in lines(folder / "sizes.jsonl")
    ]
    beats = 0
    for line in lines(folder / "lifecycle.jsonl"):
        beats += line["kind"] == "heartbeat"
        request = (
            pb.SendRequest(heartbeat=wire.heartbeat(line)) if line["kind"] == "heartbeat" else pb.SendRequest(events=[wire.event(line)])
        )
        found.append(Delivery(received_at_ns=line["received_at_ns"], request=request))
    kept = _without_superseded(sorted(found, key=lambda one: one.received_at_ns))
    sent = sum(one.request.HasField("heartbeat") for one in kept)
    return [*_assignments(batches, kept), *kept], beats - sent


def _assignments(batches: Iterable[Mapping[str, Any]], kept: list[Delivery]) -> list[Delivery]:
    """Each resource with the customer of its first batch, told at the instant of the first delivery."""
    owners: dict[str, Mapping[str, Any]] = {}
    for batch in batches:
        if batch["resource_id"]:
            owners.setdefault(batch["resource_id"], batch)
    if not owners:
        return []
    at_ns = kept[0].received_at_ns
    facts = [wire.assignment(name, batch["customer_id"], batch["region"], at_ns) for name, batch in owners.items()]
    return [Delivery(received_at_ns=at_ns, request=pb.SendRequest(facts=facts))]


def _without_superseded(ordered: list[Delivery]) -> list[Delivery]:
    kept: list[Delivery] = []
    waiting: dict[str, Delivery] = {}
    for one in ordered:
        if one.request.HasField("heartbeat"):
            waiting.pop(one.request.heartbeat.instance_id, None)
            waiting[one.request.heartbeat.instance_id] = one
        else:
            kept += [*waiting.values(), one]
            waiting.clear()
    return kept + list(waiting.values())


class Sender:
    """Requests of the native protocol over one kept connection, each at its instant of the server's clock."""

    def __init__(self, host: str, port: int, key: str, clock_file: Path) -> None:
        """`clock_file` is the file that the server reads its clock from; it is written before each request."""
        self.connection = http.client.HTTPConnection(host, port, timeout=60)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/proto"}
        self.clock_file = clock_file

    def send(self, delivery: Delivery) -> pb.SendResponse:
        """Send one delivery; the answer.

        Raises:
            LostAnswer: the connection broke before the answer was whole.
            RuntimeError: the whole request was refused, or a fact or an event of it.

        """
        set_clock(self.clock_file, delivery.received_at_ns)
        try:
            self.connection.request("POST", SEND, delivery.request.SerializeToString(), self.headers)
            answer = self.connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise LostAnswer(f"delivery at {delivery.received_at_ns}: {type(error).__name__}: {error}") from error
        if answer.status != 200:
            raise RuntimeError(f"delivery at {delivery.received_at_ns}: {answer.status} {body.decode(errors='replace')}")
        response = pb.SendResponse.FromString(body)
        for noun, outcomes in (("event", response.events), ("fact", response.facts)):
            for outcome in outcomes:
                if outcome.outcome not in (pb.OUTCOME_STORED, pb.OUTCOME_REPEATED):
                    raise RuntimeError(f"{noun} at {delivery.received_at_ns} was not taken: {told(outcome)}")
        return response


def set_clock(path: Path, now_ns: int) -> None:
    """Put the server's clock at an instant, in one step: it never reads half a number."""
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{now_ns}\n")
    fresh.replace(path)


def told(outcome: pb.RecordOutcome) -> dict[str, Any]:
    """An outcome as truth.json tells it: code, field and index only of a refusal."""
    name = OUTCOMES.get(outcome.outcome, "unspecified")
    if name != "refused":
        return {"outcome": name}
    field = "measured_at_ns" if outcome.field == "measured_at" else outcome.field
    index = {"index": outcome.index} if outcome.HasField("index") else {}
    return {"outcome": name, "code": outcome.code, "field": field, **index}
