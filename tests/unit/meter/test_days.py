"""Local days of every zone, made of whole cells."""

from __future__ import annotations

from itertools import pairwise
from zoneinfo import ZoneInfoNotFoundError

import pytest

from tallystick.meter.days import day_totals, local_days
from tallystick.model.instants import CELL_NS, HOUR_NS, SECOND_NS, parse_iso
from tallystick.model.usage import UsageHour

DAYS = [  # zone, an instant, its date, the start of the day, its length in hours of UTC
    ("UTC", "2026-03-29T01:00:00Z", "2026-03-29", "2026-03-29T00:00:00Z", 24),
    ("Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29", "2026-03-28T23:00:00Z", 23),
    ("Asia/Kathmandu", "2026-03-28T18:14:59Z", "2026-03-28", "2026-03-27T18:15:00Z", 24),
    ("Asia/Kathmandu", "2026-03-28T18:15:00Z", "2026-03-29", "2026-03-28T18:15:00Z", 24),
    ("Australia/Lord_Howe", "2026-04-05T00:00:00Z", "2026-04-05", "2026-04-04T13:00:00Z", 24.5),
    ("Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29", "2011-12-29T10:00:00Z", 24),
    ("Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-31", "2011-12-30T10:00:00Z", 24),  # the 30th was left out
    ("America/Havana", "2026-11-01T05:30:00Z", "2026-11-01", "2026-11-01T04:00:00Z", 25),  # midnight comes twice
    ("America/Santiago", "2026-09-06T04:00:00Z", "2026-09-06", "2026-09-06T04:00:00Z", 23),  # midnight does not come
    ("America/St_Johns", "2010-11-07T02:40:00Z", "2010-11-07", "2010-11-07T02:30:00Z", 25),  # set back from 00:01 to 23:01
    ("America/St_Johns", "2010-11-07T02:29:59Z", "2010-11-06", "2010-11-06T02:30:00Z", 24),
]


@pytest.mark.parametrize(("zone", "at", "date", "start", "hours"), DAYS)
def test_local_days(zone: str, at: str, date: str, start: str, hours: float) -> None:
    at_ns = parse_iso(at)
    (day,) = local_days(zone, at_ns, at_ns + 1)
    assert (day.date.isoformat(), day.start_ns, day.end_ns - day.start_ns) == (date, parse_iso(start), int(hours * HOUR_NS))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Apia", "America/St_Johns", "America/Havana"])
def test_days_follow_each_other_without_a_hole(zone: str) -> None:
    days = local_days(zone, parse_iso("2010-11-01T00:00:00Z"), parse_iso("2012-02-01T00:00:00Z"))
    assert all(one.end_ns == other.start_ns and one.date < other.date for one, other in pairwise(days))


def test_a_zone_whose_days_are_no_whole_cells_is_refused() -> None:
    with pytest.raises(ValueError, match="Africa/Monrovia: 1969-12-31"):
        local_days("Africa/Monrovia", 0, 1)
    with pytest.raises(ZoneInfoNotFoundError):
        local_days("Europe/Atlantis", 0, 1)


def test_totals_are_sums_of_the_cells_of_the_date() -> None:
    """In Kathmandu a day begins in the middle of the hour of UTC: three of its cells are of the day before."""
    start = parse_iso("2026-03-28T18:00:00Z")
    cells = {"cpu.used": tuple(range(12)), "disk.read": (1,) * 12, "disk.write": (2,) * 12}
    hour = UsageHour(resource_id="r", hour_ns=start, cells=cells, estimated={"uptime": (1,) * 12}, samples=1, memory_peak_bytes=None)
    before, after = local_days("Asia/Kathmandu", start, start + 10 * 60 * SECOND_NS + 3 * CELL_NS)
    first, second = (day_totals([hour], day)["r"] for day in (before, after))
    assert first.totals == {"cpu.used": 3, "disk.read": 3, "disk.write": 6, "disk.io": 9}
    assert second.totals == {"cpu.used": 63, "disk.read": 9, "disk.write": 18, "disk.io": 27}
    assert (first.estimated, second.estimated) == ({"uptime": 3}, {"uptime": 9})
    assert day_totals([hour], local_days("Asia/Kathmandu", start + 90 * HOUR_NS, start + 91 * HOUR_NS)[0]) == {}
