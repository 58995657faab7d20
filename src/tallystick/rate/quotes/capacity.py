"""Capacities in time and what they cost: components of a machine, sizes held for hours, peaks of several metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tallystick.model.billing.money import exact_text, rounded

MEBIBYTES_PER_GIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component of what is priced: `count` of a `size`, of which `free` costs nothing, for `hours` at `price`; or a `fixed` amount."""

    id: str
    size: Fraction = Fraction(1)
    free: Fraction = Fraction(0)
    hours: Fraction = Fraction(1)
    count: Fraction = Fraction(1)
    price: Fraction = Fraction(0)
    fixed: Fraction = Fraction(0)

    @property
    def amount(self) -> Fraction:
        """2 vCPU for 730 h at 0.01 are 14.60."""
        return max(self.size - self.free, Fraction(0)) * self.hours * self.count * self.price + self.fixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """What components cost by id, and together: the sum of what is shown."""

    amounts: Mapping[str, Fraction]
    total: Fraction


def priced_components(components: Sequence[Component], digits: int | None = None) -> Components:
    """What each component costs, at so many decimals where they are told, and the sum of that."""
    amounts = {each.id: each.amount if digits is None else rounded(each.amount, digits) for each in components}
    return Components(amounts=amounts, total=sum(amounts.values(), Fraction(0)))


def size_hours(segments: Sequence[tuple[Fraction, Fraction]]) -> Fraction:
    """Sizes, each held for some hours: 100 for 240 h and 130 for 480 h are 86,400."""
    return sum((size * hours for size, hours in segments), Fraction(0))


def size_months(segments: Sequence[tuple[Fraction, Fraction]], month_hours: Fraction, unit: Fraction = Fraction(1)) -> Fraction:
    """The same in units of a month of so many hours: 86,400 in a month of 720 h are 120. `unit` is the size of one, such as a GB."""
    return size_hours(segments) / (unit * month_hours)


def memory_seconds(memory_mib: Fraction, executions: Fraction, seconds_each: Fraction) -> Fraction:
    """The GiB-seconds of short runs: 3,000,000 of 200 ms with 512 MiB are 300,000."""
    return memory_mib / MEBIBYTES_PER_GIB * executions * seconds_each


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityTier:
    """A flat price for everything up to a limit of each metric (None: any)."""

    amount: Fraction
    limits: Mapping[str, Fraction | None]

    def holds(self, metric: str, peak: Fraction) -> bool:
        """Whether a peak is within its limit, which belongs to it.

        Raises:
            ValueError: the tier has no limit for the metric, not even none.

        """
        if metric not in self.limits:
            raise ValueError(f"no tier prices {metric!r}; there are: {', '.join(self.limits)}")
        limit = self.limits[metric]
        return limit is None or peak <= limit


def capacity_tier(tiers: Sequence[CapacityTier], peaks: Mapping[str, Fraction]) -> CapacityTier:
    """The first tier that every peak fits into, when tiers grow: the highest that any metric needs.

    Raises:
        ValueError: a peak above the last tier, or of a metric that the tiers do not know.

    """
    needed = 0
    for metric, peak in peaks.items():
        fitting = next((place for place, tier in enumerate(tiers) if tier.holds(metric, peak)), None)
        if fitting is None:
            raise ValueError(f"no tier holds {exact_text(peak)} of {metric!r}")
        needed = max(needed, fitting)
    return tiers[needed]
