"""Routes of what was measured: hours, days and months of usage, gaps, findings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from tallystick.model.instants import LATEST_NS
from tallystick.serve.documents.usage import ShownFinding, ShownGap, ShownHour, ShownTotal, shown_finding, shown_gap, shown_hour, shown_total
from tallystick.serve.documents.values import Id, Instant, Listing
from tallystick.serve.guard import Call, GuardedRoute, Reader
from tallystick.serve.pages import Cursor, Limit, page_of, read_cursor, write_cursor
from tallystick.serve.problems import invalid, not_found
from tallystick.serve.services import UsageQuery, UsageTotal

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["usage"])

From = Annotated[Instant | None, Query(alias="from", description="Included; without it: the beginning.")]
Until = Annotated[Instant | None, Query(description="Not included; without it: the end.")]
