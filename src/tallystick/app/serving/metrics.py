"""The server's Prometheus metrics, names `tally_*`, and who watches the ingest."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from tallystick.app.logs import logger

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
MINUTE_NS = 60 * 10**9
COMMIT_SECONDS = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.0125, 0.015, 0.02, 0.025, 0.035, 0.05, 0.1, 0.25, 1, 10)


class ServerMetrics:
    """What the ingest edge tells, as metrics; failures are logged with their trace as well."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._told_minute = 0
        self._told: set[str] = set()
        """The keys whose refusals were logged in that minute."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = Counter("tally_rpc_requests", "Requests by rpc and HTTP status.", ["rpc", "status"], registry=self.registry)
        self._seconds = Histogram("tally_rpc_duration_seconds", "Time to answer an rpc.", ["rpc"], buckets=SECONDS, registry=self.registry)
        self._outcomes = Counter(
            "tally_ingest_records",
            "Batches, events, facts, usage records and samples by outcome.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self._commits = Counter("tally_ingest_commits", "Transactions of the group writer.", registry=self.registry)
        self._samples = Counter("tally_ingest_samples", "Samples in committed batches, repeats included.", registry=self.registry)
        self._group_seconds = Histogram(
            "tally_ingest_group_duration_seconds", "Time to decode, fold and store a group.", buckets=SECONDS, registry=self.registry
        )
        self._commit_seconds = Histogram(
            "tally_ingest_commit_duration_seconds",
            "Time to store a group, from waiting for its turn to durable.",
            buckets=COMMIT_SECONDS,
            registry=self.registry,
        )
        self._failures = Counter("tally_failures", "Faults that should not happen, by place.", ["place"], registry=self.registry)
        self._waiting = Gauge("tally_ingest_waiting_bytes", "Bytes that wait to be stored.", registry=self.registry)
        self._refused = Counter(
            "tally_refused_requests", "Requests that must come again later, by reason.", ["reason"], registry=self.registry
        )
        self._held = Gauge("tally_requests_held", "Requests under way.", registry=self.registry)
        self._held_bytes = Gauge("tally_requests_held_bytes", "Bytes of requests under way.", registry=self.registry)
        self._log = logger("ingest")

    def request(self, method: str, code: str, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)

    def outcome(self, kind: str, outcome: str, count: int) -> None:
        """So many batches, events, facts, records or samples had this outcome."""
        self._outcomes.labels(kind, outcome).inc(count)

    def commit(self, batches: int, samples: int, seconds: float, stored_seconds: float) -> None:
        """A group was taken in; storing it, its turn included, was so much of it."""
        self._commits.inc()
        self._samples.inc(samples)
        self._group_seconds.observe(seconds)
        self._commit_seconds.observe(stored_seconds)

    def failure(self, what: str, error: BaseException) -> None:
        """Something failed that should not: counted, and logged with its trace."""
        self._failures.labels(what).inc()
        self._log.error("failed", place=what, error=f"{type(error).__name__}: {error}", exc_info=error)

    def refused(self, key_id: str, reason: str) -> None:
        """A request of this key must come again later: counted, and logged once a minute for each key."""
        self._refused.labels(reason).inc()
        minute = self._monotonic_ns() // MINUTE_NS
        if minute != self._told_minute:
            self._told_minute, self._told = minute, set()
        if key_id not in self._told:
            self._told.add(key_id)
            self._log.warning("requests refused", key=key_id, reason=reason)

    def watch(self, requests: Callable[[], float], held_bytes: Callable[[], float], waiting_bytes: Callable[[], float]) -> None:
        """Ask these when scraped how much is under way, and how much of it waits to be stored."""
        self._held.set_function(requests)
        self._held_bytes.set_function(held_bytes)
        self._waiting.set_function(waiting_bytes)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The text of a scrape and its content type, in the format that is asked for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def text(self) -> str:
        """The text of a scrape in Prometheus' own format."""
        return self.exposition("")[0].decode()
