"""What is told besides samples: each refusal with its field and value."""

from __future__ import annotations

import pytest

from tallystick.ingest import notices
from tallystick.ingest.submission import Heartbeat
from tallystick.model.access import Grant, Place, Role
from tallystick.model.outcomes import Refusal
from tallystick.model.resources import Fact
from tallystick.model.samples import BatchIdentity, LifecycleEvent
from tallystick.proto.tallystick.v1 import ingest_pb2 as wire

NOW = 1_772_000_000 * 10**9
LATE = NOW + 300 * 10**9
ALL = Grant(key_id="k", role=Role.AGENT, place=Place())
LIMITED = Grant(key_id="k", role=Role.AGENT, place=Place(), customers=frozenset({"acme"}), regions=frozenset({"eu"}))


def said(found: object) -> tuple[str, str, str]:
    assert isinstance(found, Refusal)
    return found.code.value, found.field, found.value


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ({"resource_id": "", "kind": 1, "at": NOW}, ("empty_id", "resource_id", "")),
        ({"resource_id": "a\0", "kind": 1, "at": NOW}, ("out_of_range", "resource_id", "'a\\x00'")),
        ({"resource_id": "a\n", "kind": 1, "at": NOW}, ("out_of_range", "resource_id", "'a\\n'")),
        ({"resource_id": " a", "kind": 1, "at": NOW}, ("out_of_range", "resource_id", "' a'")),
        ({"resource_id": "a\xa0", "kind": 1, "at": NOW}, ("out_of_range", "resource_id", "'a\\xa0'")),
        ({"resource_id": "a\u2028b", "kind": 1, "at": NOW}, ("out_of_range", "resource_id", "'a\\u2028b'")),
        ({"resource_id": "a", "kind": 0, "at": NOW}, ("unsupported", "kind", "0")),
        ({"resource_id": "a", "kind": 9, "at": NOW}, ("unsupported", "kind", "9")),
        ({"resource_id": "a", "kind": 1, "at": 0}, ("out_of_range", "at", "0")),
        ({"resource_id": "a", "kind": 1, "at": -1}, ("out_of_range", "at", "-1")),
        ({"resource_id": "a", "kind": 1, "at": LATE + 1}, ("future", "at", str(LATE + 1))),
        ({"resource_id": "a", "kind": 3, "at": NOW, "last_sent": NOW + 1}, ("out_of_range", "last_sent", str(NOW + 1))),
        ({"resource_id": "a", "kind": 4, "at": NOW}, ("out_of_range", "step_ns", "0")),
        ({"resource_id": "a", "kind": 3, "at": NOW, "step_ns": 5}, ("out_of_range", "step_ns", "5")),
    ],
)
def test_a_notice_is_refused_by_field_and_value(sent: dict[str, object], wanted: tuple[str, str, str]) -> None:
    assert said(notices.lifecycle(wire.LifecycleEvent(**sent), NOW)) == wanted  # type: ignore[arg-type]  # parametrized


def test_a_notice_exactly_300_s_ahead_is_taken() -> None:
    assert isinstance(notices.lifecycle(wire.LifecycleEvent(resource_id="a", kind=1, at=LATE), NOW), LifecycleEvent)


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ({"resource_id": "a", "at": NOW, "vcpus": -1}, ("out_of_range", "vcpus", "-1")),
        ({"resource_id": "a", "at": NOW, "gpus": 2**31}, ("out_of_range", "gpus", str(2**31))),
        ({"resource_id": "a", "at": NOW, "disk_bytes": -(2**63)}, ("out_of_range", "disk_bytes", str(-(2**63)))),
        ({"resource_id": "a", "at": NOW, "customer_id": "other"}, ("not_allowed", "customer_id", "other")),
        ({"resource_id": "a", "at": NOW, "region": "us"}, ("not_allowed", "region", "us")),
        ({"resource_id": "a", "at": 0}, ("out_of_range", "at", "0")),
        ({"resource_id": "x" * 600, "at": NOW}, ("too_large", "resource_id", "x" * 60 + "… (600 bytes, at most 512)")),
        ({"resource_id": "a", "at": NOW, "labels": {"values": {"": "x"}}}, ("empty_id", "labels", "")),
    ],
)
def test_a_fact_is_refused_by_field_and_value(sent: dict[str, object], wanted: tuple[str, str, str]) -> None:
    assert said(notices.fact(wire.ResourceFacts(**sent), NOW, LIMITED)) == wanted  # type: ignore[arg-type]  # parametrized


def test_what_a_fact_does_not_name_stays_unnamed_and_zero_is_a_value() -> None:
    found = notices.fact(wire.ResourceFacts(resource_id="a", at=NOW, vcpus=0, customer_id=""), NOW, ALL)
    assert isinstance(found, Fact)
    assert (found.vcpus, found.memory_bytes, found.customer_id, found.labels) == (0, None, "", None)


def test_an_agent_cannot_have_reported_past_its_own_clock() -> None:
    sent = wire.Heartbeat(instance_id="i", at=NOW, reported_until=NOW + 1)
    assert said(notices.heartbeat(sent, NOW)) == ("out_of_range", "heartbeat.reported_until", str(NOW + 1))


def test_what_a_heartbeat_does_not_tell_of_the_clock_is_not_known() -> None:
    told = wire.Heartbeat(instance_id="i", at=NOW, clock_offset_ns=-7, clock_synchronised=False, thinned_batches=3)
    found = notices.heartbeat(told, NOW)
    assert isinstance(found, Heartbeat)
    assert (found.clock_offset_ns, found.clock_synchronised, found.thinned_batches) == (-7, False, 3)
    silent = notices.heartbeat(wire.Heartbeat(instance_id="i", at=NOW), NOW)
    assert isinstance(silent, Heartbeat)
    assert (silent.clock_offset_ns, silent.clock_synchronised, silent.thinned_batches) == (None, None, 0)


@pytest.mark.parametrize(
    ("identity", "wanted"),
    [
        (("", "", "", 0), ("empty_id", "resource_id", "")),
        (("a", "", "", 1), ("empty_id", "spool_id", "")),
        (("a", "", "s", 2**63), ("out_of_range", "sequence", str(2**63))),
        (("a", "b\0", "s", 1), ("out_of_range", "boot_id", "'b\\x00'")),
    ],
)
def test_an_identity_is_refused_by_field_and_value(identity: tuple[str, str, str, int], wanted: tuple[str, str, str]) -> None:
    resource, boot, spool, sequence = identity
    made = BatchIdentity(resource_id=resource, boot_id=boot, spool_id=spool, sequence=sequence)
    assert said(notices.identity_refusal(made)) == wanted
