"""The report on reservations, from the same matching that the bill is made with (billing.md, Reserved)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tallystick.model.billing.contracts import Contract, Run
from tallystick.model.billing.invoices import Usage
from tallystick.model.billing.price_book import Cycle, PriceBook
from tallystick.model.billing.reserved import Coverage, ReservationReport, Utilization
from tallystick.rate.attribution import Window
from tallystick.rate.reservations.matching import Match, Place, matches
from tallystick.rate.units import PriceUnit, unit_of


@dataclass(slots=True)
class _Sums:
    """In base units: what was reserved, what was used beside it, and what of that was covered."""

    reserved: Fraction = field(default_factory=Fraction)
    used: Fraction = field(default_factory=Fraction)
    covered: Fraction = field(default_factory=Fraction)

    def shown(self, place: Place, unit: PriceUnit) -> Coverage:
        return Coverage(
            meter=place[0],
            per=unit.name,
            region=place[1],
            kind=place[2],
            reserved=unit.of(self.reserved),
            used=unit.of(self.used),
            covered=unit.of(self.covered),
        )


def matches_between(usage: Usage, contract: Contract, books: Sequence[PriceBook], from_ns: int, until_ns: int) -> tuple[Match, ...]:
    """Each hour of [from_ns, until_ns) in which something was reserved, whichever runs bill it."""
    run = Run(
        customer_id=contract.customer.id,
        cycle=Cycle(),
        anchor_ns=from_ns,
        period_start_ns=from_ns,
        period_end_ns=until_ns,
        closing_ns=until_ns,
        currency="",
        subscription_ids=(),
    )
    return matches(usage, contract, books, Window(from_ns=from_ns, until_ns=until_ns, contract=contract, run=run, prices={}))


def reservation_report(contract: Contract, found: Iterable[Match]) -> ReservationReport:
    """What was reserved and what it covered, in hours of a contract that were matched; read once, in any order."""
    reserved: dict[str, Fraction] = defaultdict(Fraction)
    used: dict[str, Fraction] = defaultdict(Fraction)
    places: dict[Place, _Sums] = defaultdict(_Sums)
    totals: dict[Place, _Sums] = defaultdict(_Sums)
    for match in found:
        for name, amount in match.capacity.items():
            reserved[name] += amount
            used[name] += match.taken[name]
        for sums in (places[match.place], totals[match.place[0], "", ""]):
            sums.reserved += sum(match.capacity.values())
            sums.used += match.used
            sums.covered += sum(match.taken.values())
    own = sorted((each for each in contract.reservations if reserved[each.id]), key=lambda each: (each.start_ns, each.id))
    units = {each.meter: unit_of(each.meter, each.per) for each in reversed(own)}
    return ReservationReport(
        reservations=tuple(
            Utilization(reservation=each, reserved=unit.of(reserved[each.id]), used=unit.of(used[each.id]))
            for each in own
            for unit in (unit_of(each.meter, each.per),)
        ),
        usage=tuple(sums.shown(place, units[place[0]]) for place, sums in sorted(places.items())),
        totals=tuple(sums.shown(place, units[place[0]]) for place, sums in sorted(totals.items())),
    )
