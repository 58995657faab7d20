"""The agent's own metrics in Prometheus text: a page made when it is asked for (prometheus-client costs 4 MiB of the agent's 48)."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable

from tallystick.collect.collector import DURATION_BUCKETS_NS, Collector
from tallystick.spool.sender import Sender
from tallystick.spool.spool import Spool

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(collector: Collector, spool: Spool, sender: Sender, *, per_resource: bool) -> str:
    """The metrics page (requirements C11). Durations in seconds."""
    counts, disk = collector.counts, spool.counts
    first = spool.backlog.first_at_ns()
    age_seconds = 0.0 if first is None else max(0, collector.now_ns() - first) / 1e9
    lines = [
        *_counter("metrics_collected_total", "Samples taken.", counts.samples),
        *_histogram(collector),
        *_counter("metrics_batches_sent_total", "Batches that the server has answered.", sender.counts.batches),
        *_counter("samples_sent_total", "Samples in the batches that the server has answered.", sender.counts.samples),
        *_labelled("metrics_batch_send_errors_total", "Failed requests and refused records.", "error_type", sender.counts.errors.items()),
        *_counter("metrics_wal_writes_total", "Records written to the spool.", disk.writes),
        "# HELP tally_agent_metrics_wal_sync_duration_seconds Time to make the spool durable.",
        "# TYPE tally_agent_metrics_wal_sync_duration_seconds summary",
        f"tally_agent_metrics_wal_sync_duration_seconds_sum {disk.sync_seconds:.6f}",
        f"tally_agent_metrics_wal_sync_duration_seconds_count {disk.syncs}",
        *_gauge("spool_depth", "Batches on disk that are not acknowledged.", spool.backlog.depth()),
        *_gauge("spool_age_seconds", "Age of the oldest sample that is not acknowledged.", f"{age_seconds:.3f}"),
        *_gauge("spool_bytes", "What the files of batches hold on disk.", spool.backlog.size_bytes()),
        *_counter("batches_thinned_total", "Batches that were thinned because the spool was full.", spool.thinner.thinned),
        *_counter("missed_ticks_total", "Samples that were not taken because their tick was late.", counts.missed_ticks),
        *_counter("read_errors_total", "Readings that could not be understood.", counts.read_errors),
        *_counter("spool_write_errors_total", "Writes that the disk did not take; they are repeated.", disk.write_errors),
        *_counter("spool_damaged_total", "Damaged or torn records that were set aside.", spool.quarantine.damaged),
        *_counter("spool_refused_total", "Records that the server refused or holds otherwise; set aside.", spool.quarantine.refused),
        *_clock(collector, sender),
        *_gauge("resources", "Resources that are metered.", collector.metered),
    ]
    if per_resource:
        lines += _labelled("resource_up", "Resources that are metered, by id.", "resource", ((one, 1) for one in collector.active), "gauge")
    return "\n".join(lines) + "\n"


def _clock(collector: Collector, sender: Sender) -> list[str]:
    """The clock, as far as it is known: what was never measured, or what the kernel does not tell, is left out."""
    offset_ns, synchronised = sender.server_clock.offset_ns, sender.clock_synchronised
    lines = _counter("clock_steps_total", "Times that the wall clock was set against the monotonic one.", collector.counts.clock_steps)
    if offset_ns is not None:
        lines += _gauge("clock_offset_seconds", "The agent's clock minus the server's.", f"{offset_ns / 1e9:.6f}")
    if synchronised is not None:
        lines += _gauge("clock_synchronised", "Whether the kernel says that its clock is synchronised.", int(synchronised))
    return lines


def _counter(name: str, text: str, value: object) -> list[str]:
    return [f"# HELP tally_agent_{name} {text}", f"# TYPE tally_agent_{name} counter", f"tally_agent_{name} {value}"]


def _gauge(name: str, text: str, value: object) -> list[str]:
    return [f"# HELP tally_agent_{name} {text}", f"# TYPE tally_agent_{name} gauge", f"tally_agent_{name} {value}"]


def _labelled(name: str, text: str, label: str, values: Iterable[tuple[str, int]], kind: str = "counter") -> list[str]:
    lines = [f"# HELP tally_agent_{name} {text}", f"# TYPE tally_agent_{name} {kind}"]
    for said, value in sorted(values):
        escaped = said.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        lines.append(f'tally_agent_{name}{{{label}="{escaped}"}} {value}')
    return lines


def _histogram(collector: Collector) -> list[str]:
    name = "tally_agent_metrics_collection_duration_seconds"
    lines = [f"# HELP {name} Time of one tick over all resources.", f"# TYPE {name} histogram"]
    total = 0
    for edge, count in zip((*DURATION_BUCKETS_NS, None), collector.counts.bucket_counts, strict=True):
        total += count
        lines.append(f'{name}_bucket{{le="{"+Inf" if edge is None else edge / 1e9}"}} {total}')
    return [*lines, f"{name}_sum {collector.counts.tick_ns / 1e9:.6f}", f"{name}_count {total}"]


class MetricsPage:
    """A listener that answers every GET with the page, one at a time; a thread of its own."""

    def __init__(self, listen: str, page: Callable[[], str]) -> None:
        """Raises OSError if the address cannot be listened on."""
        address, _, port = listen.rpartition(":")
        self._socket = socket.create_server((address.strip("[]"), int(port)), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port: int = self._socket.getsockname()[1]
        self._page = page
        threading.Thread(target=self._serve, name="metrics", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    self._answer(connection)
                except OSError as error:
                    log.debug("metrics_page_unread", extra={"error": str(error)})

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        request = b""
        while b"\r\n\r\n" not in request and len(request) < 16384:
            piece = connection.recv(4096)
            if not piece:
                return
            request += piece
        body = self._page().encode() if request.startswith(b"GET ") else b""
        status = "200 OK" if body else "405 Method Not Allowed"
        head = f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
