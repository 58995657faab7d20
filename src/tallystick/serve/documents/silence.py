"""Documents of what is not there: gaps, who is away, numbers that are missing, contents that contradict."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tallystick.model.instants import LATEST_NS, iso
from tallystick.model.silence import AbsenceCause, AbsenceEnd, AbsenceKind, GapState, ListedGap
from tallystick.model.usage import Filled, GapCause
from tallystick.serve.documents.values import NO_CONTROLS, Document, ShownInstant, shown_instant
from tallystick.store.records import Conflict
from tallystick.store.watch.absences import StoredAbsence
from tallystick.store.watch.sequences import MissingNumbers

COUNTED = {
    None: "not known yet: it goes on",
    Filled.INTERPOLATED: "time, memory and sizes in it are estimated, counters are exact but for their place",
    Filled.UNKNOWN: "nothing is counted in it",
}

Reason = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=NO_CONTROLS)]
"""Why a person did it, for the audit log."""


class ShownGap(Document):
    """A silence of one resource: it goes on (`live`, `until` is null), stands in the usage (`open`), or was closed by late data.

    `estimated_percent` is how much of the time, memory and sizes that are counted in it is estimated, `counted` the same in words;
    null while it goes on.
    """

    resource_id: str
    customer_id: str
    from_: ShownInstant = Field(alias="from")
    until: ShownInstant | None
    state: GapState
    filled: Filled | None
    cause: GapCause
    estimated_percent: int | None
    counted: str
    noticed_at: ShownInstant
    closed_at: ShownInstant | None


class ShownMissing(Document):
    """Sequence numbers first to last of a resource, boot and spool that no stored batch has, since they were noticed."""

    resource_id: str
    boot_id: str
    spool_id: str
    first: int
    last: int
    noticed_at: ShownInstant


class ShownAbsence(Document):
    """An agent or a resource of which nothing comes since `since`; `ended` says how it ended, `actor` and `reason` who let it be."""

    id: int
    kind: AbsenceKind
    subject: str
    agent_id: str
    cause: AbsenceCause
    since: ShownInstant
    noticed_at: ShownInstant
    closed_at: ShownInstant | None
    ended: AbsenceEnd | None
    actor: str
    reason: str


class Dismissal(Document):
    """Why an absence is let be."""

    reason: Reason


class ReleasedAgent(Document):
    """An instance that is nobody's now: the key that reports it next has it."""

    agent_id: str


class ShownConflict(Document):
    """A batch that was sent again with other content. `first`, `last` and `samples` are of the content that was kept aside.

    `state` is `open`, `kept` (the stored content counts on) or `replaced` (the other counts in its place).
    """

    id: int
    resource_id: str
    boot_id: str
    spool_id: str
    sequence: int
    stored_hash: str
    sent_hash: str
    received_at: ShownInstant
    first: ShownInstant
    last: ShownInstant
    samples: int
    state: str
    resolved_at: ShownInstant | None
    resolved_by: str
    reason: str


class Resolution(Document):
    """Which content counts: the one that is `stored`, or the one that was `sent` after it; and why."""

    counts: Literal["stored", "sent"]
    reason: Reason


def shown_gap(gap: ListedGap, customer_id: str) -> ShownGap:
    """A gap as a document."""
    return ShownGap.model_validate(
        {
            "resource_id": gap.resource_id,
            "customer_id": customer_id,
            "from": iso(gap.from_ns),
            "until": None if gap.until_ns == LATEST_NS else iso(gap.until_ns),
            "state": gap.state,
            "filled": gap.filled,
            "cause": gap.cause,
            "estimated_percent": gap.estimated_percent,
            "counted": COUNTED[gap.filled],
            "noticed_at": iso(gap.noticed_at_ns),
            "closed_at": shown_instant(gap.closed_at_ns),
        }
    )


def shown_missing(found: MissingNumbers) -> ShownMissing:
    """Missing numbers as a document."""
    return ShownMissing(
        resource_id=found.resource_id,
        boot_id=found.boot_id,
        spool_id=found.spool_id,
        first=found.first,
        last=found.last,
        noticed_at=iso(found.noticed_at_ns),
    )


def shown_absence(found: StoredAbsence) -> ShownAbsence:
    """An absence as a document."""
    one = found.absence
    return ShownAbsence(
        id=found.row,
        kind=one.kind,
        subject=one.subject,
        agent_id=one.instance_id,
        cause=one.cause,
        since=iso(one.since_ns),
        noticed_at=iso(one.noticed_at_ns),
        closed_at=shown_instant(one.closed_at_ns),
        ended=one.ended,
        actor=found.actor,
        reason=found.reason,
    )


def shown_conflict(found: Conflict) -> ShownConflict:
    """A conflict as a document."""
    return ShownConflict(
        id=found.row,
        resource_id=found.resource_id,
        boot_id=found.boot_id,
        spool_id=found.spool_id,
        sequence=found.sequence,
        stored_hash=found.stored_hash.hex(),
        sent_hash=found.sent_hash.hex(),
        received_at=iso(found.received_at_ns),
        first=iso(found.first_at_ns),
        last=iso(found.last_at_ns),
        samples=found.samples,
        state=found.state,
        resolved_at=shown_instant(found.resolved_at_ns),
        resolved_by=found.resolved_by,
        reason=found.reason,
    )
