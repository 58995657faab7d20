"""Usage days and months kept with the hours that they are made of, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.meter.days import Owned, local_days, usage_days, usage_months, whole_months
from tallystick.model.access import Place
from tallystick.model.instants import hour_start
from tallystick.model.resources import UNASSIGNED, Attributes
from tallystick.store.engine import Tx
from tallystick.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones:
    """Whose resources were, and the time zones of their customers; of nobody's resources that of the seller."""

    attributes: Mapping[str, tuple[Attributes, ...]]
    customers: Mapping[str, str]
    seller: str

    @staticmethod
    def read(store: Store, place: Place, resource_keys: Sequence[int], tx: Tx) -> Zones:
        """The zones of these resources, from a snapshot."""
        attributes = store.registry.attributes(place, resource_keys, tx=tx)
        owners = frozenset(each.customer_id for timeline in attributes.values() for each in timeline) - {UNASSIGNED}
        customers = store.registry.customers(place, customers=owners, tx=tx) if owners else []
        return Zones(
            attributes=attributes,
            customers={each.customer.id: each.customer.time_zone for each in customers},
            seller=store.contracts.seller(place, tx=tx).time_zone,
        )

    def owned(self, resource_id: str) -> list[Owned]:
        """Whose a resource ever was, in order of time."""
        return [
            Owned(
                customer_id=each.customer_id,
                zone=self.customers.get(each.customer_id, self.seller),
                from_ns=each.from_ns,
                until_ns=each.until_ns,
            )
            for each in self.attributes.get(resource_id, ())
        ]


def day_ends(owned: Sequence[Owned], until_ns: int) -> set[int]:
    """Where the local days end that hold the last instant before `until_ns`, in each zone of the resource's customers."""
    return {day[2] for zone in {each.zone for each in owned} for day in local_days(zone, until_ns - 1, until_ns)}


def write_days(
    tx: Tx, store: Store, *, place: Place, resource_key: int, resource_id: str, owned: Sequence[Owned], from_ns: int, until_ns: int
) -> None:
    """Make every day and month anew that [from_ns, until_ns) touches, in the transaction that replaced the hours of that span."""
    zones = {each.zone for each in owned}
    days = [day for zone in zones for day in local_days(zone, from_ns, until_ns)]
    first, last = min((day[1] for day in days), default=from_ns), max((day[2] for day in days), default=until_ns)
    hours = [hour for _, hour in store.usage.hours(place, hour_start(first), last, resource_keys=[resource_key], tx=tx)]
    gaps = [gap for _, gap in store.usage.gaps(place, first, last, resource_keys=[resource_key], tx=tx)]
    found = usage_days(resource_id, owned, hours=hours, gaps=gaps, from_ns=from_ns, until_ns=until_ns)
    store.usage.drop_periods(tx, place, "day", resource_key, from_ns, until_ns)
    store.usage.replace_periods(tx, place, "day", [(resource_key, day) for day in found])

    spans = [whole_months(zone, from_ns, until_ns) for zone in zones]
    first, last = min((span[0] for span in spans), default=from_ns), max((span[1] for span in spans), default=until_ns)
    stored = [day for _, day in store.usage.periods(place, "day", first, last, resource_keys=[resource_key], tx=tx)]
    months = [month for month in usage_months(stored) if month.start_ns < until_ns and month.end_ns > from_ns]
    store.usage.drop_periods(tx, place, "month", resource_key, from_ns, until_ns)
    store.usage.replace_periods(tx, place, "month", [(resource_key, month) for month in months])
