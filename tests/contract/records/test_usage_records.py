"""Usage records: each stored once for ever, with exactly the hours that it touches marked, and found again around a window."""

from __future__ import annotations

import threading
from dataclasses import replace
from hashlib import sha256
from typing import Any

from tallystick.ingest.storing import Storing
from tallystick.ingest.submission import Submission
from tallystick.model.access import Grant, Place, Role
from tallystick.model.instants import HOUR_NS, MINUTE_NS
from tallystick.model.outcomes import BatchResult, Outcome, Refusal, RefusalCode
from tallystick.model.records import UsageRecord
from tallystick.model.resources import Fact, Origin
from tallystick.store.store import Store, open_store
from tests.contract.conftest import NOW_NS, StandingClock
from tests.contract.rows import PLACE, T, batch, dirty_hours


def record(number: int = 1, from_ns: int = T, until_ns: int | None = None, **told: Any) -> UsageRecord:
    """A record of network traffic, over an hour unless it is told otherwise."""
    fields: dict[str, Any] = {"source": "exporter", "resource_id": "pod-1", "meter": "network.rx", "amount": 1000, "peak": None}
    fields.update(told)
    content = repr((from_ns, until_ns, fields)).encode()
    return UsageRecord(
        record_id=f"r-{number}",
        from_ns=from_ns,
        until_ns=from_ns + HOUR_NS if until_ns is None else until_ns,
        received_at_ns=NOW_NS,
        content_hash=sha256(content).digest(),
        **fields,
    )


def send(store: Store, *records: UsageRecord, place: Place = PLACE) -> list[BatchResult]:
    with store.write() as tx:
        return store.batches.write_records(tx, place, records)


def outcomes(store: Store, *records: UsageRecord, place: Place = PLACE) -> list[str]:
    return [str(result.outcome) for result in send(store, *records, place=place)]


def found(store: Store, resource_id: str, from_ns: int, until_ns: int) -> list[UsageRecord]:
    stored = store.registry.resource(PLACE, resource_id)
    assert stored is not None
    (timeline,) = store.batches.timelines(PLACE, [stored.row], from_ns, until_ns)
    return [each.record for each in timeline.records]


def test_a_record_is_stored_once(store: Store) -> None:
    first, second = record(1), record(2)
    assert outcomes(store, first, second, first) == ["stored", "stored", "repeated"]
    assert outcomes(store, second, first, replace(first, received_at_ns=NOW_NS + 5)) == ["repeated"] * 3
    assert sorted(found(store, "pod-1", T, T + HOUR_NS), key=lambda one: one.record_id) == [first, second]


def test_other_content_under_a_known_identity_conflicts(store: Store) -> None:
    first, other = record(1), record(1, amount=2000)
    assert outcomes(store, first) == ["stored"]
    assert send(store, other) == [
        BatchResult(outcome=Outcome.CONFLICT, stored_hash=first.content_hash.hex(), sent_hash=other.content_hash.hex())
    ]
    fresh, twin = record(2), record(2, amount=7)
    assert outcomes(store, fresh, twin) == ["stored", "conflict"]
    assert {one.amount for one in found(store, "pod-1", T, T + HOUR_NS)} == {1000}


def test_identities_that_look_alike_when_joined_are_different(store: Store) -> None:
    told = [("a-r", "b"), ("a", "r-b"), ("a", 'r"b'), ("a", "r\\b"), ("ä", "b"), ("a", "b")]
    records = [replace(record(), source=source, record_id=number) for source, number in told]
    assert outcomes(store, *records) == ["stored"] * 6
    assert outcomes(store, *records) == ["repeated"] * 6
    assert outcomes(store, *(replace(one, meter="network.tx") for one in records)) == ["stored"] * 6


def test_two_places_never_meet(store: Store) -> None:
    other = Place(seller_id="other", scope_id="default")
    store.registry.add_place(other)
    assert outcomes(store, record()) == ["stored"]
    assert outcomes(store, record(amount=5), place=other) == ["stored"]
    assert [one.amount for one in found(store, "pod-1", T, T + HOUR_NS)] == [1000]


def test_exactly_the_hours_that_a_record_touches_are_marked(store: Store) -> None:
    spans = {
        "whole": (T, T + HOUR_NS, [0]),
        "over": (T + MINUTE_NS, T + HOUR_NS + 1, [0, 1]),
        "inside": (T + 2 * HOUR_NS + 5, T + 2 * HOUR_NS + 6, [2]),
        "instant": (T + 3 * HOUR_NS, T + 3 * HOUR_NS, [3]),
        "long": (T - HOUR_NS, T + 2 * HOUR_NS, [-1, 0, 1]),
    }
    send(store, *(record(from_ns=low, until_ns=high, resource_id=name, source=name) for name, (low, high, _) in spans.items()))
    assert dirty_hours(store) == {name: hours for name, (_, _, hours) in spans.items()}


def test_nothing_is_marked_for_what_is_known(store: Store) -> None:
    send(store, record())
    for mark in store.usage.dirty():
        with store.write() as tx:
            tx.run("DELETE FROM dirty_hour WHERE hour_ns = ?", (mark.hour_ns,))
    assert outcomes(store, record(), record(amount=3)) == ["repeated", "conflict"]
    assert dirty_hours(store) == {}


def test_a_window_finds_what_touches_it(store: Store) -> None:
    day = 24 * HOUR_NS
    spans = [
        (T - HOUR_NS, T),  # ends where it begins
        (T - HOUR_NS + 1, T + 1),
        (T - 20 * day, T),
        (T - 20 * day, T + 1),
        (T - 20 * day, T + 10 * day),
        (T, T),  # an instant
        (T - 1, T - 1),
        (T + HOUR_NS - 1, T + 3 * HOUR_NS),
        (T + HOUR_NS, T + 2 * HOUR_NS),
        (T + HOUR_NS, T + HOUR_NS),
    ]
    send(store, *(record(number, *span) for number, span in enumerate(spans)))
    touching = [span for span in spans if span[0] < T + HOUR_NS and (span[1] > T or span[0] >= T)]
    assert len(touching) == 5
    assert sorted((one.from_ns, one.until_ns) for one in found(store, "pod-1", T, T + HOUR_NS)) == sorted(touching)


def test_amounts_and_peaks_of_any_size_are_kept(store: Store) -> None:
    send(store, record(1, meter="memory.used", amount=2**100, peak=2**63 - 1), record(2, meter="gpu.memory.used", amount=0))
    assert {(one.meter, one.amount, one.peak) for one in found(store, "pod-1", T, T + HOUR_NS)} == {
        ("memory.used", 2**100, 2**63 - 1),
        ("gpu.memory.used", 0, None),
    }


def test_the_first_registered_source_stays_the_first(store: Store) -> None:
    send(store, record(1, source="z"))
    send(store, record(1, source="a"), record(2, source="z", from_ns=T - HOUR_NS))
    stored = store.registry.resource(PLACE, "pod-1")
    assert stored is not None
    (timeline,) = store.batches.timelines(PLACE, [stored.row], T - HOUR_NS, T + HOUR_NS)
    numbers = {each.record.source: each.source_number for each in timeline.records}
    assert numbers["z"] < numbers["a"]


def test_of_two_servers_one_stores_it(store: Store, url: str, clock: StandingClock) -> None:
    other = open_store(url, clock)
    results: list[str] = []

    def storing(mine: Store, resource_id: str) -> None:
        for number in range(30):
            results.extend(outcomes(mine, replace(record(number), resource_id=resource_id)))

    threads = [threading.Thread(target=storing, args=each) for each in ((store, "pod-1"), (other, "pod-2"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sorted(results) == ["repeated"] * 30 + ["stored"] * 30


class _Watch:
    """Counts outcomes."""

    def __init__(self) -> None:
        self.counted: dict[tuple[str, str], int] = {}

    def request(self, method: str, code: str, seconds: float) -> None: ...

    def outcome(self, kind: str, outcome: str, count: int) -> None:
        self.counted[kind, outcome] = self.counted.get((kind, outcome), 0) + count

    def commit(self, batches: int, samples: int, seconds: float, stored_seconds: float) -> None: ...

    def failure(self, what: str, error: BaseException) -> None:
        raise error


class _Ticks(StandingClock):
    def monotonic_ns(self) -> int:
        return 0


def test_a_submission_has_an_outcome_for_each_record(store: Store) -> None:
    """A key that is limited to a customer writes no records of another's resource; what stands beside them is stored."""
    with store.write() as tx:
        store.batches.write(tx, PLACE, [batch("theirs")])
        fact = Fact(resource_id="theirs", at_ns=T, received_at_ns=T, origin=Origin.PERSON, customer_id="beta")
        store.batches.write_facts(tx, PLACE, [fact])
    watch = _Watch()
    grant = Grant(key_id="k", role=Role.AGENT, place=PLACE, customers=frozenset({"acme"}))
    refusal = Refusal(code=RefusalCode.FUTURE, field="until", value="9")
    records = (record(1), refusal, record(2, resource_id="theirs"), record(1), record(3))
    (receipt,) = Storing(store, _Ticks(), watch)([Submission(grant=grant, received_at_ns=NOW_NS, records=records)])
    assert [str(result.outcome) for result in receipt.records] == ["stored", "refused", "refused", "repeated", "stored"]
    assert receipt.records[2].refusal == Refusal(code=RefusalCode.NOT_ALLOWED, field="resource_id", value="theirs")
    assert watch.counted == {("record", "stored"): 2, ("record", "refused"): 2, ("record", "repeated"): 1}
