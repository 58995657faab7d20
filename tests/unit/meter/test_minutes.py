"""Usage minutes worked by hand: what each minute gets, with samples and where they are gone."""

from __future__ import annotations

import pytest

from tallystick.meter.sources.minutes import parted_batches, prepare_minutes, usage_minutes
from tallystick.model.instants import CELL_NS, HOUR_NS, MINUTE_NS, SECOND_NS
from tallystick.model.usage import UsageMinute
from tests.laws.compare import taken
from tests.laws.streams import Stream
from tests.unit.meter.test_hours import Row, batch, event

H, M, S = HOUR_NS, MINUTE_NS, SECOND_NS


def minutes(batches: list[Row], events: list[Row] | None = None, *, kept: bool = True) -> list[UsageMinute]:
    """The minutes of an hour, in order; of batches that a minute cuts the samples are kept, or none is."""
    resource = taken(Stream(batches=batches, events=events or [], facts=[]))
    prepared = prepare_minutes(resource.timeline(H, 2 * H), H, 2 * H)
    assert not prepared.needs()
    samples = {key: resource.samples[key] for key in parted_batches(prepared)} if kept else {}
    return usage_minutes(prepared, 2 * H, samples)[::-1]


def told(found: list[UsageMinute], meter: str) -> list[tuple[int, int, int, int]]:
    """Of each minute: its number, the amount, the part inside gaps, the part placed evenly."""
    return [
        (
            (minute.minute_ns - H) // M,
            minute.amounts[meter],
            minute.estimated.get(meter, 0),
            minute.evenly.get(meter, 0),
        )
        for minute in found
        if meter in minute.amounts
    ]


def points(start: int, *cpu: int, step: int = S, memory: int = 5) -> list[tuple[int, int, int]]:
    return [(start + place * step, memory, value) for place, value in enumerate(cpu)]


def test_a_rise_of_ten_from_half_a_minute_on() -> None:
    found = minutes([batch([(H + 30 * S, 5, 0), (H + 210 * S, 5, 10)], interval=180 * S)])
    assert told(found, "cpu.used") == [(0, 1, 0, 0), (1, 4, 0, 0), (2, 3, 0, 0), (3, 2, 0, 0)]
    assert told(found, "memory.used") == [(0, 150 * S, 0, 0), (1, 300 * S, 0, 0), (2, 300 * S, 0, 0), (3, 150 * S, 0, 0)]
    assert [minute.samples for minute in found] == [1, 0, 0, 1]


BUSY = [
    batch(points(H + 58 * S, 0, 0, 0, 40)),  # all of its 40 after the boundary
    batch(points(H + 62 * S, 50, 60)),  # whole in a minute
    batch(points(H + 64 * S, 100, 100)),
]


def test_with_samples_each_is_where_it_was() -> None:
    assert told(minutes(BUSY), "cpu.used") == [(0, 0, 0, 0), (1, 100, 0, 0)]


def test_without_them_a_batch_over_the_boundary_is_placed_evenly_and_no_other() -> None:
    """40 over three seconds, two of them before: 26 (cut), then 14; what follows lies whole in its minute, the links too."""
    found = minutes(BUSY, kept=False)
    assert told(found, "cpu.used") == [(0, 26, 0, 26), (1, 74, 0, 14)]
    assert [minute.samples for minute in found] == [2, 6], "four samples over three seconds: two (cut), then the rest"
    assert all("uptime" not in minute.evenly for minute in found), "when it was up is known"


def test_two_neighbours_over_boundaries_are_each_placed_in_their_own_time() -> None:
    """The first moved nothing, the second 60 in the last two of its 62 seconds."""
    two = [batch(points(H + 50 * S, *[0] * 61)), batch(points(H + 111 * S, 0, step=S) + points(H + 171 * S, 0, 60))]
    assert told(minutes(two, kept=False), "cpu.used") == [
        (0, 0, 0, 0),
        (1, 60 * 9 // 61, 0, 60 * 9 // 61),
        (2, 60 - 60 * 9 // 61, 0, 60 - 60 * 9 // 61),
    ]


def test_a_gap_inside_a_batch_without_samples_stays_where_it_was() -> None:
    """Silent from 40 s to 80 s of a batch from 30 s to 90 s: its time is known, of its memory only how much in all was estimated."""
    silent = [batch([(H + 30 * S + place * S, 6, 0) for place in range(11)] + [(H + 80 * S + place * S, 6, 0) for place in range(11)])]
    assert told(minutes(silent), "memory.used") == [(0, 180 * S, 120 * S, 0), (1, 180 * S, 120 * S, 0)]
    found = minutes(silent, kept=False)
    assert told(found, "memory.used") == [(0, 180 * S, 120 * S, 180 * S), (1, 180 * S, 120 * S, 180 * S)]
    assert told(found, "uptime") == [(0, 30 * S, 20 * S, 0), (1, 30 * S, 20 * S, 0)]


def test_a_sample_at_the_boundary_is_the_later_minutes() -> None:
    found = minutes([batch(points(H + 59 * S, 0, 7, 9))])
    assert told(found, "cpu.used") == [(0, 7, 0, 0), (1, 2, 0, 0)]
    assert [minute.samples for minute in found] == [1, 2]
    without = minutes([batch(points(H + 59 * S, 0, 7))], kept=False)
    assert told(without, "cpu.used") == [(0, 7, 0, 7)], "it ends with the minute: all of it came before"


def test_after_a_stop_there_is_no_minute_and_before_it_the_level_is_held() -> None:
    found = minutes([batch(points(H, 0, 1))], [event("stopped", H + 2 * M + 5 * S)])
    assert told(found, "uptime") == [(0, M, 59 * S, 0), (1, M, M, 0), (2, 5 * S, 5 * S, 0)]


@pytest.mark.parametrize("bounds", [(H + M, 2 * H), (H, H + CELL_NS + 1), (2 * H, H)])
def test_other_bounds_than_cells_are_refused(bounds: tuple[int, int]) -> None:
    resource = taken(Stream(batches=BUSY, events=[], facts=[]))
    with pytest.raises(ValueError, match="not made of whole cells"):
        prepare_minutes(resource.whole(), *bounds)
