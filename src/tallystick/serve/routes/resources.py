"""Routes of what is metered: resources, what is declared of them, and when they were not available."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Response

from tallystick.model.billing.outages import outages_of
from tallystick.model.instants import iso
from tallystick.model.resources import UNASSIGNED, Attributes, Fact
from tallystick.model.samples import FUTURE_LIMIT_NS
from tallystick.serve.documents.resources import (
    NewFact,
    NewOutage,
    NewResource,
    ShownOutage,
    ShownResource,
    WithdrawalOfOutage,
    shown_outage,
    shown_resource,
)
from tallystick.serve.documents.values import Id, Listing
from tallystick.serve.guard import Call, GuardedRoute, Reader, Writer
from tallystick.serve.owners import customer_at
from tallystick.serve.pages import Cursor, Limit, newest
from tallystick.serve.problems import conflict, invalid, not_found
from tallystick.store.records import NotFound
from tallystick.store.registry import StoredResource
from tallystick.store.store import Tx
from tallystick.store.usage.outages import StoredOutage

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["resources"])


@router.post(
    "/resources",
    summary="Create a resource",
    status_code=201,
    responses={200: {"model": ShownResource, "description": "It was there already."}},
)
def create_resource(call: Writer, wanted: NewResource, response: Response) -> ShownResource:
    """With its customer and sizes, in force from `at` on. One that is metered already is given them and answered 200."""
    resource_id = wanted.id or call.desk.services.new_id()
    known = call.desk.store.registry.resource(call.place, resource_id)
    if known is not None:
        response.status_code = 200
    _declare(call, resource_id, wanted)
    return _visible(call, resource_id)


@router.get("/resources", summary="Resources, newest first")
def list_resources(
    call: Reader,
    customer_id: Id | None = None,
    unassigned: Annotated[bool, Query(description="Only those that nobody is billed for.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Listing[ShownResource]:
    """Of all customers that the key may see, or of one: those that are, or ever were, assigned to it."""
    wanted = call.only("" if unassigned else customer_id)
    page, following = newest(partial(call.desk.store.registry.resources, call.place, customers=wanted), cursor, limit)
    with call.desk.store.read() as tx:
        attributes = call.desk.store.registry.attributes(call.place, [each.row for each in page], tx=tx)
        items = [_shown(call, each, attributes[each.id], whole=False, tx=tx) for each in page]
    return Listing(items=tuple(item for item in items if item is not None), next_cursor=following)


@router.post("/resources/{resource_id:path}/facts", summary="Declare what holds of a resource")
def declare_fact(call: Writer, resource_id: Id, wanted: NewFact) -> ShownResource:
    """From `at` on: its customer, sizes, region, labels. A resource that is not metered yet is created by it."""
    if not wanted.says_something:
        raise invalid("body", "", "the fact declares nothing: name a customer, a size or a label")
    _declare(call, resource_id, wanted)
    return _visible(call, resource_id)


@router.get("/resources/{resource_id:path}", summary="A resource, with what was declared of it")
def show_resource(call: Reader, resource_id: Id) -> ShownResource:
    """By its id."""
    return _visible(call, resource_id)


@router.post(
    "/outages",
    summary="Declare that resources were not available",
    status_code=201,
    responses={200: {"model": ShownOutage, "description": "It was there already."}},
)
def declare_outage(call: Writer, wanted: NewOutage, response: Response) -> ShownOutage:
    """It counts against the service levels of plans, in periods that are not invoiced yet. The same again changes nothing, 200."""
    outages, outage = call.desk.store.outages, wanted.value(wanted.id or call.desk.services.new_id())
    registry = call.desk.store.registry
    unknown = next((each for each in outage.resources if registry.resource(call.place, each) is None), None)
    if unknown is not None:
        raise invalid("resources", unknown, f"resources: there is no resource {unknown!r}")
    if outage.region and not registry.knows_region(call.place, outage.region):
        raise invalid("region", outage.region, f"region: no resource was ever in {outage.region!r}")
    made = outages.declare(call.place, outage, actor=call.actor)
    found = outages.outage(call.place, outage.id)
    if found is None or found.outage != outage:
        raise conflict("id", outage.id, f"outage {outage.id!r} is there already, and other")
    response.status_code = 201 if made else 200
    return shown_outage(found)


@router.get("/outages", summary="Declared outages, declared last first")
def list_outages(call: Reader, customer_id: Id | None = None, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownOutage]:
    """All of them, or those that concern resources of the customers that the key may see, or of one."""
    wanted = call.only(customer_id)
    store = call.desk.store
    with store.read() as tx:

        def fetch(*, before: int | None, limit: int) -> list[StoredOutage]:
            rows = store.outages.outages(call.place, before=before, limit=limit if wanted is None else None, tx=tx)
            return list(_concerning(call, rows, wanted, tx))[:limit]

        page, following = newest(fetch, cursor, limit)
    return Listing(items=tuple(map(shown_outage, page)), next_cursor=following)


@router.get("/outages/{outage_id:path}", summary="A declared outage")
def show_outage(call: Reader, outage_id: Id) -> ShownOutage:
    """By its id."""
    store = call.desk.store
    with store.read() as tx:
        stored = store.outages.outage(call.place, outage_id, tx=tx)
        found = next(_concerning(call, [stored] if stored else [], call.customers, tx), None)
    if found is None:
        raise not_found("outage_id", outage_id)
    return shown_outage(found)


@router.post("/outages/{outage_id:path}/withdraw", summary="Let an outage count no more")
def withdraw_outage(call: Writer, outage_id: Id, wanted: WithdrawalOfOutage) -> ShownOutage:
    """For one that was declared by mistake. What is invoiced stays as it is."""
    try:
        found = call.desk.store.outages.withdraw(call.place, outage_id, actor=call.actor, reason=wanted.reason)
    except NotFound:
        raise not_found("outage_id", outage_id) from None
    return shown_outage(found)


def _concerning(call: Call, rows: Sequence[StoredOutage], customers: frozenset[str] | None, tx: Tx) -> Iterator[StoredOutage]:
    """The outages that took time of some customers' resources, naming those alone; all as they are for whoever sees all."""
    if customers is None:
        yield from rows
        return
    registry = call.desk.store.registry
    owned = registry.resources(call.place, customers=customers, tx=tx) if rows else []
    timelines = registry.attributes(call.place, [each.row for each in owned], tx=tx) if owned else {}
    for stored in rows:
        touched = {
            resource_id
            for resource_id, timeline in timelines.items()
            if any(True for customer_id in customers for _ in outages_of(stored.outage, resource_id, timeline, customer_id))
        }
        if touched:
            own = tuple(each for each in stored.outage.resources if each in touched)
            yield replace(stored, outage=replace(stored.outage, resources=own))


def _declare(call: Call, resource_id: str, wanted: NewFact) -> None:
    """Store what is declared, with its entry in the audit log: it decides who is billed for what.

    Raises:
        Problem: the customer is unknown, or the instant is in the future.

    """
    now_ns = call.desk.clock.now_ns()
    fact = wanted.value(resource_id, now_ns)
    store = call.desk.store
    if fact.customer_id not in (None, UNASSIGNED) and store.registry.customer(call.place, fact.customer_id or "") is None:
        raise invalid("customer_id", fact.customer_id or "", f"customer_id: there is no customer {fact.customer_id!r}")
    if fact.at_ns > now_ns + FUTURE_LIMIT_NS:
        raise invalid("at", iso(fact.at_ns), "at: is more than five minutes in the future")
    with store.write() as tx:
        store.batches.lock(tx, call.place, [resource_id], now_ns)
        if wanted.says_something:
            store.batches.write_facts(tx, call.place, [fact])
        details = {name: value for name, value in wanted.model_dump(mode="json").items() if value not in (None, False) and name != "id"}
        store.audit.append(tx, call.place, call.actor, "resource.declare", resource_id, details)


def _visible(call: Call, resource_id: str) -> ShownResource:
    """The resource as the key may see it."""
    store = call.desk.store
    with store.read() as tx:
        found = store.registry.resource(call.place, resource_id, tx=tx)
        spans = {} if found is None else store.registry.attributes(call.place, [found.row], tx=tx)
        shown = None if found is None else _shown(call, found, spans[resource_id], whole=True, tx=tx)
    if shown is None:
        raise not_found("resource_id", resource_id)
    return shown


def _shown(call: Call, found: StoredResource, spans: Sequence[Attributes], *, whole: bool, tx: Tx) -> ShownResource | None:
    """A resource as it is now; to a customer as it was while it was last its own, and None if it never was."""
    facts: Sequence[Fact] = call.desk.store.registry.facts(call.place, found.id, tx=tx)
    now_ns = call.desk.clock.now_ns()
    if call.customers is None:
        held = next(span for span in spans if span.from_ns <= now_ns < span.until_ns)
        return shown_resource(found.id, held, facts, now_ns, call.sees, whole=whole)
    ours = [span for span in spans if call.sees(span.customer_id) and span.from_ns <= now_ns]
    if not ours:
        return None
    known = [fact for fact in facts if call.sees(customer_at(fact.at_ns, spans))]
    return shown_resource(found.id, ours[-1], known, min(now_ns, ours[-1].until_ns - 1), call.sees, whole=whole)
