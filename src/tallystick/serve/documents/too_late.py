"""Documents of batches that came when their hours were sealed."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from tallystick.model.instants import iso
from tallystick.serve.documents.values import Document, Name, ShownInstant, shown_instant
from tallystick.store.retention.too_late import LateBatch


class ShownLate(Document):
    """A batch of which something lies in sealed hours. `first_at`, `last_at` and `samples` are of that part.

    `change` is by hour the difference of each meter in its base unit: what admitting the batch would change, or did.
    """

    batch: int
    resource_id: str
    boot_id: str
    spool_id: str
    sequence: int
    first_at: ShownInstant
    last_at: ShownInstant
    samples: int
    received_at: ShownInstant
    sealed_until: ShownInstant
    state: str
    decided_at: ShownInstant | None
    decided_by: str | None
    reason: str | None
    change: dict[str, dict[str, int]]


class Decision(Document):
    """Why a late batch is admitted or dismissed."""

    reason: Name = Field(default="")


def shown_late(late: LateBatch, change: Mapping[str, Mapping[str, int]]) -> ShownLate:
    """A late batch with what it changes."""
    return ShownLate(
        batch=late.batch_key,
        resource_id=late.resource_id,
        boot_id=late.boot_id,
        spool_id=late.spool_id,
        sequence=late.sequence,
        first_at=iso(late.first_at_ns),
        last_at=iso(late.last_at_ns),
        samples=late.samples,
        received_at=iso(late.received_at_ns),
        sealed_until=iso(late.sealed_until_ns),
        state=late.state,
        decided_at=shown_instant(late.decided_at_ns),
        decided_by=late.decided_by,
        reason=late.reason,
        change={hour: dict(meters) for hour, meters in change.items()},
    )
