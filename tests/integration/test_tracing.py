"""One trace from the ticks of a real agent over a real server to the usage hour of its worker, as a collector of traces gets it."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.keys import agent_key
from tests.servers import ROOT, ServerProcess

SOON_SECONDS = 30


@dataclass
class Collector:
    """Takes OTLP over HTTP, as its specification says: protobuf, perhaps gzipped, at /v1/traces."""

    spans: dict[bytes, tuple[str, Span]] = field(default_factory=dict)

    def __enter__(self) -> Collector:
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                assert self.headers["content-type"] == "application/x-protobuf"
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    names = {each.key: each.value.string_value for each in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        spans.update({span.span_id: (names["service.name"], span) for span in scope.spans})
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def chains(self) -> list[list[tuple[str, Span]]]:
        """Of each usage hour's span the way up to the root: (service, span)."""
        found = []
        for service, span in list(self.spans.values()):
            chain, current = [(service, span)], span
            while current.parent_span_id in self.spans:
                above, current = self.spans[current.parent_span_id]
                assert current.trace_id == span.trace_id
                chain.append((above, current))
            if span.name == "usage_hour" and not current.parent_span_id:
                found.append(chain)
        return found


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


def test_one_trace_from_the_tick_to_the_usage_hour(collector: Collector, tmp_path: Path) -> None:
    key = agent_key(tmp_path / "state")
    (tmp_path / "key").write_text(key)
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time\nwhile True: time.sleep(0.01)", "tally-traced"])
    quick = {"OTEL_BSP_SCHEDULE_DELAY": "200"}
    traced = {"TALLY_TRACES_ENDPOINT": collector.url, "TALLY_WORKERS": "1", "TALLY_ROLLUP_INTERVAL_MS": "100", **quick}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TALLY_")}
    try:
        with ServerProcess(tmp_path / "state", traced) as server:
            environment = {
                **kept,
                **quick,
                "PYTHONPATH": str(ROOT / "src"),
                "TALLY_AGENT_ENDPOINT": server.url,
                "TALLY_AGENT_KEY_FILE": str(tmp_path / "key"),
                "TALLY_AGENT_SPOOL_DIRECTORY": str(tmp_path / "spool"),
                "TALLY_AGENT_SOURCE": "proc",
                "TALLY_AGENT_PROC_MATCH": "*tally-traced*",
                "TALLY_AGENT_PROC_MINIMUM_CPU_MS": "0",
                "TALLY_AGENT_BATCH_SECONDS": "1",
                "TALLY_AGENT_TRACES_ENDPOINT": collector.url,
                "TALLY_AGENT_TRACES_SAMPLE_PERCENT": "100",
            }
            agent = subprocess.Popen([sys.executable, "-m", "tallystick.app.agent", "run"], env=environment)
            try:
                until = time.monotonic() + SOON_SECONDS
                while not collector.chains() and time.monotonic() < until:
                    time.sleep(0.1)
            finally:
                agent.terminate()
                assert agent.wait(20) == 0
    finally:
        child.kill()
        child.wait()
    chains = collector.chains()
    assert chains
    steps = [(service, span.name) for service, span in chains[0]]
    assert steps == [("tally-worker", "usage_hour"), ("tally-server", "ingest"), ("tally-agent", "collect")]
    usage_hour, collect = chains[0][0][1], chains[0][-1][1]
    told = {each.key: each.value for each in collect.attributes}
    assert told["tally.samples"].int_value > 0
    assert collect.start_time_unix_nano < collect.end_time_unix_nano <= usage_hour.end_time_unix_nano


def test_a_request_that_comes_with_a_context_goes_on_in_its_trace(collector: Collector, tmp_path: Path) -> None:
    """Later VM daemons send `traceparent`; what is no such thing is left aside, and nothing is refused for it."""
    key = agent_key(tmp_path / "state")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    body = b'{"vmId": "vm-1", "customerId": "acme", "metrics": [{"timestamp": "2026-01-10T08:00:00Z", "cpuTimeNanos": "1"}]}'
    with ServerProcess(tmp_path / "state", {"TALLY_TRACES_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}) as server:
        for context in (f"00-{trace}-00f067aa0ba902b7-01", "no context", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"):
            headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "traceparent": context}
            assert server.call("POST", "/billing.v1.BillingService/SendMetricsBatch", body, headers).status == 200
    spans = [span for _, span in collector.spans.values() if span.trace_id.hex() == trace]
    assert [(span.name, span.parent_span_id.hex()) for span in spans] == [("ingest", "00f067aa0ba902b7")]


def test_traces_without_the_sdk_are_refused_in_words(tmp_path: Path) -> None:
    code = "import sys; sys.modules['opentelemetry.sdk.trace'] = None\nfrom tallystick.app.server import run_server\n"
    code += "from tallystick.app.settings import load_settings\nsys.exit(run_server(load_settings()))"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "TALLY_STATE_DIR": str(tmp_path),
        "TALLY_TRACES_ENDPOINT": "http://127.0.0.1:9",
    }
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 1
    assert "traces_endpoint = 'http://127.0.0.1:9' needs `pip install 'tallystick[tracing]'`" in ran.stderr
