"""The plain case of an rpc is answered as the library answers it, to the byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError

from tallystick.ingest.codecs import CODECS, COMPRESSIONS, Gzip
from tallystick.ingest.rpc import NATIVE_SERVICE, native
from tallystick.ingest.spoken import plain
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire

LIMIT_BYTES = 1000
PLAIN_HEADERS = ((b"content-type", b"application/proto"), (b"accept-encoding", b"identity"), (b"connect-protocol-version", b"1"))
THROUGH_THE_LIBRARY = (b"connect-timeout-ms", b"60000")
GOOD = wire.SendRequest(batches=[wire.Batch(resource_id="vm-1", planes=b"\x01\x02")]).SerializeToString()
Answer = tuple[Sequence[dict[str, Any]], str]


class Handlers:
    """Answers with how many batches came and what the header says; fails as it is told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure

    async def send(self, request: wire.SendRequest, ctx: Any) -> wire.SendResponse:
        if self._failure is not None:
            ctx.response_headers["retry-after"] = "7"
            raise self._failure
        return wire.SendResponse(server_time=len(request.batches), batches=[wire.RecordOutcome(field=ctx.request_headers["x-what"])])


def answer_of(body: Sequence[bytes], headers: Sequence[tuple[bytes, bytes]], failure: Exception | None) -> Answer:
    """What is sent for a request, and the exception that the server is left with."""
    service = native(Handlers(failure))  # type: ignore[arg-type]  # only `send` is called
    app = service.application(service.handlers, read_max_bytes=LIMIT_BYTES, codecs=CODECS, compressions=COMPRESSIONS)
    sent: list[dict[str, Any]] = []
    parts = iter([{"type": "http.request", "body": part, "more_body": n < len(body)} for n, part in enumerate(body, 1)])

    async def receive() -> dict[str, Any]:
        part = next(parts, None)
        if part is None:
            await asyncio.sleep(10)
        return part or {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": NATIVE_SERVICE + "Send", "root_path": "", "headers": [*headers, (b"x-what", b"a")]}
    try:
        asyncio.run(app(scope, receive, send))
    except Exception as error:
        return sent, f"{type(error).__name__}: {error}"
    return sent, ""


@pytest.mark.parametrize(
    ("body", "failure", "status"),
    [
        ([GOOD], None, 200),
        ([GOOD[:5], b"", GOOD[5:]], None, 200),
        ([b""], None, 200),
        ([b"\xff\xff"], None, 400),
        ([bytes(LIMIT_BYTES), b"x"], None, 429),
        ([GOOD], ConnectError(Code.RESOURCE_EXHAUSTED, "full"), 429),
        ([GOOD], ConnectError(Code.UNAVAILABLE, "the store – it failed"), 503),
        ([GOOD], ConnectError(Code.UNAUTHENTICATED, "no key"), 401),
        ([GOOD], ZeroDivisionError("a fault"), 500),
    ],
)
def test_both_ways_answer_the_same(body: Sequence[bytes], failure: Exception | None, status: int) -> None:
    own = answer_of(body, PLAIN_HEADERS, failure)
    assert own == answer_of(body, [*PLAIN_HEADERS, THROUGH_THE_LIBRARY], failure)
    assert own[0][0]["status"] == status


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ([(b"content-type", b"application/json")], b"{}"),
        ([*PLAIN_HEADERS, (b"content-encoding", b"gzip")], Gzip(1).compress(GOOD)),
        ([(b"content-type", b"application/proto"), (b"accept-encoding", b"gzip")], GOOD),
        ([*PLAIN_HEADERS, (b"content-encoding", b"identity"), (b"content-encoding", b"gzip")], GOOD),
        ([(b"content-type", b"application/proto"), (b"connect-protocol-version", b"2")], GOOD),
        ([*PLAIN_HEADERS, THROUGH_THE_LIBRARY], GOOD),
    ],
    ids=["json", "compressed", "answer compressed", "two encodings", "another version", "asked for"],  # a compressed body tells the time
)
def test_what_is_not_plain_goes_to_the_library(
    headers: Sequence[tuple[bytes, bytes]], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> Callable[..., object]:
        raise AssertionError("it is no plain request")

    monkeypatch.setattr(plain, "RequestContext", never)
    answer, left = answer_of([body], headers, None)
    assert answer
    assert not left


def test_a_client_that_goes_away_stores_nothing() -> None:
    service = native(Handlers(AssertionError("it was called")))  # type: ignore[arg-type]  # only `send` is called
    app = service.application(service.handlers, read_max_bytes=LIMIT_BYTES, codecs=CODECS, compressions=COMPRESSIONS)
    sent: list[dict[str, Any]] = []
    come = iter([{"type": "http.request", "body": GOOD[:3], "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(come)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": NATIVE_SERVICE + "Send", "root_path": "", "headers": list(PLAIN_HEADERS)}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 499
