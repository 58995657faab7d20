"""The handlers of the query service: who asks for whom, in and out of messages; every customer sees its own only."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.request import RequestContext

from tallystick.model.access import Grant
from tallystick.model.usage import UsageHour
from tallystick.proto.billing.collector.v1 import query_pb2 as wire
from tallystick.serve.guard import customers_of
from tallystick.serve.problems import INVALID, NOT_FOUND, Problem, invalid, not_found, shown
from tallystick.serve.queries.answers import LiveHours, LiveQuestion, Queries, UsageQuestion
from tallystick.serve.queries.messages import hour_message, instant, read_instant, usage_message, windows_message

Answer = TypeVar("Answer")
CODES = {NOT_FOUND.name: Code.NOT_FOUND, INVALID.name: Code.INVALID_ARGUMENT}
CURSOR = re.compile(r"[0-9]{1,19}")

MOST_STREAMS = 8
"""Of one key at once."""
STREAM_SECONDS = 600
"""A stream ends after that, to be taken up again: so a revoked key sees no more than this."""
ALIVE_SECONDS = 15
LONGEST_INTERVAL_SECONDS = 60
HOURS_PER_UPDATE = 200
OVERLAP_NS = 10 * 10**9
"""An hour is seen once it is committed, which may be later than the instant at which it was computed."""


class QueryService:
    """The service. `caller` tells who calls, in a handler."""

    def __init__(self, queries: Queries, caller: Callable[[], Grant]) -> None:
        self._queries = queries
        self._caller = caller
        self._streams: Counter[str] = Counter()

    async def get_customer_usage(
        self, request: wire.GetCustomerUsageRequest, _ctx: RequestContext[wire.GetCustomerUsageRequest, wire.GetCustomerUsageResponse]
    ) -> wire.GetCustomerUsageResponse:
        """Exact totals of a customer over a span."""
        grant = self._caller()
        return await _answered(lambda: usage_message(self._queries.usage(grant.place, _usage_question(grant, request))))

    async def get_billing_window(
        self, request: wire.GetBillingWindowRequest, _ctx: RequestContext[wire.GetBillingWindowRequest, wire.GetBillingWindowResponse]
    ) -> wire.GetBillingWindowResponse:
        """The billing periods that hold an instant."""
        grant = self._caller()

        def answer() -> wire.GetBillingWindowResponse:
            customer_id = _customer(grant, request.customer_id)
            at_ns = read_instant("at", request.at) if request.HasField("at") else None
            return windows_message(self._queries.windows(grant.place, customer_id, at_ns))

        return await _answered(answer)

    async def stream_live_usage(
        self, request: wire.StreamLiveUsageRequest, _ctx: RequestContext[wire.StreamLiveUsageRequest, wire.UsageUpdate]
    ) -> AsyncIterator[wire.UsageUpdate]:
        """Usage hours as they become others: it looks again only when the client has taken what it was sent."""
        grant = self._caller()
        question = await _answered(lambda: _live_question(grant, request))
        if self._streams[grant.key_id] >= MOST_STREAMS:
            raise ConnectError(Code.RESOURCE_EXHAUSTED, f"the key has {MOST_STREAMS} streams open already")
        self._streams[grant.key_id] += 1
        try:
            async for update in self._updates(grant, question, request.interval_seconds or 1):
                yield update
        finally:
            self._streams[grant.key_id] -= 1

    async def _updates(self, grant: Grant, question: LiveQuestion, interval_seconds: int) -> AsyncIterator[wire.UsageUpdate]:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + STREAM_SECONDS
        watch, told_at = _Watch(question), float("-inf")
        while True:
            found = await _answered(lambda: self._queries.live(grant.place, watch.question))
            fresh = watch.fresh(found)
            is_last = self._queries.ending() or loop.time() >= ends_at
            if fresh or is_last or loop.time() - told_at >= ALIVE_SECONDS:
                for low in range(0, max(len(fresh), 1), HOURS_PER_UPDATE):
                    few = fresh[low : low + HOURS_PER_UPDATE]
                    ends = is_last and low + HOURS_PER_UPDATE >= len(fresh)
                    yield wire.UsageUpdate(at=instant(found.at_ns), hours=map(hour_message, few), cursor=str(watch.cursor), last=ends)
                told_at = loop.time()
            if is_last:
                return
            wait_until = loop.time() + (0 if found.is_full else interval_seconds)
            while loop.time() < wait_until and not self._queries.ending():
                await asyncio.sleep(min(1.0, wait_until - loop.time()))


class _Watch:
    """What a stream has told: the hours by the instant at which they were computed, and how far it is."""

    def __init__(self, question: LiveQuestion) -> None:
        self.question = question
        self.cursor = question.after_ns or 0
        self._seen: dict[tuple[str, int], int] = {}
        if question.after_ns is not None:
            self._ask_after(question.after_ns - OVERLAP_NS)

    def fresh(self, found: LiveHours) -> list[UsageHour]:
        """The hours that were not told yet; what is asked next begins a little before the last of them."""
        hours = [
            (computed_ns, hour) for computed_ns, hour in found.hours if self._seen.get((hour.resource_id, hour.hour_ns)) != computed_ns
        ]
        for computed_ns, hour in hours:
            self._seen[hour.resource_id, hour.hour_ns] = computed_ns
            self.cursor = max(self.cursor, computed_ns)
        self.cursor = self.cursor or found.at_ns
        since_ns = self.cursor - OVERLAP_NS
        # Those of the overlap are known also where there is more: they are asked for again as soon as there is not.
        self._seen = {key: computed_ns for key, computed_ns in self._seen.items() if computed_ns > since_ns}
        self._ask_after(self.cursor if found.is_full else since_ns)
        return [hour for _, hour in hours]

    def _ask_after(self, after_ns: int) -> None:
        wanted = self.question
        self.question = LiveQuestion(customer_id=wanted.customer_id, resource_ids=wanted.resource_ids, after_ns=max(after_ns, 0))


async def _answered(answer: Callable[[], Answer]) -> Answer:
    """An answer, made in a thread since it reads the store.

    Raises:
        ConnectError: what was asked cannot be answered.

    """
    try:
        return await asyncio.to_thread(answer)
    except Problem as problem:
        raise ConnectError(CODES.get(problem.code.name, Code.INTERNAL), problem.detail) from None


def _customer(grant: Grant, customer_id: str) -> str:
    """The customer that is asked for, if the key may see it; of a key of one customer that one is meant if none is named.

    Raises:
        Problem: none is named, or another's.

    """
    seen = customers_of(grant)
    if not customer_id:
        if seen is None or len(seen) != 1:
            raise invalid("customer_id", "", "customer_id: say whose usage it is")
        return next(iter(seen))
    if seen is not None and customer_id not in seen:
        raise not_found("customer_id", customer_id)
    return customer_id


def _usage_question(grant: Grant, request: wire.GetCustomerUsageRequest) -> UsageQuestion:
    return UsageQuestion(
        customer_id=_customer(grant, request.customer_id),
        month=request.month,
        from_ns=read_instant("from", getattr(request, "from")) if request.HasField("from") else None,
        until_ns=read_instant("until", request.until) if request.HasField("until") else None,
        per_resource=request.per_resource,
        with_cost=request.with_cost,
    )


def _live_question(grant: Grant, request: wire.StreamLiveUsageRequest) -> LiveQuestion:
    if request.after and not CURSOR.fullmatch(request.after):
        raise invalid("after", request.after, f"after: {shown(request.after)!r} is no cursor of an update")
    if not 0 <= request.interval_seconds <= LONGEST_INTERVAL_SECONDS:
        value = str(request.interval_seconds)
        raise invalid("interval_seconds", value, f"interval_seconds: {value} is not between 0 and {LONGEST_INTERVAL_SECONDS}")
    return LiveQuestion(
        customer_id=_customer(grant, request.customer_id),
        resource_ids=frozenset(request.resource_ids),
        after_ns=int(request.after) if request.after else None,
    )
