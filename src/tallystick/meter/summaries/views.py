"""What hours of one resource come to, for a person to read: averages, largest five-minute averages, totals (requirements P2).

For display, never for billing. An average is over the time up; the largest and the 95th percentile are of five-minute averages of cells
in which it was up, the latter by nearest rank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction

from tallystick.model.billing.ranks import nearest_rank
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR
from tallystick.model.usage import UsageHour, UsagePeriod, UsageView

Piece = tuple[UsageHour, int, int]
"""An hour, and its cells [first, past) that count."""
SUMMED = ("uptime", "cpu.used", "memory.used", "network.io", "disk.io", "cpu.allocated", "memory.allocated", "disk.allocated")
P95 = Fraction(95)


def view_of(pieces: Sequence[Piece]) -> UsageView:
    """The view of some cells: 300 core·s in one of two hours up are 1/24 core on average, and 1 core at most if they lie in one cell."""
    totals: dict[str, int] = defaultdict(int)
    cores: list[Fraction] = []
    disks: list[int] = []
    for hour, first, past in pieces:
        for meter in SUMMED:
            cells = hour.meter_cells(meter)
            if cells is not None:
                totals[meter] += sum(cells[first:past])
        up, cpu = hour.cells.get("uptime", ()), hour.cells.get("cpu.used", ())
        cores += [Fraction(used, time) for used, time in zip(cpu[first:past], up[first:past], strict=False) if time]
        disks += hour.cells.get("disk.allocated", ())[first:past]
    whole = [hour for hour, first, past in pieces if (first, past) == (0, CELLS_PER_HOUR)]
    peaks = [hour.memory_peak_bytes for hour in whole if hour.memory_peak_bytes is not None]
    return UsageView(
        samples=sum(hour.samples for hour in whole),
        uptime_ns=totals.get("uptime", 0),
        cpu_average=_over(totals.get("cpu.used"), totals.get("uptime")),
        cpu_p95=nearest_rank(cores, P95) if cores else None,
        cpu_maximum=max(cores, default=None),
        memory_average=_over(totals.get("memory.used"), totals.get("uptime")),
        memory_maximum=max(peaks, default=None),
        disk_average=Fraction(sum(disks), len(disks) * CELL_NS) if disks else None,
        disk_maximum=Fraction(max(disks), CELL_NS) if disks else None,
        network_bytes=totals.get("network.io"),
        disk_io_bytes=totals.get("disk.io"),
        vcpu_ns=totals.get("cpu.allocated"),
        memory_byte_ns=totals.get("memory.allocated"),
        disk_byte_ns=totals.get("disk.allocated"),
    )


def view_of_period(period: UsagePeriod) -> UsageView:
    """The view of a stored day or month: what its sums say. What needs its cells is not told."""
    up = period.total("uptime")
    return UsageView(
        samples=period.samples,
        uptime_ns=up or 0,
        cpu_average=_over(period.total("cpu.used"), up),
        cpu_p95=None,
        cpu_maximum=None,
        memory_average=_over(period.total("memory.used"), up),
        memory_maximum=period.memory_peak_bytes,
        disk_average=None,
        disk_maximum=None,
        network_bytes=period.total("network.io"),
        disk_io_bytes=period.total("disk.io"),
        vcpu_ns=period.total("cpu.allocated"),
        memory_byte_ns=period.total("memory.allocated"),
        disk_byte_ns=period.total("disk.allocated"),
    )


def _over(amount: int | None, up_ns: int | None) -> Fraction | None:
    return Fraction(amount, up_ns) if amount is not None and up_ns else None
