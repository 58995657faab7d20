"""Local days of every zone, made of whole cells."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.meter.days import Owned, exchanged, local_days, parted_hours, sole_owner, usage_days, usage_months
from tallystick.model.instants import HOUR_NS, LATEST_NS, parse_iso
from tallystick.model.usage import HourTotals, UsageHour, UsagePeriod

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
    ((found, start_ns, end_ns),) = local_days(zone, at_ns, at_ns + 1)
    assert (found, start_ns, end_ns - start_ns) == (date, parse_iso(start), int(hours * HOUR_NS))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Pacific/Apia", "America/St_Johns", "America/Havana"])
def test_days_follow_each_other_without_a_hole(zone: str) -> None:
    days = list(local_days(zone, parse_iso("2010-11-01T00:00:00Z"), parse_iso("2012-02-01T00:00:00Z")))
    assert all(one[2] == other[1] and one[0] < other[0] for one, other in pairwise(days))


def test_a_zone_whose_days_are_no_whole_cells_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Africa/Monrovia.*1969-12-31"):
        list(local_days("Africa/Monrovia", 0, 1))
    with pytest.raises(ValueError, match="Europe/Atlantis"):
        list(local_days("Europe/Atlantis", 0, 1))


def test_totals_are_sums_of_the_cells_of_the_date() -> None:
    """In Kathmandu a day begins in the middle of the hour of UTC: three of its cells are of the day before."""
    start = parse_iso("2026-03-28T18:00:00Z")
    cells = {"cpu.used": tuple(range(12)), "disk.read": (1,) * 12, "disk.write": (2,) * 12}
    hour = UsageHour(resource_id="r", hour_ns=start, cells=cells, estimated={"uptime": (1,) * 12}, samples=1, memory_peak_bytes=None)
    nepal = Owned(customer_id="c", zone="Asia/Kathmandu", from_ns=0, until_ns=LATEST_NS)
    first, second = usage_days("r", [nepal], hours=[hour], gaps=(), from_ns=start, until_ns=start + HOUR_NS)
    assert (first.date, second.date) == ("2026-03-28", "2026-03-29")
    assert [first.total(meter) for meter in ("cpu.used", "disk.read", "disk.write", "disk.io")] == [3, 3, 6, 9]
    assert [second.total(meter) for meter in ("cpu.used", "disk.read", "disk.write", "disk.io")] == [63, 9, 18, 27]
    assert (first.estimated, second.estimated) == ({"uptime": 3}, {"uptime": 9})
    assert usage_days("r", [nepal], hours=[hour], gaps=(), from_ns=start + 90 * HOUR_NS, until_ns=start + 91 * HOUR_NS) == []


def test_a_day_is_shared_by_its_customers_cell_by_cell_and_each_has_its_own_month() -> None:
    start = parse_iso("2026-03-10T08:00:00Z")
    change = start + 4 * HOUR_NS // 12
    hour = UsageHour(resource_id="r", hour_ns=start, cells={"cpu.used": tuple(range(12))}, estimated={}, samples=9, memory_peak_bytes=5)
    owned = [
        Owned(customer_id="a", zone="UTC", from_ns=0, until_ns=change),
        Owned(customer_id="b", zone="Europe/Berlin", from_ns=change, until_ns=LATEST_NS),
    ]
    days = usage_days("r", owned, hours=[hour], gaps=(), from_ns=start, until_ns=start + HOUR_NS)
    assert [(day.customer_id, day.zone, day.totals, day.samples) for day in days] == [
        ("a", "UTC", {"cpu.used": 6}, 9),
        ("b", "Europe/Berlin", {"cpu.used": 60}, 0),
    ]
    months = usage_months(days)
    assert [(month.customer_id, month.date, month.totals) for month in months] == [
        ("a", "2026-03", {"cpu.used": 6}),
        ("b", "2026-03", {"cpu.used": 60}),
    ]


AMOUNTS = st.dictionaries(st.sampled_from(["cpu.used", "uptime", "memory.used"]), st.integers(0, 2**90), max_size=3)
PARTS = st.lists(
    st.tuples(AMOUNTS, AMOUNTS, st.integers(0, 9), st.none() | st.integers(0, 5), st.integers(0, 2)).map(
        lambda part: HourTotals(hour_ns=0, totals=part[0], estimated=part[1], samples=part[2], memory_peak_bytes=part[3], runs=part[4])
    ),
    max_size=4,
)


def summed(parts: list[HourTotals]) -> UsagePeriod:
    """A day of parts, in the plainest words."""
    totals: dict[str, int] = {}
    estimated: dict[str, int] = {}
    for part in parts:
        for sums, amounts in ((totals, part.totals), (estimated, part.estimated)):
            for meter, amount in amounts.items():
                sums[meter] = sums.get(meter, 0) + amount
    return UsagePeriod(
        resource_id="r",
        customer_id="c",
        zone="UTC",
        date="2026-03-28",
        start_ns=0,
        end_ns=24 * HOUR_NS,
        totals=totals,
        estimated=estimated,
        samples=sum(part.samples for part in parts),
        memory_peak_bytes=max((part.memory_peak_bytes for part in parts if part.memory_peak_bytes is not None), default=None),
        runs=sum(part.runs for part in parts),
        unknown_ns=0,
    )


@given(PARTS, PARTS, PARTS)
def test_a_day_with_the_difference_is_the_sum_of_its_hours_or_says_that_it_cannot_tell(
    kept: list[HourTotals], before: list[HourTotals], after: list[HourTotals]
) -> None:
    found = exchanged(summed(kept + before), before, after)
    assert found in (None, summed(kept + after))
    if not before:
        assert found is not None, "more usage can always be added"


@given(PARTS, PARTS)
def test_a_month_with_the_difference_of_a_day_is_the_sum_of_its_days(kept: list[HourTotals], more: list[HourTotals]) -> None:
    assert exchanged(summed(kept + more), [summed(kept)], [summed(kept + more)]) == summed(kept + more + more)


def test_hours_are_opened_only_where_a_day_or_an_owner_parts_them() -> None:
    start = parse_iso("2026-03-28T10:00:00Z")
    noon = start + 2 * HOUR_NS
    berlin = Owned(customer_id="a", zone="Europe/Berlin", from_ns=0, until_ns=noon + 5)
    nepal = Owned(customer_id="b", zone="Asia/Kathmandu", from_ns=noon + 5, until_ns=LATEST_NS)
    assert parted_hours([berlin], start, start + HOUR_NS) == {noon}
    assert parted_hours([nepal], start, start + 9 * HOUR_NS) >= {parse_iso("2026-03-28T18:00:00Z"), parse_iso("2026-03-27T18:00:00Z")}
    assert sole_owner([berlin, nepal], start, start + HOUR_NS) is None
    assert sole_owner([berlin, nepal], start - 96 * HOUR_NS, start - 95 * HOUR_NS) == ("a", "Europe/Berlin")
    totals = HourTotals(hour_ns=parse_iso("2026-03-28T18:00:00Z"), totals={}, estimated={}, samples=0, memory_peak_bytes=None, runs=0)
    with pytest.raises(ValueError, match="its cells are needed"):
        usage_days("r", [nepal], hours=[totals], gaps=(), from_ns=totals.hour_ns, until_ns=totals.hour_ns + HOUR_NS)
