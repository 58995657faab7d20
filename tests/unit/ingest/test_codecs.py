"""Bodies: strict JSON, limits that hold after decompression, words for what is damaged."""

from __future__ import annotations

import gzip

import pytest
from backports.zstd import ZstdCompressor, compress
from connectrpc.code import Code
from connectrpc.errors import ConnectError

from tallystick.ingest.codecs import MISREAD, MOST_FRAMES, Binary, Gzip, StrictJson, Zstd
from tallystick.proto.billing.v1 import billing_pb2 as rows
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire

BODY = b'{"batches": []}' * 50


def packed(name: str, body: bytes) -> bytes:
    return gzip.compress(body) if name == "gzip" else compress(body)


@pytest.mark.parametrize("codec", [Gzip(), Zstd()], ids=lambda each: each.name())
class TestCompressions:
    def test_what_is_packed_opens(self, codec: Gzip | Zstd) -> None:
        assert codec.decompress(codec.compress(BODY), len(BODY)) == BODY
        assert codec.decompress(packed(codec.name(), BODY) * 2, 2 * len(BODY)) == BODY * 2
        assert codec.decompress(packed(codec.name(), BODY), None) == BODY

    @pytest.mark.parametrize("limit", [1, len(BODY) - 1])
    def test_a_bomb_stops_at_the_limit(self, codec: Gzip | Zstd, limit: int) -> None:
        with pytest.raises(ConnectError) as caught:
            codec.decompress(packed(codec.name(), BODY), limit)
        assert caught.value.code is Code.RESOURCE_EXHAUSTED

    @pytest.mark.parametrize("damage", [lambda body: body[:-4], lambda body: b"x" + body, lambda body: body + b"rest"])
    def test_a_damaged_body_is_refused(self, codec: Gzip | Zstd, damage: object) -> None:
        with pytest.raises(ConnectError) as caught:
            codec.decompress(damage(packed(codec.name(), BODY)), 10**6)  # type: ignore[operator]  # parametrized
        assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("codec", [Gzip(), Zstd()], ids=lambda each: each.name())
def test_a_body_of_countless_empty_frames_is_refused(codec: Gzip | Zstd) -> None:
    assert codec.decompress(packed(codec.name(), b"") * MOST_FRAMES, 10) == b""
    with pytest.raises(ConnectError, match="more than 1000") as caught:
        codec.decompress(packed(codec.name(), b"") * (MOST_FRAMES + 1), 10)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_a_frame_without_its_length_opens() -> None:
    writer = ZstdCompressor()
    body = writer.compress(BODY, mode=ZstdCompressor.FLUSH_BLOCK) + writer.flush(ZstdCompressor.FLUSH_FRAME)
    assert Zstd().decompress(body, len(BODY)) == BODY


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"batches": [], "colour": 1}', "unknown field 'colour' in SendRequest"),
        (b"[]", "an object is needed"),
        (b"{", "JSON body"),
        (b'{"batches": [], "batches": []}', "'batches' stands twice"),
        (b'{"heartbeat": {"at": NaN}}', "NaN"),
        (b'{"heartbeat": {"at": 1e99}}', "too large"),
        (b'{"heartbeat": {"at": 1e99999999999999999999}}', "too large"),
        (b'{"heartbeat": {"at": 1e-99999999999999999999}}', "too small"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b'{"heartbeat": {"at": ' + b"9" * 5000 + b"}}", "JSON body"),
        (b'{"a":' * 5000, "JSON body"),
        (b"\xff", "JSON body"),
    ],
)
def test_what_is_no_message_is_refused_in_words(body: bytes, said: str) -> None:
    with pytest.raises(ConnectError) as caught:
        StrictJson().decode(body, wire.SendRequest)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert said in caught.value.message


def test_integers_are_read_by_their_digits() -> None:
    for text in (b"9223372036854775807", b'"9223372036854775807"', b"9223372036854775807.0", b"9.223372036854775807e18"):
        assert StrictJson().decode(b'{"heartbeat": {"at": ' + text + b"}}", wire.SendRequest).heartbeat.at == 2**63 - 1


def test_a_record_that_cannot_be_read_never_costs_its_neighbour() -> None:
    body = b'{"batches": [{"resource_id": "a"}, {"foo": 1}, 7, {"interval_ns": 99999999999999999999}], "facts": [{"vcpus": "x"}]}'
    message = StrictJson().decode(body, wire.SendRequest)
    assert [each.resource_id for each in message.batches] == ["a", "", "", ""]
    misread = MISREAD.get() or {}
    found = {place: (each.code.value, each.field, each.value) for place, each in misread.items()}
    assert found["batches", 1] == ("unsupported", "foo", "unknown field in Batch")
    assert found["batches", 2][0] == "damaged"
    assert found["batches", 3] == ("out_of_range", "interval_ns", "99999999999999999999")
    assert found["facts", 0][:2] == ("damaged", "vcpus")


@pytest.mark.parametrize(
    ("beat", "code", "field", "value"),
    [
        (b'{"at": 9223372036854775808}', "out_of_range", "at", "9223372036854775808"),
        (b'{"at": 1.5}', "damaged", "at", "1.5"),
        (b'{"colour": 1}', "unsupported", "colour", "unknown field in Heartbeat"),
        (b'{"\\ud800": 1}', "damaged", "heartbeat", "surrogate"),
        (b"7", "damaged", "heartbeat", ""),
    ],
)
def test_a_heartbeat_that_cannot_be_read_never_costs_its_request(beat: bytes, code: str, field: str, value: str) -> None:
    message = StrictJson().decode(b'{"batches": [{"resource_id": "a"}], "heartbeat": ' + beat + b"}", wire.SendRequest)
    assert [each.resource_id for each in message.batches] == ["a"]
    assert not message.HasField("heartbeat")
    why = (MISREAD.get() or {})["heartbeat", 0]
    assert (why.code.value, why.field) == (code, field)
    assert value in why.value


@pytest.mark.parametrize("name", ["batches", "events", "facts"])
def test_a_name_that_utf8_cannot_hold_costs_only_its_record(name: str) -> None:
    message = StrictJson().decode(b'{"%s": [{"\\ud800": 1}, {"resource_id": "a"}]}' % name.encode(), wire.SendRequest)
    assert [each.resource_id for each in getattr(message, name)] == ["", "a"]
    assert (MISREAD.get() or {})[name, 0].code.value == "damaged"


def test_binary_that_is_no_message_is_refused() -> None:
    with pytest.raises(ConnectError, match=r"no billing\.v1\.SendHeartbeatRequest"):
        Binary().decode(b"\xff\xff", rows.SendHeartbeatRequest)
