"""What a batch folds into, cell by cell, and the bytes of it that a store keeps."""

from __future__ import annotations

import numpy as np
import pytest

from tallystick.meter.fold import fallen, fold
from tallystick.meter.samples import Samples
from tallystick.meter.segments import NO_TAIL, RECORD, Fall, Tail, pack_tail, read_blocks, unpack_tail
from tallystick.model.instants import CELL_NS, SECOND_NS
from tallystick.model.samples import LARGEST

S = SECOND_NS


def samples(at: list[int], memory: list[int], cpu: list[int], interval_ns: int = S) -> Samples:
    values = np.zeros((9, len(at)), np.int64)
    values[0], values[1], values[2] = at, memory, cpu
    return Samples(values=values, mask=0b111, interval_ns=interval_ns)


def test_one_cell() -> None:
    """5 bytes for 1 s, then 9 for 2 s: 23 byte·s; the counter from 7 to 10."""
    ((segment,),) = fold([samples([S, 2 * S, 4 * S], [5, 9, 1], [7, 8, 10])], [True])
    assert (segment.cell_ns, segment.first_at_ns, segment.last_at_ns, segment.samples, segment.interval_ns) == (0, S, 4 * S, 3, S)
    records, tails = read_blocks([segment.block])
    assert not tails
    assert records["area"][0].tolist() == [23 * S, 0]
    assert (records["first"][0, :2].tolist(), records["last"][0, :2].tolist(), int(records["peak"][0])) == ([5, 7], [1, 10], 9)
    assert int(records["mask"][0]) == 0b111


def test_a_sample_at_a_boundary_is_of_the_later_cell() -> None:
    ((one, other),) = fold([samples([CELL_NS - 1, CELL_NS, CELL_NS + 1], [1, 1, 1], [0, 1, 2])], [True])
    assert (one.cell_ns, one.samples, other.cell_ns, other.samples) == (0, 1, CELL_NS, 2)


def test_a_gap_inside_is_interpolated_and_listed() -> None:
    ((segment,),) = fold([samples([S, 12 * S + 1, 13 * S], [4, 5, 5], [0, 1, 2])], [True])
    span = 11 * S + 1
    area = 4 * span + span // 2
    records, tails = read_blocks([segment.block])
    assert tails == {0: Tail(gaps=((S, 12 * S + 1),), falls=(), estimated=area, extra=NO_TAIL.extra)}
    assert records["area"][0].tolist() == [area + 5 * (S - 1), 0]


def test_the_limit_itself_is_no_gap() -> None:
    ((segment,),) = fold([samples([S, 11 * S], [4, 5], [0, 1])], [True])
    assert len(segment.block) == RECORD.itemsize


@pytest.mark.parametrize(("known", "reset", "fell", "extra"), [(True, 0b001, 0b010, (100, 49)), (False, 0b011, 0, (100, 100))])
def test_falls(known: bool, reset: int, fell: int, extra: tuple[int, int]) -> None:
    """100 to 50 is a reset: usage 50 is 50 - 100 and 100 more. 100 to 51 of a known boot is usage 0."""
    found = fallen([100, 100, 0, 0, 0, 0, 0], [50, 51, 9, 0, 0, 0, 0], known)
    assert found == (reset, fell, (*extra, 0, 0, 0, 0, 0))


def test_falls_are_listed_by_the_later_sample() -> None:
    for known, fall in ((True, Fall(3 * S, 0, 1)), (False, Fall(3 * S, 1, 0))):
        ((segment,),) = fold([samples([S, 2 * S, 3 * S], [0, 0, 0], [1, 100, 99])], [known])
        _, tails = read_blocks([segment.block])
        assert tails[0].falls == (fall,)


def test_the_largest_level_for_a_whole_cell_is_exact() -> None:
    at = [*range(0, CELL_NS, S), CELL_NS - 1]
    ((segment,),) = fold([samples([one + CELL_NS for one in at], [LARGEST] * len(at), [LARGEST] * len(at))], [True])
    records, _ = read_blocks([segment.block])
    low, high = records["area"][0].tolist()
    assert high << 64 | low == LARGEST * (CELL_NS - 1)


def test_many_batches_fold_as_each_alone() -> None:
    rng = np.random.default_rng(4)
    batches = []
    for _ in range(30):
        count = int(rng.integers(1, 9))
        at = np.cumsum(rng.integers(1, 40 * S, count)) + 7 * CELL_NS
        batches.append(samples(at.tolist(), rng.integers(0, 2**40, count).tolist(), rng.integers(0, 100, count).tolist()))
    known = [bool(place % 2) for place in range(30)]
    assert fold(batches, known) == [fold([batch], [flag])[0] for batch, flag in zip(batches, known, strict=True)]
    assert fold([], []) == []


def test_tails_are_read_as_written() -> None:
    tail = Tail(gaps=((1, 2), (3, 4)), falls=(Fall(5, 6, 7),), estimated=2**100, extra=(1, 2**70, 0, 0, 0, 0, 3))
    block = bytes(RECORD.itemsize) + pack_tail(tail)
    assert unpack_tail(block) == tail
    with pytest.raises(ValueError, match="expected"):
        unpack_tail(block + b"\x00")
    with pytest.raises(ValueError, match="longer"):
        read_blocks([bytes(RECORD.itemsize + 1)])
