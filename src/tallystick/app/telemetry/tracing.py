"""Traces, for who asks for them: one from the agent's ticks over the ingest to the usage hour, sent by OpenTelemetry (OTLP over HTTP).

A trace travels as W3C trace context (`traceparent`): in the batch from host to server, in the mark of an hour to the worker. The
SDK is imported only where an endpoint is set: it is an extra of the package, and costs an agent 20 MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tallystick.model.instants import iso
from tallystick.model.samples import BatchIdentity

FLUSH_SECONDS = 3


class TracingUnavailable(RuntimeError):  # noqa: N818 (it is a state of the installation, not a fault)
    """Traces are asked for, and the SDK is not installed; the message says what to install."""


@dataclass(slots=True, kw_only=True)
class OpenSpan:
    """A span that has begun. `context` is what its children name as their parent; empty if it is not recorded."""

    context: str
    _span: Any = None

    def end(self, at_ns: int, failure: str = "") -> None:
        """End it; a failure is its status."""
        if self._span is None:
            return
        if failure:
            from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - only where traces are on

            self._span.set_status(Status(StatusCode.ERROR, failure))
        self._span.end(end_time=at_ns)


NO_SPAN = OpenSpan(context="")


class Traces:
    """Records spans by explicit instants, and sends them in the background; what cannot be sent is dropped, never waited for.

    Of the traces that begin here `sample_percent` of a hundred are recorded; of others what their context says.
    """

    def __init__(self, endpoint: str, service: str, sample_percent: int) -> None:
        """Start to record; `endpoint` is a collector's, such as http://127.0.0.1:4318.

        Raises:
            TracingUnavailable: the SDK is not installed.

        """
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise TracingUnavailable(f"traces_endpoint = {endpoint!r} needs `pip install 'tallystick[tracing]'`: {error}") from None
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: service}), sampler=ParentBased(TraceIdRatioBased(sample_percent / 100))
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
        self._tracer = self._provider.get_tracer("tallystick")

    def begin(self, name: str, parent: str, at_ns: int, attributes: Mapping[str, str | int]) -> OpenSpan:
        """Begin a span under a parent's context; without one, or with one that cannot be read, a trace of its own."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - only where traces are on

        propagator = TraceContextTextMapPropagator()
        above = propagator.extract({"traceparent": parent}) if parent else None
        span = self._tracer.start_span(name, context=above, attributes=dict(attributes), start_time=at_ns)
        if not span.is_recording():
            return NO_SPAN
        context = span.get_span_context()
        return OpenSpan(context=f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}", _span=span)

    def batch(self, identity: BatchIdentity, instants: tuple[int, int], samples: int) -> str:
        """The trace of a batch of the agent: from its first tick to its last; the context that travels with it, or empty."""
        attributes: dict[str, str | int] = {
            "tally.resource_id": identity.resource_id,
            "tally.boot_id": identity.boot_id,
            "tally.sequence": identity.sequence,
            "tally.samples": samples,
        }
        span = self.begin("collect", "", instants[0], attributes)
        span.end(instants[1])
        return span.context

    def hour(self, resource_id: str, hour_ns: int, parent: str, instants: tuple[int, int]) -> None:
        """The computing of a usage hour, under the ingest that marked it."""
        attributes: dict[str, str | int] = {"tally.resource_id": resource_id, "tally.hour": iso(hour_ns)}
        self.begin("usage_hour", parent, instants[0], attributes).end(instants[1])

    def close(self) -> None:
        """Send what is left, for some seconds at most."""
        self._provider.force_flush(FLUSH_SECONDS * 1000)
        self._provider.shutdown()


def traces_of(endpoint: str, service: str, sample_percent: int) -> Traces | None:
    """The traces of a process; None where no endpoint is set.

    Raises:
        TracingUnavailable: one is set, and the SDK is not installed.

    """
    return Traces(endpoint, service, sample_percent) if endpoint else None
