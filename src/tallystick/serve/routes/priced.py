"""Routes of what others tell: usage records, and what is priced beside usage hours: market prices, events that bring an amount."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from tallystick.model.instants import LATEST_NS
from tallystick.serve.documents.priced import (
    Kept,
    NewEvents,
    NewMarketPrices,
    NewRecords,
    ShownMarketPrice,
    ShownOutcomes,
    shown_outcome,
    shown_price,
)
from tallystick.serve.documents.values import Instant, Listing
from tallystick.serve.guard import GuardedRoute, ReaderOfAll, Sender, Writer
from tallystick.serve.pages import Limit
from tallystick.serve.problems import conflict
from tallystick.store.records import Clash

router = APIRouter(prefix="/v1", route_class=GuardedRoute, tags=["prices"])


@router.put("/market-prices", summary="Tell what the market asks by the hour")
def put_market_prices(call: Writer, wanted: NewMarketPrices) -> Kept:
    """By region, kind, hour and currency, each once for ever: the same again changes nothing; another price refuses all of them."""
    prices = [each.value(f"prices[{number}]") for number, each in enumerate(wanted.prices)]
    try:
        stored = call.desk.store.priced.put_prices(call.place, prices, actor=call.actor)
    except Clash as clash:
        raise conflict("prices", "", str(clash)) from None
    return Kept(stored=stored, repeated=len(prices) - stored)


@router.get("/market-prices", summary="Market prices, newest hour first")
def list_market_prices(
    call: ReaderOfAll,
    start: Annotated[Instant | None, Query(alias="from", description="Included; without it: from the beginning.")] = None,
    until: Annotated[Instant | None, Query(description="Not included; without it: to the end.")] = None,
    limit: Limit = 100,
) -> Listing[ShownMarketPrice]:
    """Those of the hours that begin in [from, until): the last `limit`."""
    found = call.desk.store.priced.quoted(call.place, start or 0, LATEST_NS if until is None else until, limit)
    return Listing(items=tuple(map(shown_price, found)), next_cursor=None)


@router.post("/usage/records", summary="Tell what something measured, as amounts")
async def add_usage_records(call: Sender, wanted: NewRecords, request: Request) -> ShownOutcomes:
    """At most 10,000, each once for ever by source, id and meter, with an outcome of its own: what is refused costs none beside it."""
    results = await call.desk.services.record_usage(call.grant, wanted.values(), len(await request.body()))
    return ShownOutcomes(records=tuple(map(shown_outcome, results)))


@router.post("/events", summary="Tell of events that are priced")
def add_events(call: Writer, wanted: NewEvents) -> Kept:
    """Each once for ever by its id: the same again changes nothing; another event of that id refuses all of them."""
    events = [each.value() for each in wanted.events]
    try:
        stored = call.desk.store.priced.put_events(call.place, events)
    except Clash as clash:
        raise conflict("events", "", str(clash)) from None
    return Kept(stored=stored, repeated=len(events) - stored)
