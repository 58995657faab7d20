"""The hours of a customer that became others since an instant, for who watches."""

from __future__ import annotations

from tallystick.app.clock import Clock
from tallystick.model.access import Place
from tallystick.model.instants import HOUR_NS, hour_start
from tallystick.serve.owners import hour_parts
from tallystick.serve.problems import not_found
from tallystick.serve.queries.answers import LiveHours, LiveQuestion
from tallystick.store.store import Store

LATE_NS = 48 * HOUR_NS
"""How old hours may be of which one who watches is told when late data changes them."""
MOST_HOURS = 2000


class LiveAnswers:
    """Answers what `StreamLiveUsage` asks again and again."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def __call__(self, place: Place, question: LiveQuestion) -> LiveHours:
        """The hours that were computed after the instant of the question, in the order in which they were, 2,000 at most.

        Raises:
            Problem: there is no such customer, or a resource that was never its.

        """
        now_ns = self._clock.now_ns()
        with self._store.read() as tx:
            if self._store.registry.customer(place, question.customer_id, tx=tx) is None:
                raise not_found("customer_id", question.customer_id)
            resources = self._store.usage.resources_of(tx, place, question.customer_id)
            for wanted in sorted(question.resource_ids - set(resources.values())):
                raise not_found("resource_id", wanted)
            keys = [key for key, name in resources.items() if not question.resource_ids or name in question.resource_ids]
            since_ns = hour_start(now_ns) if question.after_ns is None else hour_start(now_ns) - LATE_NS
            found = self._store.usage.changed_since(tx, place, keys, since_ns, question.after_ns or 0, limit=MOST_HOURS) if keys else []
            attributes = self._store.registry.attributes(place, sorted({key for key, _, _ in found}), tx=tx) if found else {}
        hours = [
            (computed_ns, part)
            for _, computed_ns, hour in found
            for owner, part, _ in hour_parts(hour, attributes.get(hour.resource_id, ()))
            if owner == question.customer_id
        ]
        return LiveHours(at_ns=now_ns, hours=tuple(hours), is_full=len(found) == MOST_HOURS)
