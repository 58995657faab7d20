"""What nobody should send, to a real server: stored exactly, or refused with field and value; its neighbours are stored."""

from __future__ import annotations

import gzip
import json
import struct

import numpy as np
import pytest
from backports.zstd import compress

from tallystick.meter.planes import decode, encode
from tallystick.meter.samples import Samples
from tallystick.model.samples import ALL_COLUMNS_MASK, COLUMNS
from tallystick.proto.billing.collector.v1 import collector_pb2 as collector
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tests.integration.serving import AT_NS, SECOND_NS, SEND, Served
from tests.integration.test_ingest import batch, binary
from tests.servers import Reply

CPU = COLUMNS.index("cpu_time_nanos")
LARGEST = 2**63 - 1
MEMORY_MIB = 300


def sent(served: Served, *batches: wire.Batch) -> list[wire.RecordOutcome]:
    """Their outcomes, between two good neighbours, which are stored."""
    number = sent.number = getattr(sent, "number", 0) + 1  # type: ignore[attr-defined]  # counts over the tests of this module
    request = wire.SendRequest(batches=[binary("neighbour", 2 * number), *batches, binary("neighbour", 2 * number + 1)])
    reply = served.server.rpc(SEND, request, served.agent)
    assert reply.status == 200, reply.body
    told = list(wire.SendResponse.FromString(reply.body).batches)
    assert told[0].outcome == told[-1].outcome == wire.OUTCOME_STORED
    return told[1:-1]


def one(resource: str, **given: object) -> wire.Batch:
    return wire.Batch(**{"resource_id": resource, "boot_id": "b", "spool_id": "s", "sequence": 1, "interval_ns": SECOND_NS, **given})


def column(first: int, *rest: int) -> wire.Columns:
    return wire.Columns(measured_at=[AT_NS, *[SECOND_NS] * len(rest)], cpu_time_nanos=[first, *rest])


def values(served: Served, resource: str, number: int) -> list[int]:
    """What is stored of a column, from its payload."""
    query = (
        "SELECT p.body, p.interval_ns FROM payload p JOIN batch b ON b.batch_key = p.batch_key JOIN boot o ON o.boot_key = b.boot_key"
        " JOIN resource r ON r.resource_key = o.resource_key WHERE r.resource_id = ? ORDER BY p.batch_key DESC"
    )
    body, interval_ns = served.rows(query, (resource,))[0]
    samples = decode(bytes(body), interval_ns, 2**24)
    assert isinstance(samples, Samples)
    return [int(each) for each in samples.values[number]]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_that_opens_a_thousandfold(served_sqlite: Served, encoding: str) -> None:
    whole = b" " * 200_000_000
    body = gzip.compress(whole, 1) if encoding == "gzip" else compress(whole, 1)
    headers = {"content-type": "application/json", "content-encoding": encoding, "authorization": f"Bearer {served_sqlite.agent}"}
    reply = served_sqlite.server.call("POST", SEND, body, headers)
    assert (reply.status, reply.json["code"]) == (429, "resource_exhausted")
    assert sent(served_sqlite) == []
    assert served_sqlite.server.peak_memory_mib < MEMORY_MIB


def test_planes_that_open_a_thousandfold(served_sqlite: Served) -> None:
    """More than their head tells is refused; what it tells, however well it packs, is stored as it is."""
    head = struct.pack("<BHI", 1, ALL_COLUMNS_MASK, 3) + b"".join(struct.pack("<qB", AT_NS if not each else 0, 1) for each in range(9))
    bomb = one("bomb", planes=head + compress(bytes(100_000_000)))
    count = 200_000
    flat = np.zeros((9, count), np.int64)
    flat[0] = AT_NS + np.arange(count) * 10**8
    flat[1] = np.arange(count) * 255 % 2**16
    flat[1].sort()
    packed = encode(Samples(values=flat, mask=ALL_COLUMNS_MASK, interval_ns=10**8))
    assert count * 72 > 500 * len(packed)
    refused, stored = sent(served_sqlite, bomb, one("flat", planes=packed, interval_ns=10**8))
    assert (refused.outcome, refused.code, refused.field) == (wire.OUTCOME_REFUSED, "damaged", "planes")
    assert "expected 18" in refused.value
    assert stored.outcome == wire.OUTCOME_STORED
    assert values(served_sqlite, "flat", 1) == flat[1].tolist()
    assert served_sqlite.server.peak_memory_mib < MEMORY_MIB


def test_a_batch_of_ten_million_samples(served_sqlite: Served) -> None:
    """As planes it takes less than a hundred bytes to say so; as columns it is larger than any request."""
    head = struct.pack("<BHI", 1, ALL_COLUMNS_MASK, 10_000_000) + b"".join(struct.pack("<qB", 1, 0) for _ in range(9))
    (refused,) = sent(served_sqlite, one("many", planes=head))
    assert (refused.outcome, refused.code, refused.field) == (wire.OUTCOME_REFUSED, "too_large", "planes")
    assert "10000000 samples" in refused.value
    columns = b"\x0a" + b"\x80\x80\x80\x05" + bytes(10_485_760)
    reply = served_sqlite.server.call(
        "POST", SEND, columns, {"content-type": "application/proto", "authorization": f"Bearer {served_sqlite.agent}"}
    )
    assert (reply.status, reply.json["code"]) == (429, "resource_exhausted")
    assert "retry-after" not in reply.headers
    assert served_sqlite.server.peak_memory_mib < MEMORY_MIB


def test_a_hundred_thousand_resources_in_one_request(served_sqlite: Served) -> None:
    """They are to be sent in parts, and nothing of them is stored; ten thousand are taken."""
    row = wire.Columns(measured_at=[AT_NS], cpu_time_nanos=[1])

    def batches(count: int) -> wire.SendRequest:
        return wire.SendRequest(batches=[wire.Batch(resource_id=f"r{each}", interval_ns=SECOND_NS, columns=row) for each in range(count)])

    def rows(count: int) -> collector.SendMetricsBatchRequest:
        found = [collector.BillingMetrics(vm_id=f"c{each}", cpu_time_nanos=7) for each in range(count)]
        for each in found:
            each.timestamp.seconds = AT_NS // SECOND_NS
        return collector.SendMetricsBatchRequest(metrics=found)

    path = "/billing.collector.v1.BillingCollectorService/SendMetricsBatch"
    for way, request in ((SEND, batches(100_000)), (path, rows(100_000))):
        reply = served_sqlite.server.rpc(way, request, served_sqlite.agent)
        assert (reply.status, reply.json["code"]) == (429, "resource_exhausted")
        assert "100000" in reply.json["message"]
        assert "at most 10000 in a request" in reply.json["message"]
        assert "retry-after" not in reply.headers
    assert served_sqlite.rows("SELECT count(*) FROM resource WHERE resource_id LIKE 'r%'") == [(0,)]
    taken = served_sqlite.server.rpc(SEND, batches(10_000), served_sqlite.agent)
    assert {each.outcome for each in wire.SendResponse.FromString(taken.body).batches} == {wire.OUTCOME_STORED}
    assert served_sqlite.rows("SELECT count(*) FROM resource WHERE resource_id LIKE 'r%'") == [(10_000,)]
    assert served_sqlite.server.peak_memory_mib < MEMORY_MIB


IDS = {
    "right to left": ("\u05d0\u05d1\u202ex", True),
    "combining": ("e\u0301", True),
    "composed": ("\u00e9", True),
    "compatibility": ("\u212b", True),
    "angstrom": ("\u00c5", True),
    "zero width": ("a\u200bb", True),
    "beyond the base plane": ("\U0001f980" * 100, True),
    "the last one": ("\U0010fffd", True),
    "no character": ("a\ufffeb", True),
    "as long as it may be": ("\u20ac" * 170 + "ab", True),
    "too long": ("\u20ac" * 171, False),
    "a megabyte": ("x" * 2**20, False),
    "nothing": ("", False),
    "NUL": ("a\0b", False),
    "a control character": ("a\x1bb", False),
    "a line": ("a\nb", False),
    "a blank at its end": ("a ", False),
    "a surrogate": (b"a\xed\xa0\x80b", False),
    "no UTF-8": (b"a\xffb", False),
    "too many bytes for a letter": (b"a\xc0\x80b", False),
}


def with_id(name: bytes) -> bytes:
    """A batch whose `resource_id` are any bytes, as they stand on the wire."""
    rest = one("", columns=column(5)).SerializeToString()
    return b"\x0a" + bytes(wire_length(len(name))) + name + rest


def wire_length(value: int) -> list[int]:
    found = []
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    return [*found, value]


@pytest.mark.parametrize("name", IDS)
def test_ids_with_every_kind_of_unicode(served: Served, name: str) -> None:
    """An id is kept letter by letter, never as one that only looks the same, or refused by name; in JSON as in bytes."""
    given, taken = IDS[name]
    if isinstance(given, bytes):  # protobuf's texts are UTF-8: the whole request is no message
        body = b"".join(b"\x0a" + bytes(wire_length(len(each))) + each for each in (with_id(given),))
        reply = served.server.call("POST", SEND, body, {"content-type": "application/proto", "authorization": f"Bearer {served.agent}"})
        assert (reply.status, reply.json["code"]) == (400, "invalid_argument")
        assert sent(served) == []
        return
    (told,) = sent(served, one(given, columns=column(5)))
    json_told: Reply = served.send({"batches": [batch(given, 7), batch("beside", 10**6 + len(name))]})
    outcome = json_told.json["batches"][0]
    if taken:
        assert told.outcome == wire.OUTCOME_STORED
        assert outcome["outcome"] == "OUTCOME_STORED"
        assert served.rows("SELECT resource_id FROM resource WHERE resource_id = ?", (given,)) == [(given,)]
    else:
        assert (told.outcome, told.field) == (wire.OUTCOME_REFUSED, "resource_id")
        assert told.code in {"empty_id", "too_large", "damaged", "out_of_range", "unsupported"}
        assert (outcome["outcome"], outcome["field"]) == ("OUTCOME_REFUSED", "resource_id")
        assert len(told.value) <= 1000


def test_an_id_in_json_with_half_a_letter(served: Served) -> None:
    body = json.dumps({"batches": [batch("a\ud800b", 1), batch("beside-half", 1)]}).encode()
    reply = served.server.call("POST", SEND, body, {"content-type": "application/json", "authorization": f"Bearer {served.agent}"})
    assert reply.status == 200, reply.body
    first, second = reply.json["batches"]
    assert first["outcome"] == "OUTCOME_REFUSED"
    assert first["field"]
    assert second["outcome"] == "OUTCOME_STORED"


@pytest.mark.parametrize("value", [0, 1, 2**53, 2**53 + 1, 2**62, LARGEST - 1, LARGEST])
def test_values_up_to_the_last_one_are_stored_exactly(served: Served, value: int) -> None:
    name = f"exact-{value}"
    told = sent(served, one(name, columns=column(value, 0)))
    assert [each.outcome for each in told] == [wire.OUTCOME_STORED]
    assert values(served, name, CPU) == [value, value]
    rows = np.zeros((9, 2), np.int64)
    rows[0], rows[1:] = (AT_NS, AT_NS + SECOND_NS), value
    packed = encode(Samples(values=rows, mask=ALL_COLUMNS_MASK, interval_ns=SECOND_NS))
    assert [each.outcome for each in sent(served, one(f"planes-{value}", planes=packed))] == [wire.OUTCOME_STORED]
    assert values(served, f"planes-{value}", 8) == [value, value]


@pytest.mark.parametrize("value", [-1, -(2**53) - 1, -(2**63)])
def test_values_that_cannot_be_are_refused_with_index_and_value(served_sqlite: Served, value: int) -> None:
    (told,) = sent(served_sqlite, one("cannot", sequence=-value % 1000 + 1, columns=column(0, value)))
    assert (told.outcome, told.code, told.field, told.index) == (wire.OUTCOME_REFUSED, "out_of_range", "cpu_time_nanos", 1)
    assert told.value == str(value)


@pytest.mark.parametrize("value", [2**63, 2**64 - 1, 2**64, 10**40])
def test_numbers_beyond_are_refused_by_the_batch_in_json(served_sqlite: Served, value: int) -> None:
    beyond = batch("beyond", 1, columns={"measured_at": [str(AT_NS)], "cpu_time_nanos": [str(value)]})
    reply = served_sqlite.send({"batches": [beyond, batch("beside-beyond", value % 997 + 1)]})
    assert reply.status == 200, reply.body
    first, second = reply.json["batches"]
    assert (first["outcome"], first["code"]) == ("OUTCOME_REFUSED", "out_of_range")
    assert first["field"] == "cpu_time_nanos"
    assert str(value) in first["value"]
    assert second["outcome"] in ("OUTCOME_STORED", "OUTCOME_REPEATED")


@pytest.mark.parametrize("value", [2**63 - 1, 2**63, 2**64 - 1])
def test_unsigned_values_of_a_collector(served_sqlite: Served, value: int) -> None:
    """`uint64` beyond 2^63-1 is set aside with its field and value; the row beside it is stored."""
    rows = [collector.BillingMetrics(vm_id=f"u-{value}", cpu_time_nanos=each) for each in (1, value)]
    for second, each in enumerate(rows):
        each.timestamp.seconds = AT_NS // SECOND_NS + second
    path = "/billing.collector.v1.BillingCollectorService/SendMetricsBatch"
    reply = served_sqlite.server.rpc(path, collector.SendMetricsBatchRequest(metrics=rows), served_sqlite.agent)
    assert reply.status == 200, reply.body
    told = collector.SendMetricsBatchResponse.FromString(reply.body)
    if value == LARGEST:
        assert told.accepted == 2
        return
    assert (told.accepted, told.quarantined + told.refused) == (1, 1)
    assert (told.problems[0].index, told.problems[0].field, told.problems[0].value) == (1, "cpu_time_nanos", str(value))
