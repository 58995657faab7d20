"""Whose a resource is and where it runs, as rows say it each time: told to the store only when it changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from tallystick.model.access import Place
from tallystick.model.resources import Fact, Origin
from tallystick.model.samples import FUTURE_LIMIT_NS

REMEMBERED = 100_000
NOTHING = ("", "", 0)
Told = tuple[int, str, str]
"""From an instant on, this customer and this region; what is empty says nothing."""


class Assignments:
    """What this server last stored of each resource. Saying it again changes nothing, so it is left out."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[Place, str], tuple[str, str, int]] = OrderedDict()

    def facts(self, place: Place, resource_id: str, told: Iterable[Told], received_at_ns: int) -> Sequence[Fact]:
        """What rows in order of time assign, from each instant on at which it is not what was said before.

        A row too far in the future is refused, so it assigns nothing either.
        """
        found: list[Fact] = []
        customer, region, _ = self._known.get((place, resource_id), NOTHING)
        for at_ns, new_customer, new_region in told:
            if at_ns > received_at_ns + FUTURE_LIMIT_NS:
                break
            changes = (new_customer or customer) != customer, (new_region or region) != region
            if any(changes):
                customer, region = new_customer or customer, new_region or region
                found.append(
                    Fact(
                        resource_id=resource_id,
                        at_ns=at_ns,
                        received_at_ns=received_at_ns,
                        origin=Origin.AGENT,
                        customer_id=customer if changes[0] else None,
                        region=region if changes[1] else None,
                    )
                )
        return found

    def remember(self, place: Place, facts: Iterable[Fact]) -> None:
        """Only what is stored is remembered: call it afterwards, in the order of the facts' instants.

        What an older row assigned, sent again or late, is not what holds now: rows that say it from now on are told.
        """
        for fact in facts:
            key = (place, fact.resource_id)
            customer, region, since_ns = self._known.get(key, NOTHING)
            if fact.at_ns >= since_ns:
                self._known[key] = (fact.customer_id or customer, fact.region or region, fact.at_ns)
            self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
