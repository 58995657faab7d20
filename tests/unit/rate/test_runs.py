"""Runs by cell: every second of uptime is of one run, however the hours are cut, and what is charged of it adds up."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.model.billing.price_book import Charge
from tallystick.model.billing.runs import open_after, run_pieces
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, HOUR_NS, SECOND_NS
from tallystick.model.usage import UsageHour
from tallystick.rate.adjustments.run_rules import charged_ns
from tallystick.rate.models.unit import UnitModel

RULES = Charge(id="c", name="C", meter="uptime", per="hour", model=UnitModel(price=Fraction(1)), increment_seconds=60, minimum_seconds=600)


def hour_of(number: int, uptime: tuple[int, ...], runs: tuple[int, ...] = ()) -> UsageHour:
    """One hour of a machine; runs by seconds after the epoch."""
    return UsageHour(
        resource_id="vm",
        hour_ns=number * HOUR_NS,
        cells={"uptime": tuple(seconds * SECOND_NS for seconds in uptime)},
        estimated={},
        samples=0,
        memory_peak_bytes=None,
        runs=tuple(at * SECOND_NS for at in runs),
    )


@st.composite
def hours(draw: st.DrawFn) -> tuple[UsageHour, ...]:
    """A few hours, some of them missing."""
    found = []
    for number in sorted(draw(st.sets(st.integers(0, 5), max_size=4))):
        uptime = draw(st.tuples(*[st.integers(0, 300)] * CELLS_PER_HOUR))
        runs = sorted(draw(st.lists(st.integers(number * 3600, number * 3600 + 3599), max_size=4)))
        found.append(hour_of(number, uptime, tuple(runs)))
    return tuple(found)


known = st.none() | st.integers(0, 7200).map(lambda seconds: seconds * SECOND_NS)


@given(hours(), known)
def test_every_second_is_of_one_run(rows: tuple[UsageHour, ...], before_ns: int | None) -> None:
    pieces = list(run_pieces(rows, before_ns))
    for row in rows:
        for place, up in enumerate(row.cells["uptime"]):
            cell_ns = row.hour_ns + place * CELL_NS
            assert sum(piece.up_ns for piece in pieces if piece.cell_ns == cell_ns) == up
    assert [piece.cell_ns for piece in pieces] == sorted(piece.cell_ns for piece in pieces)


@given(hours(), known, st.integers(0, 5))
def test_periods_charge_together_what_one_would(rows: tuple[UsageHour, ...], before_ns: int | None, cut: int) -> None:
    """A run over a period's end is charged its minimum once, in the first, and a begun increment once."""
    early = [row for row in rows if row.hour_ns < cut * HOUR_NS]
    late = [row for row in rows if row.hour_ns >= cut * HOUR_NS]
    whole = sum(charged_ns(piece, RULES) for piece in run_pieces(rows, before_ns))
    first = sum(charged_ns(piece, RULES) for piece in run_pieces(early, before_ns))
    second = sum(charged_ns(piece, RULES) for piece in run_pieces(late, open_after(early, before_ns)))
    assert first + second == whole
    assert whole + (before_ns or 0) + 600 * SECOND_NS >= sum(sum(row.cells["uptime"]) for row in rows)


TABLE = """
uptime in three cells | runs        | open | pieces: before+up, seconds
300 300 10            |             | -    | ?+300 ?+300 ?+10
300 300 10            |             | 60   | 60+300 360+300 660+10
0 200 0               | 400         | 500  | 0+200
200 0 0               | 150         | 500  | 500+50 0+150
100 0 0               | 150         | -    | 0+100
300 300 0             | 0           | 500  | 0+300 300+300
260 0 0               | 10 60       | -    | 0+20 0+240
20 0 0                | 10 60 100   | -    | 0+0 0+0 0+20
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines()[1:])
def test_whose_time_a_cell_is(row: str) -> None:
    """A run is up from its opening as far as there is time; what is left was up before."""
    uptime, runs, before, said = (part.strip() for part in row.split("|"))
    cells = tuple(map(int, uptime.split())) + (0,) * 9
    known_ns = None if before == "-" else int(before) * SECOND_NS
    pieces = run_pieces([hour_of(0, cells, tuple(map(int, runs.split())))], known_ns)
    told = [(piece.before_ns, piece.up_ns // SECOND_NS) for piece in pieces]
    assert " ".join(f"{'?' if ns is None else ns // SECOND_NS}+{up}" for ns, up in told) == said
