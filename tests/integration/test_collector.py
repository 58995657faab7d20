"""The collector service of a billing service: rows of many resources as counters or as windows, and what it answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tallystick.app.check import check_store
from tallystick.app.clock import SystemClock
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.access import Counters, Place, SourceProfile
from tallystick.proto.billing.collector.v1 import collector_pb2 as wire
from tallystick.store.store import open_store
from tests.integration.serving import AT_NS, SECOND_NS, Served
from tests.servers import Reply

SERVICES = ("/billing.collector.v1.BillingCollectorService/", "/billing.v1.BillingCollectorService/")
AT_S = AT_NS // SECOND_NS
RECORDS = "SELECT r.meter, r.amount, r.peak FROM usage_record r JOIN resource s ON s.resource_key = r.resource_key WHERE s.resource_id = ?"


def row(vm_id: str, at_s: int, **given: Any) -> wire.BillingMetrics:
    made = wire.BillingMetrics(vm_id=vm_id, **{"customer_id": "acme", "region": "eu-1", **given})
    made.timestamp.seconds = at_s
    return made


def window(vm_id: str, start_s: int, end_s: int, **given: Any) -> wire.BillingMetrics:
    made = row(vm_id, end_s, **given)
    made.window_start.seconds, made.window_end.seconds = start_s, end_s
    return made


def send(served: Served, *rows: wire.BillingMetrics, key: str | None = None, service: str = SERVICES[0]) -> Reply:
    return served.server.rpc(service + "SendMetricsBatch", wire.SendMetricsBatchRequest(metrics=rows), key or served.agent)


def answer(reply: Reply) -> wire.SendMetricsBatchResponse:
    assert (reply.status, reply.headers["content-type"]) == (200, "application/proto"), reply.body
    found = wire.SendMetricsBatchResponse.FromString(reply.body)
    assert found.success
    return found


def counts(reply: Reply) -> tuple[int, int, int, int]:
    found = answer(reply)
    return found.accepted, found.repeated, found.quarantined, found.refused


@pytest.mark.parametrize("service", SERVICES)
def test_rows_of_many_resources_are_stored_once_and_repeats_say_so(served: Served, service: str) -> None:
    names = [f"{service}-{number}" for number in range(3)]
    rows = [row(name, AT_S + second, cpu_time_nanos=second * 10**9, memory_bytes_used=2**30) for second in range(4) for name in names]
    assert counts(send(served, *rows, service=service)) == (12, 0, 0, 0)
    assert counts(send(served, *rows, service=SERVICES[0])) == (0, 12, 0, 0)
    assert counts(send(served, *rows[::-1], service=SERVICES[1])) == (0, 12, 0, 0), "the order of rows says nothing"
    assert served.customer_of(names[2]) == "acme"
    assert served.rows("SELECT region FROM resource WHERE resource_id = ?", (names[2],)) == [("eu-1",)]


def test_one_row(served: Served) -> None:
    path = SERVICES[0] + "SendMetrics"
    sent = {"metrics": {"vmId": "vm-one", "timestamp": "2026-02-25T08:00:00.5Z", "cpuTimeNanos": "7", "memory_bytes_used": 5}}
    assert served.server.rpc(path, sent, served.agent).json == {"success": True}
    again = served.server.rpc(path, sent, served.agent).json
    assert again == {"success": True, "message": "1 row was stored before", "repeated": True}
    assert served.server.rpc(path, {}, served.agent).json["code"] == "invalid_argument"
    refused = served.server.rpc(path, {"metrics": {"vm_id": "vm-one", "colour": 1}}, served.agent)
    assert "'colour'" in refused.json["message"]
    never = served.server.rpc(path, {"metrics": {"vm_id": "vm-one"}}, served.agent)
    assert (never.status, never.json["code"]) == (400, "invalid_argument")
    assert "metrics[0].timestamp = 0 s and 0 ns: quarantined" in never.json["message"]


def test_what_cannot_be_is_set_aside_and_named_and_the_rest_is_stored(served: Served) -> None:
    rows = [
        row("vm-mixed", -62_135_596_800),
        row("vm-mixed", AT_S, cpu_time_nanos=1),
        row("vm-mixed", AT_S + 1, network_rx_bytes=2**63),
        row("", AT_S),
        row("vm-late", 2**33),
        window("vm-mixed", AT_S + 60, AT_S),
        window("vm-mixed", 0, AT_S),
    ]
    found = answer(send(served, *rows))
    assert (found.accepted, found.repeated, found.quarantined, found.refused) == (1, 0, 4, 2)
    assert [(each.index, each.code, each.field) for each in found.problems] == [
        (0, "quarantined", "timestamp"),
        (2, "quarantined", "network_rx_bytes"),
        (3, "empty_id", "vm_id"),
        (4, "future", "measured_at"),
        (5, "quarantined", "window_end"),
        (6, "quarantined", "window_start"),
    ]
    assert found.problems[1].value == str(2**63)
    assert found.message.startswith("4 rows are set aside; 2 rows are refused; metrics[0].timestamp = -62135596800 s")
    assert len(served.rows("SELECT 1 FROM quarantine WHERE resource_id = ?", ("vm-mixed",))) == 4
    assigned = "SELECT r.resource_id FROM resource_fact f JOIN resource r ON r.resource_key = f.resource_key WHERE r.resource_id IN (?, ?)"
    assert served.rows(assigned, ("vm-mixed", "vm-late")) == [("vm-mixed",)], "what is refused assigns nothing"


def test_a_batch_of_which_nothing_can_be_stored_is_a_connect_error(served: Served) -> None:
    for rows, code in (((), "invalid_argument"), ((row("vm-none", 0),), "invalid_argument")):
        reply = send(served, *rows)
        assert (reply.status, reply.headers["content-type"], reply.json["code"]) == (400, "application/json", code)
    limited = served.key("agent", customers=("other",), regions=("us-1",))
    reply = send(served, row("vm-none", AT_S), key=limited)
    assert (reply.status, reply.json["code"]) == (403, "permission_denied")
    assert "customer_id = acme: not_allowed" in reply.json["message"]
    mixed = [row("vm-none", AT_S), row("vm-ours", AT_S, customer_id="other", region="us-1"), row("vm-ours", AT_S, customer_id="other")]
    assert counts(send(served, *mixed, key=limited)) == (1, 0, 0, 2)
    assert served.server.rpc(SERVICES[0] + "SendMetrics", {}, served.key("customer", customers=("acme",))).status == 403


def test_a_window_is_a_record_of_each_meter(served: Served) -> None:
    told = {
        "cpu_time_nanos": 30 * 10**9,
        "memory_bytes_used": 2**20,
        "memory_bytes_peak": 2**21,
        "disk_read_bytes": 3,
        "disk_write_bytes": 4,
    }
    sent = window("vm-window", AT_S, AT_S + 60, disk_read_ops=5, disk_write_ops=6, network_rx_bytes=7, network_tx_bytes=8, **told)
    assert counts(send(served, sent)) == (1, 0, 0, 0)
    amounts = {meter: (int(amount), peak) for meter, amount, peak in served.rows(RECORDS, ("vm-window",))}
    assert amounts == {
        "cpu.used": (30 * 10**9, None),
        "memory.used": (2**20 * 60 * 10**9, 2**21),
        "disk.read": (3, None),
        "disk.write": (4, None),
        "disk.read_ops": (5, None),
        "disk.write_ops": (6, None),
        "network.rx": (7, None),
        "network.tx": (8, None),
    }
    assert served.customer_of("vm-window") == "acme"
    assert counts(send(served, sent)) == (0, 1, 0, 0)
    other = window("vm-window", AT_S, AT_S + 60, cpu_time_nanos=1)
    reply = send(served, other)
    assert (reply.status, reply.json["code"]) == (409, "already_exists")
    assert "conflict" in reply.json["message"]
    assert counts(send(served, other, row("vm-window", AT_S))) == (1, 0, 0, 1)


def test_the_integral_wins_over_the_level(served: Served) -> None:
    assert counts(send(served, window("vm-integral", AT_S, AT_S + 60, memory_bytes_used=5, memory_bytes_seconds=77))) == (1, 0, 0, 0)
    assert ("memory.used", str(77 * 10**9), 5) in served.rows(RECORDS, ("vm-integral",))


def test_equal_ends_are_no_window(served: Served) -> None:
    sent = window("vm-equal", AT_S, AT_S, cpu_time_nanos=1)
    sent.timestamp.seconds = AT_S + 5
    assert counts(send(served, sent)) == (1, 0, 0, 0)
    assert served.rows(RECORDS, ("vm-equal",)) == []


@pytest.mark.parametrize(
    ("told", "mismatch"),
    [
        ({"cpu_cores_used": 0.5, "cpu_utilization_pct": 50.0}, ""),
        ({"cpu_cores_used": 0.504}, ""),
        ({"cpu_cores_used": 0.51}, "cpu_cores_used"),
        ({"cpu_utilization_pct": 51.0}, "cpu_utilization_pct"),
        ({"cpu_cores_used": float("nan")}, "cpu_cores_used"),
        ({}, ""),
    ],
)
def test_cores_and_utilization_are_checked_never_billed(served_sqlite: Served, told: dict[str, float], mismatch: str) -> None:
    sent = window(f"vm-check-{told}", AT_S, AT_S + 60, cpu_time_nanos=30 * 10**9, **told)
    found = answer(send(served_sqlite, sent))
    assert (found.accepted, [each.field for each in found.problems]) == (1, [mismatch] if mismatch else [])
    assert answer(send(served_sqlite, sent)).repeated == 1
    query = "from=2026-02-25T00:00:00Z&until=2026-02-26T00:00:00Z&resource_id=" + quote(sent.vm_id)
    headers = {"authorization": f"Bearer {served_sqlite.key('admin')}"}
    listed = served_sqlite.server.call("GET", f"/v1/findings?{query}", headers=headers)
    assert listed.status == 200, listed.body
    assert [(each["code"], each["detail"].split(" ")[0]) for each in listed.json["items"]] == [("cpu_mismatch", mismatch)] * bool(mismatch)


def test_a_resource_that_changes_hands_is_told_of_once(served: Served) -> None:
    rows = [row("vm-sold", AT_S + second, customer_id="acme" if second < 5 else "globex") for second in range(10)]
    assert counts(send(served, *rows)) == (10, 0, 0, 0)
    assert counts(send(served, *(row("vm-sold", AT_S + second, customer_id="globex") for second in range(10, 20)))) == (10, 0, 0, 0)
    facts = served.rows(
        "SELECT f.at_ns, f.customer_id, f.region FROM resource_fact f JOIN resource r ON r.resource_key = f.resource_key"
        " WHERE r.resource_id = ? ORDER BY f.at_ns",
        ("vm-sold",),
    )
    assert facts == [(AT_NS, "acme", "eu-1"), (AT_NS + 5 * SECOND_NS, "globex", None)]


def test_a_profile_says_what_counters_and_nobody_are(served: Served) -> None:
    profile = SourceProfile(counters=Counters.PER_SAMPLE, interval_ns=15 * SECOND_NS, nobody=frozenset({"none"}))
    key = served.key("agent", profile=profile)
    rows = [row("vm-told", AT_S + 15 * number, customer_id="none", cpu_time_nanos=5) for number in range(4)]
    assert counts(send(served, *rows, key=key)) == (4, 0, 0, 0)
    assert served.customer_of("vm-told") == ""
    assert served.rows(
        "SELECT DISTINCT interval_ns FROM payload p JOIN batch b ON b.batch_key = p.batch_key JOIN boot t"
        " ON t.boot_key = b.boot_key JOIN resource r ON r.resource_key = t.resource_key WHERE r.resource_id = ?",
        ("vm-told",),
    ) == [(15 * SECOND_NS,)]
    assert counts(send(served, *rows)) == (4, 0, 0, 0), "the same numbers as sums are other content"


def test_what_is_sent_in_any_order_and_any_cut_is_what_the_hours_say(served: Served) -> None:
    profile = SourceProfile(counters=Counters.PER_SAMPLE, interval_ns=15 * SECOND_NS)
    key = served.key("agent", scope="sums", profile=profile)
    told = [row("vm-told", AT_S + 15 * number, cpu_time_nanos=number + 1, memory_bytes_used=2**20) for number in range(40)]
    for low, high in ((20, 30), (0, 12), (25, 40), (10, 22), (0, 12)):
        assert answer(send(served, *told[low:high], key=key)).refused == 0
    other = served.key("agent", scope="sums", profile=SourceProfile(interval_ns=15 * SECOND_NS))
    sums = [row("vm-sums", AT_S + 15 * number, cpu_time_nanos=7 * number, memory_bytes_used=2**20) for number in range(40)]
    assert counts(send(served, *sums[20:], key=other)) == (20, 0, 0, 0)
    assert counts(send(served, *sums[:25], key=other)) == (25, 0, 0, 0)
    amounts = [window("vm-amounts", AT_S + 60 * number, AT_S + 60 * (number + 1), cpu_time_nanos=10) for number in range(3)]
    assert counts(send(served, *amounts[::-1], *amounts[:1], key=other)) == (3, 1, 0, 0)
    store = open_store(served.url, SystemClock())
    try:
        roll_up(store, DiskHorizon.RESOURCE, AT_NS + 7200 * SECOND_NS)
        totals: dict[str, list[int]] = {}
        for _, hour in store.usage.hours(Place(scope_id="sums")):
            found = totals.setdefault(hour.resource_id, [0, 0])
            found[0] += hour.total("cpu.used") or 0
            found[1] += hour.total("uptime") or 0
        checked = check_store(store, DiskHorizon.RESOURCE, AT_NS + 7200 * SECOND_NS)
    finally:
        store.close()
    up_ns = 39 * 15 * SECOND_NS
    assert totals == {"vm-told": [sum(range(1, 41)), up_ns], "vm-sums": [7 * 39, up_ns], "vm-amounts": [30, 0]}
    assert [each for each in checked.differences if "vm-told" in each or "vm-sums" in each or "vm-amounts" in each] == []


def test_too_many_rows_are_to_be_sent_in_parts(served_sqlite: Served) -> None:
    reply = send(served_sqlite, *[wire.BillingMetrics()] * 100_001)
    assert (reply.status, reply.json["code"]) == (429, "resource_exhausted")
    assert "more than 100000 rows" in reply.json["message"]
    as_json = served_sqlite.server.rpc(SERVICES[0] + "SendMetricsBatch", {"metrics": [{}] * 100_001}, served_sqlite.agent)
    assert (as_json.status, as_json.json["code"]) == (429, "resource_exhausted")
