"""Priced events as parts of a line: their amounts in the cells in which they happened, over one denominator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from math import lcm

from tallystick.model.billing.invoices import UsageEvent, UsagePart
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, hour_start


def parts_of(events: Sequence[UsageEvent]) -> tuple[UsagePart, ...]:
    """One part for each resource, in order: 0.5 and 1/3 are 3 and 2 of a divisor of 6."""
    by_resource: dict[str, list[UsageEvent]] = defaultdict(list)
    for event in events:
        by_resource[event.resource_id].append(event)
    return tuple(_part(resource_id, own) for resource_id, own in sorted(by_resource.items()))


def _part(resource_id: str, events: Sequence[UsageEvent]) -> UsagePart:
    divisor = lcm(*(event.amount.denominator for event in events))
    hours: dict[int, list[int]] = defaultdict(lambda: [0] * CELLS_PER_HOUR)
    for event in events:
        hour_ns = hour_start(event.at_ns)
        hours[hour_ns][(event.at_ns - hour_ns) // CELL_NS] += int(event.amount * divisor)
    cells = tuple((hour_ns, tuple(found)) for hour_ns, found in sorted(hours.items()))
    return UsagePart(resource_id=resource_id, divisor=Fraction(divisor), hours=cells)
