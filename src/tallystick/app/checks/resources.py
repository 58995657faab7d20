"""What is kept beside a resource, so that lists need not read its facts: whose it is and was, its names, how long its disk is held."""

from __future__ import annotations

from tallystick.app.checks.subjects import CheckedResource
from tallystick.model.attributes import attributes
from tallystick.model.resources import UNASSIGNED, Attributes, Fact


def check_resource(of: CheckedResource) -> None:
    """The row of a resource beside its facts."""
    facts = of.store.registry.facts(of.place, of.id, tx=of.tx)
    spans = attributes(facts)
    stored, beside = of.resource, of.store.stored_registry.beside(of.place, of.key, of.tx)
    kept = {
        "customer": stored.customer_id,
        "name": stored.name,
        "kind": stored.kind,
        "region": stored.region,
        "labels": dict(stored.labels),
        "disk held": (beside.disk_from_ns, beside.disk_until_ns),
    }
    for name, value in _again(spans[-1] if spans else None, facts).items():
        if kept[name] != value:
            of.report.differ(f"resource {of.id}: {name} {kept[name]!r}, its facts say {value!r}")
    owners = {span.customer_id for span in spans} - {UNASSIGNED}
    if missing := sorted(owners - beside.owners):
        of.report.differ(f"resource {of.id}: is not listed with {', '.join(missing)}, whose it is or was")


def _again(now: Attributes | None, facts: tuple[Fact, ...]) -> dict[str, object]:
    disks = [fact.at_ns for fact in facts if fact.disk_bytes is not None]
    ends = [fact.at_ns for fact in facts if fact.deleted]
    is_held = bool(disks) and (not ends or max(disks) > max(ends))
    return {
        "customer": now.customer_id if now else UNASSIGNED,
        "name": now.name if now else "",
        "kind": now.kind if now else "",
        "region": now.region if now else "",
        "labels": dict(now.labels) if now else {},
        "disk held": (min(disks, default=None), None if is_held or not disks or not ends else max(ends)),
    }
