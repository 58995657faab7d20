"""Who and what is let in: keys, roles, tenants, listeners, content types, methods, sizes, bombs; all answered as Connect errors."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tallystick.app.clock import SystemClock
from tallystick.app.server import load_certificate
from tallystick.model.access import RateLimit
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire
from tallystick.store.store import open_store
from tests.integration.returning import Crowd
from tests.integration.serving import AT_NS, SEND, Served
from tests.integration.test_ingest import binary
from tests.keys import agent_key, make_key, sqlite_url
from tests.servers import Reply, ServerProcess, tree

EMPTY: dict[str, object] = {"batches": []}


def error(reply: Reply) -> tuple[int, str]:
    assert reply.headers["content-type"] == "application/json", reply.body
    assert set(reply.json) == {"code", "message"}
    assert reply.json["message"]
    return reply.status, reply.json["code"]


@pytest.mark.parametrize("key", [None, "tsk_unknown", "dev_user_1", ""])
def test_a_missing_or_wrong_key_is_unauthenticated(served_sqlite: Served, key: str | None) -> None:
    assert error(served_sqlite.server.rpc(SEND, EMPTY, key)) == (401, "unauthenticated")


def test_another_kind_of_authorization_is_unauthenticated(served_sqlite: Served) -> None:
    reply = served_sqlite.server.rpc(SEND, EMPTY, None, {"authorization": "Basic eDp5"})
    assert error(reply) == (401, "unauthenticated")


@pytest.mark.parametrize(("role", "status"), [("agent", 200), ("admin", 200), ("customer", 403), ("billing", 403), ("auditor", 403)])
def test_only_agents_and_admins_write_usage(served_sqlite: Served, role: str, status: int) -> None:
    reply = served_sqlite.send(EMPTY, key=served_sqlite.key(role))
    assert reply.status == status
    if status == 403:
        assert error(reply) == (403, "permission_denied")


def test_a_tenant_header_that_contradicts_the_key_is_refused(served_sqlite: Served) -> None:
    given = {"x-tenant-id": "another"}
    assert error(served_sqlite.server.rpc(SEND, EMPTY, served_sqlite.agent, given)) == (403, "permission_denied")
    assert served_sqlite.server.rpc(SEND, EMPTY, served_sqlite.agent, {"x-tenant-id": "default"}).status == 200


def test_methods_content_types_and_routes(served_sqlite: Served) -> None:
    server, key = served_sqlite.server, {"authorization": f"Bearer {served_sqlite.agent}"}
    get = server.call("GET", SEND, headers=key)
    assert (get.status, get.headers["allow"]) == (405, "POST")
    for wrong in ("text/plain", "application/x-protobuf", "application/grpc", ""):
        reply = server.call("POST", SEND, b"x", {**key, "content-type": wrong})
        assert reply.status == 415
        assert "application/proto" in reply.headers["accept-post"]
    assert error(server.rpc("/tallystick.v1.IngestService/Nothing", EMPTY, served_sqlite.agent)) == (404, "unimplemented")
    assert error(server.rpc("/no.such.v1.Service/Method", EMPTY, None)) == (404, "unimplemented")


def test_an_unknown_json_field_is_refused_by_name(served_sqlite: Served) -> None:
    reply = served_sqlite.send({"batches": [], "colour": 1})
    assert error(reply) == (400, "invalid_argument")
    assert "colour" in reply.json["message"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_of_10_mb_is_too_large_and_the_next_one_is_served(served_sqlite: Served, chunked: bool) -> None:
    body = json.dumps({"batches": [], "confirmed_commands": ["x" * 10_000_000]}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {served_sqlite.agent}"}
    given = iter([body[low : low + 65536] for low in range(0, len(body), 65536)]) if chunked else body
    request = urllib.request.Request(served_sqlite.server.url + SEND, given, headers, method="POST")
    with pytest.raises((urllib.error.URLError, ConnectionError)) as caught:
        urllib.request.urlopen(request, timeout=30)
    refused = caught.value
    if isinstance(refused, urllib.error.HTTPError):  # else the connection was closed while the rest was still being written
        assert (refused.code, json.loads(refused.read())["code"]) == (429, "resource_exhausted")
        assert "Retry-After" not in refused.headers
    assert served_sqlite.send(EMPTY).status == 200


def test_a_bomb_stops_at_the_limit(served_sqlite: Served) -> None:
    body = gzip.compress(b" " * 300_000_000)
    headers = {"content-type": "application/json", "content-encoding": "gzip", "authorization": f"Bearer {served_sqlite.agent}"}
    reply = served_sqlite.server.call("POST", SEND, body, headers)
    assert error(reply) == (429, "resource_exhausted")
    assert served_sqlite.server.peak_memory_mib < 300


@pytest.mark.parametrize("body", [b"garbage", b"", b"\xff" * 100])
def test_a_damaged_body_is_refused_in_words(served_sqlite: Served, body: bytes) -> None:
    headers = {"content-type": "application/json", "content-encoding": "zstd", "authorization": f"Bearer {served_sqlite.agent}"}
    reply = served_sqlite.server.call("POST", SEND, body, headers)
    assert reply.status == (400 if body else 200)


def test_a_listener_on_loopback_needs_no_key(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, {"TALLY_LISTENERS": "127.0.0.1:0=default"}) as server:
        headers = {"content-type": "application/json"}
        beat = json.dumps({"instance_id": "metald-1"}).encode()
        path = "/billing.v1.BillingService/SendHeartbeat"
        assert server.call("POST", path, beat, headers, port=server.ports[1]).json == {"success": True}
        assert server.call("POST", path, beat, headers, port=server.ports[0]).status == 401


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TALLY_LISTEN", "8080"),
        ("TALLY_GRPC_LISTEN", "8081"),
        ("TALLY_WORKERS", "-1"),
        ("TALLY_MESSAGE_LIMIT_BYTES", "lots"),
        ("TALLY_LISTENERS", "0.0.0.0:9=default"),
        ("TALLY_STORE_URL", "mysql://x/y"),
        ("TALLY_CLOCK_FILE", "/does/not/exist"),
        ("TALLY_TLS_CERTIFICATE", "/does/not/exist"),
    ],
)
def test_a_wrong_setting_is_refused_at_start_with_name_and_value(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        ServerProcess(tmp_path, {name: value}).start()
    assert name.removeprefix("TALLY_").lower() in str(caught.value)
    assert value.partition("=")[0] in str(caught.value)


def test_a_second_server_on_the_same_file_is_refused(served_sqlite: Served) -> None:
    with pytest.raises(RuntimeError, match="another server"):
        ServerProcess(served_sqlite.server.state_dir).start()
    assert served_sqlite.send(EMPTY).status == 200


def certified(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that names this machine, and its key, in new files."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *subject, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def shown_certificate(context: ssl.SSLContext) -> bytes:
    """What a client is shown, in a handshake without a network."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    client = client_context.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return client.getpeercert(binary_form=True) or b""


def test_a_new_certificate_without_its_key_leaves_the_old_one(tmp_path: Path) -> None:
    old, new = certified(tmp_path, "old"), certified(tmp_path, "new")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, *old)
    with pytest.raises(ssl.SSLError, match="mismatch"):
        load_certificate(context, new[0], old[1])
    assert shown_certificate(context) == ssl.PEM_cert_to_DER_cert(old[0].read_text())
    load_certificate(context, *new)
    assert shown_certificate(context) == ssl.PEM_cert_to_DER_cert(new[0].read_text())


def test_files_that_are_no_certificate_are_refused_at_start(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path, "server")
    for given, name in (((key, key), "tls_certificate"), ((certificate, certificate), "tls_key"), ((certificate, key), "tls_client_ca")):
        files = {"TALLY_TLS_CERTIFICATE": str(given[0]), "TALLY_TLS_KEY": str(given[1])}
        with pytest.raises(RuntimeError, match=f"tally serve: .*{name} = '{tmp_path}"):
            ServerProcess(tmp_path / "state", {**files, "TALLY_TLS_CLIENT_CA": str(key)}).start()


def test_the_server_serves_tls_itself(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path, "server")
    with ServerProcess(tmp_path / "state", {"TALLY_TLS_CERTIFICATE": str(certificate), "TALLY_TLS_KEY": str(key)}) as server:
        context = ssl.create_default_context(cafile=str(certificate))
        request = urllib.request.Request(f"https://127.0.0.1:{server.port}{SEND}", b"{}", {"content-type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10, context=context)
        assert caught.value.code == 401
        caught.value.close()


def test_a_future_clock_is_refused_with_its_value(served_sqlite: Served) -> None:
    at_ns = AT_NS + 10**18
    reply = served_sqlite.send({"events": [{"resource_id": "a", "kind": "LIFECYCLE_KIND_STARTED", "at": str(at_ns)}]})
    assert reply.json["events"][0] == {"outcome": "OUTCOME_REFUSED", "code": "future", "field": "at", "value": str(at_ns)}


def test_a_full_server_says_when_to_come_again_and_takes_it_then(tmp_path: Path) -> None:
    key = agent_key(tmp_path)
    requests = [wire.SendRequest(batches=[binary(f"full-{number}-{vm}", 1) for vm in range(30)]) for number in range(10)]
    assert sum(each.ByteSize() for each in requests) > 2 * 2**20
    small = {"TALLY_INGEST_QUEUE_BYTES": str(2**20), "TALLY_INGEST_GROUP_MS": "1000"}
    with ServerProcess(tmp_path, {**small}) as server:
        with ThreadPoolExecutor(len(requests)) as pool:
            replies = list(pool.map(lambda request: server.rpc(SEND, request, key), requests))
        refused = [(request, reply) for request, reply in zip(requests, replies, strict=True) if reply.status != 200]
        assert 0 < len(refused) < len(requests)
        for request, reply in refused:
            assert error(reply) == (429, "resource_exhausted")
            assert 1 <= int(reply.headers["retry-after"]) <= 60
            again = wire.SendResponse.FromString(server.rpc(SEND, request, key).body)
            assert {each.outcome for each in again.batches} == {wire.OUTCOME_STORED}, "nothing of it was stored before"


def test_a_key_over_its_rate_is_told_when_to_come_again_in_every_protocol(tmp_path: Path) -> None:
    agent_key(tmp_path)
    slow = make_key(sqlite_url(tmp_path), "admin", rate_limit=RateLimit(requests_per_second=1))
    usual = make_key(sqlite_url(tmp_path), "admin")
    with ServerProcess(tmp_path) as server:

        def take() -> Reply:
            return server.rpc(SEND, EMPTY, slow)

        with ThreadPoolExecutor(30) as pool:
            replies = list(pool.map(lambda _: take(), range(30)))
        refused = [each for each in replies if each.status != 200]
        assert refused
        assert {error(each) for each in refused} == {(429, "resource_exhausted")}
        assert len({each.headers["retry-after"] for each in refused}) > 1, "not all at once"
        web = {"content-type": "application/grpc-web+proto", "authorization": f"Bearer {slow}"}
        said = server.call("POST", SEND, b"\0\0\0\0\0", web)
        assert said.status == 200
        assert b"grpc-status: 8" in said.body
        assert f"grpc-retry-pushback-ms: {said.headers['retry-after']}000".encode() in said.body
        rest = server.call("GET", "/v1/keys", headers={"authorization": f"Bearer {slow}"})
        assert (rest.status, rest.json["code"]) == (429, "resource_exhausted")
        assert int(rest.headers["retry-after"]) >= 1
        assert server.rpc(SEND, EMPTY, usual).status == 200, "another key is not held back"
        metrics = server.call("GET", "/metrics").body.decode()
        assert 'tally_refused_requests_total{reason="key_rate"}' in metrics
        assert "tally_requests_held_bytes 0.0" in metrics
        assert server.log.count("requests refused") == 1


def test_agents_that_come_back_at_the_same_second_are_all_served(tmp_path: Path) -> None:
    crowd = Crowd(agents=300, requests=1, batches=12)
    key = agent_key(tmp_path)
    with ServerProcess(tmp_path, {"TALLY_INGEST_QUEUE_BYTES": str(2**20)}) as server:
        asyncio.run(crowd.send(server.port, [key]))
        assert crowd.stored == crowd.agents * crowd.requests * crowd.batches
        assert crowd.refused, "the room was too large to be full"
        assert server.peak_memory_mib < 250
    store = open_store(sqlite_url(tmp_path), SystemClock())
    with store.read() as tx:
        assert tx.rows("SELECT sum(samples) FROM segment", ())[0][0] == crowd.samples
    store.close()


def test_a_body_without_a_length_finds_room_or_none_as_it_comes(tmp_path: Path) -> None:
    key = agent_key(tmp_path)
    headers = {"content-type": "application/proto", "authorization": f"Bearer {key}"}
    body = wire.SendRequest(batches=[binary(f"vm-{number}", 1) for number in range(20)]).SerializeToString()
    with ServerProcess(tmp_path) as server:
        parts = (body[low : low + 10_000] for low in range(0, len(body), 10_000))
        reply = urllib.request.urlopen(urllib.request.Request(server.url + SEND, parts, headers, method="POST"), timeout=30)
        with reply:
            assert [each.outcome for each in wire.SendResponse.FromString(reply.read()).batches] == [wire.OUTCOME_STORED] * 20


def test_the_server_ends_cleanly_with_its_workers(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, {"TALLY_WORKERS": "1"}) as server:
        processes = tree(server.pid)
        for _ in range(100):
            if len(processes := tree(server.pid)) > 1:
                break
            time.sleep(0.05)
        assert len(processes) > 1
        assert server.stop() == 0
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]


def test_a_worker_does_not_outlive_a_killed_server(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, {"TALLY_WORKERS": "1"}).start()
    try:
        for _ in range(200):
            if len(processes := tree(server.pid)) > 1 and "worker started" in server.log:
                break
            time.sleep(0.05)
        time.sleep(3)
        processes = tree(server.pid)
    finally:
        server.stop(signal.SIGKILL)
    for _ in range(200):
        left = [pid for pid in processes if Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(f"{left} live on")
