"""Usage records: amounts that something else measured (metering.md, Vocabulary)."""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.model.instants import DAY_NS
from tallystick.model.outcomes import Refusal, RefusalCode
from tallystick.model.samples import FUTURE_LIMIT_NS, LARGEST
from tallystick.model.usage import STORED_METERS

LONGEST_RECORD_NS = 31 * DAY_NS
"""The longest a record may be: each hour that it touches is computed again."""
LARGEST_AMOUNT = 2**100
"""16 TiB held for a year are 2^99 byte·ns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """An amount of one meter of a resource over [from_ns, until_ns), as `source` measured it.

    Identity is (scope, source, record_id, meter), for ever. `amount` is in the meter's base unit, an exact integer; it is spread
    over cells as a counter is; with `until_ns` equal to `from_ns` all of it lies in the cell that holds that instant.
    `content_hash` is SHA-256 over what was sent: a repeat has the same, other content is a conflict.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRecord:
    """A usage record as it was sent, before anything of it is checked: `amount` are its digits, which may need more than 64 bits."""

    source: str
    record_id: str
    resource_id: str
    meter: str
    from_ns: int
    until_ns: int
    amount: str
    peak: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredRecord:
    """A stored record. Of two sources of a scope the one that sent its first record earlier has the smaller `source_number`."""

    record: UsageRecord
    source_number: int


def record_refusal(record: UsageRecord) -> Refusal | None:
    """Why a record cannot be, or None: its meter, its span, its amount or its peak. Its ids are the edge's to check.

    Meters that are sums (`disk.io`) have no records of their own, so that nothing counts twice: their parts have.
    """
    if record.meter not in STORED_METERS:
        return Refusal(code=RefusalCode.UNSUPPORTED, field="meter", value=record.meter[:60])
    span_ns = record.until_ns - record.from_ns
    for field, value in (("from", record.from_ns), ("until", record.until_ns)):
        if not 0 < value <= LARGEST:
            return Refusal(code=RefusalCode.OUT_OF_RANGE, field=field, value=str(value))
    if span_ns < 0:
        return Refusal(code=RefusalCode.UNORDERED, field="until", value=str(record.until_ns))
    if record.until_ns > record.received_at_ns + FUTURE_LIMIT_NS:
        return Refusal(code=RefusalCode.FUTURE, field="until", value=str(record.until_ns))
    if span_ns > LONGEST_RECORD_NS:
        days = LONGEST_RECORD_NS // DAY_NS
        return Refusal(
            code=RefusalCode.TOO_LARGE, field="until", value=f"{record.until_ns}: {span_ns} ns after its beginning, at most {days} d"
        )
    if not 0 <= record.amount <= LARGEST_AMOUNT:
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field="amount", value=str(record.amount)[:60])
    if record.peak is not None and record.meter != "memory.used":
        return Refusal(code=RefusalCode.UNSUPPORTED, field="peak", value=str(record.peak))
    if record.peak is not None and not 0 <= record.peak <= LARGEST:
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field="peak", value=str(record.peak)[:60])
    return None
