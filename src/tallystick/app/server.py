"""The server: one ASGI application of rpc and REST, served by uvicorn, with worker processes beside it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from email.utils import formatdate
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from tallystick.app.clock import Clock, SystemClock, clock_of
from tallystick.app.logs import logger, set_up_logs
from tallystick.app.serving.house import House, open_house
from tallystick.app.serving.memory import collect_seldom, keep_freed_memory
from tallystick.app.settings import Settings, split_address
from tallystick.app.telemetry.tracing import TracingUnavailable
from tallystick.ingest.rpc import is_rpc_path
from tallystick.model.access import Place
from tallystick.store.engine import StoreUrlError
from tallystick.store.store import SchemaMismatch, StoreInUse

if TYPE_CHECKING:
    from tallystick.app.serving.grpc import GrpcPort

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEEP_ALIVE_SECONDS = 75
"""Longer than the minute between two batches of an agent, so that it keeps its connection."""
END_SECONDS = 10
CERTIFICATE_CHECK_SECONDS = 60
BACKLOG = 2048
GONE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""Connections inherit this: a host that vanished in the middle of a request takes room for a minute, not for ever."""


class Server:
    """The ASGI application: a bare dispatcher, as a routing framework in front would cost a fifth of the ingest."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._rpc: App = house.rpc
        self._rest: App = house.rest
        self.on_request: Callable[[], object] = lambda: None
        """Called with each request, before it is answered."""
        self.grpc: GrpcPort | None = None
        """A port of gRPC, if there is one: it begins and ends with the process."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the process."""
        kind = scope["type"]
        if kind == "http":
            self.on_request()
            await (self._rpc if is_rpc_path(scope["path"]) else self._rest)(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self._rest(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await asyncio.to_thread(self.house.start)
        except Exception as error:  # whatever keeps the server from starting is its message
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        if self.grpc is not None:
            self.grpc.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self.grpc is not None:
            await self.grpc.stop()
        await asyncio.to_thread(self.house.stop)
        await send({"type": "lifespan.shutdown.complete"})


def build_app(settings: Settings, clock: Clock | None = None) -> Server:
    """The application with its store open and migrated; its writer and workers start with its lifespan.

    Raises:
        StoreUrlError: the URL names no database.
        StoreInUse: another server has the same SQLite file open.
        SchemaMismatch: the store needs `tally migrate` (SQLite is migrated here).

    """
    return Server(open_house(settings, clock))


def run_server(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT: requests under way are answered, what waits is stored, workers end. 0, or 1 if it cannot begin."""
    clock = clock_of(settings.clock_file)
    set_up_logs(settings.log_level, clock.now_ns)
    try:
        app = build_app(settings, clock)
        tls = _tls(settings)
        sockets = [_listen(address) for address in (settings.listen, *(each.listen for each in settings.listeners))]
        grpc = _grpc(app, settings) if settings.grpc_listen else None
    except (StoreInUse, SchemaMismatch, StoreUrlError, TracingUnavailable, OSError, ValueError) as error:
        sys.stderr.write(f"tally serve: {error}\n")
        return 1
    for listening, each in zip(sockets[1:], settings.listeners, strict=True):
        app.house.access.trust(listening.getsockname()[:2], Place(seller_id=each.seller, scope_id=each.scope))
    keep_freed_memory()
    collect_seldom()
    for each_signal in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each_signal, _once_more)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
        **tls,
    )
    addresses = [f"{name[0]}:{name[1]}" for name in (each.getsockname() for each in sockets)]
    more = {} if grpc is None else {"grpc": grpc.address}

    def ready() -> None:
        told = {"addresses": addresses, "tls": settings.tls_certificate is not None, "store": app.house.store.name}
        logger("server").info("listening", **told, **more)

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(_Uvicorn(config, app, ready), sockets, settings, grpc))
    return 0


def _grpc(app: Server, settings: Settings) -> GrpcPort:
    """The port of gRPC, listening; its certificate is the server's.

    Raises:
        OSError: the address is taken or not ours.

    """
    from tallystick.app.serving.grpc import GrpcPort  # noqa: PLC0415 - only where the port is opened

    tls = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(settings.tls_certificate, settings.tls_key)
        tls.set_alpn_protocols(["h2", "http/1.1"])
        if settings.tls_client_ca is not None:
            tls.load_verify_locations(settings.tls_client_ca)
            tls.verify_mode = ssl.CERT_REQUIRED
    app.grpc = GrpcPort(app, _listen(settings.grpc_listen, "grpc_listen"), tls, END_SECONDS)
    return app.grpc


def _once_more(_signal: int, _frame: FrameType | None) -> None:
    """Uvicorn raises the signal that ended it once more when all is done: by then there is nothing left to end."""


class _Uvicorn(uvicorn.Server):
    """Uvicorn, which waits for answers under way before it ends: streams are told, since they would go on."""

    def __init__(self, config: uvicorn.Config, app: Server, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._house_ends = app.house.ending
        self._clock = SystemClock()  # whatever clock is replayed
        self._ready = ready
        self._dated_seconds = 0
        self._told: Callable[[], object] = lambda: None
        app.on_request = self._date_answers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and only then tell so."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def main_loop(self) -> None:
        """Sleep until told to end: uvicorn wakes ten times a second to look for that and for the date of answers."""
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        self._told = lambda: loop.call_soon_threadsafe(told.set)
        while not await self.on_tick(0):
            await told.wait()

    def _date_answers(self) -> None:
        """Set the date of the answers from here on: those under way share the list, too."""
        seconds = self._clock.now_ns() // 10**9
        if seconds != self._dated_seconds:
            self._dated_seconds = seconds
            self.server_state.default_headers[:] = [(b"date", formatdate(seconds, usegmt=True).encode())]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to end."""
        self._house_ends.set()
        super().handle_exit(sig, frame)
        self._told()


async def _serve(server: uvicorn.Server, sockets: list[socket.socket], settings: Settings, grpc: GrpcPort | None) -> None:
    def contexts() -> list[ssl.SSLContext]:
        return [each for each in (server.config.ssl, grpc.tls if grpc else None) if each is not None]

    async with _fresh_certificate(contexts, settings):
        await server.serve(sockets=sockets)


@contextlib.asynccontextmanager
async def _fresh_certificate(contexts: Callable[[], Sequence[ssl.SSLContext]], settings: Settings) -> AsyncIterator[None]:
    """While serving, load the certificate again whenever its file changes; connections that are open keep the old one."""
    if settings.tls_certificate is None or settings.tls_key is None:
        yield
        return
    task = asyncio.create_task(_watch_certificate(contexts, settings.tls_certificate, settings.tls_key))
    try:
        yield
    finally:
        task.cancel()


async def _watch_certificate(contexts: Callable[[], Sequence[ssl.SSLContext]], certificate: Path, key: Path) -> None:
    seen = certificate.stat().st_mtime_ns
    while True:
        await asyncio.sleep(CERTIFICATE_CHECK_SECONDS)
        try:
            now = certificate.stat().st_mtime_ns
            if now != seen:
                for each in contexts():
                    load_certificate(each, certificate, key)
                seen = now
                logger("server").info("certificate loaded", file=str(certificate))
        except (OSError, ssl.SSLError) as error:
            logger("server").error("certificate not loaded, the old one stays", file=str(certificate), error=str(error))


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Give new connections this certificate. It is tried elsewhere first: loading one whose key is not there yet takes the key
    of the old one away, and no connection could be made until both files fit again.

    Raises:
        OSError: a file is not there, holds no certificate or key, or the two do not belong together; the old certificate stays.

    """  # noqa: D205 (the reason is one sentence)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    context.load_cert_chain(certificate, key)


def _tls(settings: Settings) -> dict[str, Any]:
    """What uvicorn is told of TLS.

    Raises:
        ValueError: a file cannot be read or holds something else.

    """
    if settings.tls_certificate is None:
        return {}
    trial = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        trial.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except OSError as error:
        raise ValueError(f"tls_certificate = {str(settings.tls_certificate)!r}, tls_key = {str(settings.tls_key)!r}: {error}") from None
    try:
        trial.load_verify_locations(settings.tls_client_ca or settings.tls_certificate)
    except OSError as error:
        raise ValueError(f"tls_client_ca = {str(settings.tls_client_ca)!r}: {error}") from None
    found: dict[str, Any] = {"ssl_certfile": str(settings.tls_certificate), "ssl_keyfile": str(settings.tls_key)}
    if settings.tls_client_ca is not None:
        found.update(ssl_ca_certs=str(settings.tls_client_ca), ssl_cert_reqs=ssl.CERT_REQUIRED)
    return found


def _listen(address: str, setting: str = "listen") -> socket.socket:
    """A listening socket.

    Raises:
        OSError: the address is taken or not ours; the message names it.

    """
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in GONE:
        listening.setsockopt(socket.IPPROTO_TCP, option, value)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise OSError(f"{setting} = {address!r}: {error.strerror}") from None
    listening.listen(BACKLOG)
    listening.setblocking(False)
    return listening
