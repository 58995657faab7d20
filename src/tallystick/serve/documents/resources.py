"""Documents of what is metered: resources, what is declared of them, and when they were not available."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from tallystick.model.billing.invoices import OutageCause
from tallystick.model.billing.outages import DeclaredOutage
from tallystick.model.instants import iso
from tallystick.model.resources import SIZES, Attributes, Fact, Origin
from tallystick.serve.documents.silence import Reason
from tallystick.serve.documents.values import Document, Id, Instant, Integer, Labels, Name, ShownInstant, shown_instant
from tallystick.serve.problems import invalid
from tallystick.store.usage.outages import StoredOutage

MOST_UNITS = 10**6
MOST_NAMED = 1000
MOST_BYTES = 2**60
"""Larger sizes are mistakes, and their integrals would not fit the columns of usage."""


class NewFact(Document):
    """What holds of a resource from `at` (now) on; what is not named stays as it was. `deleted` ends it."""

    at: Instant | None = None
    customer_id: Name | None = None
    name: Name | None = None
    kind: Name | None = None
    region: Name | None = None
    labels: Labels | None = None
    vcpus: Annotated[Integer, Field(le=MOST_UNITS)] | None = None
    memory_bytes: Annotated[Integer, Field(le=MOST_BYTES)] | None = None
    disk_bytes: Annotated[Integer, Field(le=MOST_BYTES)] | None = None
    gpus: Annotated[Integer, Field(le=MOST_UNITS)] | None = None
    deleted: bool = False

    def value(self, resource_id: str, now_ns: int) -> Fact:
        """The fact, declared by a person now."""
        return Fact(
            resource_id=resource_id,
            at_ns=now_ns if self.at is None else self.at,
            received_at_ns=now_ns,
            origin=Origin.PERSON,
            customer_id=self.customer_id,
            name=self.name,
            kind=self.kind,
            region=self.region,
            labels=None if self.labels is None else dict(self.labels),
            vcpus=self.vcpus,
            memory_bytes=self.memory_bytes,
            disk_bytes=self.disk_bytes,
            gpus=self.gpus,
            deleted=self.deleted,
        )

    @property
    def says_something(self) -> bool:
        """Whether it declares anything at all."""
        return self.deleted or any(getattr(self, name) is not None for name in DECLARED)


DECLARED = ("customer_id", "name", "kind", "region", "labels", "vcpus", "memory_bytes", "disk_bytes", "gpus")


class NewResource(NewFact):
    """A resource to be created, with what holds of it. `id` is what its agent calls it; one is made up when it is not given."""

    id: Id | None = None


class ShownFact(Document):
    """What was declared of a resource, by whom, and the instant from which it holds; null: not named."""

    at: ShownInstant
    received_at: ShownInstant
    origin: Origin
    customer_id: str | None
    name: str | None
    kind: str | None
    region: str | None
    labels: dict[str, str] | None
    vcpus: int | None
    memory_bytes: int | None
    disk_bytes: int | None
    gpus: int | None
    deleted: bool


class ShownResource(Document):
    """A resource as it is now. `customer_id` empty: nobody is billed for it. A size that is null was never given."""

    id: str
    customer_id: str
    name: str
    kind: str
    region: str
    labels: dict[str, str]
    vcpus: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    gpus: int | None = None
    deleted: bool = False
    facts: tuple[ShownFact, ...] | None = Field(default=None, description="Newest first; only where one resource is asked for.")


class NewOutage(Document):
    """Unavailability from `start` until `end`: of named resources, or of all that were in a region, had labels, or both.

    `reason` is shown to customers, too. What nobody planned is told as `unplanned_stop`; both count alike.
    """

    id: Id | None = None
    resources: Annotated[tuple[Id, ...], Field(max_length=MOST_NAMED)] = ()
    region: Name = ""
    labels: Labels = Field(default_factory=dict)
    start: Instant
    end: Instant
    cause: Literal["declared", "unplanned_stop"] = "declared"
    reason: Reason

    def value(self, outage_id: str) -> DeclaredOutage:
        """The same as a value.

        Raises:
            Problem: it ends before it starts, is of nothing, or of resources both by name and by what holds of them.

        """
        if self.end <= self.start:
            raise invalid("end", iso(self.end), f"end: {iso(self.end)} is not after the start {iso(self.start)}")
        if bool(self.resources) == bool(self.region or self.labels):
            told = ", ".join(self.resources)
            raise invalid("resources", told, "resources: name resources, or a region or labels of what was not available; not both")
        return DeclaredOutage(
            id=outage_id,
            from_ns=self.start,
            until_ns=self.end,
            reason=self.reason,
            cause=OutageCause(self.cause),
            resources=tuple(sorted(set(self.resources))),
            region=self.region,
            labels=dict(self.labels),
        )


class WithdrawalOfOutage(Document):
    """Why an outage is to count no more."""

    reason: Reason


class ShownOutage(Document):
    """A declared outage. To a customer, `resources` names its own; what was withdrawn counts no more, `withdrawal` says why."""

    id: str
    resources: tuple[str, ...]
    region: str
    labels: dict[str, str]
    start: ShownInstant
    end: ShownInstant
    cause: OutageCause
    reason: str
    declared_at: ShownInstant
    withdrawn_at: ShownInstant | None
    withdrawal: str


def shown_outage(stored: StoredOutage) -> ShownOutage:
    """An outage as a document."""
    outage = stored.outage
    return ShownOutage(
        id=outage.id,
        resources=outage.resources,
        region=outage.region,
        labels=dict(outage.labels),
        start=iso(outage.from_ns),
        end=iso(outage.until_ns),
        cause=outage.cause,
        reason=outage.reason,
        declared_at=iso(stored.created_at_ns),
        withdrawn_at=shown_instant(stored.withdrawn_at_ns),
        withdrawal=stored.withdrawal,
    )


def shown_fact(fact: Fact, sees: Callable[[str], bool]) -> ShownFact:
    """A fact as a document; the name of a customer that the caller may not see is left out."""
    return ShownFact(
        at=iso(fact.at_ns),
        received_at=iso(fact.received_at_ns),
        origin=fact.origin,
        customer_id=fact.customer_id if fact.customer_id is None or sees(fact.customer_id) else None,
        labels=None if fact.labels is None else dict(fact.labels),
        deleted=fact.deleted,
        **{name: getattr(fact, name) for name in DECLARED if name not in ("labels", "customer_id")},
    )


def shown_resource(
    resource_id: str, held: Attributes, facts: Sequence[Fact], at_ns: int, sees: Callable[[str], bool], *, whole: bool
) -> ShownResource:
    """A resource as what holds of it, `facts` in order; sizes are those in force at `at_ns`."""
    sizes, deleted = sizes_at(facts, at_ns)
    return ShownResource(
        id=resource_id,
        customer_id=held.customer_id,
        name=held.name,
        kind=held.kind,
        region=held.region,
        labels=dict(held.labels),
        deleted=deleted,
        facts=tuple(shown_fact(fact, sees) for fact in reversed(facts)) if whole else None,
        **sizes,
    )


def sizes_at(facts: Sequence[Fact], at_ns: int) -> tuple[dict[str, int | None], bool]:
    """Each size in force at an instant (None: not given), and whether the resource is deleted; each holds until it is named again."""
    sizes: dict[str, int | None] = dict.fromkeys(SIZES)
    deleted = False
    for fact in facts:
        if fact.at_ns > at_ns:
            break
        deleted = fact.deleted
        for name in SIZES:
            value = getattr(fact, name)
            sizes[name] = None if fact.deleted else sizes[name] if value is None else value
    return sizes, deleted
