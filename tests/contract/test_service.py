"""Jobs, audit log, outbox, repeated requests, keys, agents, settings."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

import pytest

from tallystick.model.access import Counters, Grant, Place, Role, SourceProfile
from tallystick.store.records import Fence, LostLease
from tallystick.store.registry import Agent
from tallystick.store.store import Store, Tx
from tests.contract.conftest import NOW_NS, StandingClock
from tests.contract.rows import PLACE, T


def test_a_job_is_claimed_by_one_and_done_once(store: Store) -> None:
    first = store.jobs.claim("close", "acme", "2026-02", "one", 60)
    assert first == Fence(job="close", scope="acme", period="2026-02", owner="one", fence=1)
    assert store.jobs.claim("close", "acme", "2026-02", "two", 60) is None
    assert store.jobs.claim("close", "bolt", "2026-02", "two", 60) is not None
    assert store.jobs.due("close", [("acme", "2026-02"), ("cask", "2026-02")]) == [("cask", "2026-02")]
    store.jobs.extend(first, 60)
    with store.write() as tx:
        store.jobs.done(tx, first)
    assert store.jobs.is_done("close", "acme", "2026-02")
    assert not store.jobs.is_done("close", "bolt", "2026-02")
    assert store.jobs.claim("close", "acme", "2026-02", "two", 60) is None
    with store.write() as tx, pytest.raises(LostLease, match="one"):
        store.jobs.done(tx, first)
    assert [(run.scope, run.state) for run in store.jobs.list(state="done")] == [("acme", "done")]


def test_who_lost_the_lease_commits_nothing(store: Store) -> None:
    slow = store.jobs.claim("close", "acme", "2026-02", "slow", 0)
    assert slow is not None
    time.sleep(0.05)
    fast = store.jobs.claim("close", "acme", "2026-02", "fast", 60)
    assert fast is not None
    assert fast.fence == 2

    def write_and_mark(tx: Tx) -> None:
        store.settings.put(PLACE, "written", "by the slow one", tx=tx)
        store.jobs.done(tx, slow)

    with pytest.raises(LostLease):
        store.transact(write_and_mark)
    assert store.settings.get(PLACE, "written") is None
    with pytest.raises(LostLease):
        store.jobs.extend(slow, 60)
    store.jobs.failed(slow, "late", 0)
    with store.write() as tx:
        store.jobs.done(tx, fast)


def test_a_failed_job_is_tried_again_later(store: Store) -> None:
    fence = store.jobs.claim("close", "acme", "2026-02", "one", 60)
    assert fence is not None
    store.jobs.failed(fence, "no exchange rate", 3600)
    assert store.jobs.claim("close", "acme", "2026-02", "two", 60) is None
    (run,) = store.jobs.list(job="close")
    assert (run.state, run.failure, run.attempts) == ("failed", "no exchange rate", 1)
    other = store.jobs.claim("close", "bolt", "2026-02", "one", 60)
    assert other is not None
    store.jobs.failed(other, "again", 0)
    time.sleep(0.05)
    assert store.jobs.claim("close", "bolt", "2026-02", "two", 60) is not None


def test_the_audit_log_is_read_in_the_order_of_commits(store: Store) -> None:
    for number in range(5):
        with store.write() as tx:
            store.audit.append(tx, PLACE, "key-1", "invoice.finalize", f"inv-{number % 2}", {"total": number})
    entries = store.audit.entries(PLACE)
    assert [entry.details["total"] for entry in entries] == [0, 1, 2, 3, 4]
    after = (entries[2].commit_seq, entries[2].key)
    assert [entry.details["total"] for entry in store.audit.entries(PLACE, after=after)] == [3, 4]
    assert [entry.subject for entry in store.audit.entries(PLACE, subject="inv-1")] == ["inv-1", "inv-1"]
    assert (entries[0].actor, entries[0].action, entries[0].at_ns) == ("key-1", "invoice.finalize", NOW_NS)


def test_messages_wait_until_they_are_delivered(store: Store, clock: StandingClock) -> None:
    with store.write() as tx:
        store.outbox.put(tx, PLACE, "mail", "inv-1", {"to": "ä@example.com"})
        store.outbox.put(tx, PLACE, "webhook", "inv-1", {})
    with store.write() as tx:
        mail, webhook = store.outbox.due(tx)
        assert (mail.body, webhook.topic) == ({"to": "ä@example.com"}, "webhook")
        assert [each.topic for each in store.outbox.due(tx, topics=["webhook"])] == ["webhook"]
        store.outbox.done(tx, mail.key)
        store.outbox.failed(tx, webhook.key, "500", NOW_NS + 60)
    with store.write() as tx:
        assert store.outbox.due(tx) == []
    clock.at_ns += 60
    with store.write() as tx:
        assert [(each.topic, each.attempts) for each in store.outbox.due(tx)] == [("webhook", 1)]


def test_a_repeated_request_is_answered_as_the_first_time(store: Store, clock: StandingClock) -> None:
    one, other = hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()
    assert store.repeats.claim(PLACE, "key", "abc", one, 60) is None
    waiting = store.repeats.claim(PLACE, "key", "abc", one, 60)
    assert waiting is not None
    assert waiting.status is None
    assert store.repeats.claim(PLACE, "another key", "abc", other, 60) is None
    store.repeats.keep(PLACE, "key", "abc", 201, b"{}")
    kept = store.repeats.claim(PLACE, "key", "abc", other, 60)
    assert kept is not None
    assert (kept.request_hash, kept.status, kept.answer) == (one, 201, b"{}")
    store.repeats.release(PLACE, "key", "abc")
    assert store.repeats.claim(PLACE, "key", "abc", one, 60) is not None
    store.repeats.release(PLACE, "another key", "abc")
    assert store.repeats.claim(PLACE, "another key", "abc", one, 60) is None
    clock.at_ns += 61
    assert store.repeats.claim(PLACE, "another key", "abc", one, 60) is None
    assert store.repeats.forget(NOW_NS + 1) == 1


def test_keys_are_found_by_their_hash_until_revoked(store: Store) -> None:
    grant = Grant(key_id="k1", role=Role.AGENT, place=PLACE, customers=frozenset({"acme"}), regions=frozenset({"eu", "us"}))
    grant = replace(grant, profile=SourceProfile(counters=Counters.PER_SAMPLE, interval_ns=5 * 10**9, nobody=frozenset({"none"})))
    digest = hashlib.sha256(b"tsk_1").digest()
    store.keys.create(grant, digest, name="host", actor="init")
    store.keys.create(Grant(key_id="k2", role=Role.ADMIN, place=PLACE), hashlib.sha256(b"tsk_2").digest(), actor="init")
    found = store.keys.find_by_hash(digest)
    assert found is not None
    assert (found.grant, found.name) == (grant, "host")
    assert found.holds_at(NOW_NS)
    assert store.keys.find_by_hash(b"other") is None
    assert [key.grant.key_id for key in store.keys.list(PLACE)] == ["k2", "k1"]
    assert [key.grant.key_id for key in store.keys.list(PLACE, before=store.keys.list(PLACE)[0].row, limit=1)] == ["k1"]
    assert store.keys.revoke(PLACE, "k1", actor="k2")
    assert not store.keys.revoke(PLACE, "k1", actor="k2")
    revoked = store.keys.get(PLACE, "k1")
    assert revoked is not None
    assert not revoked.holds_at(NOW_NS)
    assert [entry.action for entry in store.audit.entries(PLACE, subject="k1")] == ["key.create", "key.revoke"]


def test_a_key_of_another_place_is_not_there(store: Store) -> None:
    other = Place(seller_id="other", scope_id="x")
    store.registry.add_place(other)
    store.keys.create(Grant(key_id="k1", role=Role.ADMIN, place=other), hashlib.sha256(b"1").digest(), actor="init")
    assert store.keys.get(PLACE, "k1") is None
    assert store.keys.list(PLACE) == []
    assert not store.keys.revoke(PLACE, "k1", actor="me")


def test_what_an_agent_reported_only_goes_forward(store: Store) -> None:
    def beat(at_ns: int, until_ns: int, *active: str) -> None:
        agent = Agent(
            instance_id="host", at_ns=at_ns, received_at_ns=at_ns, reported_until_ns=until_ns, active_resources=active, spool_depth=2
        )
        with store.write() as tx:
            store.registry.heartbeat(tx, PLACE, agent)

    beat(T, T - 5, "vm-1", "vm-2")
    beat(T + 10, T - 7, "vm-1")
    beat(T + 3, T + 2)
    (found,) = store.registry.agents(PLACE)
    assert (found.at_ns, found.reported_until_ns, found.active_resources, found.spool_depth) == (T + 10, T - 5, ("vm-1",), 2)


def test_an_agent_tells_of_its_clock_and_of_what_it_thinned(store: Store) -> None:
    for told in ((None, None, 0), (-5, False, 3), (0, True, 4)):
        offset_ns, synchronised, thinned = told
        agent = Agent(
            instance_id="host", at_ns=T, received_at_ns=T, reported_until_ns=T, clock_offset_ns=offset_ns,
            clock_synchronised=synchronised, thinned_batches=thinned,
        )  # fmt: skip
        with store.write() as tx:
            store.registry.heartbeat(tx, PLACE, agent)
        (found,) = store.registry.agents(PLACE)
        assert (found.clock_offset_ns, found.clock_synchronised, found.thinned_batches) == told


def test_settings_are_values_by_name(store: Store) -> None:
    assert store.settings.get(PLACE, "retention") is None
    store.settings.put(PLACE, "retention", {"payload_hours": 72})
    store.settings.put(PLACE, "retention", {"payload_hours": 24})
    assert store.settings.get(PLACE, "retention") == {"payload_hours": 24}
