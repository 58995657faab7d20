"""Which usage reserved capacity covers, hour by hour (billing.md, Reserved).

Of 4 vCPUs reserved, a machine of 2 and one of 4 that are up for the same hour are covered for 2 + 2; the rest is on demand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tallystick.model.billing.contracts import Contract, Reservation
from tallystick.model.billing.invoices import Usage
from tallystick.model.billing.price_book import Charge, PriceBook
from tallystick.model.instants import CELL_NS, HOUR_NS, hour_start
from tallystick.rate.attribution import Window, prices_of
from tallystick.rate.models.registry import model_of
from tallystick.rate.pool import SpanUsage, charges_for, usage_by_span
from tallystick.rate.slices import Covered, CoveredCell
from tallystick.rate.units import divisor, unit_of

Place = tuple[str, str, str]
"""What capacity is of: a meter, a region and a kind."""


Claim = tuple[CoveredCell, int]
"""A cell that could be covered, and its amount in base units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One hour of what is reserved together, in base units: what was used beside it, and what of each reservation covers what.

    `capacity` is what each reservation has in it, `taken` the part of that which covers something.
    """

    place: Place
    hour_ns: int
    used: int
    capacity: Mapping[str, Fraction]
    taken: Mapping[str, Fraction]
    covered: Covered


def matches(usage: Usage, contract: Contract, books: Sequence[PriceBook], window: Window) -> tuple[Match, ...]:
    """Each hour of the window in which something was reserved, in order.

    An hour is matched by itself and whole, with the usage of all subscriptions of the customer, whatever run bills it: late
    data changes the hours that it is of and no other, and runs that share an hour see it alike.
    """
    if not contract.reservations or window.from_ns >= window.until_ns:
        return ()
    whole = _hours_of(contract, books, window)
    reserved = _reserved(contract, whole)
    claims = _claims(usage_by_span(usage, whole), {place for place, _ in reserved})
    return tuple(_matched(place, hour_ns, own, claims.get((place, hour_ns), [])) for (place, hour_ns), own in sorted(reserved.items()))


def covered_by(found: Iterable[Match]) -> Covered:
    """What is covered, of all hours."""
    return {cell: parts for match in found for cell, parts in match.covered.items()}


def capacity_in(contract: Contract, reservation: Reservation, from_ns: int, until_ns: int) -> Fraction:
    """The units of `per` that are reserved in [from_ns, until_ns): 8 vCPUs for a day and a half are 288 vcpu-hours."""
    start_ns, end_ns = contract.reserved(reservation)
    held_ns = max(min(end_ns, until_ns) - max(start_ns, from_ns), 0)
    return reservation.quantity * Fraction(held_ns, HOUR_NS)


def _hours_of(contract: Contract, books: Sequence[PriceBook], window: Window) -> Window:
    """The whole hours of a window, of all subscriptions."""
    from_ns, until_ns = hour_start(window.from_ns), -(-window.until_ns // HOUR_NS) * HOUR_NS
    prices = {each.id: prices_of(each, books, from_ns, until_ns) for each in contract.subscriptions}
    return replace(window, from_ns=from_ns, until_ns=until_ns, prices=prices)


def _reserved(contract: Contract, window: Window) -> dict[tuple[Place, int], list[tuple[Reservation, Fraction]]]:
    """The capacity of each place and hour in base units, the reservation that began first before the others."""
    found: dict[tuple[Place, int], list[tuple[Reservation, Fraction]]] = defaultdict(list)
    for each in sorted(contract.reservations, key=lambda one: (one.start_ns, one.id)):
        start_ns, end_ns = contract.reserved(each)
        base = unit_of(each.meter, each.per).base
        for hour_ns in range(max(hour_start(start_ns), window.from_ns), min(end_ns, window.until_ns), HOUR_NS):
            capacity = capacity_in(contract, each, hour_ns, hour_ns + HOUR_NS) * base
            if capacity:
                found[(each.meter, each.region, each.kind), hour_ns].append((each, capacity))
    return found


def _claims(spans: Iterable[SpanUsage], places: set[Place]) -> dict[tuple[Place, int], list[Claim]]:
    """What could be covered, by place and hour: usage that a charge prices on demand, not what is charged besides.

    In the order in which it is covered: what is dearest on demand first, then by resource.
    """
    priced: list[tuple[tuple[Fraction, str, str, int], Place, SpanUsage]] = []
    for each in spans:
        attributes, price = each.span.attributes, each.span.price
        if price is None or each.span.tied:
            continue
        for place in (place for place in places if place[1:] == (attributes.region, attributes.kind)):
            naming = [charge for charge in price.plan.charges if charge.meter == place[0]]
            for charge in charges_for(naming, attributes):
                if not charge.also and model_of(charge.model).ALLOWANCES and each.size_given(charge.meter):
                    rank = (-_price(charge, each.span.month_ns), each.span.resource_id, charge.id, each.span.from_ns)
                    priced.append((rank, place, each))
    found: dict[tuple[Place, int], list[Claim]] = defaultdict(list)
    for (_, resource_id, charge_id, _), place, each in sorted(priced, key=lambda one: one[0]):
        for hour_ns, cells in each.cells(place[0]):
            found[place, hour_ns] += (
                ((resource_id, charge_id, hour_ns + number * CELL_NS), amount) for number, amount in enumerate(cells) if amount
            )
    return found


def _price(charge: Charge, month_ns: int) -> Fraction:
    """What a base unit costs on demand, at the price of the first tier."""
    return model_of(charge.model).first_price() / divisor(unit_of(charge.meter, charge.per), month_ns, charge.month_hours)


def _matched(place: Place, hour_ns: int, reserved: Sequence[tuple[Reservation, Fraction]], claims: Sequence[Claim]) -> Match:
    """Capacity is taken from what was reserved first. What is whole is reckoned in integers: fractions took most of the time."""
    capacities = {reservation.id: capacity for reservation, capacity in reserved}
    left = {name: capacity if capacity.denominator > 1 else capacity.numerator for name, capacity in capacities.items()}
    covered: dict[CoveredCell, tuple[tuple[str, Fraction], ...]] = {}
    for cell, amount in claims:
        parts: list[tuple[str, Fraction]] = []
        open_amount: int | Fraction = amount
        for name, capacity in left.items():
            taken = min(capacity, open_amount)
            if taken:
                parts.append((name, Fraction(taken)))
                left[name], open_amount = capacity - taken, open_amount - taken
        if not parts:
            break
        covered[cell] = tuple(parts)
    return Match(
        place=place,
        hour_ns=hour_ns,
        used=sum(amount for _, amount in claims),
        capacity=capacities,
        taken={name: capacity - left[name] for name, capacity in capacities.items()},
        covered=covered,
    )
