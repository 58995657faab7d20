"""Byte planes and packed columns, held to docs/planes.md."""

from __future__ import annotations

from struct import pack

import numpy as np
import pytest
from backports.zstd import compress
from hypothesis import given
from hypothesis import strategies as st

from tallystick.meter import planes
from tallystick.meter.samples import Samples
from tallystick.model.outcomes import Refusal, RefusalCode
from tallystick.model.samples import COLUMNS

MAX = 1 << 20
VALUES = st.one_of(st.integers(0, 300), st.integers(-(2**63), 2**63 - 1))


@st.composite
def batches(draw: st.DrawFn) -> Samples:
    count = draw(st.integers(1, 12))
    mask = draw(st.integers(0, 511)) | 1
    values = np.zeros((len(COLUMNS), count), np.int64)
    for column in range(len(COLUMNS)):
        if mask >> column & 1:
            values[column] = draw(st.lists(VALUES, min_size=count, max_size=count))
    return Samples(values=values, mask=mask, interval_ns=draw(st.sampled_from((1, 10**8, 2**63 - 1))))


def same(one: Samples | Refusal, other: Samples) -> bool:
    assert isinstance(one, Samples), one
    return (one.mask, one.interval_ns) == (other.mask, other.interval_ns) and np.array_equal(one.values, other.values)


@given(batches())
def test_what_is_encoded_is_decoded(batch: Samples) -> None:
    assert same(planes.decode(planes.encode(batch), batch.interval_ns, MAX), batch)


@given(st.lists(batches(), max_size=5))
def test_many_are_encoded_and_decoded_as_each_alone(many: list[Samples]) -> None:
    encoded = [planes.encode(batch) for batch in many]
    assert planes.encode_many(many) == encoded
    broken = [b"\x01", *encoded, encoded[0][:-1] if encoded else b"\x02" * 9]
    intervals = [1, *(batch.interval_ns for batch in many), 1]
    first, *found, last = planes.decode_many(broken, intervals, MAX)
    assert isinstance(first, Refusal)
    assert isinstance(last, Refusal)
    assert all(same(one, other) for one, other in zip(found, many, strict=True))


def test_the_bytes_are_as_the_page_says() -> None:
    """Three samples of instants 1000, 1101, 1199 at an interval of 100, and a counter 7, 300, 299, worked by hand."""
    head = pack("<BHI", 1, 0b101, 3) + pack("<qB", 1000, 1) + pack("<qB", 7, 2)
    residuals = bytes([1, 0xFF]) + bytes([293 & 255, 0xFF]) + bytes([293 >> 8, 0xFF])
    batch = planes.decode(head + compress(residuals), 100, MAX)
    assert isinstance(batch, Samples)
    assert batch.values[[0, 2]].tolist() == [[1000, 1101, 1199], [7, 300, 299]]
    assert batch.mask == 0b101
    encoded = planes.encode(batch)
    assert encoded[: len(head)] == head


def test_a_column_that_never_changes_has_no_plane() -> None:
    values = np.zeros((9, 4), np.int64)
    values[0] = [5, 6, 7, 8]
    values[1] = 9
    encoded = planes.encode(Samples(values=values, mask=3, interval_ns=1))
    assert len(encoded) == 7 + 2 * 9
    assert same(planes.decode(encoded, 1, MAX), Samples(values=values, mask=3, interval_ns=1))


GOOD = planes.encode(Samples(values=np.arange(27, dtype=np.int64).reshape(9, 3) ** 3 + 1, mask=511, interval_ns=1))


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        (b"", RefusalCode.DAMAGED),
        (b"\x02" + GOOD[1:], RefusalCode.UNSUPPORTED),
        (pack("<BHI", 1, 0b10, 3) + GOOD[7:], RefusalCode.DAMAGED),  # no instants
        (pack("<BHI", 1, 1 << 9 | 1, 3) + GOOD[7:], RefusalCode.DAMAGED),  # a column that there is not
        (pack("<BHI", 1, 511, 0) + GOOD[7:], RefusalCode.WRONG_LENGTH),
        (pack("<BHI", 1, 511, 4) + GOOD[7:], RefusalCode.DAMAGED),  # more samples than the frame holds
        (pack("<BHI", 1, 511, 2) + GOOD[7:], RefusalCode.DAMAGED),  # fewer
        (pack("<BHI", 1, 511, 2**32 - 1) + GOOD[7:], RefusalCode.TOO_LARGE),
        (GOOD[:30], RefusalCode.DAMAGED),
        (GOOD[:-3], RefusalCode.DAMAGED),
        (GOOD + b"\x00", RefusalCode.DAMAGED),
        (GOOD[:15] + b"\x09" + GOOD[16:], RefusalCode.DAMAGED),  # nine planes
        (pack("<BHIqB", 1, 1, 2**31, 5, 0), RefusalCode.TOO_LARGE),  # a bomb without a frame
    ],
)
def test_what_cannot_be_read_is_refused(batch: bytes, code: RefusalCode) -> None:
    found = planes.decode(batch, 1, MAX)
    assert isinstance(found, Refusal)
    assert found.code is code


def test_columns_as_they_are_on_the_wire() -> None:
    wrap = -(2**63) - (2**63 - 1) + 2**64
    batch = planes.decode_columns({"measured_at": [10, 5, 5], "cpu_time_nanos": [2**63 - 1, wrap, 0]}, 5)
    assert isinstance(batch, Samples)
    assert batch.values[[0, 2]].tolist() == [[10, 15, 20], [2**63 - 1, -(2**63), -(2**63)]]
    assert batch.mask == 0b101


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({}, "measured_at"),
        ({"cpu_time_nanos": [1]}, "measured_at"),
        ({"measured_at": [1, 2], "memory_bytes_used": [1], "cpu_time_nanos": [1]}, "memory_bytes_used"),
    ],
)
def test_columns_of_unequal_length(columns: dict[str, list[int]], field: str) -> None:
    found = planes.from_columns(columns, 5)
    assert isinstance(found, Refusal)
    assert (found.code, found.field) == (RefusalCode.WRONG_LENGTH, field)


def test_a_value_beyond_64_bits_is_out_of_range() -> None:
    found = planes.from_columns({"measured_at": [1], "cpu_time_nanos": [2**63]}, 5)
    assert isinstance(found, Samples)
    assert found.values[2, 0] < 0
