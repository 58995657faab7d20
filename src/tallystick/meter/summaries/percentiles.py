"""Percentiles of five-minute rates, in exact rationals (billing.md, `p95`; metering.md, Kept in a usage hour).

A slot is a cell of the usage grid. It is measured if any resource was up in it; what was measured and moved nothing is 0, what was
not measured is left out, so silence never lowers a percentile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, SECOND_NS
from tallystick.model.usage import UsageHour

CELL_SECONDS = CELL_NS // SECOND_NS
MEGABIT = 10**6


@dataclass(slots=True)
class Slots:
    """What the resources together used in each measured slot, by its start: bytes received, bytes sent, core·ns."""

    received: dict[int, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    cpu_used: dict[int, int] = field(default_factory=dict)

    def add(self, hours: Iterable[UsageHour], from_ns: int, until_ns: int) -> None:
        """Add the slots of usage hours that begin in [from_ns, until_ns)."""
        for hour in hours:
            for sums, other, meter in (
                (self.received, self.sent, "network.rx"),
                (self.sent, self.received, "network.tx"),
                (self.cpu_used, None, "cpu.used"),
            ):
                for cell_ns, amount in _measured(hour, meter):
                    if from_ns <= cell_ns < until_ns:
                        sums[cell_ns] = sums.get(cell_ns, 0) + amount
                        if other is not None:
                            other.setdefault(cell_ns, 0)

    def network_rates(self) -> list[Fraction]:
        """The rate of each slot in Mbit/s: the larger of what all received and what all sent. 75 MB in five minutes are 2 Mbit/s."""
        larger = (max(self.received[cell_ns], self.sent[cell_ns]) for cell_ns in sorted(self.received))
        return [Fraction(8 * amount, CELL_SECONDS * MEGABIT) for amount in larger]

    def cores(self) -> list[Fraction]:
        """The average use of each slot in cores: 150 core·s in five minutes are 1/2."""
        return [Fraction(self.cpu_used[cell_ns], CELL_NS) for cell_ns in sorted(self.cpu_used)]


def _measured(hour: UsageHour, meter: str) -> Iterable[tuple[int, int]]:
    """(cell, amount) of the cells of a meter with time up. Where nothing tells of uptime (records) those with an amount: only they
    are known to have been measured.
    """  # noqa: D205 (the reason is one sentence)
    cells = hour.cells.get(meter)
    if cells is None:
        return
    up = hour.cells.get("uptime", cells)
    for place in range(CELLS_PER_HOUR):
        if up[place]:
            yield hour.hour_ns + place * CELL_NS, cells[place]
