"""How well reservations are used, and how much of the usage that they could cover they do (billing.md, Reserved)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tallystick.model.billing.contracts import Contract, Run
from tallystick.model.billing.invoices import Usage
from tallystick.model.billing.price_book import PriceBook
from tallystick.rate.attribution import window_of
from tallystick.rate.reservations.matching import Place, matches
from tallystick.rate.units import unit_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Utilization:
    """One reservation: the units of `per` that it had, and those that covered something."""

    reservation_id: str
    per: str
    capacity: Fraction
    covering: Fraction

    @property
    def utilization(self) -> Fraction:
        """The part of it that was used: 540 of 720 hours are 3/4."""
        return self.covering / self.capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The usage of a meter, region and kind in the hours in which some of it was reserved, and what of it was covered; in `per`."""

    meter: str
    region: str
    kind: str
    per: str
    used: Fraction
    covered: Fraction

    @property
    def coverage(self) -> Fraction | None:
        """The part of the usage that was covered; None if there was none."""
        return self.covered / self.used if self.used else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationReport:
    """The reservations of a customer over the hours of a run, in order of their starts, and the usage beside them."""

    reservations: tuple[Utilization, ...]
    usage: tuple[Coverage, ...]


def reservation_report(usage: Usage, contract: Contract, books: Sequence[PriceBook], run: Run) -> ReservationReport:
    """What was reserved and what it covered, from the same matching that the bill is made with."""
    capacity: dict[str, Fraction] = defaultdict(Fraction)
    covering: dict[str, Fraction] = defaultdict(Fraction)
    used: dict[Place, int] = defaultdict(int)
    covered: dict[Place, Fraction] = defaultdict(Fraction)
    for match in matches(usage, contract, books, window_of(contract, books, run)):
        used[match.place] += match.used
        for name, amount in match.capacity.items():
            capacity[name] += amount
        for name, amount in (part for parts in match.covered.values() for part in parts):
            covering[name] += amount
            covered[match.place] += amount
    own = sorted((each for each in contract.reservations if capacity[each.id]), key=lambda each: (each.start_ns, each.id))
    bases = {each.id: unit_of(each.meter, each.per).base for each in own}
    units = {(each.meter, each.region, each.kind): unit_of(each.meter, each.per) for each in own}
    return ReservationReport(
        reservations=tuple(
            Utilization(
                reservation_id=each.id,
                per=each.per,
                capacity=capacity[each.id] / bases[each.id],
                covering=covering[each.id] / bases[each.id],
            )
            for each in own
        ),
        usage=tuple(
            Coverage(
                meter=place[0],
                region=place[1],
                kind=place[2],
                per=unit.name,
                used=unit.of(Fraction(used[place])),
                covered=unit.of(covered[place]),
            )
            for place, unit in sorted(units.items())
        ),
    )
