"""Functions over events, levels, readings and shared time: the parts of a window add up to it."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.meter.summaries.events import (
    Event,
    Window,
    aggregate,
    evenly_spaced,
    of_values,
    quantity,
    windowed,
    windowed_by_group,
)
from tallystick.meter.summaries.levels import Presence, days_there, levels, prorated, prorated_members, time_weighted
from tallystick.meter.summaries.readings import Reading, change, growth, increase, resets, steps
from tallystick.meter.summaries.sharing import UNUSED, overlap_share, time_shares
from tallystick.model.instants import parse_iso

INSTANTS = st.integers(0, 1000)
VALUES = st.integers(-20, 20).map(Fraction)
EVENTS = st.lists(
    st.builds(lambda at, value, group: Event(at_ns=at, value=value, group=group), INSTANTS, VALUES, st.sampled_from("ab")), max_size=15
)
CUTS = st.lists(INSTANTS, max_size=5).map(lambda cuts: [0, *sorted(cuts), 1001])
READINGS = st.lists(st.tuples(INSTANTS, st.integers(0, 50)), max_size=12, unique_by=lambda each: each[0]).map(
    lambda pairs: [Reading(at_ns=at, value=Fraction(value)) for at, value in pairs]
)


@settings(max_examples=50)
@given(EVENTS, CUTS, st.booleans())
def test_windows_that_touch_hold_every_event_once(events: list[Event], cuts: list[int], until_included: bool) -> None:
    shift = -1 if until_included else 0
    windows = [Window(from_ns=a + shift, until_ns=b + shift, until_included=until_included) for a, b in pairwise(cuts)]
    for function in ("count", "sum"):
        assert sum(quantity(function, events, window) for window in windows) == quantity(function, events)


@settings(max_examples=50)
@given(EVENTS, st.randoms(use_true_random=False))
def test_order_does_not_matter_but_for_equal_instants(events: list[Event], random: object) -> None:
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a seeded one of Hypothesis
    for function in ("count", "sum", "min", "max", "mean", "unique", "p95", "median", "deviation"):
        assert aggregate(function, events) == aggregate(function, shuffled)
    assert windowed_by_group("max", events, 60) == windowed_by_group("max", shuffled, 60)


@settings(max_examples=50)
@given(EVENTS, st.integers(1, 400))
def test_windows_of_one_width_add_up(events: list[Event], width: int) -> None:
    found = windowed("sum", events, width)
    assert sum(value for _, value in found) == quantity("sum", events)
    assert windowed_by_group("sum", events, width) == found
    assert all(start % width == 0 for start, _ in found)
    assert [start for start, _ in found] == sorted({event.at_ns // width * width for event in events})


FUNCTIONS = """
function  | values        | result
count     | 3 5 2 3 5     | 5
unique    | 3 5 2 3 5     | 3
unique    | a b a         | 2
sum       | 3 5 2 3 5     | 18
mean      | 3 5 2 3 5     | 18/5
min       | 3 5 2 3 5     | 2
max       | 3 5 2 3 5     | 5
first     | 3 5 2         | 3
last      | 3 5 2         | 2
median    | 4 2           | 3
p0        | 3 5 2         | 2
p99.5     | 0 200         | 199
deviation | 3 5 2 3 5     | 1.341640786500
deviation | 8 11 22 10 42 9 | 13.266499161422
deviation | 4 4           | 0
deviation | 4             | -
max       | -             | -
count     | -             | 0
sum       | -             | 0
"""


@pytest.mark.parametrize("row", FUNCTIONS.strip().splitlines()[1:])
def test_a_function(row: str) -> None:
    function, values, result = (part.strip() for part in row.split("|"))
    given_values = [each if each.isalpha() else Fraction(each) for each in values.split() if each != "-"]
    assert of_values(function, given_values) == (None if result == "-" else Fraction(result))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: of_values("sum", [Fraction(1), "x"]), "value 'x' is no number, which 'sum' needs"),
        (lambda: of_values("mode", [Fraction(1)]), "function 'mode' is none of count, unique, sum, "),
        (lambda: of_values("p101", [Fraction(1)]), "from 0 to 100"),
        (lambda: windowed("sum", [], 0), "width above 0"),
        (lambda: evenly_spaced(0, 1, 0), "distance above 0"),
        (lambda: levels(Fraction(0), [], 5, 5), "is empty"),
        (lambda: prorated([(Fraction(1), -1)], 31), "no part of a period"),
        (lambda: prorated([(Fraction(1), 1)], 0), "no part of a period"),
        (lambda: overlap_share((5, 5), (0, 9)), "is empty"),
        (lambda: time_shares((5, 5), []), "is empty"),
    ],
)
def test_what_cannot_be_is_refused(call: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()  # type: ignore[operator]  # each is a function


@settings(max_examples=50)
@given(VALUES, st.lists(st.tuples(INSTANTS, VALUES), max_size=12), INSTANTS)
def test_the_mean_of_a_level_is_that_of_its_parts(initial: Fraction, changes: list[tuple[int, Fraction]], cut: int) -> None:
    whole = levels(initial, changes, 0, 1001)
    assert [(each.from_ns, each.until_ns) for each in whole][:1] == [(0, whole[0].until_ns)]
    assert all(a.until_ns == b.from_ns for a, b in pairwise(whole))
    assert whole[-1].until_ns == 1001
    total = time_weighted(initial, changes, 0, 1001)
    assert sum(each.level * each.length_ns for each in whole) == total * 1001
    if cut > 0:
        parts = time_weighted(initial, changes, 0, cut) * cut + time_weighted(initial, changes, cut, 1001) * (1001 - cut)
        assert parts == total * 1001


def presence(at: str, member: str, there: bool) -> Presence:
    return Presence(at_ns=parse_iso(f"2026-03-{at}Z"), member=member, there=there)


def test_members_by_local_dates() -> None:
    presences = [
        presence("10T23:30:00", "a", True),
        presence("11T00:30:00", "a", False),
        presence("11T12:00:00", "a", True),
        presence("05T00:00:00", "b", True),
        presence("06T00:00:00", "b", False),
        presence("12T00:00:00", "c", False),
    ]
    month = parse_iso("2026-03-01T00:00:00Z"), parse_iso("2026-04-01T00:00:00Z")
    assert days_there(presences, "UTC", *month) == {"a": 22, "b": 2}
    assert days_there(presences, "Asia/Kolkata", *month) == {"a": 22, "b": 2}
    assert prorated_members(presences, "UTC", *month, 31) == Fraction(24, 31)
    assert days_there(presences, "UTC", parse_iso("2026-03-06T00:00:00Z"), month[1])["b"] == 1


@settings(max_examples=40)
@given(READINGS, CUTS)
def test_growth_of_windows_that_touch_adds_up(readings: list[Reading], cuts: list[int]) -> None:
    bounds = [each - 1 for each in cuts]
    parts = [increase(readings, a, b) or 0 for a, b in pairwise(bounds)]
    ordered = sorted(readings, key=lambda reading: reading.at_ns)
    assert sum(parts) == sum(growth(a.value, b.value) for a, b in pairwise(ordered))
    assert sum(change(readings, a, b) or 0 for a, b in pairwise(bounds)) == sum(event.value for event in steps(readings))
    assert resets(readings, -1, 1001) == sum(b.value < a.value for a, b in pairwise(ordered))


def test_a_start_that_was_told_of_counts_from_nothing() -> None:
    first = Reading(at_ns=20, value=Fraction(5), started_ns=10)
    second = Reading(at_ns=30, value=Fraction(9), started_ns=25)
    same = Reading(at_ns=40, value=Fraction(10), started_ns=25)
    assert increase([same, second, first], 0, 40) == 5 + 9 + 1
    assert increase([first], 0, 15) == 0
    assert increase([first], 20, 30) is None


SPANS = st.tuples(INSTANTS, INSTANTS).filter(lambda span: span[0] < span[1])


@given(SPANS, st.lists(st.tuples(st.sampled_from("abc"), SPANS), max_size=6), CUTS)
def test_shares_of_time_add_up_to_one(span: tuple[int, int], uses: list[tuple[str, tuple[int, int]]], cuts: list[int]) -> None:
    shares = time_shares(span, uses)
    assert sum(shares.values()) == 1
    assert min(shares.values()) >= 0
    assert set(shares) == {user for user, _ in uses} | {UNUSED}
    assert sum(overlap_share(span, window) for window in pairwise(cuts)) == 1


def test_time_is_shared_by_those_who_use_it() -> None:
    shares = time_shares((0, 60), [("a", (0, 30)), ("b", (15, 30)), ("a", (40, 70))])
    assert shares == {"a": Fraction(15 + 15, 60) - Fraction(15, 120) + Fraction(20, 60), "b": Fraction(15, 120), UNUSED: Fraction(10, 60)}
