"""Routes of what is metered: resources, and what is declared of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from tallystick.model.outcomes import Outcome
from tallystick.serve.documents.resources import NewFact, NewResource, ShownResource, shown_fact
from tallystick.serve.documents.values import Id, Listing, Name
from tallystick.serve.guard import Call, GuardedRoute, Reader, Writer
from tallystick.serve.pages import Cursor, Limit, read_cursor, write_cursor
from tallystick.serve.problems import conflict, invalid, not_found
from tallystick.store.registry import StoredResource

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["resources"])


@router.post("/resources", summary="Create a resource", status_code=201)
def create_resource(call: Writer, wanted: NewResource, response: Response) -> ShownResource:
    """With its customer and sizes, in force from `at` on. One that is metered already is given them and answered 200."""
    resource_id = wanted.id or call.desk.services.new_id()
    known = call.desk.store.registry.resource(call.place, resource_id)
    if known is not None:
        response.status_code = 200
    _declare(call, resource_id, wanted)
    return _shown(call, _visible(call, resource_id), whole=True)


@router.get("/resources", summary="Resources, newest first")
def list_resources(
    call: Reader,
    customer_id: Id | None = None,
    unassigned: Annotated[bool, Query(description="Only those that nobody is billed for.")] = False,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Listing[ShownResource]:
    """Of all customers that the key may see, or of one: those that are, or ever were, assigned to it."""
    before = None if cursor is None else int(read_cursor(cursor, (int,))[0])
    wanted = call.only("" if unassigned else customer_id)
    rows = call.desk.store.registry.resources(call.place, customers=wanted, before=before, limit=limit + 1)
    page = rows[:limit]
    following = write_cursor((page[-1].row,)) if len(rows) > limit else None
    return Listing(items=tuple(_shown(call, each, whole=False) for each in page), next_cursor=following)


@router.post("/resources/{resource_id:path}/facts", summary="Declare what holds of a resource")
def declare_fact(call: Writer, resource_id: Id, wanted: NewFact) -> ShownResource:
    """From `at` on: its customer, sizes, region, labels. A resource that is not metered yet is created by it."""
    if not wanted.says_something:
        raise invalid("body", "", "the fact declares nothing: name a customer, a size or a label")
    _declare(call, resource_id, wanted)
    return _shown(call, _visible(call, resource_id), whole=True)


@router.get("/resources/{resource_id:path}", summary="A resource, with what was declared of it")
def show_resource(call: Reader, resource_id: Id) -> ShownResource:
    """By its id."""
    return _shown(call, _visible(call, resource_id), whole=True)
