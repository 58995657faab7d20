"""Usage as exact integers: meters, usage hours with their twelve cells, gaps (metering.md, Meters and Kept in a usage hour)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import overload

from tallystick.model.findings import Finding


class Unit(StrEnum):
    """The base unit of a meter: what its integers count."""

    CORE_NS = "core·ns"
    GPU_NS = "gpu·ns"
    BYTE_NS = "byte·ns"
    NS = "ns"
    BYTES = "bytes"
    OPERATIONS = "operations"
    REQUESTS = "requests"


METERS: Mapping[str, Unit] = {
    "cpu.used": Unit.CORE_NS,
    "cpu.allocated": Unit.CORE_NS,
    "memory.used": Unit.BYTE_NS,
    "memory.allocated": Unit.BYTE_NS,
    "disk.allocated": Unit.BYTE_NS,
    "disk.read": Unit.BYTES,
    "disk.write": Unit.BYTES,
    "disk.io": Unit.BYTES,
    "disk.ops": Unit.OPERATIONS,
    "network.rx": Unit.BYTES,
    "network.tx": Unit.BYTES,
    "network.io": Unit.BYTES,
    "gpu.allocated": Unit.GPU_NS,
    "gpu.used": Unit.GPU_NS,
    "gpu.memory.used": Unit.BYTE_NS,
    "uptime": Unit.NS,
    "http.requests": Unit.REQUESTS,
}
"""Every meter that is measured now, with its base unit, in the order of statements and rows."""

RECORDED_METERS = ("gpu.used", "gpu.memory.used", "http.requests")
"""Measured by usage records only: no sample has a column for them."""

STORED_METERS = (
    "cpu.used",
    "cpu.allocated",
    "memory.used",
    "memory.allocated",
    "disk.allocated",
    "disk.read",
    "disk.write",
    "disk.read_ops",
    "disk.write_ops",
    "network.rx",
    "network.tx",
    "gpu.allocated",
    "gpu.used",
    "gpu.memory.used",
    "uptime",
    "http.requests",
)
"""What a usage hour keeps: `disk.io`, `disk.ops` and `network.io` are sums of two of these."""

SUM_METERS: Mapping[str, tuple[str, ...]] = {
    "disk.io": ("disk.read", "disk.write"),
    "disk.ops": ("disk.read_ops", "disk.write_ops"),
    "network.io": ("network.rx", "network.tx"),
}

ESTIMATED_METERS = ("cpu.allocated", "memory.used", "memory.allocated", "gpu.allocated", "uptime")
"""The meters of which a part can be estimated: inside a gap. Counters are estimated in their place only, never in amount."""

ALLOCATED_METERS = ("cpu.allocated", "memory.allocated", "gpu.allocated", "disk.allocated")
"""Present only for resources that have size facts."""

Cells = tuple[int, ...]
"""Twelve integers, one per five-minute cell of an hour, in the meter's base unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageHour:
    """The exact usage of one resource in one UTC hour: per stored meter its twelve cells.

    A meter that no source measured is absent from `cells`; `estimated` holds only meters with a part inside gaps.
    `samples` and `memory_peak_bytes` are of the samples measured in the hour (peak None: none, or no memory column),
    `runs` the instants in it at which an incarnation opened.
    """

    resource_id: str
    hour_ns: int
    cells: Mapping[str, Cells]
    estimated: Mapping[str, Cells]
    samples: int
    memory_peak_bytes: int | None
    runs: tuple[int, ...] = ()

    def meter_cells(self, meter: str) -> Cells | None:
        """The twelve cells of any meter of `METERS`, sums included; None if nothing measured it."""
        if meter in SUM_METERS:
            parts = [self.cells[part] for part in SUM_METERS[meter] if part in self.cells]
            return tuple(map(sum, zip(*parts, strict=True))) if parts else None
        return self.cells.get(meter)

    def total(self, meter: str) -> int | None:
        """The hour's total of a meter in its base unit; None if nothing measured it."""
        cells = self.meter_cells(meter)
        return None if cells is None else sum(cells)

    def estimated_total(self, meter: str) -> int:
        """The part of the hour's total that lies inside gaps, in the base unit."""
        return sum(self.estimated.get(meter, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageMinute:
    """The usage of one resource in one UTC minute: per stored meter its amount, in base units; what nothing measured is absent.

    `estimated` is the part inside gaps; `evenly` the part told by something that reaches out of the minute, a usage record or a batch
    whose samples are gone, and placed evenly over its time. Minutes add up to their five-minute cell, to the unit.
    """

    resource_id: str
    minute_ns: int
    amounts: Mapping[str, int]
    estimated: Mapping[str, int]
    evenly: Mapping[str, int]
    samples: int
    memory_peak_bytes: int | None
    runs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HourTotals:
    """What a usage hour adds up to, without its cells: per stored meter the total, and the part inside gaps; `runs` is how many began."""

    hour_ns: int
    totals: Mapping[str, int]
    estimated: Mapping[str, int]
    samples: int
    memory_peak_bytes: int | None
    runs: int


class MeterHours(Sequence[tuple[int, Cells]]):
    """(hour_ns, its twelve cells) of one meter, of which the `amount` is known: they are read only where somebody looks at them.

    Equal to the tuple of the same. Looking raises ValueError if what is read no longer adds up to the amount.
    """

    __slots__ = ("_found", "_read", "amount")

    def __init__(self, amount: int, read: Callable[[], Iterable[tuple[int, Cells]]]) -> None:
        self.amount = amount
        self._read = read
        self._found: tuple[tuple[int, Cells], ...] | None = None

    def opened(self) -> tuple[tuple[int, Cells], ...]:
        """All of them."""
        if self._found is None:
            found = tuple(self._read())
            if sum([sum(cells) for _, cells in found]) != self.amount:
                raise ValueError(f"hours changed since they were summed: they were {self.amount}")
            self._found = found
        return self._found

    def __len__(self) -> int:
        return len(self.opened())

    @overload
    def __getitem__(self, place: int) -> tuple[int, Cells]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[tuple[int, Cells]]: ...
    def __getitem__(self, place: int | slice) -> tuple[int, Cells] | Sequence[tuple[int, Cells]]:
        return self.opened()[place]

    def __iter__(self) -> Iterator[tuple[int, Cells]]:
        return iter(self.opened())

    def __eq__(self, other: object) -> bool:
        return self.opened() == (other.opened() if isinstance(other, MeterHours) else other)

    def __hash__(self) -> int:
        return hash(self.opened())

    def __repr__(self) -> str:
        return repr(self.opened())


@dataclass(frozen=True, slots=True, kw_only=True)
class HourSums:
    """What all hours of one resource in [from_ns, until_ns) add up to, and how to read the hours themselves where that is not enough.

    `totals` and `estimated` are by stored meter, in base units. It is made only where every hour in which time is up measured every
    meter of `totals`. `held_ns` is how long the disk was held in it, in whole cells; None: only the hours can tell.
    """

    resource_id: str
    from_ns: int
    until_ns: int
    totals: Mapping[str, int]
    estimated: Mapping[str, int]
    held_ns: int | None
    hours: Callable[[], Sequence[UsageHour]]

    def total(self, meter: str) -> int | None:
        """The total of any meter of `METERS`, sums included, in its base unit; None if nothing measured it."""
        return total_of(self.totals, meter)


def total_of(totals: Mapping[str, int], meter: str) -> int | None:
    """The total of any meter of `METERS`, sums included, from those of stored meters; None if nothing measured it."""
    if meter not in SUM_METERS:
        return totals.get(meter)
    parts = [totals[part] for part in SUM_METERS[meter] if part in totals]
    return sum(parts) if parts else None


class Filled(StrEnum):
    """How a gap was filled: by interpolation, or not at all."""

    INTERPOLATED = "interpolated"
    UNKNOWN = "unknown"


class GapCause(StrEnum):
    """Why there is a gap, as far as it is known."""

    UNSTATED = "unstated"
    AGENT_AWAY = "agent_away"
    HOST_AWAY = "host_away"
    RESOURCE_DOWN = "resource_down"
    BATCH_MISSING = "batch_missing"
    CLOCK_STEPPED = "clock_stepped"
    RESTART = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A silence of one resource longer than the limit: [from_ns, until_ns)."""

    resource_id: str
    from_ns: int
    until_ns: int
    filled: Filled
    cause: GapCause = GapCause.UNSTATED


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursResult:
    """What the hours of a span of one resource are: hours without anything left out, gaps by their start, findings by instant."""

    hours: tuple[UsageHour, ...]
    gaps: tuple[Gap, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePeriod:
    """The usage of one resource over a local day or month [start_ns, end_ns) of `zone`, as far as it was `customer_id`'s.

    `totals` and `estimated` are by stored meter, in base units; `unknown_ns` is the length of gaps that nothing filled.
    """

    resource_id: str
    customer_id: str
    zone: str
    date: str
    start_ns: int
    end_ns: int
    totals: Mapping[str, int]
    estimated: Mapping[str, int]
    samples: int
    memory_peak_bytes: int | None
    runs: int
    unknown_ns: int

    def total(self, meter: str) -> int | None:
        """The exact total of any meter of `METERS`, sums included, in its base unit; None if nothing measured it."""
        return total_of(self.totals, meter)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageView:
    """What some time of one resource comes to, for a person: CPU in cores, levels in bytes. None: nothing measured it, or sums cannot tell.

    `vcpu_ns`, `memory_byte_ns` and `disk_byte_ns` are sizes times time.
    """

    samples: int
    uptime_ns: int
    cpu_average: Fraction | None
    cpu_p95: Fraction | None
    cpu_maximum: Fraction | None
    memory_average: Fraction | None
    memory_maximum: int | None
    disk_average: Fraction | None
    disk_maximum: Fraction | None
    network_bytes: int | None
    disk_io_bytes: int | None
    vcpu_ns: int | None
    memory_byte_ns: int | None
    disk_byte_ns: int | None
