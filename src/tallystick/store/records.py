"""What the store gives back that the product has no other word for: payloads, marks, jobs, entries of logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.timeline import PayloadForm
from tallystick.model.usage import HourTotals


class NotFound(LookupError):  # noqa: N818 (it is an answer, not a fault)
    """There is no such thing; the message names its kind and id."""


class Clash(Exception):  # noqa: N818 (it is an answer, not a fault)
    """What is asked contradicts what is stored: an active version changed, a finalized invoice drafted again; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPayload:
    """The samples of a batch as they are kept."""

    form: PayloadForm
    body: bytes
    interval_ns: int
    boot_id: str
    resource_id: str
    received_at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A batch that was sent again with other content: both hashes, the second content, and what a person made of it.

    `row` is its number; `first_at_ns`, `last_at_ns` and `samples` are of the second content; `is_thinned`: it holds no samples. `state` is
    `open`, `kept` (the stored content counts on) or `replaced` (the second counts in its place).
    """

    row: int
    resource_id: str
    boot_id: str
    spool_id: str
    sequence: int
    stored_hash: bytes
    sent_hash: bytes
    received_at_ns: int
    body: bytes
    interval_ns: int
    first_at_ns: int
    last_at_ns: int
    samples: int
    state: str
    resolved_at_ns: int | None
    resolved_by: str
    reason: str
    is_thinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DirtyHour:
    """An hour of a resource that is to be computed; the mark is the one seen exactly if its generation still is."""

    place: Place
    resource_key: int
    resource_id: str
    hour_ns: int
    generation: int
    trace: str = ""
    """The W3C trace context of a batch that marked it; empty: none was traced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplacedHours:
    """What replacing hours did: which hours were replaced, and of those in which usage became another what was before and is now.

    `unknown_until_ns` is how far the unknown gaps reach that began in them or do so no more; 0: there are none.
    """

    replaced: tuple[int, ...]
    exchanged: Mapping[int, tuple[HourTotals | None, HourTotals | None]]
    unknown_until_ns: int

    @property
    def changed(self) -> tuple[int, ...]:
        """The hours in which usage became another."""
        return tuple(sorted(self.exchanged))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A claimed job: whoever holds the highest fence is its only owner."""

    job: str
    scope: str
    period: str
    owner: str
    fence: int


class LostLease(Exception):  # noqa: N818 (it is a state of the world, not a fault)
    """Another worker has claimed the job since: what this one did must not be committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """A job by its row. `state` is `run`, `done` or `failed`."""

    job: str
    scope: str
    period: str
    state: str
    owner: str
    attempts: int
    lease_until_ms: int
    done_at_ms: int | None
    failure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry of the audit log, with its place in the order of commits."""

    key: int
    commit_seq: int
    at_ns: int
    actor: str
    action: str
    subject: str
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """A message that was decided in a transaction and is to be delivered after it."""

    key: int
    topic: str
    subject: str
    body: Mapping[str, object]
    created_at_ns: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What is kept under an idempotency key: `status` is None, and `answer` empty, while the request is answered."""

    request_hash: bytes
    status: int | None
    answer: bytes
