"""Existing VM daemons, unchanged: what they send, as they send it, and the only answers that they take."""

from __future__ import annotations

import pytest

from tallystick.app.clock import SystemClock
from tallystick.proto.billing.v1 import billing_pb2 as wire
from tallystick.store.store import open_store
from tests.integration.serving import AT_NS, SECOND_NS, Served
from tests.servers import Reply

PACKAGES = ("billing.v1", "deploy.billaged.v1", "billaged.v1")
AT_S = AT_NS // 10**9
GO = {"connect-protocol-version": "1", "connect-timeout-ms": "9999", "accept-encoding": "gzip", "user-agent": "connect-go/1.18.1"}


def rows(vm_id: str, *samples: tuple[int, int], customer: str = "acme") -> wire.SendMetricsBatchRequest:
    """A batch of (seconds, CPU nanoseconds)."""
    made = wire.SendMetricsBatchRequest(vm_id=vm_id, customer_id=customer)
    for seconds, cpu in samples:
        made.metrics.add(cpu_time_nanos=cpu).timestamp.seconds = seconds
    return made


def send(served: Served, method: str, message: object, package: str = "billing.v1", key: str | None = None) -> Reply:
    return served.server.rpc(f"/{package}.BillingService/{method}", message, key or served.agent, GO)


def answer(reply: Reply) -> wire.SendMetricsBatchResponse:
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/proto"
    return wire.SendMetricsBatchResponse.FromString(reply.body)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_same_service_answers_under_each_package(served: Served, package: str) -> None:
    request = rows(f"vm-{package}", (AT_S, 1), (AT_S + 1, 2))
    first, again = answer(send(served, "SendMetricsBatch", request, package)), answer(send(served, "SendMetricsBatch", request, package))
    assert (first.success, first.message) == (True, "")
    assert (again.success, again.message) == (True, "stored before")


def test_a_repeat_under_another_package_is_the_same_batch(served: Served) -> None:
    request = rows("vm-moved", (AT_S, 1), (AT_S + 1, 2))
    answer(send(served, "SendMetricsBatch", request, PACKAGES[0]))
    assert answer(send(served, "SendMetricsBatch", request, PACKAGES[2])).message == "stored before"


def test_unsorted_and_equal_timestamps_are_normal(served: Served) -> None:
    found = answer(send(served, "SendMetricsBatch", rows("vm-rows", (AT_S + 1, 5), (AT_S, 1), (AT_S + 1, 5), (AT_S + 1, 7))))
    assert (found.success, found.message) == (True, "")
    same = answer(send(served, "SendMetricsBatch", rows("vm-rows", (AT_S, 1), (AT_S + 1, 7))))
    assert same.message == "stored before", "sorted, with the last of equal instants, it is the same content"


def test_a_zero_date_is_set_aside_in_words_and_the_rest_is_stored(served: Served) -> None:
    found = answer(send(served, "SendMetricsBatch", rows("vm-zero", (-62_135_596_800, 0), (AT_S, 1), (AT_S + 1, -5))))
    assert found.success
    assert "2 samples cannot be" in found.message
    assert "metrics[0].timestamp = -62135596800 s" in found.message
    assert "metrics[2].cpu_time_nanos = -5" in found.message
    assert answer(send(served, "SendMetricsBatch", rows("vm-zero", (AT_S, 1)))).message == "stored before"


@pytest.mark.parametrize(
    ("request_message", "said"),
    [
        (rows("vm-none", (-62_135_596_800, 0)), "metrics[0].timestamp"),
        (rows("vm-none"), "no metrics provided"),
        (rows("", (AT_S, 1)), "vm_id"),
        (rows("vm-future", (AT_S, 1), (2**33, 1)), "measured_at[1]"),
    ],
)
def test_a_batch_of_which_nothing_can_be_stored_is_a_connect_error(
    served: Served, request_message: wire.SendMetricsBatchRequest, said: str
) -> None:
    reply = send(served, "SendMetricsBatch", request_message)
    assert (reply.status, reply.headers["content-type"], reply.json["code"]) == (400, "application/json", "invalid_argument")
    assert said in reply.json["message"]


def test_a_customer_that_means_nobody_is_held_as_unassigned(served: Served) -> None:
    answer(send(served, "SendMetricsBatch", rows("vm-nobody", (AT_S, 1), customer="default-customer")))
    answer(send(served, "SendMetricsBatch", rows("vm-somebody", (AT_S, 1), customer="acme")))
    assert served.customer_of("vm-nobody") == ""
    assert served.customer_of("vm-somebody") == "acme"


def test_a_key_limited_to_customers_writes_only_theirs(served: Served) -> None:
    limited = served.key("agent", customers=("other",))
    reply = send(served, "SendMetricsBatch", rows("vm-limited", (AT_S, 1), customer="acme"), key=limited)
    assert (reply.status, reply.json["code"]) == (403, "permission_denied")
    answer(send(served, "SendMetricsBatch", rows("vm-limited", (AT_S, 1), customer="other"), key=limited))


def test_notices_and_heartbeats(served: Served) -> None:
    sent = {
        "NotifyVmStarted": wire.NotifyVmStartedRequest(vm_id="vm-noticed", customer_id="acme", start_time=AT_NS),
        "NotifyVmStopped": wire.NotifyVmStoppedRequest(vm_id="vm-noticed", stop_time=AT_NS + SECOND_NS),
        "NotifyPossibleGap": wire.NotifyPossibleGapRequest(vm_id="vm-noticed", last_sent=AT_NS, resume_time=AT_NS + SECOND_NS),
        "SendHeartbeat": wire.SendHeartbeatRequest(instance_id="metald-1", active_vms=["vm-noticed"]),
    }
    for _ in range(2):
        for method, message in sent.items():
            assert answer(send(served, method, message)).success, method
    assert answer(send(served, "SendHeartbeat", wire.SendHeartbeatRequest(instance_id="metald-2"))).success
    assert answer(send(served, "NotifyVmStopped", wire.NotifyVmStoppedRequest(vm_id="vm-unknown", stop_time=AT_NS))).success
    assert served.customer_of("vm-noticed") == "acme"


def test_a_stop_of_an_id_that_two_customers_have_is_ambiguous(served: Served) -> None:
    def started(customer: str, at_ns: int) -> None:
        message = wire.NotifyVmStartedRequest(vm_id="vm-twice", customer_id=customer, start_time=at_ns)
        assert answer(send(served, "NotifyVmStarted", message)).success

    def stop(at_ns: int) -> Reply:
        return send(served, "NotifyVmStopped", wire.NotifyVmStoppedRequest(vm_id="vm-twice", stop_time=at_ns))

    started("acme", AT_NS)
    assert answer(stop(AT_NS + SECOND_NS)).success
    started("globex", AT_NS + 2 * SECOND_NS)
    assert answer(stop(AT_NS + 3 * SECOND_NS)).success, "after a stop the id is free for another"
    started("acme", AT_NS + 4 * SECOND_NS)
    started("globex", AT_NS + 5 * SECOND_NS)
    reply = stop(AT_NS + 6 * SECOND_NS)
    assert (reply.status, reply.headers["content-type"], reply.json["code"]) == (400, "application/json", "failed_precondition")
    assert "vm_id = vm-twice: ambiguous, since its last stop it was named as a VM of acme, globex" in reply.json["message"]
    assert answer(stop(AT_NS + 4 * SECOND_NS + 1)).success, "by then only one was named"


def test_a_gzip_answer_opens(served: Served) -> None:
    reply = send(served, "SendMetricsBatch", rows("vm-gzip", (AT_S, 1)))
    assert reply.headers["content-encoding"] == "gzip"


def test_json_rows_with_an_unknown_field_are_refused_by_name(served: Served) -> None:
    reply = send(served, "SendMetricsBatch", {"vm_id": "vm-json", "metrics": [{"timestamp": "2026-02-25T08:00:00Z", "gpu": 1}]})
    assert (reply.status, reply.json["code"]) == (400, "invalid_argument")
    assert "'gpu'" in reply.json["message"]
    taken = send(served, "SendMetricsBatch", {"vmId": "vm-json", "metrics": [{"timestamp": "2026-02-25T08:00:00.5Z", "cpuTimeNanos": "7"}]})
    assert taken.json == {"success": True}


def test_the_live_table_is_shown_though_an_agent_named_a_customer_that_is_not_there(served: Served) -> None:
    assert send(served, "SendMetricsBatch", rows("vm-stranger", (AT_S, 1), customer="stranger")).status == 200
    reply = served.server.call("GET", "/v1/status", headers={"authorization": f"Bearer {served.key('admin')}"})
    assert reply.status == 200, reply.body
    (row,) = (each for each in reply.json["resources"] if each["resource_id"] == "vm-stranger")
    assert (row["customer_id"], row["cost"]) == ("stranger", None)
    assert "no customer 'stranger'" in row["cost_reason"]


def test_a_limited_key_sets_nothing_aside_for_another_customer(served: Served) -> None:
    assert send(served, "SendMetricsBatch", rows("vm-theirs", (AT_S, 1), customer="globex")).status == 200
    limited = served.key("agent", customers=["acme"])
    for sent in (rows("vm-theirs", (0, 1)), rows("vm-theirs", (0, 1), (AT_S + 1, 2))):
        assert send(served, "SendMetricsBatch", sent, key=limited).status in (400, 403)
    assert send(served, "SendMetricsBatch", rows("vm-ours", (0, 1), (AT_S, 2)), key=limited).status == 200
    store = open_store(served.url, SystemClock())
    try:
        with store.read() as tx:
            aside = tx.rows("SELECT resource_id FROM quarantine WHERE resource_id IN (?, ?)", ("vm-theirs", "vm-ours"))
    finally:
        store.close()
    assert [resource_id for (resource_id,) in aside] == ["vm-ours"]
