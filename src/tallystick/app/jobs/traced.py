"""The traces of hours: the computing of an hour belongs to the trace of the batch that marked it."""

from __future__ import annotations

from collections.abc import Iterable

from tallystick.app.clock import Clock
from tallystick.app.telemetry.tracing import Traces
from tallystick.store.records import DirtyHour


class HourTraces:
    """Records the computing of traced hours; those of which no batch was traced cost nothing."""

    def __init__(self, traces: Traces | None, clock: Clock) -> None:
        self._traces = traces
        self._clock = clock

    def now_ns(self) -> int:
        """When what is computed next begins; 0 where nothing is recorded."""
        return self._clock.now_ns() if self._traces else 0

    def computed(self, marks: Iterable[DirtyHour], began_ns: int) -> None:
        """These hours were computed and are durable; it began at `began_ns`."""
        if self._traces is None:
            return
        ended_ns = self._clock.now_ns()
        for mark in marks:
            if mark.trace:
                self._traces.hour(mark.resource_id, mark.hour_ns, mark.trace, (began_ns, ended_ns))
