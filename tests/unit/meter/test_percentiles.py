"""Percentiles of five-minute rates: ranks, interpolation, which slots count, and what is summed before the larger is taken."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.meter.summaries.percentiles import Slots
from tallystick.model.billing.ranks import interpolated, nearest_rank
from tallystick.model.instants import CELL_NS, HOUR_NS
from tallystick.model.usage import Cells, UsageHour

T = 491_981 * HOUR_NS
MB = 10**6
ALL_UP = (CELL_NS,) * 12

NEAREST: list[tuple[str, list[int], int]] = [
    ("95", list(range(1, 21)), 19),
    ("95", list(range(1, 22)), 20),
    ("95", [7], 7),
    ("100", [3, 1, 2], 3),
    ("0", [3, 1, 2], 1),
    ("50", [1, 2, 3, 4], 2),
    ("50.0001", [1, 2, 3, 4], 3),
    ("30", [15, 20, 35, 40, 50], 20),
    ("40", [15, 20, 35, 40, 50], 20),
]
INTERPOLATED: list[tuple[str, list[int], str]] = [
    ("100", [0, 1, 4], "4"),
    ("0", [0, 1, 4], "0"),
    ("50", [0, 1], "1/2"),
    ("75", [0, 1, 4], "5/2"),
    ("74", [3, 5, 6], "137/25"),
    ("95", [7], "7"),
]


@pytest.mark.parametrize(("percentile", "values", "expected"), NEAREST)
def test_nearest_rank(percentile: str, values: list[int], expected: int) -> None:
    assert nearest_rank([Fraction(value) for value in values], Fraction(percentile)) == expected


@pytest.mark.parametrize(("percentile", "values", "expected"), INTERPOLATED)
def test_linear_between_ranks(percentile: str, values: list[int], expected: str) -> None:
    assert interpolated([Fraction(value) for value in values], Fraction(percentile)) == Fraction(expected)


@given(st.lists(st.integers(0, 10**12), min_size=1), st.fractions(0, 100))
def test_at_least_so_many_are_at_most_it(values: list[int], percentile: Fraction) -> None:
    """By its definition, without ranks; and never outside of what was measured."""
    found = nearest_rank([Fraction(value) for value in values], percentile)
    at_most = [value for value in values if value <= found]
    below = [value for value in values if value < found]
    assert found in values
    assert 100 * len(at_most) >= percentile * len(values)
    assert not below or 100 * len(below) < percentile * len(values)
    assert min(values) <= interpolated([Fraction(value) for value in values], percentile) <= max(values)


@pytest.mark.parametrize("of", [nearest_rank, interpolated])
def test_what_has_no_percentile_is_refused(of: object) -> None:
    assert callable(of)
    with pytest.raises(ValueError, match="no values"):
        of([], Fraction(95))
    for percentile in (Fraction(-1), Fraction(10001, 100)):
        with pytest.raises(ValueError, match="from 0 to 100"):
            of([Fraction(1)], percentile)


def hour(cells: Mapping[str, Cells], resource_id: str = "vm-1", hour_ns: int = T) -> UsageHour:
    return UsageHour(resource_id=resource_id, hour_ns=hour_ns, cells=cells, estimated={}, samples=1, memory_peak_bytes=None)


def at(*places: tuple[int, int]) -> Cells:
    """Twelve cells that are 0 but in some places."""
    given_at = dict(places)
    return tuple(given_at.get(place, 0) for place in range(12))


def slots(*hours: UsageHour, from_ns: int = T, until_ns: int = T + HOUR_NS) -> Slots:
    made = Slots()
    made.add(hours, from_ns, until_ns)
    return made


def test_the_larger_direction_of_the_sums_is_the_rate() -> None:
    """75 MB in five minutes are 2 Mbit/s. Two that talk to each other are one stream on the link, not two."""
    one = hour({"uptime": ALL_UP, "network.rx": at((0, 75 * MB)), "network.tx": at((1, 75 * MB))})
    other = hour({"uptime": ALL_UP, "network.rx": at((1, 75 * MB)), "network.tx": at((0, 75 * MB), (2, 1))}, "vm-2")
    rates = slots(one, other).network_rates()
    assert rates[:3] == [Fraction(2), Fraction(2), Fraction(8, 300 * MB)]
    assert rates[3:] == [Fraction(0)] * 9
    assert slots(one).network_rates()[0] == 2


def test_cells_without_uptime_are_left_out() -> None:
    up = at((0, CELL_NS), (3, 1))
    made = slots(hour({"uptime": up, "network.rx": at((0, 3), (5, 100)), "cpu.used": at((0, 150 * 10**9))}))
    assert len(made.network_rates()) == 2
    assert made.cores() == [Fraction(1, 2), Fraction(0)]


def test_records_without_uptime_count_where_they_have_an_amount() -> None:
    made = slots(hour({"network.tx": at((4, 9))}))
    assert made.network_rates() == [Fraction(72, 300 * MB)]
    assert made.cores() == []


def test_only_slots_of_the_span_count() -> None:
    told = hour({"uptime": ALL_UP, "cpu.used": tuple(range(12))})
    assert slots(told, from_ns=T + CELL_NS, until_ns=T + 3 * CELL_NS).cores() == [Fraction(1, CELL_NS), Fraction(2, CELL_NS)]
