"""What existing clients put on the wire, byte for byte: a Go daemon, a later library with chunked bodies, curl."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence

import pytest

from tests.integration.serving import Served

PATH = "/billing.v1.BillingService/SendMetricsBatch"
GO = (
    "User-Agent: connect-go/1.18.1 (go1.24.4)",
    "Content-Type: application/proto",
    "Connect-Protocol-Version: 1",
    "Connect-Timeout-Ms: 9999",
    "Accept-Encoding: gzip",
)
STAMP = bytes.fromhex("0880d7facc06")  # seconds 1772006272
LATER = bytes.fromhex("0881d7facc0610808ef63b")  # a second and 125829888 ns later
ZERO_DATE = bytes.fromhex("088092b8c398feffffff01")  # 0001-01-01, as Go writes a time that was never set


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def batch(vm_id: bytes, *metrics: bytes, customer: bytes = b"default-customer") -> bytes:
    return field(1, vm_id) + field(2, customer) + b"".join(field(3, each) for each in metrics)


FIRST = field(1, STAMP)  # fields of value 0 are not on the wire: the first sample often has none but the timestamp
SECOND = field(1, LATER) + bytes.fromhex("10c0843d18808080802028a01f")  # cpu 1000000, memory 8589934592, disk written 4000


def exchange(port: int, lines: Sequence[str], body: bytes, *, wait: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """A request as these bytes, and its answer; after the head `wait` is awaited, if given."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        reader = connection.makefile("rb")
        if wait:
            assert reader.readline().startswith(wait)
            assert reader.readline() == b"\r\n"
        connection.sendall(body)
        status = int(reader.readline().split()[1])
        headers = dict(line.decode().strip().lower().split(": ", 1) for line in iter(reader.readline, b"\r\n"))
        if headers.get("transfer-encoding") == "chunked":
            found = b""
            while size := int(reader.readline(), 16):
                found += reader.read(size)
                reader.readline()
        else:
            found = reader.read(int(headers.get("content-length", "0")))
    return status, headers, found


def post(served: Served, path: str, headers: Sequence[str], length: int | None) -> list[str]:
    sized = [] if length is None else [f"Content-Length: {length}"]
    return [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {served.agent}", *headers, *sized]


def chunked(body: bytes, size: int = 20) -> bytes:
    parts = [body[low : low + size] for low in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def plain(answer: tuple[int, dict[str, str], bytes]) -> bytes:
    status, headers, body = answer
    assert (status, headers["content-type"]) == (200, "application/proto"), body
    return body


def test_a_go_daemons_batch(served_sqlite: Served) -> None:
    body = batch(b"vm-go", FIRST, FIRST, SECOND, SECOND)
    lines = [each for each in post(served_sqlite, PATH, GO, len(body)) if not each.startswith("Accept-Encoding")]
    assert plain(exchange(served_sqlite.server.port, lines, body)) == bytes.fromhex("0801"), "success, and nothing else"
    samples = served_sqlite.rows(
        "SELECT s.samples FROM segment s JOIN resource r ON r.resource_key = s.resource_key WHERE resource_id = 'vm-go'"
    )
    assert samples == [(2,)]
    assert served_sqlite.customer_of("vm-go") == ""


def test_a_body_in_chunks_without_a_length(served_sqlite: Served) -> None:
    body = batch(b"vm-chunks", FIRST, SECOND, customer=b"acme")
    headers = [each for each in GO if not each.startswith("Accept-Encoding")] + ["Transfer-Encoding: chunked"]
    assert plain(exchange(served_sqlite.server.port, post(served_sqlite, PATH, headers, None), chunked(body))) == bytes.fromhex("0801")
    assert served_sqlite.customer_of("vm-chunks") == "acme"


def test_curl_waits_to_be_told_to_go_on(served_sqlite: Served) -> None:
    rows = [
        {"timestamp": "2026-02-25T08:00:00Z", "cpu_time_nanos": 9007199254740993},
        {"timestamp": "2026-02-25T08:00:01Z", "cpuTimeNanos": "9007199254740995"},
    ]
    body = json.dumps({"vm_id": "vm-curl", "customerId": "acme", "metrics": rows}).encode()
    headers = ["Content-Type: application/json; charset=utf-8", "Expect: 100-continue", "Transfer-Encoding: chunked"]
    lines = post(served_sqlite, PATH, headers, None)
    status, _, found = exchange(served_sqlite.server.port, lines, chunked(body), wait=b"HTTP/1.1 100")
    assert (status, json.loads(found)) == (200, {"success": True})


@pytest.mark.parametrize(
    ("rows", "said"), [([field(1, ZERO_DATE)], b"metrics[0].timestamp = -62135596800 s and 0 ns"), ([], b"no metrics provided")]
)
def test_what_nothing_is_left_of_is_a_connect_error(served_sqlite: Served, rows: list[bytes], said: bytes) -> None:
    body = batch(b"vm-zero", *rows)
    lines = [each for each in post(served_sqlite, PATH, GO, len(body)) if not each.startswith("Accept-Encoding")]
    status, headers, found = exchange(served_sqlite.server.port, lines, body)
    assert (status, headers["content-type"]) == (400, "application/json")
    assert said in found


def test_an_empty_heartbeat_and_a_zero_date_among_others(served_sqlite: Served) -> None:
    port = served_sqlite.server.port
    beat = field(1, b"metald-1772006272")
    headers = [each for each in GO if not each.startswith("Accept-Encoding")]
    lines = post(served_sqlite, "/deploy.billaged.v1.BillingService/SendHeartbeat", headers, len(beat))
    assert plain(exchange(port, lines, beat)) == bytes.fromhex("0801")
    body = batch(b"vm-mixed", SECOND, field(1, ZERO_DATE), FIRST)
    answered = plain(exchange(port, post(served_sqlite, "/billaged.v1.BillingService/SendMetricsBatch", headers, len(body)), body))
    assert answered.startswith(bytes.fromhex("080112"))
    assert b"1 sample cannot be and is set aside: metrics[1].timestamp = -62135596800 s" in answered
