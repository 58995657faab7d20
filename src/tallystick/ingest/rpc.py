"""The rpc routes: who may enter, what is spoken here, and a Connect error for everything that is not."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from connectrpc.code import Code

from tallystick.ingest.callers import CALLER, Authenticator
from tallystick.ingest.codecs import CODECS, COMPRESSIONS
from tallystick.ingest.daemon import DaemonService
from tallystick.ingest.native import NativeService
from tallystick.ingest.submission import Clock, Observer
from tallystick.model.access import WRITES_USAGE, Denied
from tallystick.proto.billing.v1.billing_connect import BillingServiceASGIApplication
from tallystick.proto.tallystick.v1.ingest_connect import IngestServiceASGIApplication

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

RPC_PATH = re.compile(r"/(?:[A-Za-z_][A-Za-z0-9_]*\.)+[A-Z][A-Za-z0-9_]*/[^/]*")
DAEMON_SERVICE = "/billing.v1.BillingService/"
DAEMON_ALIASES = ("/deploy.billaged.v1.BillingService/", "/billaged.v1.BillingService/")
"""The package of the daemons' service was renamed twice: the same service answers under each name."""
NATIVE_SEND = "/tallystick.v1.IngestService/Send"
DAEMON_METHODS = ("SendMetricsBatch", "SendHeartbeat", "NotifyVmStarted", "NotifyVmStopped", "NotifyPossibleGap")
SPOKEN = frozenset(
    {"application/proto", "application/json", "application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json"}
)
ACCEPT_POST = b"application/proto, application/json, application/grpc-web+proto, application/grpc-web+json"

STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.UNIMPLEMENTED: 404,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNAVAILABLE: 503,
}


def is_rpc_path(path: str) -> bool:
    """Whether a path has the shape of an rpc, `/package.v1.Service/Method`: whoever asks for it expects Connect errors."""
    return RPC_PATH.fullmatch(path) is not None


class RpcApp:
    """The ASGI application of all rpc routes."""

    def __init__(
        self,
        native: NativeService,
        daemon: DaemonService,
        *,
        access: Authenticator,
        clock: Clock,
        observer: Observer,
        message_limit_bytes: int,
    ) -> None:
        served = {"read_max_bytes": message_limit_bytes, "codecs": CODECS, "compressions": COMPRESSIONS}
        native_app: Any = IngestServiceASGIApplication(native, **served)  # type: ignore[arg-type]  # its protocol is invariant
        daemon_app: Any = BillingServiceASGIApplication(daemon, **served)  # type: ignore[arg-type]  # its protocol is invariant
        self._routes: dict[str, tuple[str, App]] = {NATIVE_SEND: (NATIVE_SEND, native_app)}
        for method in DAEMON_METHODS:
            for service in (DAEMON_SERVICE, *DAEMON_ALIASES):
                self._routes[service + method] = (DAEMON_SERVICE + method, daemon_app)
        self._access = access
        self._clock = clock
        self._observer = observer
        self._limit_bytes = message_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        began_ns = self._clock.monotonic_ns()
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        route = self._routes.get(scope["path"])
        try:
            await self._serve(route, scope, receive, watched)
        finally:
            self._observer.request(route[0] if route else "unknown", str(status), (self._clock.monotonic_ns() - began_ns) / 10**9)

    async def _serve(self, route: tuple[str, App] | None, scope: Scope, receive: Receive, send: Send) -> None:
        if route is None:
            await answer(send, Code.UNIMPLEMENTED, f"no such rpc: {scope['path']}")
            return
        if scope["method"] != "POST":
            await answer(send, Code.UNIMPLEMENTED, f"{scope['method']} {route[0]}: only POST", status=405, headers=[(b"allow", b"POST")])
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        spoken = headers.get("content-type", "").partition(";")[0].strip().lower()
        if spoken not in SPOKEN:
            message = f"content-type {headers.get('content-type', '')!r} is not served here: application/proto or application/json"
            await answer(send, Code.UNIMPLEMENTED, message, status=415, headers=[(b"accept-post", ACCEPT_POST)])
            return
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._limit_bytes:
            message = f"the request has {length} bytes, at most {self._limit_bytes}: send it in parts"
            await answer(send, Code.RESOURCE_EXHAUSTED, message)
            return
        try:
            grant = await self._access.authenticate(headers, scope.get("server"))
            if grant.role not in WRITES_USAGE:
                raise Denied(f"a key of role {grant.role.value!r} does not write usage", known=True)
        except Denied as denied:
            code = Code.PERMISSION_DENIED if denied.known else Code.UNAUTHENTICATED
            challenge = [] if denied.known else [(b"www-authenticate", b"Bearer")]
            await answer(send, code, str(denied), headers=challenge)
            return
        CALLER.set(grant)
        if scope["path"] != route[0]:
            scope = {**scope, "path": route[0]}
        await route[1](scope, receive, send)


async def answer(
    send: Send, code: Code, message: str, *, status: int | None = None, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """A Connect error: JSON with `code` and `message`, which every Connect client shows in full."""
    body = json.dumps({"code": code.value, "message": message}, ensure_ascii=False).encode()
    start = {"type": "http.response.start", "status": status or STATUS[code]}
    await send({**start, "headers": [(b"content-type", b"application/json"), *(headers or [])]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
