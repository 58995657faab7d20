"""A small server that speaks the native protocol exactly, remembers what it was sent, and can be told to fail."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tests.unit.spool.decoder import decode

PATH = "/tallystick.v1.IngestService/Send"


class Receiver:
    """Listens on a free port of loopback. `fault` may answer a request instead: (status, headers, body)."""

    def __init__(self) -> None:
        self.batches: dict[tuple[str, str, str, int], pb.Batch] = {}
        self.requests: list[pb.SendRequest] = []
        self.events: list[pb.LifecycleEvent] = []
        self.facts: list[pb.ResourceFacts] = []
        self.heartbeats: list[pb.Heartbeat] = []
        self.repeats = 0
        self.conflicts = 0
        self.keys: set[str] = set()
        self.commands: list[pb.Command] = []
        self.refuse: Callable[[pb.Batch], str] = lambda batch: ""
        self.fault: Callable[[pb.SendRequest], tuple[int, dict[str, str], bytes] | None] = lambda request: None
        self.lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == PATH
                assert self.headers["Content-Type"] == "application/proto"
                assert self.headers["Connect-Protocol-Version"] == "1"
                with receiver.lock:
                    receiver.keys.add(self.headers.get("Authorization", ""))
                    status, headers, content = receiver.answer(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.listener.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.listener.server_address[1]}"
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def answer(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if len(body) > 4 * 2**20:
            return error(429, "resource_exhausted")
        request = pb.SendRequest.FromString(body)
        fault = self.fault(request)
        if fault:
            return fault
        self.requests.append(request)
        response = pb.SendResponse(commands=self.commands)
        self.commands = []
        for batch in request.batches:
            response.batches.append(self.store(batch))
        for event in request.events:
            response.events.append(pb.RecordOutcome(outcome=pb.OUTCOME_REPEATED if event in self.events else pb.OUTCOME_STORED))
            if event not in self.events:
                self.events.append(event)
        for fact in request.facts:
            response.facts.append(pb.RecordOutcome(outcome=pb.OUTCOME_STORED))
            self.facts.append(fact)
        if request.HasField("heartbeat"):
            self.heartbeats.append(request.heartbeat)
        return 200, {"Content-Type": "application/proto"}, response.SerializeToString()

    def store(self, batch: pb.Batch) -> pb.RecordOutcome:
        refusal = self.refuse(batch)
        if refusal:
            return pb.RecordOutcome(outcome=pb.OUTCOME_REFUSED, code=refusal, field="measured_at", index=3, value="17")
        assert batch.sequence
        assert batch.spool_id
        identity = (batch.resource_id, batch.boot_id, batch.spool_id, batch.sequence)
        known = self.batches.get(identity)
        if known is None:
            self.batches[identity] = batch
            return pb.RecordOutcome(outcome=pb.OUTCOME_STORED)
        if known == batch:
            self.repeats += 1
            return pb.RecordOutcome(outcome=pb.OUTCOME_REPEATED)
        self.conflicts += 1
        hashes = [hashlib.sha256(one.planes).digest() for one in (known, batch)]
        return pb.RecordOutcome(outcome=pb.OUTCOME_CONFLICT, stored_hash=hashes[0], sent_hash=hashes[1])

    def samples(self, resource_id: str, boot_id: str | None = None) -> list[dict[int, int]]:
        """All samples of a resource in the order of their instants, as {column: value}."""
        with self.lock:
            batches = [b for b in self.batches.values() if b.resource_id == resource_id and boot_id in (None, b.boot_id)]
        rows = []
        for batch in batches:
            columns = decode(batch.planes, batch.interval_ns)
            rows += [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return sorted(rows, key=lambda row: row[0])

    def events_of(self, resource_id: str) -> list[pb.LifecycleEvent]:
        with self.lock:
            return [event for event in self.events if event.resource_id == resource_id]

    def close(self) -> None:
        self.listener.shutdown()
        self.listener.server_close()


def error(status: int, code: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """A Connect error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"Content-Type": "application/json", **named}, json.dumps({"code": code, "message": code}).encode()
