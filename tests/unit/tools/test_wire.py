from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tallystick.meter.planes import decode
from tallystick.meter.samples import Samples
from tools.bill import raw
from tools.streams import wire

LARGEST = 2**63 - 1
values = st.one_of(st.integers(0, 50), st.integers(0, LARGEST), st.sampled_from([0, LARGEST]))


@st.composite
def streams(draw: st.DrawFn) -> tuple[dict[str, list[int]], int]:
    count = draw(st.integers(1, 12))
    interval = draw(st.sampled_from([10**8, 10**9, 60 * 10**9]))
    columns: dict[str, list[int]] = {"measured_at": sorted(draw(st.sets(st.integers(1, LARGEST), min_size=count, max_size=count)))}
    for name in draw(st.sets(st.sampled_from(wire.COLUMNS[1:]))):
        columns[name] = draw(st.lists(values, min_size=count, max_size=count))
    return {name: columns[name] for name in wire.COLUMNS if name in columns}, interval


@given(streams())
def test_three_planes_of_one_page_agree(stream: tuple[dict[str, list[int]], int]) -> None:
    """The replay's encoder, the plain decoder of the first bill and the product's decoder share nothing but docs/planes.md."""
    columns, interval = stream
    planes = wire.planes(columns, interval)
    assert raw.decode(planes, interval) == columns
    read: Any = decode(planes, interval, 1 << 20)
    assert isinstance(read, Samples)
    for name, column in columns.items():
        assert read.values[wire.COLUMNS.index(name)].tolist() == column


def test_values_of_no_64_bit_integer_travel_as_their_pattern() -> None:
    assert wire.differences([-1, 2**63, 2**63 + 1]) == [-1, -(2**63) + 1, 1]
    assert wire.words([-1]).tolist() == [2**64 - 1]


def test_columns_of_unequal_length_travel_typed() -> None:
    line: dict[str, Any] = {wire.field_name(name): [1, 2] for name in wire.COLUMNS}
    line |= {"resource_id": "vm", "boot_id": "", "spool": "", "sequence": None, "interval_ns": 10**9}
    assert wire.batch(line).WhichOneof("samples") == "planes"
    line["network_rx_bytes"] = [1]
    message = wire.batch(line)
    assert message.WhichOneof("samples") == "columns"
    assert list(message.columns.network_rx_bytes) == [1]
    assert message.sequence == 0
