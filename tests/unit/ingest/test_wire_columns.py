"""Rows read from their bytes: what the protobuf library reads, or nothing at all."""

from __future__ import annotations

import struct

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallystick.ingest.sources.alike import read_alike
from tallystick.ingest.sources.readings import ROW_FIELD, ROW_FIELDS, read, read_table
from tallystick.ingest.sources.wire_columns import Table, TooManyRows, read_rows
from tallystick.proto.billing.collector.v1 import collector_pb2 as wire

INTEGERS = st.one_of(
    st.just(0),
    st.integers(0, 2**64 - 1),
    st.sampled_from([edge + by for power in (7, 14, 21, 28, 35, 42, 49, 56, 63) for edge in [2**power] for by in (-1, 0)] + [2**64 - 1]),
)
STAMPS = st.one_of(
    st.none(),
    st.tuples(st.sampled_from([0, 1, -62_135_596_800, 946_684_799, 946_684_800, 1_772_000_000, 2**33, -1]), st.integers(-1, 10**9 - 1)),
)
TEXTS = st.sampled_from(["", "vm-1", "vm-2", "é", "x" * 127, "x" * 128])
NAMES = [name for _, name, kind in ROW_FIELDS if kind.name == "INTEGER"]


@st.composite
def rows(draw: st.DrawFn) -> wire.BillingMetrics:
    row = wire.BillingMetrics(vm_id=draw(TEXTS), customer_id=draw(TEXTS), region=draw(st.sampled_from(["", "eu"])))
    for name in NAMES:
        setattr(row, name, draw(INTEGERS))
    for name in ("timestamp", "window_start", "window_end"):
        if (told := draw(STAMPS)) is not None:
            getattr(row, name).seconds, getattr(row, name).nanos = told
    row.cpu_cores_used = draw(st.sampled_from([0.0, 1.5]))
    return row


def same(body: bytes) -> bool:
    """Whether the bytes were read as columns; then they say what the library's messages say, row by row."""
    tables = [each for each in (read_alike(body, ROW_FIELD, ROW_FIELDS, 100), read_rows(body, ROW_FIELD, ROW_FIELDS, 100)) if each]
    for each in tables:
        said_the_same(each, body)
    return bool(tables)


def said_the_same(table: Table, body: bytes) -> None:
    found, wanted = read_table(table), read(wire.SendMetricsBatchRequest.FromString(body).metrics)
    assert [found.whose[owner] for owner in found.owners] == [wanted.whose[owner] for owner in wanted.owners]
    assert found.values.tolist() == wanted.values.tolist()
    assert found.at_ns.tolist() == wanted.at_ns.tolist()
    assert found.windowed.tolist() == wanted.windowed.tolist()
    assert [found.row(place) for place in range(found.owners.size)] == [wanted.row(place) for place in range(wanted.owners.size)]


@settings(max_examples=150, deadline=None)
@given(st.lists(rows(), max_size=5))
def test_rows_are_what_the_library_reads(sent: list[wire.BillingMetrics]) -> None:
    body = wire.SendMetricsBatchRequest(metrics=sent).SerializeToString()
    simple = all(max(map(len, (each.vm_id, each.customer_id))) < 128 for each in sent)
    stamps = [stamp for each in sent for stamp in (each.timestamp, each.window_start, each.window_end)]
    assert same(body) or not simple or any(stamp.nanos < 0 for stamp in stamps)


@settings(max_examples=60, deadline=None)
@given(rows(), st.lists(st.tuples(st.sampled_from(["vm-1", "vm-2"]), st.integers(0, 2**63 - 1)), min_size=1, max_size=5))
def test_rows_that_are_alike_are_read_at_once(one: wire.BillingMetrics, told: list[tuple[str, int]]) -> None:
    one.cpu_cores_used, one.network_tx_bytes = 0, 1
    sent = []
    for vm_id, value in told:
        row = wire.BillingMetrics()
        row.CopyFrom(one)
        row.vm_id, row.network_tx_bytes = vm_id, max(value, 1)
        sent.append(row)
    body = wire.SendMetricsBatchRequest(metrics=sent).SerializeToString()
    stamps = (one.timestamp, one.window_start, one.window_end)
    numbers = [getattr(one, name) for name in NAMES] + [part for stamp in stamps for part in (stamp.seconds, stamp.nanos)]
    simple = len(one.customer_id) < 128 and one.customer_id.isascii() and all(0 <= number < 2**63 for number in numbers)
    assert same(body) or not simple
    assert (read_alike(body, ROW_FIELD, ROW_FIELDS, 100) is not None) == simple


@settings(max_examples=300, deadline=None)
@given(st.lists(rows(), min_size=1, max_size=3), st.integers(0, 500), st.binary(min_size=0, max_size=3), st.integers(0, 3))
@example([wire.BillingMetrics(vm_id="a")], 2, b"\xff", 1)
def test_a_damaged_message_is_never_read_otherwise(sent: list[wire.BillingMetrics], at: int, put: bytes, cut: int) -> None:
    body = wire.SendMetricsBatchRequest(metrics=sent).SerializeToString()
    at %= len(body) + 1
    damaged = body[:at] + put + body[at + cut :]
    try:
        wire.SendMetricsBatchRequest.FromString(damaged)
    except DecodeError:
        assert read_rows(damaged, ROW_FIELD, ROW_FIELDS, 100) is None
        assert read_alike(damaged, ROW_FIELD, ROW_FIELDS, 100) is None
    else:
        same(damaged)


def test_what_other_encoders_may_write_is_left_to_the_library() -> None:
    row = wire.BillingMetrics(vm_id="vm", cpu_time_nanos=5).SerializeToString()
    unknown, unordered, twice = row + b"\xf8\x07\x01", b"\x38\x05\x0a\x02vm", row + b"\x38\x06"
    for other in (unknown, unordered, twice):
        assert wire.BillingMetrics.FromString(other).vm_id == "vm"
        body = b"\x0a" + struct.pack("B", len(other)) + other
        assert read_rows(body, ROW_FIELD, ROW_FIELDS, 100) is None
        assert read_alike(body, ROW_FIELD, ROW_FIELDS, 100) is None
    with pytest.raises(TooManyRows):
        read_rows(b"\x0a\x00" * 101, ROW_FIELD, ROW_FIELDS, 100)
    with pytest.raises(TooManyRows):
        read_alike(b"\x0a\x00" * 101, ROW_FIELD, ROW_FIELDS, 100)
    assert same(b"")
    assert same(b"\x0a\x00" * 3), "rows of nothing"
    assert not same(b"\x0a\x04\x0a\x02\xff\xfe"), "no UTF-8"
