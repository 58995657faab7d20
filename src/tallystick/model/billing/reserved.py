"""How well reservations are used, and how much of the usage that they could cover they do (billing.md, Reserved)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tallystick.model.billing.contracts import Reservation
from tallystick.model.instants import HOUR_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Utilization:
    """One reservation: the units of its `per` that it had, and those that covered something."""

    reservation: Reservation
    reserved: Fraction
    used: Fraction

    @property
    def utilization(self) -> Fraction:
        """The part of it that was used: 540 of 720 hours are 3/4."""
        return self.used / self.reserved

    @property
    def unused(self) -> Fraction:
        """What covered nothing."""
        return self.reserved - self.used

    @property
    def unused_cost(self) -> Fraction:
        """What the unused units cost: the recurring price, and the upfront part spread over all that was agreed.

        240 unused of 2,880 vcpu-hours at 0.005, for which 2.50 were paid: 240 x 0.005 + 2.50 x 240 / 2,880 = 1.40833.
        """
        agreed = self.reservation
        whole = agreed.quantity * Fraction(agreed.end_ns - agreed.start_ns, HOUR_NS)
        return self.unused * (agreed.recurring + agreed.upfront / whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The usage of a meter, region and kind in the hours in which some of it was reserved, beside what was; in units of `per`."""

    meter: str
    per: str
    region: str
    kind: str
    reserved: Fraction
    used: Fraction
    covered: Fraction

    @property
    def utilization(self) -> Fraction:
        """The part of what was reserved that covered something."""
        return self.covered / self.reserved

    @property
    def coverage(self) -> Fraction | None:
        """The part of the usage that was covered; None if there was none."""
        return self.covered / self.used if self.used else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationReport:
    """The reservations of a customer over some hours, in order of their starts, and the usage beside them.

    `totals` are by meter, of all regions and kinds, which are empty then.
    """

    reservations: tuple[Utilization, ...]
    usage: tuple[Coverage, ...]
    totals: tuple[Coverage, ...]
