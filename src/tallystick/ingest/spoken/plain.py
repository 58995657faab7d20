"""The plain case of an rpc, answered without the library: one binary message, one reply, nothing compressed, no deadline.

It is what agents send. Everything else goes to the library's application, and the answers of both are the same, byte for byte.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.errors import ConnectError
from connectrpc.method import MethodInfo
from connectrpc.request import Headers, RequestContext
from google.protobuf.message import Message

from tallystick.ingest.spoken.refusals import Refuser

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)

PLAIN = {
    b"content-type": (b"application/proto",),
    b"content-encoding": (None, b"identity"),
    b"accept-encoding": (None, b"identity"),
    b"connect-protocol-version": (None, b"1"),
    b"connect-timeout-ms": (None,),
}
"""The headers that say how a request is to be read and answered, with what they are in the plain case; None: not there."""
REPLY_HEADERS = [(b"content-type", b"application/proto"), (b"content-encoding", b"identity"), (b"vary", b"Accept-Encoding")]


class Plain:
    """The ASGI application of one method: plain requests are answered here, all others by the library's application."""

    def __init__(
        self,
        library: App,
        method: MethodInfo[Request, Reply],
        handler: Callable[[Request, RequestContext[Request, Reply]], Awaitable[Reply]],
        codec: Codec[Request, Request],
        limit_bytes: int,
    ) -> None:
        self._library = library
        self._method = method
        self._handler = handler
        self._codec = codec
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one POST of the method."""
        told = dict(scope["headers"])
        if len(told) != len(scope["headers"]) or any(told.get(name) not in values for name, values in PLAIN.items()):
            await self._library(scope, receive, send)
            return
        names = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
        context = RequestContext(method=self._method, http_method="POST", request_headers=names)
        try:
            request = self._codec.decode(await self._body(receive), self._method.input)
            reply = (await self._handler(request, context)).SerializeToString()
        except Exception as error:
            code, said = (error.code, error.message) if isinstance(error, ConnectError) else (Code.UNKNOWN, str(error))
            more = [(name.encode(), value.encode()) for name, value in context.response_headers.allitems()]
            await Refuser(send, "application/proto", trailers=False)(code, said, headers=more)
            if not isinstance(error, ConnectError):
                raise
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(REPLY_HEADERS), "trailers": False})
        await send({"type": "http.response.body", "body": reply, "more_body": False})

    async def _body(self, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            ConnectError: `resource_exhausted` over the limit, `canceled` if the client goes away before its end.

        """
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectError(Code.CANCELED, "Client disconnected before request completion")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._limit_bytes:
                raise ConnectError(Code.RESOURCE_EXHAUSTED, f"message is larger than configured max {self._limit_bytes}")
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)
