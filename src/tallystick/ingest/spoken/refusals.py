"""Refusals before a handler, in the protocol of the caller: Connect, gRPC-Web and gRPC say the same in three ways."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectrpc.code import Code

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

GRPC_WEB = frozenset({"application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json"})
GRPC = frozenset({"application/grpc", "application/grpc+proto", "application/grpc+json"})
"""Spoken only where the server can send trailers: on the port of `grpc_listen`."""
STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.UNIMPLEMENTED: 404,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELED: 499,
    Code.UNKNOWN: 500,
    Code.UNAVAILABLE: 503,
}
GRPC_STATUS = {
    Code.CANCELED: 1,
    Code.UNKNOWN: 2,
    Code.INVALID_ARGUMENT: 3,
    Code.PERMISSION_DENIED: 7,
    Code.RESOURCE_EXHAUSTED: 8,
    Code.UNIMPLEMENTED: 12,
    Code.UNAVAILABLE: 14,
    Code.UNAUTHENTICATED: 16,
}


@dataclass(frozen=True, slots=True)
class Refuser:
    """Answers a request that reaches no handler, in the protocol that it spoke; `trailers`: whether the server can send them."""

    send: Send
    spoken: str
    trailers: bool

    async def __call__(
        self,
        code: Code,
        message: str,
        *,
        status: int | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        """A Connect error is JSON with `code` and `message`, which every Connect client shows in full. gRPC's is status 200 with
        `grpc-status` in the trailers, which gRPC-Web has in its body. When to come again is a header; gRPC's own clients read it in the
        trailers, in milliseconds.
        """  # noqa: D205 (the reason is one sentence)
        ended = _grpc_status(code, message)
        if retry_after_seconds is not None:
            headers = [*headers, (b"retry-after", str(retry_after_seconds).encode())]
            ended.append((b"grpc-retry-pushback-ms", str(retry_after_seconds * 1000).encode()))
        if self.spoken in GRPC and self.trailers:
            await self._start(200, True, [*headers, (b"content-type", self.spoken.encode())])
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})
            await self.send({"type": "http.response.trailers", "headers": ended, "more_trailers": False})
            return
        if self.spoken in GRPC_WEB and status is None:
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in ended)
            body, content_type = b"\x80" + len(lines).to_bytes(4, "big") + lines, self.spoken.encode()
        else:
            body = json.dumps({"code": code.value, "message": message}, ensure_ascii=False).encode()
            status, content_type = status or STATUS[code], b"application/json"
        await self._start(status or 200, False, [(b"content-type", content_type), *headers])
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _start(self, status: int, trailers: bool, headers: Sequence[tuple[bytes, bytes]]) -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers), "trailers": trailers})


def _grpc_status(code: Code, message: str) -> list[tuple[bytes, bytes]]:
    return [(b"grpc-status", str(GRPC_STATUS[code]).encode()), (b"grpc-message", quote(message, safe=" ").encode())]
