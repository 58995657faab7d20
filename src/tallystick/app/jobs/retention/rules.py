"""How long what is kept: the settings of retention as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tallystick.app.settings import Settings
from tallystick.model.instants import DAY_NS, HOUR_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Ages in nanoseconds; `segments_ns` and `hours_ns` count from the invoices of their period, the others from what they are of.

    `archive` is the folder that samples are moved to, or None.
    """

    payload_ns: int = 72 * HOUR_NS
    segments_ns: int = 30 * DAY_NS
    hours_ns: int = 30 * DAY_NS
    days_ns: int = 365 * DAY_NS
    requests_ns: int = 7 * DAY_NS
    messages_ns: int = 30 * DAY_NS
    quarantine_ns: int = 365 * DAY_NS
    archive: Path | None = None

    @staticmethod
    def of(settings: Settings) -> Rules:
        """The rules of these settings."""
        return Rules(
            payload_ns=settings.retention_payload_hours * HOUR_NS,
            segments_ns=settings.retention_segment_days * DAY_NS,
            hours_ns=settings.retention_hour_days * DAY_NS,
            days_ns=settings.retention_day_days * DAY_NS,
            requests_ns=settings.retention_request_days * DAY_NS,
            messages_ns=settings.retention_message_days * DAY_NS,
            quarantine_ns=settings.retention_quarantine_days * DAY_NS,
            archive=settings.archive_directory,
        )
