"""The server's edge in this process, over a real store: a request goes through the door, the codecs, the handlers and the store."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.app.serving.admission import Admission, Limits
from tallystick.ingest import rpc
from tallystick.ingest.daemon import DaemonService
from tallystick.ingest.native import NativeService
from tallystick.ingest.sources.collector import CollectorService
from tallystick.ingest.sources.profiles import RowProfile
from tallystick.ingest.storing import Storing
from tallystick.ingest.submission import Receipt, Submission
from tallystick.model.access import Counters, Grant, Place, RateLimit, Role
from tallystick.store.store import Store, migrate, open_store

MESSAGE_LIMIT = 4 * 2**20
IN_MEMORY = Path("/dev/shm")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Edge:
    """It answers as the server does; a fault that is only counted there is raised here."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self.folder = Path(tempfile.mkdtemp(prefix="tally-fuzz-", dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None))
        url = f"sqlite:///{self.folder / 'tally.db'}"
        migrate(url)
        self.store: Store = open_store(url, self, server=True)
        self._storing = Storing(self.store, self, self)
        self._grant = Grant(key_id="fuzz", role=Role.ADMIN, place=Place())
        self._loop = asyncio.new_event_loop()
        self.admission = Admission(
            Limits(queue_bytes=2**40, queue_requests=2**20, key_rate=RateLimit()), self.monotonic_ns, lambda *_: None
        )
        profile = RowProfile(counters=Counters.CUMULATIVE, interval_ns=10**8, nobody=frozenset({"default-customer"}))
        services = (
            rpc.native(NativeService(self, self)),
            rpc.daemon(DaemonService(self, self, profile, self.store.registry.named_since_stop)),
            rpc.collector(CollectorService(self, self, profile)),
        )
        self._app = rpc.RpcApp(
            services, access=self, admission=self.admission, clock=self, observer=self, message_limit_bytes=MESSAGE_LIMIT
        )

    def close(self) -> None:
        self.store.close()
        self._loop.close()
        shutil.rmtree(self.folder)

    def ask(self, path: str, body: bytes, content_type: str, encoding: str = "") -> Answer:
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        headers += [(b"content-encoding", encoding.encode())] if encoding else []
        scope = {"type": "http", "method": "POST", "path": path, "root_path": "", "query_string": b"", "headers": headers, "extensions": {}}
        return self._loop.run_until_complete(self._ask(scope, body))

    async def _ask(self, scope: dict[str, Any], body: bytes) -> Answer:
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        said: list[dict[str, Any]] = []

        async def receive() -> Any:
            if messages:
                return messages.pop()
            return await asyncio.Future()

        async def send(message: Any) -> None:
            said.append(message)

        await self._app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in said[0]["headers"]}
        return Answer(said[0]["status"], headers, b"".join(each.get("body", b"") for each in said[1:]))

    async def submit(self, submission: Submission) -> Receipt:
        return self._storing([submission])[0]

    async def authenticate(self, headers: object, listener: object = None) -> Grant:
        return self._grant

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns

    def request(self, method: str, code: str, seconds: float) -> None: ...

    def outcome(self, kind: str, outcome: str, count: int) -> None: ...

    def commit(self, batches: int, samples: int, seconds: float, stored_seconds: float) -> None: ...

    def failure(self, what: str, error: BaseException) -> None:
        raise error
