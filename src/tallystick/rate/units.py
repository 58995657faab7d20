"""The units of price books: how many base units of a meter make one, and which unit fits which meter (metering.md, Meters)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from tallystick.model.billing.money import Rounding, rounded
from tallystick.model.instants import CELL_NS, HOUR_NS, SECOND_NS

GIB = 2**30
GB = 10**9
RATE_METER = "network.rate"
"""The larger of what was received and sent in each five-minute slot, over all resources: it has a percentile, and no sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceUnit:
    """A unit of a price: `base` base units of the meter make one; per month, `base` is what one holds in a nanosecond's time."""

    name: str
    base: int
    monthly: bool = False

    def of(self, amount: Fraction) -> Fraction:
        """An amount of base units in this unit; of a monthly one, in units that are held for a nanosecond."""
        return amount / self.base


CORE_HOUR = PriceUnit(name="core-hour", base=HOUR_NS)
VCPU_HOUR = PriceUnit(name="vcpu-hour", base=HOUR_NS)
GPU_HOUR = PriceUnit(name="gpu-hour", base=HOUR_NS)
HOUR = PriceUnit(name="hour", base=HOUR_NS)
GIB_HOUR = PriceUnit(name="GiB-hour", base=GIB * HOUR_NS)
GB_HOUR = PriceUnit(name="GB-hour", base=GB * HOUR_NS)
GIB_MONTH = PriceUnit(name="GiB-month", base=GIB, monthly=True)
GB_MONTH = PriceUnit(name="GB-month", base=GB, monthly=True)
GIBIBYTE = PriceUnit(name="GiB", base=GIB)
GIGABYTE = PriceUnit(name="GB", base=GB)
MILLION = PriceUnit(name="million", base=10**6)
THOUSAND = PriceUnit(name="thousand", base=10**3)

HOURLY = (CORE_HOUR, VCPU_HOUR, GPU_HOUR, HOUR, GIB_HOUR, GB_HOUR)
"""What is held for an hour: a quantity of these can be reserved."""

MEGABIT_RATE = PriceUnit(name="Mbit/s", base=CELL_NS // SECOND_NS * 10**6 // 8)
"""Of `RATE_METER`: what a rate of one moves in a five-minute slot, in bytes."""
EVENT_UNIT = PriceUnit(name="unit", base=1)

METER_UNITS: Mapping[str, tuple[PriceUnit, ...]] = {
    "cpu.used": (CORE_HOUR,),
    "cpu.allocated": (VCPU_HOUR,),
    "memory.used": (GIB_HOUR, GB_HOUR),
    "memory.allocated": (GIB_HOUR, GB_HOUR),
    "disk.allocated": (GIB_HOUR, GB_HOUR, GIB_MONTH, GB_MONTH),
    "disk.read": (GIBIBYTE, GIGABYTE),
    "disk.write": (GIBIBYTE, GIGABYTE),
    "disk.io": (GIBIBYTE, GIGABYTE),
    "disk.ops": (MILLION,),
    "network.rx": (GIBIBYTE, GIGABYTE),
    "network.tx": (GIBIBYTE, GIGABYTE),
    "network.io": (GIBIBYTE, GIGABYTE),
    RATE_METER: (MEGABIT_RATE,),
    "gpu.allocated": (GPU_HOUR,),
    "gpu.used": (GPU_HOUR,),
    "gpu.memory.used": (GIB_HOUR, GB_HOUR),
    "uptime": (HOUR,),
    "http.requests": (THOUSAND, MILLION),
}
"""The units that fit each meter; the first is that of usage statements."""

EVENT_METER = re.compile(r"events\.[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a price book may call a meter of priced events; their amounts come in units of their own."""

SIZE_OF_METER: Mapping[str, str] = {
    "cpu.allocated": "vcpus",
    "memory.allocated": "memory_bytes",
    "disk.allocated": "disk_bytes",
    "gpu.allocated": "gpus",
}
"""The size of a resource that each allocated meter is made of: one that nobody gave is unpriced."""


def units_of(meter: str) -> tuple[PriceUnit, ...]:
    """The units that fit a meter; none if there is no such meter."""
    return (EVENT_UNIT,) if EVENT_METER.fullmatch(meter) else METER_UNITS.get(meter, ())


def unit_of(meter: str, name: str) -> PriceUnit:
    """The unit of that name for a meter.

    Raises:
        ValueError: the meter has no such unit.

    """
    for unit in units_of(meter):
        if unit.name == name:
            return unit
    raise ValueError(f"meter {meter!r} has no unit {name!r}")


def divisor(unit: PriceUnit, month_ns: int, month_hours: Fraction | None) -> Fraction:
    """How many base units of the meter make one of the unit, in a month of `month_ns`, or of the nominal `month_hours`.

    A GiB-month of a March with a clock change is 2^30 x 743 h: a disk that is there all month is a whole GiB-month.
    """
    if not unit.monthly:
        return Fraction(unit.base)
    return Fraction(unit.base) * (month_ns if month_hours is None else month_hours * HOUR_NS)


class Conversion(StrEnum):
    """How a measured quantity becomes the one that is billed."""

    MULTIPLY = "multiply"
    DIVIDE = "divide"


def converted(quantity: Fraction, conversion: Conversion, factor: Fraction, rounding: Rounding | None = None, digits: int = 0) -> Fraction:
    """A quantity in another unit, exact, whole or at so many decimals: 1,400 divided by 1,000 are 1.4, by ceiling 2.

    Raises:
        ValueError: a factor that is not above 0.

    """
    if factor <= 0:
        raise ValueError(f"factor {factor} is not above 0")
    exact = quantity * factor if conversion is Conversion.MULTIPLY else quantity / factor
    return exact if rounding is None else rounded(exact, digits, rounding)
