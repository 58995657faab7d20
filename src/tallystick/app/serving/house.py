"""Everything that one server process holds, put together once: store, access, writer, rpc and REST, workers."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tallystick.app.access import Access, stored_grants
from tallystick.app.answers.services import services_of
from tallystick.app.answers.status import AgentLimits
from tallystick.app.clock import Clock, RandomIds, clock_of
from tallystick.app.init import migrate_store
from tallystick.app.serving.admission import Admission, Limits
from tallystick.app.serving.health import Health
from tallystick.app.serving.log import LogMover
from tallystick.app.serving.metrics import ServerMetrics
from tallystick.app.serving.queries import query_service
from tallystick.app.serving.records import Recording
from tallystick.app.serving.retention import RetentionMetrics
from tallystick.app.serving.silence import SilenceMetrics
from tallystick.app.serving.workers import Workers
from tallystick.app.settings import Settings
from tallystick.app.telemetry.tracing import Traces, traces_of
from tallystick.ingest import rpc
from tallystick.ingest.daemon import DaemonService
from tallystick.ingest.native import NativeService
from tallystick.ingest.sources.collector import CollectorService
from tallystick.ingest.sources.profiles import RowProfile
from tallystick.ingest.storing import Storing
from tallystick.ingest.writer import GroupWriter
from tallystick.model.access import Counters, RateLimit
from tallystick.serve.api import rest_app
from tallystick.store.engine import Dialect, parse_url
from tallystick.store.store import Store, open_store

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class House:
    """What a server process holds, with the order in which it starts and stops."""

    clock: Clock
    store: Store
    metrics: ServerMetrics
    access: Access
    writer: GroupWriter
    log_mover: LogMover
    workers: Workers
    traces: Traces | None
    rpc: App
    rest: App
    ending: threading.Event
    """Set when the server is told to end: streams end with it."""

    def start(self) -> None:
        """Begin to store and to work; on PostgreSQL the day's partitions are there first: rows in the default one would keep them away."""
        self.store.maintenance.ensure_partitions(self.clock.now_ns())
        self.writer.start()
        self.log_mover.start()
        self.workers.start()

    def stop(self) -> None:
        """End the workers, store what waits, close the store."""
        self.workers.stop()
        self.writer.stop()
        self.log_mover.stop()
        self.store.close()
        if self.traces:
            self.traces.close()


def open_house(settings: Settings, clock: Clock | None = None) -> House:
    """Open the store (an SQLite one is made and migrated first) and put everything together; nothing runs yet.

    Raises:
        StoreUrlError: the URL names no database.
        StoreInUse: another server has the same SQLite file open.
        SchemaMismatch: a PostgreSQL store needs `tally migrate`.
        TracingUnavailable: traces are asked for, and the SDK is not installed.

    """
    traces = traces_of(settings.traces_endpoint, "tally-server", settings.traces_sample_percent)
    told = clock or clock_of(settings.clock_file)
    if parse_url(settings.url)[1] is Dialect.SQLITE:
        migrate_store(settings)
    store = open_store(settings.url, told, server=True)
    metrics = ServerMetrics(told.monotonic_ns)
    access = Access(stored_grants(store, told), told)
    writer = GroupWriter(
        Storing(store, told, metrics, traces),
        clock=told,
        observer=metrics,
        group_ms=settings.ingest_group_ms,
    )
    metrics.registry.register(SilenceMetrics(store, told, settings))
    metrics.registry.register(RetentionMetrics(store))
    admission = Admission(_limits(settings), told.monotonic_ns, metrics.refused)
    metrics.watch(lambda: admission.held_requests, lambda: admission.held_bytes, lambda: writer.waiting_bytes)
    profile = RowProfile(
        counters=Counters(settings.daemon_counters),
        interval_ns=settings.daemon_interval_ms * 10**6,
        nobody=frozenset(settings.nobody_customers),
    )
    ending = threading.Event()
    rpc_app = rpc.RpcApp(
        (
            rpc.native(NativeService(writer, told)),
            rpc.daemon(DaemonService(writer, told, profile, store.registry.named_since_stop)),
            rpc.collector(CollectorService(writer, told, profile)),
            query_service(store, told, RandomIds(), ending=ending.is_set),
        ),
        access=access,
        admission=admission,
        clock=told,
        observer=metrics,
        message_limit_bytes=settings.message_limit_bytes,
    )
    services = services_of(
        store,
        told,
        RandomIds(),
        metrics=metrics.text,
        not_ready=Health(store, writer).not_ready,
        record_usage=Recording(writer, told),
        limits=AgentLimits(away_after_ns=settings.agent_away_seconds * 10**9, clock_offset_ns=settings.clock_offset_limit_ms * 10**6),
        archive=settings.archive_directory,
    )
    rest = rest_app(store, services, access, admission, told, body_limit_bytes=settings.message_limit_bytes)
    return House(
        clock=told,
        store=store,
        metrics=metrics,
        access=access,
        writer=writer,
        log_mover=LogMover(store.log, metrics.failure),
        workers=Workers(settings, told),
        traces=traces,
        rpc=rpc_app,
        rest=rest,
        ending=ending,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        queue_bytes=settings.ingest_queue_bytes,
        queue_requests=settings.ingest_queue_requests,
        key_rate=RateLimit(bytes_per_second=settings.key_bytes_per_second, requests_per_second=settings.key_requests_per_second),
    )
