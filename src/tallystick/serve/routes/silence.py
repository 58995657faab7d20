"""Routes of what is not there: who is away, numbers that are missing, contents that contradict; and what a person says to it."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query

from tallystick.serve.documents.silence import (
    Dismissal,
    ReleasedAgent,
    Resolution,
    ShownAbsence,
    ShownConflict,
    ShownMissing,
    shown_absence,
    shown_conflict,
    shown_missing,
)
from tallystick.serve.documents.values import Id, Listing
from tallystick.serve.guard import Administrator, GuardedRoute, ReaderOfAll, Writer
from tallystick.serve.pages import Cursor, Limit, newest, read_cursor, write_cursor
from tallystick.serve.problems import not_found
from tallystick.store.records import NotFound

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["silence"])

Row = Annotated[int, Path(ge=1, le=2**53)]
OnlyOpen = Annotated[bool, Query(alias="open", description="Only those that are open.")]


@router.get("/missing-sequences", summary="Sequence numbers that never came, noticed last first")
def missing_sequences(call: ReaderOfAll, resource_id: Id | None = None, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownMissing]:
    """Between the first and the last stored of each resource, boot and spool. What comes late closes its hole."""
    store = call.desk.store
    keys = None
    if resource_id is not None:
        found = store.registry.resource(call.place, resource_id)
        if found is None:
            raise not_found("resource_id", resource_id)
        keys = [found.row]
    start = None
    if cursor is not None:
        at_ns, boot, spool, first = (int(part) for part in read_cursor(cursor, (int, int, int, int)))
        start = (at_ns, boot, spool, first)
    rows = store.sequences.missing(call.place, resource_keys=keys, before=start, limit=limit + 1)
    following = write_cursor(rows[limit - 1][0]) if len(rows) > limit else None
    return Listing(items=tuple(shown_missing(one) for _, one in rows[:limit]), next_cursor=following)


@router.get("/absences", summary="Agents and resources of which nothing comes, noticed last first")
def absences(call: ReaderOfAll, only_open: OnlyOpen = False, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownAbsence]:
    """An agent that is not heard from, a resource that its agent lists and of which nothing comes. They end when it is back."""
    page, following = newest(partial(call.desk.store.absences.list, call.place, only_open=only_open), cursor, limit)
    return Listing(items=tuple(map(shown_absence, page)), next_cursor=following)


@router.post("/absences/{absence_id}/dismiss", summary="Let an absence be")
def dismiss_absence(call: Writer, absence_id: Row, wanted: Dismissal) -> ShownAbsence:
    """A host that was taken away will not come back: its alarm ends, with who said so and why. Again, it changes nothing."""
    try:
        return shown_absence(call.desk.store.absences.dismiss(call.place, absence_id, actor=call.actor, reason=wanted.reason))
    except NotFound:
        raise not_found("absence_id", str(absence_id)) from None


@router.post("/agents/{agent_id:path}/release", summary="Let another key report for an agent")
def release_agent(call: Administrator, agent_id: Id, wanted: Dismissal) -> ReleasedAgent:
    """An instance belongs to the key that reported it first. Released, it is that of the key that reports next."""
    if not call.desk.store.registry.release_agent(call.place, agent_id, actor=call.actor, reason=wanted.reason):
        raise not_found("agent_id", agent_id)
    return ReleasedAgent(agent_id=agent_id)


@router.get("/conflicts", summary="Batches that were sent again with other content, newest first")
def list_conflicts(call: ReaderOfAll, only_open: OnlyOpen = False, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownConflict]:
    """The content that was stored first counts until a person says otherwise."""
    page, following = newest(partial(call.desk.store.conflicts.list, call.place, only_open=only_open), cursor, limit)
    return Listing(items=tuple(map(shown_conflict, page)), next_cursor=following)


@router.get("/conflicts/{conflict_id}", summary="A conflict, with both hashes")
def show_conflict(call: ReaderOfAll, conflict_id: Row) -> ShownConflict:
    """By its number."""
    try:
        return shown_conflict(call.desk.store.conflicts.get(call.place, conflict_id))
    except NotFound:
        raise not_found("conflict_id", str(conflict_id)) from None


@router.post("/conflicts/{conflict_id}/resolve", summary="Say which content counts")
def resolve_conflict(call: Writer, conflict_id: Row, wanted: Resolution) -> ShownConflict:
    """`stored`: as before. `sent`: the other counts in its place, and the hours that it touches are computed again. Both are kept."""
    services = call.desk.services
    return shown_conflict(services.resolve_conflict(call.place, call.actor, conflict_id, wanted.counts == "sent", wanted.reason))
