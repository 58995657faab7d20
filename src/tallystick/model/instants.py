"""Instants and the usage grid, as integer nanoseconds since the Unix epoch, UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
CELL_NS = 300 * SECOND_NS
HOUR_NS = 3600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
CELLS_PER_HOUR = HOUR_NS // CELL_NS
LATEST_NS = 2**63 - 1


def cell_start(at_ns: int) -> int:
    """The start of the five-minute cell that holds `at_ns`: usage at a boundary is the later cell's."""
    return at_ns - at_ns % CELL_NS


def cell_end(at_ns: int) -> int:
    """The first cell boundary at or after `at_ns`: where an end that nothing follows takes effect."""
    return -(-at_ns // CELL_NS) * CELL_NS


def hour_start(at_ns: int) -> int:
    """The start of the UTC hour that holds `at_ns`."""
    return at_ns - at_ns % HOUR_NS


@lru_cache(maxsize=1024)
def iso(at_ns: int) -> str:
    """ISO 8601 in UTC with as many fractional digits as the instant has: 0, 3, 6 or 9."""
    whole, nanos = divmod(at_ns, SECOND_NS)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{nanos:09d}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"


def parse_iso(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 instant with an offset.

    Raises:
        ValueError: the text is no instant, or has no offset; the message names the text.

    """
    head, dot, tail = text.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))] if dot else ""
    rest = tail[len(digits) :] if dot else ""
    try:
        moment = datetime.fromisoformat(head + rest)
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO 8601 instant such as 2026-03-10T08:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset: write 2026-03-10T08:00:00Z")
    if (dot and not digits) or len(digits) > 9:
        raise ValueError(f"{text!r} has more than nine fractional digits, or none after the point")
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86400 + since.seconds) * SECOND_NS + int(digits.ljust(9, "0") or "0")
