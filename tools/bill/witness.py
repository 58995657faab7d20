"""A witness between agent and server: it passes requests on and remembers each batch that the server acknowledged.

What was acknowledged is gone from the agent's spool, so it must be in the store whatever is killed afterwards.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from backports import zstd

from tallystick.proto.tallystick.v1 import ingest_pb2 as pb

PASSED_ON = ("Content-Type", "Content-Encoding", "Authorization", "Connect-Protocol-Version", "Accept-Encoding", "User-Agent")
GIVEN_BACK = ("Content-Type", "Content-Encoding")


@dataclass(frozen=True, slots=True, order=True)
class Acknowledged:
    """The identity of a batch that was acknowledged, and the SHA-256 of its payload as it was sent."""

    resource_id: str
    boot_id: str
    spool_id: str
    sequence: int
    payload_sha256: str


def opened(body: bytes, encoding: str | None) -> bytes:
    """A body without its content encoding."""
    match encoding:
        case "gzip":
            return gzip.decompress(body)
        case "zstd":
            return zstd.decompress(body)
        case _:
            return body


def acknowledged(request: bytes, response: bytes) -> set[Acknowledged]:
    """The batches of a request that the response acknowledges as stored, now or before."""
    sent, told = pb.SendRequest.FromString(request), pb.SendResponse.FromString(response)
    good = (pb.OUTCOME_STORED, pb.OUTCOME_REPEATED)
    return {
        Acknowledged(batch.resource_id, batch.boot_id, batch.spool_id, batch.sequence, hashlib.sha256(batch.planes).hexdigest())
        for batch, outcome in zip(sent.batches, told.batches, strict=True)
        if outcome.outcome in good
    }


class Witness:
    """A listener on a free port of loopback that passes everything on to the server."""

    def __init__(self, host: str, port: int) -> None:
        """`host` and `port` are the server's; nothing listens before `start`."""
        self.seen: set[Acknowledged] = set()
        self.lock = threading.Lock()
        witness = self

        class Pass(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self._pass(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

            def do_GET(self) -> None:
                self._pass(b"")

            def _pass(self, body: bytes) -> None:
                headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
                try:
                    upstream = http.client.HTTPConnection(host, port, timeout=30)
                    upstream.request(self.command, self.path, body, headers)
                    answer = upstream.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):  # the server is dead or dying: so is this connection
                    self.close_connection = True
                    return
                if answer.status == 200 and self.path.endswith("/Send"):
                    request = opened(body, self.headers.get("Content-Encoding"))
                    witness.note(request, opened(content, answer.headers.get("Content-Encoding")))
                self.send_response(answer.status)
                for name in GIVEN_BACK:
                    if answer.headers.get(name):
                        self.send_header(name, answer.headers[name])
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Pass)
        self.listener.daemon_threads = True
        self.thread = threading.Thread(target=self.listener.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where the agent sends to."""
        return f"http://127.0.0.1:{self.listener.server_address[1]}"

    def note(self, request: bytes, response: bytes) -> None:
        """Remember what one answer acknowledged."""
        found = acknowledged(request, response)
        with self.lock:
            self.seen |= found

    def start(self) -> None:
        """Listen."""
        self.thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self.listener.shutdown()
        self.listener.server_close()
