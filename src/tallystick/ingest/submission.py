"""What one request wants stored, and what became of it: the values that the handlers and the writer share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tallystick.meter.thin.host import Thinned
from tallystick.model.access import Grant
from tallystick.model.findings import Finding
from tallystick.model.outcomes import BatchResult, Outcome, Refusal
from tallystick.model.records import UsageRecord
from tallystick.model.resources import Fact
from tallystick.model.samples import BatchIdentity, LifecycleEvent

Columns = dict[str, Sequence[int] | npt.NDArray[np.int64]]
"""Values by column name, all present ones of one length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentBatch:
    """A batch as it was sent: `samples` samples (as declared) as byte planes, as columns (full values), or thinned.

    `thinned_body` are the bytes of a thinned form as it was sent. `differences`: its counters are what was used since the sample
    before, not sums.
    """

    identity: BatchIdentity
    interval_ns: int
    samples: int
    planes: bytes | None = None
    columns: Columns | None = None
    thinned: Thinned | None = None
    thinned_body: bytes = b""
    trace: str = ""
    """Its W3C trace context; empty: it is not traced."""
    differences: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A sample of a row batch that cannot be: its index in the batch as sent, the field, and its value, as text."""

    resource_id: str
    index: int
    field: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """That an agent lives, what it sees, and until when all that it measured has been sent.

    `clock_offset_ns` is the agent's clock minus the server's, as it measured it; None: it did not tell, as of `clock_synchronised`.
    """

    instance_id: str
    active_resources: tuple[str, ...]
    at_ns: int
    reported_until_ns: int
    spool_depth: int = 0
    missed_ticks: int = 0
    clock_offset_ns: int | None = None
    clock_synchronised: bool | None = None
    thinned_batches: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """All that one request wants stored. What is refused already stands in its place as a `Refusal`."""

    grant: Grant
    received_at_ns: int
    batches: Sequence[SentBatch | Refusal] = ()
    events: Sequence[LifecycleEvent | Refusal] = ()
    facts: Sequence[Fact | Refusal] = ()
    records: Sequence[UsageRecord | Refusal] = ()
    heartbeat: Heartbeat | None = None
    quarantined: Sequence[Quarantined] = ()
    findings: Sequence[Finding] = ()
    size_bytes: int = 0
    trace: str = ""
    """The W3C trace context that the request came with; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of a submission: a result for each batch, event, fact and record, in its order, once all is durable.

    `heartbeat` says why a heartbeat was refused; None: it was not, or there was none.
    """

    batches: Sequence[BatchResult] = ()
    events: Sequence[BatchResult] = ()
    facts: Sequence[BatchResult] = ()
    records: Sequence[BatchResult] = ()
    heartbeat: Refusal | None = None


class Clock(Protocol):
    """What tells the time."""

    def now_ns(self) -> int:
        """The present instant: nanoseconds since the epoch, UTC."""
        ...

    def monotonic_ns(self) -> int:
        """A count of nanoseconds that never goes back."""
        ...


class Intake(Protocol):
    """Who stores submissions: the group writer."""

    async def submit(self, submission: Submission) -> Receipt:
        """Store it durably, then tell what became of it."""
        ...


class Span(Protocol):
    """A part of a trace that has begun."""

    @property
    def context(self) -> str:
        """The W3C trace context that its children name; empty if it is not recorded."""
        ...

    def end(self, at_ns: int, failure: str = "") -> None:
        """End it."""
        ...


class Spans(Protocol):
    """Who records traces."""

    def begin(self, name: str, parent: str, at_ns: int, attributes: Mapping[str, str | int]) -> Span:
        """Begin a span under the context of a parent; without one a trace of its own, if it is chosen."""
        ...


class Observer(Protocol):
    """Who counts what the edge does; nothing here waits for it."""

    def request(self, method: str, code: str, seconds: float) -> None:
        """A request was answered: `code` is `ok` or a Connect error code."""
        ...

    def outcome(self, kind: str, outcome: str, count: int) -> None:
        """So many batches, events, facts, records or samples had this outcome."""
        ...

    def commit(self, batches: int, samples: int, seconds: float, stored_seconds: float) -> None:
        """A group was taken in, in so many seconds; of these it was stored in, from waiting for its turn to durable, `stored_seconds`."""
        ...

    def failure(self, what: str, error: BaseException) -> None:
        """Something failed that should not: it is logged with its trace."""
        ...


def refused(refusal: Refusal) -> BatchResult:
    """The result of what is refused."""
    return BatchResult(outcome=Outcome.REFUSED, refusal=refusal)
