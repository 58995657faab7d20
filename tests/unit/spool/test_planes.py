from __future__ import annotations

from array import array
from itertools import pairwise

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from tallystick.spool.planes import PlanesEncoder
from tests.unit.spool.decoder import decode

LARGEST = 2**63 - 1
WORD = st.one_of(st.integers(0, LARGEST), st.sampled_from([0, 1, 127, 128, 255, 256, LARGEST - 1, LARGEST]), st.integers(0, 300))
ENCODER = PlanesEncoder()


@given(
    st.lists(st.tuples(*[WORD] * 9), min_size=1, max_size=40), st.integers(0, 255).map(lambda mask: mask << 1 | 1), st.integers(1, 10**12)
)
def test_any_rows_come_back(rows: list[tuple[int, ...]], presence: int, interval_ns: int) -> None:
    flat = array("q", [value for row in rows for value in row])
    columns = decode(ENCODER.encode(flat, presence, interval_ns), interval_ns)
    assert set(columns) == {column for column in range(9) if presence >> column & 1}
    for column, values in columns.items():
        assert [value % 2**64 for value in values] == [row[column] for row in rows]


@given(st.lists(WORD, min_size=2, max_size=30))
def test_no_plane_more_than_is_needed(values: list[int]) -> None:
    flat = array("q", [word for k, value in enumerate(values) for word in (k, value, *[0] * 7)])
    depth = ENCODER.encode(flat, 3, 1)[7 + 9 + 8]
    steps = [(later - earlier + 2**63) % 2**64 - 2**63 for earlier, later in pairwise(values)]
    least = next(p for p in range(9) if all(step == 0 if p == 0 else -(1 << 8 * p - 1) <= step < 1 << 8 * p - 1 for step in steps))
    assert depth == least


def test_a_worked_example_byte_for_byte() -> None:
    rows = array("q", [1000, 5, 7, 0, 0, 0, 0, 0, 0, 1101, 5, 6, 0, 0, 0, 0, 0, 0, 1199, 5, 300, 0, 0, 0, 0, 0, 0])
    planes = ENCODER.encode(rows, 0b111, 100)
    head = b"\x01\x07\x00\x03\x00\x00\x00" + (1000).to_bytes(8, "little") + b"\x01" + (5).to_bytes(8, "little") + b"\x00"
    assert planes.startswith(head + (7).to_bytes(8, "little") + b"\x02")
    # time: +1, -1; cpu: -1, +294 in two planes
    assert zstd.decompress(planes[34:]) == bytes([1, 0xFF]) + bytes([0xFF, 0x26]) + bytes([0xFF, 0x01])


def test_a_block_ends_after_every_plane() -> None:
    rows = array("q", [word for k in range(600) for word in (k * 100 + k % 7, k, k * k * 1000, *[0] * 6)])
    frame = ENCODER.encode(rows, 0b111, 100)
    depths = [frame[7 + 9 * column + 8] for column in range(3)]
    at = 7 + 27
    header = zstd.get_frame_info(frame[at:])
    assert header.decompressed_size is None, "a flushed frame carries no length"
    at += 4 + 2  # magic, descriptor, window
    blocks, last = 0, 0
    while not last:
        block = int.from_bytes(frame[at : at + 3], "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        at += 3 + (1 if kind == 1 else size)
        blocks += 1
    assert at == len(frame)
    assert blocks >= sum(depths)


@pytest.mark.parametrize(
    ("rows", "presence", "said"),
    [
        ([], 1, "0 integers"),
        ([1] * 8, 1, "8 integers"),
        ([1] * 9, 2, "presence 0x2"),
        ([1] * 9, 0x201, "presence 0x201"),
        ([1, -5, *[0] * 7], 3, "column 1 holds -5"),
    ],
)
def test_what_cannot_be_is_refused_by_name(rows: list[int], presence: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ENCODER.encode(array("q", rows), presence, 100)
