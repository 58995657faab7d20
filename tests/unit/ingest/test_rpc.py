"""The door of the rpc routes, without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import OperationalError

from tallystick.ingest.rpc import NATIVE_SERVICE, RpcApp
from tallystick.ingest.rpc import Service as RpcService
from tallystick.model.access import Grant


class StoreAway:
    """Nobody can tell whose a key is: the database is not there."""

    async def authenticate(self, headers: Mapping[str, str], listener: tuple[str, int] | None) -> Grant:
        raise OperationalError("SELECT 1", {}, Exception("connection refused"))


class NeverAsked:
    """Whether there is room for a request is asked after who it is of."""

    async def enter(self, grant: Grant, length: int) -> Any:
        raise AssertionError(f"asked for {grant}")


class Observed:
    def __init__(self) -> None:
        self.failures: list[str] = []
        self.requests: list[tuple[str, str]] = []

    def request(self, method: str, status: str, seconds: float) -> None:
        self.requests.append((method, status))

    def failure(self, what: str, error: BaseException) -> None:
        self.failures.append(f"{what}: {type(error).__name__}")


class Clock:
    def now_ns(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        return 0


def test_a_store_that_is_away_when_a_key_is_looked_up_is_unavailable_and_asked_again() -> None:
    observed, sent = Observed(), []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body of a caller that nobody knows is not read")

    service = RpcService(path=NATIVE_SERVICE, methods=("Send",), application=lambda *_, **__: None, handlers=None)
    door = RpcApp([service], access=StoreAway(), admission=NeverAsked(), clock=Clock(), observer=observed, message_limit_bytes=1000)
    headers = [(b"content-type", b"application/proto"), (b"content-length", b"10"), (b"authorization", b"Bearer tsk_1")]
    scope = {"type": "http", "method": "POST", "path": NATIVE_SERVICE + "Send", "headers": headers, "server": ("127.0.0.1", 1)}
    asyncio.run(door(scope, receive, send))
    assert sent[0]["status"] == 503
    assert dict(sent[0]["headers"])[b"retry-after"] == b"1"
    assert json.loads(sent[1]["body"]) == {"code": "unavailable", "message": "the store failed: OperationalError"}
    assert observed.failures == ["authenticate: OperationalError"]
    assert observed.requests == [(NATIVE_SERVICE + "Send", "503")]
