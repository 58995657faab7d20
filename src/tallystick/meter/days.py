"""Usage hours into days and months of a customer's zone, which are made of whole cells (metering.md, usage day)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, SECOND_NS
from tallystick.model.usage import METERS, UsageHour

_EPOCH = date(1970, 1, 1)
_SEARCH_SECONDS = 3 * 24 * 3600
"""No local date begins farther than this from its noon in UTC: zones move by a day at most."""
_SET_BACK_SECONDS = 3 * 3600
"""Clocks are set back by no more than this over a midnight."""
_STEP_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDay:
    """All instants of a local date: [start_ns, end_ns). It need not have 24 hours, nor begin at a midnight."""

    date: date
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotals:
    """Sums of the cells of a day: by meter of `METERS`, sums of two included; `estimated` where a part lies inside gaps."""

    resource_id: str
    day: LocalDay
    totals: Mapping[str, int]
    estimated: Mapping[str, int]


def local_days(zone: str, from_ns: int, until_ns: int) -> tuple[LocalDay, ...]:
    """The local days of a zone that [from_ns, until_ns) touches, in order; a date that is left out has none.

    Raises:
        ValueError: a day does not begin at a whole cell; the message names zone and date.
        zoneinfo.ZoneInfoNotFoundError: no such zone.

    """
    days = []
    at = from_ns
    while at < until_ns:
        today = _date(at, ZoneInfo(zone))
        begin, end = _begin(zone, today), _begin(zone, today + timedelta(days=1))
        if end <= at:  # a clock set back over midnight: its date began before, and this instant belongs to it
            begin, end = end, _begin(zone, today + timedelta(days=2))
        days.append(LocalDay(date=_date(begin, ZoneInfo(zone)), start_ns=begin, end_ns=end))
        at = end
    return tuple(days)


def _date(at_ns: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).astimezone(zone).date()


@lru_cache(maxsize=4096)
def _begin(zone: str, day: date) -> int:
    """The first instant of a local date, or where it is left out of the one after it: by bisection of whole seconds.

    Where a clock is set back over midnight the date is reached twice: the first time counts.
    """
    place = ZoneInfo(zone)
    noon = ((day - _EPOCH).days * 24 + 12) * 3600
    reached = _reached(place, day, noon - _SEARCH_SECONDS, noon + _SEARCH_SECONDS)
    for earlier in range(reached - _SET_BACK_SECONDS, reached, _STEP_SECONDS):
        if _date(earlier * SECOND_NS, place) >= day:
            reached = _reached(place, day, earlier - _STEP_SECONDS, earlier)
            break
    if reached * SECOND_NS % CELL_NS:
        raise ValueError(f"time zone {zone}: {day} begins at {reached} s since the epoch, which is no whole five-minute cell")
    return reached * SECOND_NS


def _reached(zone: ZoneInfo, day: date, before: int, reached: int) -> int:
    """The first second at which the date is `day` or later, between one at which it is not and one at which it is."""
    while reached - before > 1:
        middle = (before + reached) // 2
        if _date(middle * SECOND_NS, zone) >= day:
            reached = middle
        else:
            before = middle
    return reached


def day_totals(hours: Iterable[UsageHour], day: LocalDay) -> dict[str, DayTotals]:
    """The totals of a day by resource, from the usage hours that touch it; hours outside it add nothing.

    A meter that nothing measured in the day is absent. Cells belong to the day that holds their start.
    """
    totals: dict[str, dict[str, int]] = {}
    estimated: dict[str, dict[str, int]] = {}
    for hour in hours:
        inside = slice(*_cells_inside(hour.hour_ns, day))
        if inside.start >= inside.stop:
            continue
        mine = totals.setdefault(hour.resource_id, {})
        guessed = estimated.setdefault(hour.resource_id, {})
        for meter, cells in _meters(hour):
            mine[meter] = mine.get(meter, 0) + sum(cells[inside])
        for meter, cells in hour.estimated.items():
            guessed[meter] = guessed.get(meter, 0) + sum(cells[inside])
    return {
        resource_id: DayTotals(resource_id=resource_id, day=day, totals=mine, estimated=estimated[resource_id])
        for resource_id, mine in totals.items()
    }


def _meters(hour: UsageHour) -> Iterator[tuple[str, tuple[int, ...]]]:
    for meter in METERS:
        cells = hour.meter_cells(meter)
        if cells is not None:
            yield meter, cells


def _cells_inside(hour_ns: int, day: LocalDay) -> tuple[int, int]:
    """The cells [low, high) of an hour that lie in a day."""
    low = max(day.start_ns - hour_ns, 0) // CELL_NS
    high = min(day.end_ns - hour_ns, CELLS_PER_HOUR * CELL_NS) // CELL_NS
    return low, max(high, low)
