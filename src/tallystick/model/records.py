"""Usage records: amounts that something else measured (metering.md, Vocabulary)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """An amount of one meter of a resource over [from_ns, until_ns), as `source` measured it.

    Identity is (scope, source, record_id, meter), for ever. `amount` is in the meter's base unit, an exact integer; it is spread
    over cells as a counter is. `content_hash` is SHA-256 over what was sent: a repeat has the same, other content is a conflict.
    `peak` raises the peak of the hours it touches (`memory.used` only: bytes); None: none is told.
    """

    source: str
    record_id: str
    resource_id: str
    meter: str
    from_ns: int
    until_ns: int
    amount: int
    received_at_ns: int
    content_hash: bytes
    peak: int | None = None
