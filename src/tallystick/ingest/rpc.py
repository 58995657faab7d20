"""The rpc routes: who may enter, what is spoken here, and a Connect error for everything that is not."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectrpc.code import Code
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType

from tallystick.ingest.callers import CALLER, RETRY_AFTER_SECONDS, TICKET, Authenticator
from tallystick.ingest.codecs import CODECS, COMPRESSIONS, Binary
from tallystick.ingest.daemon import DaemonService
from tallystick.ingest.native import NativeService
from tallystick.ingest.sources.collector import CollectorService
from tallystick.ingest.spoken.plain import Plain
from tallystick.ingest.spoken.refusals import GRPC, GRPC_WEB, Refuser
from tallystick.ingest.spoken.web_text import WEB_TEXT, as_binary
from tallystick.ingest.submission import Clock, Observer
from tallystick.model.access import WRITES_USAGE, Admission, Busy, Denied, Grant, Role, Ticket
from tallystick.proto.billing.collector.v1.collector_connect import BillingCollectorServiceASGIApplication
from tallystick.proto.billing.v1.billing_connect import BillingServiceASGIApplication
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.proto.tallystick.v1.ingest_connect import IngestServiceASGIApplication
from tallystick.store.engine import STORE_AWAY

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

RPC_PATH = re.compile(r"/(?:[A-Za-z_][A-Za-z0-9_]*\.)+[A-Z][A-Za-z0-9_]*/[^/]*")
DAEMON_SERVICE = "/billing.v1.BillingService/"
DAEMON_ALIASES = ("/deploy.billaged.v1.BillingService/", "/billaged.v1.BillingService/")
"""The package of the daemons' service was renamed twice: the same service answers under each name."""
NATIVE_SERVICE = "/tallystick.v1.IngestService/"
COLLECTOR_SERVICE = "/billing.collector.v1.BillingCollectorService/"
SPOKEN = GRPC_WEB | {"application/proto", "application/json"}
STREAMED = SPOKEN | {"application/connect+proto", "application/connect+json"}
"""Of methods that answer with a stream: Connect has other names for those."""
ACCEPT_POST = b"application/proto, application/json, application/grpc-web+proto, application/grpc-web+json, application/grpc-web-text+proto"


def is_rpc_path(path: str) -> bool:
    """Whether a path has the shape of an rpc, `/package.v1.Service/Method`: whoever asks for it expects Connect errors."""
    return RPC_PATH.fullmatch(path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service of the rpc routes: `application` makes its ASGI application of `handlers`, and answers under `path`.

    The same methods also answer under the paths of `aliases`. Only `roles` may call. `streaming` are the methods whose reply is a
    stream.
    """

    path: str
    methods: Sequence[str]
    application: Callable[..., Any]
    handlers: object
    aliases: Sequence[str] = ()
    roles: frozenset[Role] = WRITES_USAGE
    streaming: frozenset[str] = frozenset()


def native(handlers: NativeService) -> Service:
    """The product's own protocol."""

    def application(service: NativeService, **options: Any) -> App:  # noqa: ANN401 (the library's own)
        method = MethodInfo(
            name="Send",
            service_name=NATIVE_SERVICE.strip("/"),
            input=wire.SendRequest,
            output=wire.SendResponse,
            idempotency_level=IdempotencyLevel.UNKNOWN,
            stream_type=StreamType.UNARY,
        )
        library: App = IngestServiceASGIApplication(service, **options)
        return Plain(library, method, service.send, Binary(), options["read_max_bytes"])

    return Service(path=NATIVE_SERVICE, methods=("Send",), application=application, handlers=handlers)


def daemon(handlers: DaemonService) -> Service:
    """The service of existing VM daemons."""
    return Service(
        path=DAEMON_SERVICE,
        methods=("SendMetricsBatch", "SendHeartbeat", "NotifyVmStarted", "NotifyVmStopped", "NotifyPossibleGap"),
        application=BillingServiceASGIApplication,
        handlers=handlers,
        aliases=DAEMON_ALIASES,
    )


def collector(handlers: CollectorService) -> Service:
    """The collector service of a billing service."""
    return Service(
        path=COLLECTOR_SERVICE,
        methods=("SendMetrics", "SendMetricsBatch"),
        application=BillingCollectorServiceASGIApplication,
        handlers=handlers,
        aliases=("/billing.v1.BillingCollectorService/",),
    )


@dataclass(frozen=True, slots=True)
class _Route:
    """An rpc: the path that its application knows, who may call it, in which content types, the application, and whether it streams."""

    path: str
    roles: frozenset[Role]
    spoken: frozenset[str]
    app: App
    streams: bool


class RpcApp:
    """The ASGI application of all rpc routes."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        access: Authenticator,
        admission: Admission,
        clock: Clock,
        observer: Observer,
        message_limit_bytes: int,
    ) -> None:
        self._routes: dict[str, _Route] = {}
        for each in services:
            app = each.application(each.handlers, read_max_bytes=message_limit_bytes, codecs=CODECS, compressions=COMPRESSIONS)
            for method in each.methods:
                streams = method in each.streaming
                route = _Route(each.path + method, each.roles, STREAMED if streams else SPOKEN, app, streams)
                self._routes |= {path + method: route for path in (each.path, *each.aliases)}
        self._access = access
        self._admission = admission
        self._clock = clock
        self._observer = observer
        self._limit_bytes = message_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        began_ns = self._clock.monotonic_ns()
        status = "500"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            elif message["type"] == "http.response.trailers":
                grpc_status = dict(message["headers"]).get(b"grpc-status", b"0")
                status = status if grpc_status == b"0" else f"grpc_{grpc_status.decode()}"
            await send(message)

        route = self._routes.get(scope["path"])
        try:
            await self._serve(route, scope, receive, watched)
        finally:
            self._observer.request(route.path if route else "unknown", status, (self._clock.monotonic_ns() - began_ns) / 10**9)

    async def _serve(self, route: _Route | None, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        spoken = headers.get("content-type", "").partition(";")[0].strip().lower()
        if spoken in WEB_TEXT:
            scope, receive, send = as_binary(scope, receive, send, spoken)
            spoken = WEB_TEXT[spoken]
        refuse = Refuser(send, spoken, trailers="http.response.trailers" in (scope.get("extensions") or {}))
        if route is None:
            await refuse(Code.UNIMPLEMENTED, f"no such rpc: {scope['path']}")
            return
        if scope["method"] != "POST":
            await refuse(Code.UNIMPLEMENTED, f"{scope['method']} {route.path}: only POST", status=405, headers=[(b"allow", b"POST")])
            return
        if spoken not in route.spoken and not (spoken in GRPC and refuse.trailers):
            message = f"content-type {headers.get('content-type', '')!r} is not served here: application/proto or application/json"
            await refuse(Code.UNIMPLEMENTED, message, status=415, headers=[(b"accept-post", ACCEPT_POST)])
            return
        told = headers.get("content-length", "")
        length = int(told) if told.isdigit() else 0
        if length > self._limit_bytes:
            await refuse(Code.RESOURCE_EXHAUSTED, f"the request has {length} bytes, at most {self._limit_bytes}: send it in parts")
            return
        try:
            grant = await self._access.authenticate(headers, scope.get("server"))
            if grant.role not in route.roles:
                what = "does not write usage" if route.roles == WRITES_USAGE else "may not call this"
                raise Denied(f"a key of role {grant.role.value!r} {what}", known=True)
        except Denied as denied:
            code = Code.PERMISSION_DENIED if denied.known else Code.UNAUTHENTICATED
            await refuse(code, str(denied), headers=[] if denied.known else [(b"www-authenticate", b"Bearer")])
            return
        except STORE_AWAY as error:  # nobody knows whose key it is: no fault of the caller, who sends it again
            self._observer.failure("authenticate", error)
            await refuse(Code.UNAVAILABLE, f"the store failed: {type(error).__name__}", retry_after_seconds=RETRY_AFTER_SECONDS)
            return
        if scope["path"] != route.path:
            scope = {**scope, "path": route.path}
        CALLER.set(grant)
        try:
            await self._admitted(route, grant, length if told else None, scope, receive, send)
        except Busy as busy:
            await refuse(Code.RESOURCE_EXHAUSTED, str(busy), retry_after_seconds=busy.retry_after_seconds)

    async def _admitted(self, route: _Route, grant: Grant, length: int | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Run it when there is room for it, which is asked before its body is read; `length` None: it is not told.

        Raises:
            Busy: there is none.

        """
        ticket = await self._admission.enter(grant, length or 0)
        if route.streams:  # it is answered for as long as the client looks
            ticket.leave()
            await route.app(scope, receive, send)
            return
        TICKET.set(ticket)
        try:
            await route.app(scope, receive if length is not None else await self._whole(receive, ticket), send)
        finally:
            ticket.leave()

    async def _whole(self, receive: Receive, ticket: Ticket) -> Receive:
        """The body of a request that does not tell its length, read so far that it is known whether there is room for it.

        Raises:
            Busy: there is none.

        """
        parts: list[Message] = []
        size = 0
        while size <= self._limit_bytes:  # what comes beyond is refused by the application
            message = await receive()
            parts.append(message)
            size += len(message.get("body", b""))
            ticket.grow(size)
            if not message.get("more_body", False):
                break
        left = iter(parts)

        async def again() -> Message:
            message = next(left, None)
            return await receive() if message is None else message

        return again
