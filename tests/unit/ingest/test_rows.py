"""Row batches into columns: sorted, the last of equal instants stays, what cannot be is set aside and named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ingest.codecs import TABLE, Binary
from tallystick.ingest.rows import OLDEST_S, columns_of, columns_of_table, sentence
from tallystick.proto.billing.v1 import billing_pb2 as wire

MORNING_S = 1_772_000_000


def row(seconds: int, nanos: int = 0, cpu: int = 0, memory: int = 0) -> wire.VMMetrics:
    made = wire.VMMetrics(cpu_time_nanos=cpu, memory_usage_bytes=memory)
    made.timestamp.seconds, made.timestamp.nanos = seconds, nanos
    return made


def lists(rows: list[wire.VMMetrics]) -> dict[str, list[int]]:
    return {name: list(map(int, column)) for name, column in columns_of("vm", rows).columns.items()}


def test_rows_are_sorted_and_of_equal_instants_the_last_stays() -> None:
    found = lists([row(MORNING_S + 2, cpu=30), row(MORNING_S, cpu=10), row(MORNING_S + 2, cpu=31), row(MORNING_S, cpu=11)])
    assert found["measured_at"] == [MORNING_S * 10**9, (MORNING_S + 2) * 10**9]
    assert found["cpu_time_nanos"] == [11, 31]


def test_operations_are_absent_as_these_daemons_count_none() -> None:
    assert set(lists([row(MORNING_S)])) == {
        "measured_at",
        "memory_bytes_used",
        "cpu_time_nanos",
        "disk_read_bytes",
        "disk_write_bytes",
        "network_rx_bytes",
        "network_tx_bytes",
    }


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (row(-62_135_596_800), "timestamp"),
        (row(OLDEST_S - 1, 999_999_999), "timestamp"),
        (row(2**62), "timestamp"),
        (row(MORNING_S, -1), "timestamp"),
        (row(MORNING_S, 10**9), "timestamp"),
        (row(MORNING_S, cpu=-1), "cpu_time_nanos"),
        (row(MORNING_S, memory=-(2**63)), "memory_usage_bytes"),
        (wire.VMMetrics(), "timestamp"),
    ],
)
def test_a_sample_that_cannot_be_is_set_aside_and_the_rest_stays(bad: wire.VMMetrics, field: str) -> None:
    rows = columns_of("vm", [row(MORNING_S, cpu=5), bad])
    assert [(each.index, each.field) for each in rows.quarantined] == [(1, field)]
    assert list(map(int, rows.columns["cpu_time_nanos"])) == [5]
    assert f"metrics[1].{field} = " in sentence(rows.quarantined)


def test_nothing_is_left_of_a_batch_of_zero_dates() -> None:
    rows = columns_of("vm", [row(-62_135_596_800)] * 5)
    assert rows.columns == {}
    assert len(rows.quarantined) == 5
    assert sentence(rows.quarantined).endswith("and 2 more")


@given(st.lists(st.tuples(st.integers(MORNING_S, MORNING_S + 5), st.integers(0, 3), st.integers(0, 2**63 - 1)), min_size=1))
def test_it_is_what_a_dictionary_by_instant_is(given_rows: list[tuple[int, int, int]]) -> None:
    found = lists([row(*each) for each in given_rows])
    wanted = dict(sorted({seconds * 10**9 + nanos: cpu for seconds, nanos, cpu in given_rows}.items()))
    assert dict(zip(found["measured_at"], found["cpu_time_nanos"], strict=True)) == wanted
    assert found["measured_at"] == list(wanted)


INTEGERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 127, 128, 2**56 - 1, 2**56, 2**63 - 1]))
ROWS = st.lists(
    st.tuples(st.sampled_from([0, OLDEST_S - 1, MORNING_S, MORNING_S + 1, -1]), st.integers(-1, 10**9), INTEGERS, INTEGERS), max_size=6
)


@given(
    ROWS,
    st.sampled_from(["", "vm-1", "é" * 40, "x" * 200]),
    st.sampled_from(["", "customer-1"]),
    st.sampled_from([b"", b"\x0a\x01z", b"\x98\x06\x01"]),
)
def test_rows_read_from_their_bytes_are_those_of_the_library(
    sent: list[tuple[int, int, int, int]], vm: str, customer: str, more: bytes
) -> None:
    rows = [row(seconds, max(nanos, 0), cpu, memory) for seconds, nanos, cpu, memory in sent]
    body = wire.SendMetricsBatchRequest(vm_id=vm, customer_id=customer, metrics=rows).SerializeToString() + more
    wanted = wire.SendMetricsBatchRequest.FromString(body)
    TABLE.set(None)
    read = Binary().decode(body, wire.SendMetricsBatchRequest)
    assert (read.vm_id, read.customer_id) == (wanted.vm_id, wanted.customer_id)
    table = TABLE.get()
    assert table is not None or more or len(vm) > 100
    if table is None:
        assert read == wanted
        return
    assert not read.metrics
    found, same = columns_of_table(vm, table), columns_of(vm, wanted.metrics)
    assert found.quarantined == same.quarantined
    assert {name: list(map(int, each)) for name, each in found.columns.items()} == lists(rows)
