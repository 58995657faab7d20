"""Resources and what is declared of them: customer, sizes, region, labels, each with the instant from which it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

UNASSIGNED = ""
"""The customer of a resource that nobody assigned."""

SIZES = ("vcpus", "memory_bytes", "disk_bytes", "gpus")


class Origin(StrEnum):
    """Who declared a fact: an assignment by a person beats one by an agent."""

    AGENT = "agent"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is declared of a resource from `at_ns` on; None means not named: the value before stays in force.

    Sizes are whole vcpus and gpus and bytes. `deleted` ends all. Of two facts at one instant the one received later wins.
    """

    resource_id: str
    at_ns: int
    received_at_ns: int
    origin: Origin = Origin.AGENT
    customer_id: str | None = None
    name: str | None = None
    kind: str | None = None
    region: str | None = None
    labels: Mapping[str, str] | None = None
    vcpus: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    gpus: int | None = None
    deleted: bool = False

    @property
    def is_size(self) -> bool:
        """Whether it names a size, or ends all: these are the facts that change usage."""
        return self.deleted or any(value is not None for value in (self.vcpus, self.memory_bytes, self.disk_bytes, self.gpus))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What holds of a resource over the cells [from_ns, until_ns): whose it is, and what charges filter and group by.

    `sizes` are those of `SIZES` that some fact has given by then (a size that nobody gave is unpriced, though its meter
    says 0); None when that is not known: then an allocated meter that is absent, or 0 while time is up, counts as not given.
    """

    from_ns: int
    until_ns: int
    customer_id: str
    name: str = ""
    kind: str = ""
    region: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    sizes: tuple[str, ...] | None = None
