"""Documents of what is metered: resources and what is declared of them."""

from __future__ import annotations

from pydantic import Field

from tallystick.model.instants import iso
from tallystick.model.resources import Fact, Origin
from tallystick.serve.documents.values import Document, Id, Instant, Integer, Labels, Name, ShownInstant


class NewFact(Document):
    """What holds of a resource from `at` (now) on; what is not named stays as it was. `deleted` ends it."""

    at: Instant | None = None
    customer_id: Name | None = None
    name: Name | None = None
    kind: Name | None = None
    region: Name | None = None
    labels: Labels | None = None
    vcpus: Integer | None = None
    memory_bytes: Integer | None = None
    disk_bytes: Integer | None = None
    gpus: Integer | None = None
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


def shown_fact(fact: Fact) -> ShownFact:
    """A fact as a document."""
    return ShownFact(
        at=iso(fact.at_ns),
        received_at=iso(fact.received_at_ns),
        origin=fact.origin,
        labels=None if fact.labels is None else dict(fact.labels),
        deleted=fact.deleted,
        **{name: getattr(fact, name) for name in DECLARED if name != "labels"},
    )
