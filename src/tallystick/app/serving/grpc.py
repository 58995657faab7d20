"""gRPC proper on a port of its own: it needs the trailers of HTTP/2, which the main server does not send.

The same application answers there, with the same keys and limits. hypercorn costs more than twice the CPU of the main server a
request, so it is off unless `grpc_listen` names an address.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAMS_AT_ONCE = 1000
HEADERS_BYTES = 64 * 1024
REQUESTS_PER_CONNECTION = 1_000_000_000
"""A connection is kept: an agent's stream of requests is one."""
KEEP_ALIVE_SECONDS = 300
MOST_THROWN_BYTES = 64 * 2**20
"""Of a refused request's body: whoever sends more loses the connection."""


class GrpcPort:
    """A port that speaks gRPC, gRPC-Web, Connect and REST over HTTP/2, by prior knowledge or TLS."""

    def __init__(self, app: App, listening: socket.socket, tls: ssl.SSLContext | None, end_seconds: float) -> None:
        self._app = app
        self._listening = listening
        host, port = listening.getsockname()[:2]
        self.address = f"{host}:{port}"
        self.tls = tls
        self._end_seconds = end_seconds
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer, in the running loop."""
        app: Any = self._only_requests  # hypercorn's type of an application names its own messages
        self._task = asyncio.create_task(serve(app, self._config(), shutdown_trigger=self._ending.wait, mode="asgi"))

    async def stop(self) -> None:
        """Answer what is under way, then end."""
        self._ending.set()
        if self._task is not None:
            await self._task

    def _config(self) -> Config:
        config = _Config(self.tls)
        config.bind = [f"fd://{self._listening.detach()}"]
        config.graceful_timeout = self._end_seconds
        config.keep_alive_timeout = KEEP_ALIVE_SECONDS
        config.keep_alive_max_requests = REQUESTS_PER_CONNECTION
        config.h2_max_concurrent_streams = STREAMS_AT_ONCE
        config.h2_max_header_list_size = HEADERS_BYTES
        config.include_server_header = False
        config.errorlog = logging.getLogger("tallystick.grpc")
        return config

    async def _only_requests(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Requests go to the application; its lifespan is that of the main server."""
        if scope["type"] != "lifespan":
            exchange = _Exchange(receive, send)
            await self._app(scope, exchange.receive, exchange.send)
            return
        for answer in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            await receive()
            await send({"type": answer})


class _Exchange:
    """One request, whose answer ends only after its body has been read.

    hypercorn forgets a stream with the end of its answer, and closes the whole connection when more of the request's body arrives:
    an early refusal would cost the calls beside it.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._read = False
        self._thrown_bytes = 0

    async def receive(self) -> Message:
        """The next part of the request."""
        message = await self._receive()
        self._read = message["type"] == "http.disconnect" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer; before the last one what is left of the request is read and thrown away."""
        last = message["type"] == "http.response.trailers" or (
            message["type"] == "http.response.body" and not message.get("more_body", False)
        )
        while last and not self._read and self._thrown_bytes < MOST_THROWN_BYTES:
            self._thrown_bytes += len((await self.receive()).get("body", b""))
        await self._send(message)


class _Config(Config):
    """With a context for TLS that is ours, so that a new certificate can be loaded into it."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self._tls = tls

    @property
    def ssl_enabled(self) -> bool:
        return self._tls is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._tls
