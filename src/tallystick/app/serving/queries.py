"""The query service among the rpc routes."""

from __future__ import annotations

from collections.abc import Callable

from tallystick.app.answers.queries.live import LiveAnswers
from tallystick.app.answers.queries.usage import UsageAnswers
from tallystick.app.answers.queries.windows import WindowAnswers
from tallystick.app.clock import Clock, Ids
from tallystick.ingest.callers import caller
from tallystick.ingest.rpc import Service
from tallystick.proto.billing.collector.v1.query_connect import BillingQueryServiceASGIApplication
from tallystick.serve.guard import READ_OWN
from tallystick.serve.queries.answers import Queries
from tallystick.serve.queries.service import QueryService
from tallystick.store.store import Store

METHODS = ("GetCustomerUsage", "GetBillingWindow", "StreamLiveUsage")


def query_service(store: Store, clock: Clock, ids: Ids, *, ending: Callable[[], bool]) -> Service:
    """The query service of a billing service, from this store."""
    queries = Queries(
        usage=UsageAnswers(store, clock, ids), windows=WindowAnswers(store, clock), live=LiveAnswers(store, clock), ending=ending
    )
    return Service(
        path="/billing.collector.v1.BillingQueryService/",
        methods=METHODS,
        application=BillingQueryServiceASGIApplication,
        handlers=QueryService(queries, caller),
        aliases=("/billing.v1.BillingQueryService/",),
        roles=READ_OWN,
        streaming=frozenset({"StreamLiveUsage"}),
    )
