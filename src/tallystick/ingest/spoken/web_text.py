"""gRPC-Web as text: the same frames in base64, as a browser that reads a stream from its text needs them."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

WEB_TEXT = {
    "application/grpc-web-text": "application/grpc-web",
    "application/grpc-web-text+proto": "application/grpc-web+proto",
}
"""Content types as text, and the same in binary."""
PIECE = re.compile(rb"[^=]+={0,2}")
"""What ends with its own padding: a client may encode each frame by itself."""
BLANKS = b" \t\r\n"


def as_binary(scope: Scope, receive: Receive, send: Send, spoken: str) -> tuple[Scope, Receive, Send]:
    """A request in base64 as the same in binary; what is answered becomes base64 again."""
    headers = [(name, WEB_TEXT[spoken].encode() if name == b"content-type" else value) for name, value in scope["headers"]]
    return {**scope, "headers": headers}, _Opened(receive).receive, _Packed(send, spoken).send


class _Opened:
    """The body of a request, decoded as it comes; one that is no base64 ends where it stops to be."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._rest = b""

    async def receive(self) -> Message:
        """The next part of the request, in binary."""
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        text = self._rest + bytes(message.get("body", b"")).translate(None, BLANKS)
        whole = len(text) // 4 * 4 if message.get("more_body", False) else len(text)
        self._rest = text[whole:]
        try:
            body = b"".join(b64decode(piece, validate=True) for piece in PIECE.findall(text[:whole]))
        except Error:
            return {**message, "body": b"", "more_body": False}
        return {**message, "body": body}


class _Packed:
    """An answer, encoded part by part, each with its own padding."""

    def __init__(self, send: Send, spoken: str) -> None:
        self._send = send
        self._spoken = spoken
        self._encoded = False

    async def send(self, message: Message) -> None:
        """A part of the answer, as text if it is gRPC-Web."""
        if message["type"] == "http.response.start":
            headers = [
                (name, self._spoken.encode() if name == b"content-type" and value.startswith(b"application/grpc-web") else value)
                for name, value in message["headers"]
            ]
            message = {**message, "headers": headers}
            self._encoded = any(value == self._spoken.encode() for name, value in headers if name == b"content-type")
        elif message["type"] == "http.response.body" and self._encoded:
            message = {**message, "body": b64encode(message.get("body", b""))}
        await self._send(message)
