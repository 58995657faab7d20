"""The relay between agents and server: it passes requests on, keeps the ledger, and can hold a request or its answer, or lose it."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb
from tools.bill.witness import GIVEN_BACK, PASSED_ON, opened
from tools.kill.ledger import Identity, Ledger, identity_of

HOST = "127.0.0.1"
CONNECT_SECONDS = 2.0
"""How long a request waits for a server that is away before the agent is told by a lost connection: it may come back in time, or not."""
ANSWER_SECONDS = 60
HELD_SECONDS = 20.0
"""Under the agent's own patience of 30 s."""


class Stage(Enum):
    """How far a request has come."""

    ARRIVED = "it is at the relay"
    FORWARDED = "the server has it"
    ANSWERED = "the server has answered, the agent does not know"
    OVER = "the agent has its answer, or its connection was lost"


@dataclass(slots=True, eq=False)
class Passage:
    """One request on its way. `is_fresh`: nothing of it was ever sent before. `is_lost`: it is not to be passed on."""

    agent: str
    batches: tuple[Identity, ...]
    is_fresh: bool
    stage: Stage = Stage.ARRIVED
    is_answered: bool = False
    is_lost: bool = False


@dataclass(slots=True, eq=False)
class Trap:
    """Waits for a request at a stage. At `FORWARDED` it goes on meanwhile; at the others it is held until `release`."""

    stage: Stage
    wanted: Callable[[Passage], bool]
    passage: Passage | None = None
    caught: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> Passage | None:
        """The request, once there is one."""
        return self.passage if self.caught.wait(seconds) else None

    def release(self, *, lost: bool = False) -> None:
        """Let it go on, or lose it with its connection."""
        if self.passage is not None:
            self.passage.is_lost = lost
        self.released.set()


class Listener(ThreadingHTTPServer):
    """A thread for each connection. One that an agent lost with its life is nothing to tell of; any other fault is."""

    daemon_threads = True
    ledger: Ledger

    def handle_error(self, request: object, client_address: object) -> None:
        """What a thread raised."""
        error = sys.exception()
        if not isinstance(error, OSError):
            self.ledger.told.append(f"the relay failed: {error!r}")


class Relay:
    """A listener on a free port of loopback; an agent's name is the first part of its path."""

    def __init__(self, port: int, ledger: Ledger) -> None:
        """`port` is the server's, on loopback."""
        self.port, self.ledger = port, ledger
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()
        self._trap: Trap | None = None
        self._passages: set[Passage] = set()
        self.listener = Listener((HOST, 0), _handler_of(self))
        self.listener.ledger = ledger
        threading.Thread(target=self.listener.serve_forever, daemon=True).start()

    def url(self, agent: str) -> str:
        """Where an agent sends to."""
        return f"http://{HOST}:{self.listener.server_address[1]}/{agent}"

    def stop(self) -> None:
        """Listen no more."""
        self.listener.shutdown()
        self.listener.server_close()

    @contextmanager
    def trap(self, stage: Stage, wanted: Callable[[Passage], bool]) -> Iterator[Trap]:
        """A trap for the next request that is wanted, as long as the block lasts; what it holds then goes on."""
        trap = Trap(stage, wanted)
        with self._lock:
            self._trap = trap
        try:
            yield trap
        finally:
            with self._lock:
                self._trap = None
            trap.released.set()

    def under_way(self) -> list[Passage]:
        """The requests that the server has and has not answered."""
        with self._lock:
            return [passage for passage in self._passages if passage.stage is Stage.FORWARDED]

    def pass_on(self, agent: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes] | None:
        """The server's answer; None: it did not come, or is to be lost."""
        request = pb.SendRequest.FromString(opened(body, headers.get("Content-Encoding")))
        passage = Passage(agent, tuple(map(identity_of, request.batches)), is_fresh=False)
        with self._lock:
            self._passages.add(passage)
        try:
            self._reach(passage, Stage.ARRIVED)
            self.gate.wait(HELD_SECONDS)
            if passage.is_lost:
                return None
            passage.is_fresh = self.ledger.send(request)
            answer = self._forward(passage, path, body, headers)
            content = answer.read()
            if answer.status == 200:
                self.ledger.answer(request, pb.SendResponse.FromString(opened(content, answer.headers.get("Content-Encoding"))))
            passage.is_answered = True
            self._reach(passage, Stage.ANSWERED)
            return None if passage.is_lost else (answer, content)
        except (OSError, http.client.HTTPException):  # the server is dead or dying: so is this connection
            return None
        finally:
            with self._lock:
                passage.stage = Stage.OVER
                self._passages.discard(passage)

    def _forward(self, passage: Passage, path: str, body: bytes, headers: dict[str, str]) -> http.client.HTTPResponse:
        until = time.monotonic() + CONNECT_SECONDS
        upstream = http.client.HTTPConnection(HOST, self.port, timeout=ANSWER_SECONDS)
        while upstream.sock is None:
            try:
                upstream.connect()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        upstream.request("POST", path, body, headers)
        self._reach(passage, Stage.FORWARDED)
        return upstream.getresponse()

    def _reach(self, passage: Passage, stage: Stage) -> None:
        """A request has come so far: if a trap waits for it there, it is caught."""
        with self._lock:
            passage.stage = stage
            trap = self._trap
            if trap is None or trap.stage is not stage or trap.passage is not None or not trap.wanted(passage):
                return
            trap.passage = passage
        trap.caught.set()
        if stage is not Stage.FORWARDED:
            trap.released.wait(HELD_SECONDS)


def _handler_of(relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Pass(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            _, agent, path = self.path.split("/", 2)
            passed = relay.pass_on(agent, f"/{path}", body, {name: self.headers[name] for name in PASSED_ON if name in self.headers})
            if passed is None:
                self.close_connection = True
                return
            answer, content = passed
            with suppress(OSError):  # the agent is dead
                self.send_response(answer.status)
                for name in (*GIVEN_BACK, "Retry-After"):
                    if answer.headers.get(name):
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    return Pass
