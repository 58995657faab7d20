"""Who a caller is and what it may do: the place it writes into, its role, and the customers and regions it is limited to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A name space of resource ids: a seller and one of its scopes. Ids are unique inside it only."""

    seller_id: str = "default"
    scope_id: str = "default"


class Role(StrEnum):
    """What a key is for (wire.md, Authentication)."""

    AGENT = "agent"
    CUSTOMER = "customer"
    BILLING = "billing"
    AUDITOR = "auditor"
    ADMIN = "admin"


WRITES_USAGE = frozenset({Role.AGENT, Role.ADMIN})
"""The roles that may send samples, lifecycle, facts and heartbeats."""


class Counters(StrEnum):
    """What the counters of a source are: sums since it started, or what was used since the sample before."""

    CUMULATIVE = "cumulative"
    PER_SAMPLE = "per_sample"


class CpuHoursUnit(StrEnum):
    """What `cpu_hours` of a usage report holds: core-hours, or (the existing exporter) core-seconds."""

    CORE_HOURS = "core_hours"
    CORE_SECONDS = "core_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceProfile:
    """What the client of a key means but does not say (wire.md, source profile). None: what the settings say.

    `interval_ns` is the sampling interval of protocols that do not tell it; `nobody` are the customer ids that mean nobody.
    """

    counters: Counters | None = None
    interval_ns: int | None = None
    cpu_hours_unit: CpuHoursUnit = CpuHoursUnit.CORE_HOURS
    nobody: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """How much a key may send in a second, as long as it did not send less before; 0: as much as it can."""

    bytes_per_second: int = 0
    requests_per_second: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a caller may do. `customers` and `regions` empty: all of the place; else only those named. `profile`: what it means.

    `rate_limit` None: what the settings say.
    """

    key_id: str
    role: Role
    place: Place
    customers: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    profile: SourceProfile = SourceProfile()
    rate_limit: RateLimit | None = None

    def allows_customer(self, customer_id: str) -> bool:
        """Whether it may read or write what belongs to this customer."""
        return not self.customers or customer_id in self.customers

    def allows_region(self, region: str) -> bool:
        """Whether it may write for resources of this region."""
        return not self.regions or region in self.regions


class Denied(Exception):  # noqa: N818 (it is an answer, not a fault)
    """The caller is unknown (`known` is false: 401), or known and not allowed (403). The message may be shown to it."""

    def __init__(self, message: str, *, known: bool) -> None:
        super().__init__(message)
        self.known = known


class BusyReason(StrEnum):
    """Why a request must come again later."""

    KEY_RATE = "key_rate"
    KEY_SHARE = "key_share"
    SERVER_FULL = "server_full"


_SAID = {
    BusyReason.KEY_RATE: "this key sends more in a second than it may",
    BusyReason.KEY_SHARE: "this key has as much under way as it may beside others",
    BusyReason.SERVER_FULL: "the server is full",
}


class Busy(Exception):  # noqa: N818 (it is an answer, not a fault)
    """Not now: nothing of the request was stored, it may come again after so many seconds. The message may be shown."""

    def __init__(self, reason: BusyReason, retry_after_seconds: int) -> None:
        super().__init__(f"{_SAID[reason]}: come again in {retry_after_seconds} s")
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class Ticket(Protocol):
    """A request that was let in: it takes room until it leaves."""

    def grow(self, size_bytes: int) -> None:
        """It takes so much room, more than was known at the door.

        Raises:
            Busy: there is no room for it.

        """
        ...

    def leave(self) -> None:
        """It was answered."""
        ...


class Admission(Protocol):
    """Who bounds what is under way."""

    async def enter(self, grant: Grant, size_bytes: int) -> Ticket:
        """Let a request of this size in; it may have to wait a moment.

        Raises:
            Busy: it must come again later.

        """
        ...
