"""gRPC on a port of its own, with grpcio as the client; and gRPC-Web on the main port, over the wire."""

from __future__ import annotations

import base64
import gzip
import json
import re
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc
import pytest
from backports.zstd import compress
from connectrpc.code import Code
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from connectrpc.protocol import ProtocolType

from tallystick.proto.billing.collector.v1 import query_pb2 as query_wire
from tallystick.proto.billing.v1 import billing_pb2 as rows_wire
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.proto.tallystick.v1.ingest_connect import IngestServiceClientSync
from tests.integration.serving import AT_NS, SEND, Served
from tests.integration.test_collector import SERVICES, row
from tests.integration.test_collector import wire as collector_wire
from tests.integration.test_ingest import binary
from tests.integration.test_ingest_door import certified
from tests.keys import agent_key, make_key, sqlite_url
from tests.servers import ServerProcess

AT_S = AT_NS // 10**9


@dataclass
class Client:
    """Calls by grpcio without generated stubs: the path and the messages are all there is to a call."""

    channel: grpc.Channel
    key: str | None

    def call(self, path: str, message: Any, answer: Any, **options: Any) -> Any:
        method = self.channel.unary_unary(path, lambda each: each.SerializeToString(), answer.FromString)
        given = [("authorization", f"Bearer {self.key}")] if self.key else []
        return method.with_call(message, metadata=given, timeout=options.pop("timeout", 20), **options)

    def send(self, request: wire.SendRequest, **options: Any) -> wire.SendResponse:
        return self.call(SEND, request, wire.SendResponse, **options)[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("grpc")
    folder.joinpath("key").write_text(agent_key(folder))
    with ServerProcess(folder, {"TALLY_GRPC_LISTEN": "127.0.0.1:0"}) as found:
        yield found


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with grpc.insecure_channel(grpc_address(server)) as channel:
        yield Client(channel, server.state_dir.joinpath("key").read_text())


def grpc_address(server: ServerProcess) -> str:
    lines = [json.loads(line) for line in server.log.splitlines() if '"listening"' in line]
    return str(lines[-1]["grpc"])


def failed(code: grpc.StatusCode, *call: Any, **options: Any) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call[0](*call[1:], **options)
    assert caught.value.code() is code, caught.value
    return str(caught.value.details())


def test_the_native_protocol(client: Client) -> None:
    request = wire.SendRequest(batches=[binary("grpc", sequence) for sequence in range(1, 4)])
    for wanted in (wire.OUTCOME_STORED, wire.OUTCOME_REPEATED):
        assert [each.outcome for each in client.send(request).batches] == [wanted] * 3


@pytest.mark.parametrize("path", SERVICES)
def test_the_collector_under_both_names(client: Client, path: str) -> None:
    request = collector_wire.SendMetricsBatchRequest(metrics=[row(f"vm-{path}", AT_S + second) for second in range(3)])
    answer, call = client.call(path + "SendMetricsBatch", request, collector_wire.SendMetricsBatchResponse)
    assert (answer.success, answer.accepted) == (True, 3)
    assert call.code() is grpc.StatusCode.OK


def test_the_daemons_service(client: Client) -> None:
    request = rows_wire.SendHeartbeatRequest(instance_id="metald-1")
    answer, _ = client.call("/billing.v1.BillingService/SendHeartbeat", request, rows_wire.SendHeartbeatResponse)
    assert answer.success


def test_a_stream_of_live_usage(server: ServerProcess, client: Client) -> None:
    address = {"lines": ["Street 1"], "city": "Berlin", "postal_code": "10115", "country": "DE"}
    customer = {"id": "acme", "name": "Acme", "currency": "EUR", "time_zone": "Europe/Berlin", "address": address}
    key = make_key(sqlite_url(server.state_dir), "admin")
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", "idempotency-key": "acme"}
    made = server.call("POST", "/v1/customers", json.dumps(customer).encode(), headers)
    assert made.status in (200, 201), made.body
    path = "/billing.v1.BillingQueryService/StreamLiveUsage"
    stream = client.channel.unary_stream(path, query_wire.StreamLiveUsageRequest.SerializeToString, query_wire.UsageUpdate.FromString)
    live = stream(query_wire.StreamLiveUsageRequest(customer_id="acme"), metadata=[("authorization", f"Bearer {key}")], timeout=20)
    first = next(live)
    assert first.cursor
    live.cancel()
    unknown = stream(query_wire.StreamLiveUsageRequest(customer_id="nobody"), metadata=[("authorization", f"Bearer {key}")], timeout=20)
    failed(grpc.StatusCode.NOT_FOUND, next, unknown)
    assert client.send(wire.SendRequest()).server_time > 0, "the connection goes on"


def test_an_error_has_a_status_and_words_in_the_trailers(client: Client) -> None:
    empty = collector_wire.SendMetricsBatchRequest()
    said = failed(
        grpc.StatusCode.INVALID_ARGUMENT, client.call, SERVICES[0] + "SendMetricsBatch", empty, collector_wire.SendMetricsBatchResponse
    )
    assert said == "metrics: no metrics provided"


def test_who_is_not_let_in(server: ServerProcess, client: Client) -> None:
    request = wire.SendRequest()
    nobody, wrong = Client(client.channel, None), Client(client.channel, "tsk_wrong")
    assert "a key is needed" in failed(grpc.StatusCode.UNAUTHENTICATED, nobody.send, request)
    assert "unknown or revoked" in failed(grpc.StatusCode.UNAUTHENTICATED, wrong.send, request)
    unknown = "/tallystick.v1.IngestService/Nothing"
    assert "no such rpc" in failed(grpc.StatusCode.UNIMPLEMENTED, client.call, unknown, request, wire.SendResponse)
    given = [("authorization", f"Bearer {client.key}"), ("x-tenant-id", "another")]
    method = client.channel.unary_unary(SEND, wire.SendRequest.SerializeToString, wire.SendResponse.FromString)
    assert "X-Tenant-ID" in failed(grpc.StatusCode.PERMISSION_DENIED, method, request, metadata=given, timeout=20)


def test_a_compressed_request(client: Client) -> None:
    request = wire.SendRequest(batches=[binary("grpc-gzip", 1)])
    assert [each.outcome for each in client.send(request, compression=grpc.Compression.Gzip).batches] == [wire.OUTCOME_STORED]


def test_a_request_over_the_limit_and_the_next_one(client: Client) -> None:
    large = wire.SendRequest(confirmed_commands=["x" * 5 * 2**20])
    failed(grpc.StatusCode.RESOURCE_EXHAUSTED, client.send, large)
    bomb = wire.SendRequest(confirmed_commands=["x" * 60 * 2**20])
    failed(grpc.StatusCode.RESOURCE_EXHAUSTED, client.send, bomb, compression=grpc.Compression.Gzip)
    assert client.send(wire.SendRequest()).server_time > 0


def test_a_deadline_ends_the_call(tmp_path: Path) -> None:
    key = agent_key(tmp_path)
    given = {"TALLY_GRPC_LISTEN": "127.0.0.1:0", "TALLY_INGEST_GROUP_MS": "1000"}
    with ServerProcess(tmp_path, given) as server, grpc.insecure_channel(grpc_address(server)) as channel:
        client = Client(channel, key)
        assert client.send(wire.SendRequest()).server_time > 0
        began = time.monotonic()
        failed(grpc.StatusCode.DEADLINE_EXCEEDED, client.send, wire.SendRequest(), timeout=0.3)
        assert time.monotonic() - began < 0.9
        with ThreadPoolExecutor(1) as pool:
            last = pool.submit(client.send, wire.SendRequest(batches=[binary("grpc-last", 1)]))
            time.sleep(0.3)
            assert server.stop() == 0
            assert [each.outcome for each in last.result().batches] == [wire.OUTCOME_STORED], "what is under way is answered"


def test_tls_is_the_servers(tmp_path: Path) -> None:
    certificate, key_file = certified(tmp_path, "server")
    state = tmp_path / "state"
    key = agent_key(state)
    given = {"TALLY_TLS_CERTIFICATE": str(certificate), "TALLY_TLS_KEY": str(key_file), "TALLY_GRPC_LISTEN": "127.0.0.1:0"}
    with ServerProcess(state, given) as server:
        trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(grpc_address(server), trusted) as channel:
            assert Client(channel, key).send(wire.SendRequest()).server_time > 0


def framed(message: bytes, compressed: bool = False) -> bytes:
    return struct.pack(">BI", int(compressed), len(message)) + message


def unframed(body: bytes) -> tuple[bytes, dict[str, str]]:
    """The message and the trailers of a gRPC-Web answer, which is not compressed."""
    message, trailers = b"", {}
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        content, body = body[5 : 5 + length], body[5 + length :]
        if flags & 1:
            content = gzip.decompress(content)
        if flags & 0x80:
            trailers = dict(line.split(": ", 1) for line in content.decode().split("\r\n") if line)
        else:
            message = content
    return message, trailers


@pytest.mark.parametrize("content_type", ["application/grpc-web", "application/grpc-web+proto"])
@pytest.mark.parametrize("encoding", ["", "gzip", "zstd"])
def test_grpc_web_on_the_main_port(served_sqlite: Served, content_type: str, encoding: str) -> None:
    message = wire.SendRequest(batches=[binary(f"{content_type}-{encoding or 'plain'}", 1)]).SerializeToString()
    packed = {"": message, "gzip": gzip.compress(message), "zstd": compress(message)}[encoding]
    headers = {"content-type": content_type, "x-grpc-web": "1", "authorization": f"Bearer {served_sqlite.agent}"}
    headers |= {"grpc-encoding": encoding, "grpc-accept-encoding": "gzip"} if encoding else {}
    for wanted in (wire.OUTCOME_STORED, wire.OUTCOME_REPEATED):
        reply = served_sqlite.server.call("POST", SEND, framed(packed, bool(encoding)), headers)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/grpc-web+proto")
        body, trailers = unframed(reply.body)
        assert trailers["grpc-status"] == "0"
        assert [each.outcome for each in wire.SendResponse.FromString(body).batches] == [wanted]


def test_grpc_web_errors_are_trailers_in_the_body(served_sqlite: Served) -> None:
    headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    for given, status, said in ((headers, "16", "a key is needed"), ({**headers, "authorization": "Bearer tsk_x"}, "16", "unknown")):
        reply = served_sqlite.server.call("POST", SEND, framed(b""), given)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/grpc-web+proto")
        _, trailers = unframed(reply.body)
        assert trailers["grpc-status"] == status
        assert said in unquote(trailers["grpc-message"])
    allowed = {**headers, "authorization": f"Bearer {served_sqlite.agent}"}
    _, trailers = unframed(served_sqlite.server.call("POST", SERVICES[0] + "SendMetricsBatch", framed(b""), allowed).body)
    assert (trailers["grpc-status"], unquote(trailers["grpc-message"])) == ("3", "metrics: no metrics provided")


@pytest.mark.parametrize("content_type", ["application/grpc-web-text", "application/grpc-web-text+proto"])
def test_grpc_web_as_text(served_sqlite: Served, content_type: str) -> None:
    message = framed(wire.SendRequest(batches=[binary(content_type, 1)]).SerializeToString())
    headers = {"content-type": content_type, "x-grpc-web": "1", "authorization": f"Bearer {served_sqlite.agent}"}
    in_pieces = base64.b64encode(message[:1000]) + b"\r\n" + base64.b64encode(message[1000:])
    for body, wanted in ((base64.b64encode(message), wire.OUTCOME_STORED), (in_pieces, wire.OUTCOME_REPEATED)):
        reply = served_sqlite.server.call("POST", SEND, body, headers)
        assert (reply.status, reply.headers["content-type"]) == (200, content_type)
        answered, trailers = unframed(b"".join(base64.b64decode(piece) for piece in re.findall(rb"[^=]+={0,2}", reply.body)))
        assert trailers["grpc-status"] == "0"
        assert [each.outcome for each in wire.SendResponse.FromString(answered).batches] == [wanted]
    denied = served_sqlite.server.call("POST", SEND, base64.b64encode(framed(b"")), {"content-type": content_type})
    assert unframed(base64.b64decode(denied.body))[1]["grpc-status"] == "16"
    damaged = served_sqlite.server.call("POST", SEND, b"!not base64!", headers)
    assert damaged.status == 200
    assert b"grpc-status" in base64.b64decode(damaged.body)


@pytest.mark.parametrize("protocol", [ProtocolType.GRPC_WEB, ProtocolType.CONNECT])
@pytest.mark.parametrize("compression", [None, GzipCompression()], ids=["plain", "gzip"])
def test_a_client_of_the_library_on_the_main_port(
    served_sqlite: Served, protocol: ProtocolType, compression: GzipCompression | None
) -> None:
    with IngestServiceClientSync(served_sqlite.server.url, protocol=protocol, send_compression=compression) as client:
        request = wire.SendRequest(batches=[binary(f"library-{protocol}-{compression}", 1)])
        answer = client.send(request, headers={"authorization": f"Bearer {served_sqlite.agent}"})
        assert [each.outcome for each in answer.batches] == [wire.OUTCOME_STORED]
        with pytest.raises(ConnectError) as caught:
            client.send(request)
        assert caught.value.code is Code.UNAUTHENTICATED
