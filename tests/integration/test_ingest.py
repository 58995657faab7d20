"""The native protocol over HTTP to a real server process, on each store: outcomes, repeats, conflicts, refusals, notices."""

from __future__ import annotations

import gzip
import json
from array import array

import numpy as np
import pytest
from backports.zstd import compress
from google.protobuf.json_format import MessageToJson

from tallystick.meter.planes import encode
from tallystick.meter.samples import Samples
from tallystick.meter.thin.host import thin
from tallystick.model.samples import ALL_COLUMNS_MASK
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.spool.thinning.forms import message_of
from tests.integration.serving import AT_NS, SECOND_NS, SEND, Served

pytestmark = pytest.mark.timeout(120)


def columns(*instants: int, cpu: tuple[int, ...] = ()) -> dict[str, list[str]]:
    """Columns as JSON sends them: the first value, then differences, as strings."""
    found = {"measured_at": instants, "cpu_time_nanos": cpu or tuple(range(len(instants)))}
    return {name: [str(each) for each in (values[0], *map(int, np.diff(values)))] for name, values in found.items() if values}


def batch(resource: str, sequence: int = 1, **given: object) -> dict[str, object]:
    named = {"resource_id": resource, "boot_id": "boot", "spool_id": "spool", "sequence": str(sequence), "interval_ns": str(SECOND_NS)}
    return {**named, "columns": columns(AT_NS, AT_NS + SECOND_NS), **given}


def planes(seed: int, samples: int = 600) -> bytes:
    random = np.random.default_rng(seed)
    values = np.cumsum(random.integers(0, 10**6, (9, samples)), axis=1)
    values[0] = AT_NS + np.arange(samples) * 10**8 + random.integers(0, 2_000_000, samples)
    return encode(Samples(values=values, mask=ALL_COLUMNS_MASK, interval_ns=10**8))


def binary(resource: str, sequence: int, seed: int = 1) -> wire.Batch:
    return wire.Batch(resource_id=resource, boot_id="boot", spool_id="spool", sequence=sequence, interval_ns=10**8, planes=planes(seed))


def outcomes(reply: object) -> list[str]:
    return [each["outcome"].removeprefix("OUTCOME_").lower() for each in reply.json["batches"]]  # type: ignore[attr-defined]  # JSON, or a message


def test_binary_planes_are_stored_once_and_repeats_say_so(served: Served) -> None:
    request = wire.SendRequest(batches=[binary("planes", sequence) for sequence in range(1, 21)])
    for wanted in (wire.OUTCOME_STORED, wire.OUTCOME_REPEATED, wire.OUTCOME_REPEATED):
        reply = served.server.rpc(SEND, request, served.agent)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/proto")
        answer = wire.SendResponse.FromString(reply.body)
        assert [each.outcome for each in answer.batches] == [wanted] * 20
        assert answer.server_time > 0


def test_columns_as_json_are_the_same_batch_as_planes(served: Served) -> None:
    reply = served.send({"batches": [batch("json")]})
    assert outcomes(reply) == ["stored"]
    values = np.zeros((9, 2), np.int64)
    values[0], values[2] = (AT_NS, AT_NS + SECOND_NS), (0, 1)
    sent = wire.Batch(resource_id="json", boot_id="boot", spool_id="spool", sequence=1, interval_ns=SECOND_NS)
    sent.planes = encode(Samples(values=values, mask=0b101, interval_ns=SECOND_NS))
    answer = wire.SendResponse.FromString(served.server.rpc(SEND, wire.SendRequest(batches=[sent]), served.agent).body)
    assert [each.outcome for each in answer.batches] == [wire.OUTCOME_REPEATED]


def test_other_content_under_an_identity_is_a_conflict_with_both_hashes(served: Served) -> None:
    assert outcomes(served.send({"batches": [batch("conflict")]})) == ["stored"]
    reply = served.send({"batches": [batch("conflict", columns=columns(AT_NS, AT_NS + 2 * SECOND_NS)), batch("beside-conflict")]})
    assert outcomes(reply) == ["conflict", "stored"]
    found = reply.json["batches"][0]
    assert len(found["storedHash"]) == len(found["sentHash"]) == 44
    assert found["storedHash"] != found["sentHash"]
    assert outcomes(served.send({"batches": [batch("conflict")]})) == ["repeated"]


def test_without_a_sequence_the_content_is_the_identity(served: Served) -> None:
    first = batch("by-content", sequence=0)
    other = batch("by-content", sequence=0, columns=columns(AT_NS + 10 * SECOND_NS, AT_NS + 11 * SECOND_NS))
    assert outcomes(served.send({"batches": [first, other, first]})) == ["stored", "stored", "repeated"]
    assert outcomes(served.send({"batches": [batch("by-content")]})) == ["stored"]


@pytest.mark.parametrize(
    ("wrong", "code", "field", "index", "value"),
    [
        ({"resource_id": ""}, "empty_id", "resource_id", None, None),
        ({"spool_id": ""}, "empty_id", "spool_id", None, None),
        ({"columns": {}}, "wrong_length", "measured_at", None, "0"),
        ({"columns": {**columns(AT_NS, AT_NS + 1), "disk_read_ops": ["1"]}}, "wrong_length", "disk_read_ops", None, "1"),
        ({"columns": columns(AT_NS, AT_NS + 1, cpu=(5, -1))}, "out_of_range", "cpu_time_nanos", 1, "-1"),
        (
            {"columns": {**columns(AT_NS, AT_NS + 1), "network_tx_bytes": [2**63 - 1, 1]}},
            "out_of_range",
            "network_tx_bytes",
            1,
            str(-(2**63)),
        ),
        ({"columns": {"measured_at": [2**63]}}, "out_of_range", "measured_at", None, str(2**63)),
        ({"columns": columns(0, 1)}, "out_of_range", "measured_at", 0, "0"),
        ({"columns": columns(AT_NS, AT_NS)}, "unordered", "measured_at", 1, str(AT_NS)),
        ({"columns": columns(AT_NS, AT_NS - 1)}, "unordered", "measured_at", 1, str(AT_NS - 1)),
        ({"columns": columns(AT_NS, 2**62)}, "future", "measured_at", 1, str(2**62)),
        ({"interval_ns": "0"}, "out_of_range", "interval_ns", None, "0"),
        ({"interval_ns": "-5"}, "out_of_range", "interval_ns", None, "-5"),
        ({"interval_ns": 10**30}, "out_of_range", "interval_ns", None, str(10**30)),
        ({"sequence": str(2**64 - 1)}, "out_of_range", "sequence", None, str(2**64 - 1)),
        ({"sequence": "-1"}, "out_of_range", "sequence", None, "-1"),
        ({"flags": 1}, "unsupported", "flags", None, "1"),
        ({"colour": "red"}, "unsupported", "colour", None, "unknown field in Batch"),
        ({"columns": None, "planes": "AAAA"}, "damaged", "planes", None, "3 bytes"),
        ({"resource_id": "x" * 600}, "too_large", "resource_id", None, "x" * 60 + "… (600 bytes, at most 512)"),
        ({"resource_id": "a\0b"}, "out_of_range", "resource_id", None, "'a\\x00b'"),
    ],
)
def test_a_bad_batch_is_refused_with_field_index_and_value_and_its_neighbours_are_stored(
    served: Served, wrong: dict[str, object], code: str, field: str, index: int | None, value: str | None
) -> None:
    name = f"neighbour-{code}-{field}-{abs(hash(json.dumps(wrong, default=str)))}"
    bad = {key: each for key, each in batch("bad", **wrong).items() if each is not None}
    reply = served.send({"batches": [batch(name), bad, batch(name, sequence=2, columns=columns(AT_NS + 2 * SECOND_NS))]})
    assert reply.status == 200, reply.body
    assert outcomes(reply) == ["stored", "refused", "stored"]
    found = reply.json["batches"][1]
    assert (found["code"], found["field"], found.get("index"), found.get("value")) == (code, field, index, value)


def test_a_refused_batch_takes_no_sequence_number(served: Served) -> None:
    assert outcomes(served.send({"batches": [batch("taken", columns=columns(AT_NS, AT_NS))]})) == ["refused"]
    assert outcomes(served.send({"batches": [batch("taken")]})) == ["stored"]


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", compress)])
def test_compressed_requests_and_replies(served: Served, encoding: str, pack: object) -> None:
    body = pack(json.dumps({"batches": [batch(f"packed-{encoding}")]}).encode())  # type: ignore[operator]  # parametrized
    headers = {"content-type": "application/json; charset=utf-8", "content-encoding": encoding, "accept-encoding": "gzip"}
    reply = served.server.call("POST", SEND, body, {**headers, "authorization": f"Bearer {served.agent}"})
    assert reply.headers["content-encoding"] == "gzip"
    assert reply.headers["content-type"] == "application/json"
    assert outcomes(reply) == ["stored"]


def test_lifecycle_facts_and_heartbeats_have_their_outcomes(served: Served) -> None:
    request = {
        "batches": [batch("noticed")],
        "events": [
            {"resource_id": "noticed", "boot_id": "boot", "kind": "LIFECYCLE_KIND_STARTED", "at": str(AT_NS - SECOND_NS)},
            {"resource_id": "noticed", "boot_id": "boot", "kind": "LIFECYCLE_KIND_POSSIBLE_GAP", "at": str(AT_NS), "last_sent": "5"},
            {"resource_id": "", "kind": "LIFECYCLE_KIND_STOPPED", "at": str(AT_NS)},
        ],
        "facts": [
            {"resource_id": "noticed", "at": str(AT_NS), "customer_id": "acme", "vcpus": "2", "labels": {"values": {"tier": "web"}}},
            {"resource_id": "noticed", "at": str(AT_NS), "vcpus": "-2"},
        ],
        "heartbeat": {"instance_id": "host-1", "active_resources": ["noticed"], "at": str(AT_NS), "reported_until": str(AT_NS)},
    }
    reply = served.send(request)
    assert reply.status == 200, reply.body
    assert outcomes(reply) == ["stored"]
    assert [each["outcome"] for each in reply.json["events"]] == ["OUTCOME_STORED", "OUTCOME_STORED", "OUTCOME_REFUSED"]
    assert [each["outcome"] for each in reply.json["facts"]] == ["OUTCOME_STORED", "OUTCOME_REFUSED"]
    again = served.send(request).json
    assert [each["outcome"] for each in again["events"]] == ["OUTCOME_REPEATED", "OUTCOME_REPEATED", "OUTCOME_REFUSED"]
    assert again["facts"][0]["outcome"] == "OUTCOME_REPEATED"
    assert again["facts"][1] == {"outcome": "OUTCOME_REFUSED", "code": "out_of_range", "field": "vcpus", "value": "-2"}


def test_a_thinned_batch_is_its_segments_and_what_cannot_be_is_refused(served: Served) -> None:
    values = {0: array("q", [AT_NS, AT_NS + SECOND_NS, AT_NS + 2 * SECOND_NS]), 2: array("q", [5, 9, 7])}
    claim = json.loads(MessageToJson(message_of(thin(values, SECOND_NS))))
    sent = batch("thin")
    del sent["columns"]
    assert outcomes(served.send({"batches": [{**sent, "thinned": claim}]})) == ["stored"]
    raw = batch("thin", columns=columns(*values[0], cpu=tuple(values[2])))
    assert outcomes(served.send({"batches": [raw, batch("thin")]})) == ["repeated", "conflict"]
    wrong = {**claim, "segments": [{**claim["segments"][0], "samples": 2**20}]}
    huge = {**claim, "segments": [{**claim["segments"][0], "samples": 2**31}]}
    nameless = {**sent, "sequence": "0", "spool_id": "", "thinned": claim}
    others = [{**sent, "sequence": str(number), "thinned": each} for number, each in ((7, wrong), (8, huge))]
    reply = served.send({"batches": [*others, nameless, batch("beside")]})
    assert outcomes(reply) == ["refused", "refused", "refused", "stored"]
    said = [(each["code"], each["field"], each.get("index"), each["value"]) for each in reply.json["batches"][:3]]
    assert said == [
        ("too_large", "thinned", None, f"{2**20} samples, at most 1000000 in a request"),
        ("too_large", "thinned", None, f"{2**31} samples, at most 1000000 in a request"),
        ("out_of_range", "sequence", None, "0"),
    ]
    fallen = {**claim["segments"][0], "last": ["3"]}
    reply = served.send({"batches": [{**sent, "sequence": "9", "thinned": {**claim, "segments": [fallen]}}]})
    assert reply.json["batches"] == [
        {"outcome": "OUTCOME_REFUSED", "code": "out_of_range", "field": "thinned.segments.falls", "index": 0,
         "value": f"cpu_time_nanos 9 to 7 at {AT_NS + 2 * SECOND_NS}"}
    ]  # fmt: skip


def test_a_heartbeat_that_is_refused_costs_nothing_beside_it(served: Served) -> None:
    future = {"instance_id": "host-1", "at": str(AT_NS + 10**18)}
    for number, (beat, code, field) in enumerate(
        ((future, "future", "heartbeat.at"), ({"instance_id": ""}, "empty_id", "heartbeat.instance_id"), ({"at": "x"}, "damaged", "at"))
    ):
        reply = served.send({"batches": [batch(f"beside-{number}")], "heartbeat": beat})
        assert (reply.status, outcomes(reply)) == (200, ["stored"])
        assert (reply.json["heartbeat"]["outcome"], reply.json["heartbeat"]["code"]) == ("OUTCOME_REFUSED", code)
        assert reply.json["heartbeat"]["field"] == field
    binary_beat = wire.SendRequest(batches=[binary("beside-binary", 1)], heartbeat=wire.Heartbeat(instance_id=" "))
    answer = wire.SendResponse.FromString(served.server.rpc(SEND, binary_beat, served.agent).body)
    assert [each.outcome for each in answer.batches] == [wire.OUTCOME_STORED]
    assert answer.heartbeat.code == "out_of_range"
    assert "heartbeat" not in served.send({"heartbeat": {"instance_id": "host-1", "at": str(AT_NS)}}).json


def test_a_key_limited_to_customers_assigns_and_writes_only_theirs(served: Served) -> None:
    fact = {"resource_id": "of-acme", "at": str(AT_NS), "customer_id": "acme"}
    assert served.send({"facts": [fact], "batches": [batch("of-acme")]}).status == 200
    limited = served.key("agent", customers=("other",))
    named_other = {"resource_id": "of-other", "customer_id": "other"}
    reply = served.send(
        {
            "batches": [batch("of-acme", sequence=2, columns=columns(AT_NS + 5 * SECOND_NS)), batch("of-other")],
            "facts": [
                {**fact, "resource_id": "new"},
                {**fact, "customer_id": "other"},
                {**fact, **named_other},
            ],
            "events": [{"resource_id": "of-acme", "kind": "LIFECYCLE_KIND_STOPPED", "at": str(AT_NS + SECOND_NS)}],
        },
        key=limited,
    ).json
    assert [each["outcome"] for each in reply["batches"]] == ["OUTCOME_REFUSED", "OUTCOME_STORED"]
    assert (reply["batches"][0]["code"], reply["batches"][0]["field"]) == ("not_allowed", "resource_id")
    assert [each["outcome"] for each in reply["facts"]] == ["OUTCOME_REFUSED", "OUTCOME_REFUSED", "OUTCOME_STORED"]
    assert reply["events"][0]["code"] == "not_allowed"


def test_the_same_id_in_another_scope_is_another_resource(served: Served) -> None:
    elsewhere = served.key("agent", scope="elsewhere")
    assert outcomes(served.send({"batches": [batch("vm-1")]})) == ["stored"]
    assert outcomes(served.send({"batches": [batch("vm-1")]}, key=elsewhere)) == ["stored"]
    assert outcomes(served.send({"batches": [batch("vm-1", columns=columns(AT_NS + 1, AT_NS + 2))]}, key=elsewhere)) == ["conflict"]


def test_more_notices_than_are_stored_at_once_are_to_be_split(served: Served) -> None:
    facts = [wire.ResourceFacts(resource_id=f"many-{number}", at=AT_NS, vcpus=1) for number in range(10_001)]
    reply = served.server.rpc(SEND, wire.SendRequest(facts=facts), served.agent)
    assert (reply.status, reply.json["code"]) == (429, "resource_exhausted")
    assert "10001" in reply.json["message"]
    assert "retry-after" not in reply.headers, "what is split is sent at once"


def usage_record(number: int = 1, **given: object) -> dict[str, object]:
    named = {"source": "gateway", "record_id": f"recorded/{number}", "resource_id": "recorded", "meter": "http.requests"}
    return {**named, "from": str(AT_NS), "until": str(AT_NS + 60 * SECOND_NS), "amount": "1200", **given}


def test_usage_records_have_their_outcomes(served: Served) -> None:
    """Stored once for ever; a field that cannot be is named, with its value, and what stands beside it is stored."""
    wrong = {
        "source": ({"source": ""}, "empty_id", None),
        "record_id": ({"record_id": " x"}, "out_of_range", "' x'"),
        "meter": ({"meter": "disk.io"}, "unsupported", "disk.io"),
        "amount": ({"amount": "-1"}, "out_of_range", "'-1'"),
        "until": ({"until": str(AT_NS - 1)}, "unordered", str(AT_NS - 1)),
        "peak": ({"peak": "7"}, "unsupported", "7"),
        "from": ({"from": "x"}, "damaged", None),
    }
    records = [usage_record(1), usage_record(1, meter="memory.used", amount=str(2**99), peak="7"), usage_record(1, amount="1201")]
    records += [usage_record(9, **change) for change, _, _ in wrong.values()]
    reply = served.send({"records": records, "batches": [batch("recorded")]}).json
    assert [each["outcome"] for each in reply["batches"]] == ["OUTCOME_STORED"]
    told = reply["records"]
    assert [each["outcome"] for each in told] == ["OUTCOME_STORED", "OUTCOME_STORED", "OUTCOME_CONFLICT"] + ["OUTCOME_REFUSED"] * len(wrong)
    assert told[2]["stored_hash" if "stored_hash" in told[2] else "storedHash"]
    for each, (_, code, value) in zip(told[3:], wrong.values(), strict=True):
        assert each["code"] == code, each
        assert value is None or each["value"] == value
    assert [each["field"] for each in told[3:9]] == list(wrong)[:6]
    again = served.send({"records": records[:2]}).json
    assert [each["outcome"] for each in again["records"]] == ["OUTCOME_REPEATED"] * 2
    sent = wire.UsageRecord(source="s", record_id="1", resource_id="recorded", meter="uptime", until=AT_NS, amount="0")
    answer = served.server.rpc(SEND, wire.SendRequest(records=[sent] * 10_001), served.agent)
    assert "records: 10001, at most 10000 in a request" in answer.body.decode()
