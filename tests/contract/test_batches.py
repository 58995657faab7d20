"""Batches: each stored once, whatever is sent again; which hours become dirty; what a timeline holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.model.access import Place
from tallystick.model.instants import HOUR_NS
from tallystick.model.resources import Fact, Origin
from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.store.batches.operations import Quarantined
from tallystick.store.store import Store
from tallystick.store.surrogates import UnknownPlace
from tests.contract.conftest import NOW_NS
from tests.contract.rows import PLACE, SECOND, T, batch, dirty_hours, sweep, write


def event(kind: str, at_ns: int, resource: str = "vm-1", boot: str = "boot") -> LifecycleEvent:
    return LifecycleEvent(resource_id=resource, boot_id=boot, kind=LifecycleKind(kind), at_ns=at_ns, received_at_ns=at_ns)


def tell(store: Store, *events: LifecycleEvent) -> list[str]:
    with store.write() as tx:
        return [str(result.outcome) for result in store.batches.write_events(tx, PLACE, events)]


def declare(store: Store, *facts: Fact, place: Place = PLACE) -> list[str]:
    with store.write() as tx:
        return [str(result.outcome) for result in store.batches.write_facts(tx, place, facts)]


def test_a_batch_is_stored_once(store: Store) -> None:
    assert write(store, batch(), batch(), batch(sequence=2, at_ns=T + 60 * SECOND)) == ["stored", "repeated", "stored"]
    assert write(store, batch(received_at_ns=NOW_NS), batch(sequence=2, at_ns=T + 60 * SECOND)) == ["repeated", "repeated"]
    assert store.maintenance.sample_counts() == (2, 120)


def test_other_content_under_a_known_identity_is_kept_aside(store: Store) -> None:
    first, second = batch(), batch(level=2000)
    assert write(store, first, second) == ["stored", "conflict"]
    assert write(store, second) == ["conflict"]
    (kept,) = store.conflicts.list(PLACE)
    assert (kept.stored_hash, kept.sent_hash, kept.body) == (first.content_hash, second.content_hash, second.payload)
    assert store.batches.payloads([1])[1].body == first.payload
    with store.write() as tx:
        (result,) = store.batches.write(tx, PLACE, [second])
    assert (result.stored_hash, result.sent_hash) == (first.content_hash.hex(), second.content_hash.hex())


def test_without_a_sequence_content_is_identity(store: Store) -> None:
    assert write(store, batch(sequence=0), batch(sequence=0), batch(sequence=0, level=5)) == ["stored", "repeated", "stored"]
    assert write(store, batch(sequence=1)) == ["stored"]


def test_identities_that_look_alike_when_joined_are_different(store: Store) -> None:
    batches = [
        batch("a-b", boot="c"),
        batch("a", boot="b-c"),
        batch("a", boot="b", spool="c"),
        batch("a", boot="b", spool="c-1"),
        batch("ä", boot="b"),
        batch("a", boot=""),
    ]
    assert write(store, *batches) == ["stored"] * 6


def test_two_places_never_meet(store: Store) -> None:
    other = Place(seller_id="other", scope_id="default")
    with pytest.raises(UnknownPlace, match="other"):
        write(store, batch(), place=other)
    store.registry.add_place(other)
    store.registry.add_place(other)
    assert write(store, batch()) == ["stored"]
    assert write(store, batch(level=3), place=other) == ["stored"]
    assert [each.id for each in store.registry.resources(PLACE)] == ["vm-1"]
    mine, theirs = store.registry.resource(PLACE, "vm-1"), store.registry.resource(other, "vm-1")
    assert mine is not None
    assert theirs is not None
    assert mine.row != theirs.row
    with pytest.raises(LookupError):
        store.batches.timelines(PLACE, [theirs.row], T, T + HOUR_NS)
    assert store.usage.dirty_count(PLACE) == store.usage.dirty_count(other) == 1
    assert [mark.place for mark in store.usage.dirty(place=other)] == [other]
    declare(store, Fact(resource_id="vm-1", at_ns=T, received_at_ns=T, customer_id="acme"), place=other)
    assert store.registry.resources(PLACE, customers=frozenset({"acme"})) == []
    assert store.registry.places() == [PLACE, other]


def test_nothing_of_a_transaction_that_fails_is_there(store: Store) -> None:
    class StopError(Exception):
        pass

    def fail() -> None:
        with store.write() as tx:
            store.batches.write(tx, PLACE, [batch()])
            raise StopError

    with pytest.raises(StopError):
        fail()
    assert store.maintenance.sample_counts() == (0, 0)
    assert store.usage.dirty() == []
    assert store.registry.resources(PLACE) == []
    # Nor does the store remember numbers that were never committed.
    assert write(store, batch("other"), batch()) == ["stored", "stored"]
    assert dirty_hours(store) == {"other": [0], "vm-1": [0]}


def test_a_snapshot_refuses_to_write(store: Store) -> None:
    with store.read() as tx, pytest.raises(RuntimeError, match="snapshot"):
        store.registry.add_place(Place(seller_id="x", scope_id="y"), tx=tx)


def test_a_result_not_read_to_its_end_holds_no_snapshot(store: Store) -> None:
    write(store, *(batch(f"vm-{number}") for number in range(50)))
    with store.read() as tx:
        assert tx.row("SELECT resource_id FROM resource ORDER BY resource_key") == ("vm-0",)
    with pytest.raises(Exception, match=r"(?i)closed"):
        tx.row("SELECT 1")


CASES = [
    ("the hours of a batch", [], [(1, 3590, 20)], [0, 1]),
    ("the hour of the neighbour before it", [(1, 0, 60)], [(2, 2 * 3600, 60)], [0, 1, 2]),
    ("up to the neighbour after it", [(1, 0, 60), (2, 3 * 3600, 60)], [(3, 3600, 60)], [0, 1, 2, 3]),
    ("not beyond neighbours", [(1, 0, 60), (2, 3600, 60), (3, 2 * 3600, 60), (4, 3 * 3600, 60)], [(5, 3600 + 600, 60)], [1, 2]),
    ("an earlier first sample, to the end", [(1, 3600, 60), (2, 4 * 3600, 60)], [(3, 0, 60)], [0, 1, 2, 3, 4]),
    ("an overlap, cut otherwise", [(1, 0, 60), (2, 3600, 60), (3, 7200, 60)], [(4, 3610, 30)], [1]),
]


@pytest.mark.parametrize(("what", "before", "then", "hours"), CASES, ids=[case[0] for case in CASES])
def test_dirty_hours(
    store: Store, what: str, before: list[tuple[int, int, int]], then: list[tuple[int, int, int]], hours: list[int]
) -> None:
    for sequence, second, count in before:
        write(store, batch(sequence=sequence, at_ns=T + second * SECOND, count=count))
    sweep(store)
    assert dirty_hours(store) == {}
    write(store, *(batch(sequence=sequence, at_ns=T + second * SECOND, count=count) for sequence, second, count in then))
    assert dirty_hours(store) == {"vm-1": hours}


def test_a_new_boot_reaches_from_the_last_point_to_the_end(store: Store) -> None:
    write(store, batch(sequence=1), batch(sequence=2, at_ns=T + 4 * HOUR_NS))
    sweep(store)
    write(store, batch(boot="second", at_ns=T + 2 * HOUR_NS))
    assert dirty_hours(store) == {"vm-1": [0, 1, 2, 3, 4]}
    sweep(store)
    # The older boot goes on, though it is not the one that ends last: later incarnations may begin otherwise.
    write(store, batch(boot="second", sequence=2, at_ns=T + 3 * HOUR_NS))
    assert dirty_hours(store) == {"vm-1": [2, 3, 4]}


def test_notices_and_sizes_reach_from_the_last_point_to_the_end(store: Store) -> None:
    write(store, batch(), batch(sequence=2, at_ns=T + 3 * HOUR_NS))
    sweep(store)
    assert tell(store, event("possible_gap", T + HOUR_NS)) == ["stored"]
    stepped = replace(event("clock_stepped", T + HOUR_NS), last_sent_ns=T, step_ns=-7)
    assert tell(store, stepped, stepped) == ["stored", "repeated"]
    # They explain a gap of the first hour, and one is a finding of the second: usage does not change by them.
    assert dirty_hours(store) == {"vm-1": [0, 1]}
    sweep(store)
    assert tell(store, event("stopped", T + 2 * HOUR_NS), event("stopped", T + 2 * HOUR_NS)) == ["stored", "repeated"]
    assert dirty_hours(store) == {"vm-1": [0, 1, 2, 3]}
    sweep(store)
    assert tell(store, event("stopped", T + 2 * HOUR_NS)) == ["repeated"]
    assert dirty_hours(store) == {}
    size = Fact(resource_id="vm-1", at_ns=T + 2 * HOUR_NS, received_at_ns=T + 4 * HOUR_NS, vcpus=2)
    assert declare(store, size) == ["stored"]
    # The first size of all: what was absent is now 0, in every hour.
    assert dirty_hours(store) == {"vm-1": [0, 1, 2, 3]}
    sweep(store)
    assert declare(store, replace(size, received_at_ns=T + 5 * HOUR_NS)) == ["repeated"]
    assert declare(store, Fact(resource_id="vm-1", at_ns=T, received_at_ns=T, name="web")) == ["stored"]
    assert dirty_hours(store) == {}
    # Whose it is changes no hour, but whose days and months they are in.
    assert declare(store, Fact(resource_id="vm-1", at_ns=T, received_at_ns=T, customer_id="acme")) == ["stored"]
    assert dirty_hours(store) == {"vm-1": [0, 1, 3]}
    sweep(store)
    assert declare(store, Fact(resource_id="vm-1", at_ns=T + 9, received_at_ns=T, customer_id="acme")) == ["stored"]
    assert dirty_hours(store) == {}
    assert declare(store, replace(size, at_ns=size.at_ns + SECOND, vcpus=4)) == ["stored"]
    assert dirty_hours(store) == {"vm-1": [2, 3]}


def test_a_repeated_fact_is_as_received_the_later_time(store: Store) -> None:
    two = Fact(resource_id="vm-1", at_ns=T, received_at_ns=T + 1, vcpus=2)
    four = Fact(resource_id="vm-1", at_ns=T, received_at_ns=T + 2, vcpus=4)
    assert declare(store, two, four) == ["stored", "stored"]
    assert [fact.vcpus for fact in store.registry.facts(PLACE, "vm-1")] == [2, 4]
    assert declare(store, replace(two, received_at_ns=T + 3)) == ["repeated"]
    assert [fact.vcpus for fact in store.registry.facts(PLACE, "vm-1")] == [4, 2]
    assert declare(store, replace(two, origin=Origin.PERSON)) == ["stored"]


def test_disk_is_held_in_every_hour_that_is_over(store: Store) -> None:
    declare(store, Fact(resource_id="vm-1", at_ns=T + 60 * SECOND, received_at_ns=T + 61 * SECOND, disk_bytes=10))
    declare(store, Fact(resource_id="vm-2", at_ns=T, received_at_ns=T, vcpus=1))
    sweep(store)

    def mark(hours: int) -> int:
        with store.write() as tx:
            return store.batches.mark_disk_hours(tx, T + hours * HOUR_NS + 5)

    assert mark(0) == 0
    assert mark(2) == 1
    assert dirty_hours(store) == {"vm-1": [0, 1]}
    sweep(store)
    assert (mark(2), mark(3)) == (0, 1)
    assert dirty_hours(store) == {"vm-1": [2]}
    sweep(store)
    declare(store, Fact(resource_id="vm-1", at_ns=T + 4 * HOUR_NS, received_at_ns=T + 6 * HOUR_NS, deleted=True))
    assert dirty_hours(store)["vm-1"][-1] == 5
    sweep(store)
    assert mark(9) == 1
    assert dirty_hours(store) == {"vm-1": [3, 4]}
    sweep(store)
    assert mark(12) == 0


def test_a_new_resource_is_unassigned_until_someone_assigns_it(store: Store) -> None:
    write(store, batch())
    found = store.registry.resource(PLACE, "vm-1")
    assert found is not None
    assert (found.customer_id, found.first_sample_at_ns, found.last_sample_at_ns) == ("", T, T + 59 * SECOND)
    assert [each.id for each in store.registry.resources(PLACE, customers=frozenset({""}))] == ["vm-1"]
    declare(store, Fact(resource_id="vm-1", at_ns=T + HOUR_NS, received_at_ns=T, customer_id="acme", labels={"tier": "ü"}, region="eu"))
    assert store.registry.resources(PLACE, customers=frozenset({""})) == []
    (one,) = store.registry.resources(PLACE, customers=frozenset({"acme", "nobody"}))
    assert (one.customer_id, one.labels, one.region) == ("acme", {"tier": "ü"}, "eu")
    assert store.registry.attributes(PLACE)["vm-1"][0].customer_id == "acme"
    declare(store, Fact(resource_id="vm-1", at_ns=T + 2 * HOUR_NS, received_at_ns=T, customer_id="bolt", origin=Origin.PERSON))
    assert [each.customer_id for each in store.registry.resources(PLACE, customers=frozenset({"acme"}))] == ["bolt"]


def test_a_timeline_holds_the_window_and_the_neighbours_of_each_boot(store: Store) -> None:
    write(
        store,
        batch(sequence=1),
        batch(sequence=2, at_ns=T + 5 * HOUR_NS),
        batch(sequence=1, boot="often", at_ns=T + HOUR_NS),
        batch(sequence=2, boot="often", at_ns=T + 2 * HOUR_NS + 600 * SECOND),
        batch(sequence=3, boot="often", at_ns=T + 3 * HOUR_NS + 600 * SECOND),
        batch("vm-2"),
    )
    tell(store, event("started", T - 1), event("started", T, resource="vm-3"))
    keys = {each.id: each.row for each in store.registry.resources(PLACE)}
    wanted = [keys["vm-2"], keys["vm-1"], keys["vm-3"]]
    two, one, three = store.batches.timelines(PLACE, wanted, T + 2 * HOUR_NS, T + 3 * HOUR_NS)
    assert [(found.resource_id, len(found.segments)) for found in (two, one, three)] == [("vm-2", 1), ("vm-1", 5), ("vm-3", 0)]
    assert {boot.boot_id: (boot.first_at_ns, boot.last_at_ns) for boot in one.boots} == {
        "boot": (T, T + 5 * HOUR_NS + 59 * SECOND),
        "often": (T + HOUR_NS, T + 3 * HOUR_NS + 659 * SECOND),
    }
    assert {boot.boot_id: boot.complete for boot in one.boots} == {
        "boot": ((T, T + 5 * HOUR_NS + 300 * SECOND),),
        "often": ((T + HOUR_NS, T + 3 * HOUR_NS + 900 * SECOND),),
    }
    assert [len(found.events) for found in (two, one, three)] == [0, 1, 1]
    assert three.boots == ()


def test_samples_behind_an_interval_are_found(store: Store) -> None:
    write(store, *(batch(sequence=number, at_ns=T + number * 60 * SECOND) for number in range(1, 4)))
    key = store.registry.resources(PLACE)[0].row
    keys = store.batches.batch_keys(PLACE, key, T + 130 * SECOND, T + 140 * SECOND)
    assert len(keys) == 1
    (payload,) = store.batches.payloads([*keys, 77]).values()
    assert (payload.resource_id, payload.boot_id, payload.interval_ns) == ("vm-1", "boot", SECOND)


def test_what_cannot_be_is_kept_in_quarantine(store: Store) -> None:
    with store.write() as tx:
        store.batches.quarantine(
            tx, PLACE, [Quarantined(resource_id="vm-1", received_at_ns=T, index=3, field="memory_bytes_used", value="-1")]
        )
        assert tx.rows("SELECT resource_id, sample_index, value FROM quarantine") == [("vm-1", 3, "-1")]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_boots_ends_have_the_interval_of_what_was_received_first(store: Store, order: tuple[int, int]) -> None:
    """However they arrive: a sample has the interval of the batch that it first came in."""
    both = [
        batch(sequence=1, count=3, interval_ns=10 * SECOND, received_at_ns=T + 100 * SECOND),
        batch(sequence=2, count=2, interval_ns=20 * SECOND, received_at_ns=T + 99 * SECOND),
    ]
    for number in order:
        write(store, both[number])
    (timeline,) = store.batches.timelines(PLACE, [1], T, T + HOUR_NS)
    (boot,) = timeline.boots
    assert (boot.first_at_ns, boot.last_at_ns) == (T, T + 20 * SECOND)
    assert (boot.first_interval_ns, boot.last_interval_ns) == (20 * SECOND, 20 * SECOND)
