"""What an operator declares not to have been available, and of which resources it takes which time (billing.md, Coupon)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tallystick.model.billing.invoices import Outage, OutageCause
from tallystick.model.resources import Attributes

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredOutage:
    """Unavailability in [from_ns, until_ns): of the named resources, or of all that were in a region and had labels at that time."""

    id: str
    from_ns: int
    until_ns: int
    reason: str
    cause: OutageCause = OutageCause.DECLARED
    resources: tuple[str, ...] = ()
    region: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def outages_of(
    declared: DeclaredOutage, resource_id: str, timeline: Sequence[Attributes], customer_id: str, deleted: Sequence[Span] = ()
) -> Iterator[Outage]:
    """The times of a declared outage that concern a resource while it was a customer's, without those in which it was `deleted`.

    Of a region that was away from 10:00 to 14:00 a machine that came into it at 12:00 has two hours.
    """
    if declared.resources and resource_id not in declared.resources:
        return
    for held in timeline:
        if held.customer_id == customer_id and _is_meant(declared, held):
            for from_ns, until_ns in _without(max(declared.from_ns, held.from_ns), min(declared.until_ns, held.until_ns), deleted):
                yield Outage(resource_id=resource_id, from_ns=from_ns, until_ns=until_ns, cause=declared.cause, outage_id=declared.id)


def _is_meant(declared: DeclaredOutage, held: Attributes) -> bool:
    is_there = not declared.region or declared.region == held.region
    return is_there and all(held.labels.get(name) == value for name, value in declared.labels.items())


def _without(from_ns: int, until_ns: int, taken: Sequence[Span]) -> Iterator[Span]:
    """What is left of [from_ns, until_ns) without some spans, which are in order of time."""
    for begin, end in taken:
        if from_ns < min(begin, until_ns):
            yield from_ns, min(begin, until_ns)
        from_ns = max(from_ns, end)
    if from_ns < until_ns:
        yield from_ns, until_ns
