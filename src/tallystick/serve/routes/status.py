"""Routes of how things are now: the live table and the agents."""

from __future__ import annotations

from fastapi import APIRouter

from tallystick.serve.documents.status import ShownAgent, ShownStatus, shown_agent, shown_status
from tallystick.serve.documents.values import Listing
from tallystick.serve.guard import GuardedRoute, Reader, ReaderOfAll
from tallystick.serve.pages import Cursor, Limit, page_of

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["status"])


@router.get("/status", summary="What is metered now, and what it costs so far")
def status(call: Reader) -> ShownStatus:
    """The live table of `tally up`: a customer's key sees its own resources and no agents."""
    return shown_status(call.desk.services.status(call.place, call.customers))


@router.get("/agents", summary="The agents and how far they have reported")
def agents(call: ReaderOfAll, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownAgent]:
    """As their heartbeats tell, the latest heartbeat first."""
    found = call.desk.services.agents(call.place)
    page, following = page_of(found, lambda one: (one.heartbeat_at_ns, one.agent_id), (int, str), cursor, limit)
    return Listing(items=tuple(map(shown_agent, page)), next_cursor=following)
