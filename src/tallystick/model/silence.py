"""Silences: agents and resources that are away, and what is known about a gap's cause."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tallystick.model.usage import Filled, GapCause


class AbsenceKind(StrEnum):
    """Who is away."""

    AGENT = "agent"
    RESOURCE = "resource"


class AbsenceCause(StrEnum):
    """Why nothing comes: the agent is not heard from, or it is, and nothing comes of the resource all the same."""

    AGENT_AWAY = "agent_away"
    SILENT = "silent"


class AbsenceEnd(StrEnum):
    """How an absence ended: it came back, another instance has its resources, it stopped after all, a person let it be."""

    RETURNED = "returned"
    CLAIMED = "claimed"
    STOPPED = "stopped"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Somebody of whom nothing comes. `subject` is the agent's instance or the resource; `instance_id` the agent that listed it.

    `since_ns` is the last sign of it: the last heartbeat of an agent on the server's clock, the last sample of a resource.
    """

    kind: AbsenceKind
    subject: str
    instance_id: str
    cause: AbsenceCause
    since_ns: int
    noticed_at_ns: int
    closed_at_ns: int | None = None
    ended: AbsenceEnd | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAgent:
    """An agent by its last heartbeat. `reported_until_ns` is 0 where it does not say; `row` rises with the first heartbeat.

    `key_id` is the key that reported it first, empty where that is not known.
    """

    row: int
    instance_id: str
    received_at_ns: int
    reported_until_ns: int
    active: tuple[str, ...]
    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenResource:
    """A resource that an agent lists, or listed and told no end of.

    `listed_at_ns` is since when it is expected; `last_sample_ns`, `interval_ns` are of its last sample, None: it has none;
    `ended` tells that a stop at or after its last sample, or its deletion, was told of.
    """

    resource_id: str
    instance_id: str
    listed_at_ns: int
    last_sample_ns: int | None
    interval_ns: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """When silence is noticed.

    An agent is away `agent_after_ns` after its last heartbeat. A resource is silent when its agent reported so far past its last
    sample (`resource_after_ns`, at least ten intervals); where the agent does not say how far, `unsaid_after_ns` after it.
    """

    agent_after_ns: int
    resource_after_ns: int
    unsaid_after_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a look at who is there changes: absences that open, and open ones that end, each with how."""

    opened: tuple[Absence, ...]
    closed: tuple[tuple[Absence, AbsenceEnd], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known around the gaps of one resource besides its timeline.

    `absences` are the spans [from, until) in which its agent was away; `lost` the spans between two batches of one boot and
    spool whose numbers are no neighbours, with nothing stored of those between.
    """

    absences: tuple[tuple[int, int], ...] = ()
    lost: tuple[tuple[int, int], ...] = ()


class GapState(StrEnum):
    """Where a gap stands: it goes on (`live`), it ended and stands in the usage (`open`), or later data closed it."""

    LIVE = "live"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedGap:
    """A gap of a list. `until_ns` of one that goes on is `LATEST_NS`, and how it will be filled is None: nobody knows yet."""

    resource_id: str
    from_ns: int
    until_ns: int
    filled: Filled | None
    cause: GapCause
    state: GapState
    noticed_at_ns: int
    closed_at_ns: int | None = None

    @property
    def estimated_percent(self) -> int | None:
        """How much of the usage that is counted in it is estimated: all of time, memory and sizes, or nothing is counted at all."""
        return None if self.filled is None else 100 if self.filled is Filled.INTERPOLATED else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceCounts:
    """How many are away, late, silent, open, missing or in conflict, over all places.

    `gaps` and `resources` are by cause; `clocks_off` are living agents whose clock is farther from the server's than a limit;
    `hours_waiting` are hours that ended more than an hour ago and are not computed.
    """

    agents: int
    away: int
    late: int
    clocks_off: int
    resources: tuple[tuple[str, int], ...]
    gaps: tuple[tuple[str, int], ...]
    missing: int
    conflicts: int
    hours_waiting: int
