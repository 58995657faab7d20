"""Routes of what came too late: batches whose hours were sealed when they arrived, for a person to decide about."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from tallystick.serve.documents.too_late import Decision, ShownLate, shown_late
from tallystick.serve.documents.values import LARGEST_INTEGER, Listing
from tallystick.serve.guard import Call, GuardedRoute, ReaderOfAll, Writer
from tallystick.serve.pages import Cursor, Limit, newest
from tallystick.serve.problems import not_found

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["usage"])

Batch = Annotated[int, Path(ge=1, le=LARGEST_INTEGER, description="The number of the batch.")]
State = Annotated[Literal["open", "admitted", "dismissed"] | None, Query(description="Only those in this state.")]


@router.get("/too-late", summary="Batches that came when their hours were sealed, the latest first")
def list_too_late(call: ReaderOfAll, state: State = None, limit: Limit = 100, cursor: Cursor = None) -> Listing[ShownLate]:
    """Each with what admitting it would change, or did."""
    page, following = newest(partial(call.desk.store.too_late.entries, call.place, state=state), cursor, limit)
    return Listing(items=tuple(shown_late(each, call.desk.services.change_of(call.place, each)) for each in page), next_cursor=following)


@router.get("/too-late/{batch}", summary="A batch that came too late")
def show_too_late(call: ReaderOfAll, batch: Batch) -> ShownLate:
    """With what admitting it would change, or did."""
    return _shown(call, batch)


@router.post("/too-late/{batch}/admit", summary="Let a batch that came too late count")
def admit_too_late(call: Writer, batch: Batch, decision: Decision) -> ShownLate:
    """Its difference is added to the sealed hours, and to their days and months. Invoices that are final stay as they are."""
    call.desk.services.decide_late(call.place, call.actor, batch, decision.reason, True)
    return _shown(call, batch)


@router.post("/too-late/{batch}/dismiss", summary="Decide that a batch that came too late changes nothing")
def dismiss_too_late(call: Writer, batch: Batch, decision: Decision) -> ShownLate:
    """It stays known: sent again it is a repeat."""
    call.desk.services.decide_late(call.place, call.actor, batch, decision.reason, False)
    return _shown(call, batch)


def _shown(call: Call, batch: int) -> ShownLate:
    late = call.desk.store.too_late.get(call.place, batch)
    if late is None:
        raise not_found("batch", str(batch))
    return shown_late(late, call.desk.services.change_of(call.place, late))
