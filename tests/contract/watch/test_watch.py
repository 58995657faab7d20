"""Who is away, and which sequence numbers are missing, on each database."""

from __future__ import annotations

import json

import pytest

from tallystick.app.jobs.presence import Watch
from tallystick.model.access import Place
from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.model.silence import WatchRules
from tallystick.store.records import NotFound
from tallystick.store.registry import Agent
from tallystick.store.store import Store
from tallystick.store.watch.sequences import Run, absorbed
from tests.contract.conftest import StandingClock
from tests.contract.rows import PLACE, SECOND, T, batch, write

RULES = WatchRules(agent_after_ns=75 * SECOND, resource_after_ns=10 * SECOND, unsaid_after_ns=90 * SECOND)


def beat(store: Store, at_ns: int, *active: str, instance: str = "host", until_ns: int | None = None, place: Place = PLACE) -> None:
    agent = Agent(
        instance_id=instance,
        at_ns=at_ns,
        received_at_ns=at_ns,
        reported_until_ns=at_ns if until_ns is None else until_ns,
        active_resources=active,
    )
    with store.write() as tx:
        store.registry.heartbeat(tx, place, agent)


def stopped(store: Store, at_ns: int, resource: str = "vm-1") -> None:
    event = LifecycleEvent(resource_id=resource, boot_id="boot", kind=LifecycleKind.STOPPED, at_ns=at_ns, received_at_ns=at_ns)
    with store.write() as tx:
        store.batches.write_events(tx, PLACE, [event])


def topics(store: Store) -> list[tuple[str, str]]:
    with store.read() as tx:
        return [(row[0], row[1]) for row in tx.rows("SELECT topic, subject FROM outbox ORDER BY outbox_key")]


def going_on(store: Store) -> list[tuple[str, str, str]]:
    return sorted((one.absence.kind, one.absence.subject, one.absence.cause) for one in store.absences.open(PLACE))


def test_an_agent_goes_away_and_comes_back(store: Store) -> None:
    watch = Watch(store, RULES, since_ns=T)
    write(store, batch(count=60, at_ns=T))
    beat(store, T + 60 * SECOND, "vm-1")
    assert watch.look(T + 74 * SECOND) == 0  # a worker that has just begun calls nobody away
    assert watch.look(T + 75 * SECOND) == 0
    assert watch.look(T + 136 * SECOND) == 2
    assert watch.look(T + 137 * SECOND) == 0
    assert going_on(store) == [("agent", "host", "agent_away"), ("resource", "vm-1", "agent_away")]
    (of_resource, of_agent) = store.absences.list(PLACE)
    assert (of_agent.absence.since_ns, of_agent.absence.noticed_at_ns) == (T + 60 * SECOND, T + 136 * SECOND)
    assert of_resource.absence.since_ns == T + 59 * SECOND
    assert topics(store) == [("metering.agent_away", "host")]
    beat(store, T + 300 * SECOND, "vm-1")
    write(store, batch(sequence=2, at_ns=T + 240 * SECOND))
    assert watch.look(T + 301 * SECOND) == 2
    assert going_on(store) == []
    assert [(one.absence.ended, one.absence.closed_at_ns) for one in store.absences.list(PLACE)] == [("returned", T + 301 * SECOND)] * 2
    assert topics(store) == [("metering.agent_away", "host"), ("metering.agent_back", "host")]
    with store.read() as tx:
        (body,) = (json.loads(row[0]) for row in tx.rows("SELECT body FROM outbox WHERE topic = 'metering.agent_back'"))
    assert (body["ended"], body["since_ns"], body["scope"]) == ("returned", T + 60 * SECOND, "default")


def test_a_silent_resource_is_noticed_by_one_of_two_workers(store: Store) -> None:
    one, other = Watch(store, RULES, since_ns=0), Watch(store, RULES, since_ns=0)
    write(store, batch(count=60, at_ns=T), batch("vm-2", count=60, at_ns=T))
    beat(store, T + 60 * SECOND, "vm-1", "vm-2")
    assert one.look(T + 61 * SECOND) == 0
    write(store, batch("vm-2", sequence=2, at_ns=T + 60 * SECOND))
    beat(store, T + 120 * SECOND, "vm-1", "vm-2")
    assert one.look(T + 121 * SECOND) == 1
    assert other.look(T + 122 * SECOND) == 0
    assert going_on(store) == [("resource", "vm-1", "silent")]
    assert topics(store) == [("metering.resource_silent", "vm-1")]
    stopped(store, T + 60 * SECOND)
    beat(store, T + 125 * SECOND, "vm-2")
    assert other.look(T + 126 * SECOND) == 1
    assert [one.absence.ended for one in store.absences.list(PLACE)] == ["stopped"]
    assert topics(store)[-1] == ("metering.resource_back", "vm-1")
    assert other.look(T + 127 * SECOND) == 0


def test_a_daemon_with_a_new_instance_id_claims_what_the_old_one_listed(store: Store) -> None:
    watch = Watch(store, RULES, since_ns=0)
    write(store, batch(count=60, at_ns=T, boot="", sequence=0))
    beat(store, T + 60 * SECOND, "vm-1", instance="metald-1", until_ns=0)
    watch.look(T + 61 * SECOND)
    assert watch.look(T + 160 * SECOND) == 2
    beat(store, T + 170 * SECOND, "vm-1", instance="metald-2", until_ns=0)
    write(store, batch(count=60, at_ns=T + 110 * SECOND, boot="", sequence=0))
    assert watch.look(T + 175 * SECOND) == 2
    assert {one.absence.ended for one in store.absences.list(PLACE)} == {"claimed"}
    assert watch.look(T + 176 * SECOND) == 0


def test_an_absence_that_a_person_let_be_is_not_noticed_again(store: Store, clock: StandingClock) -> None:
    watch = Watch(store, RULES, since_ns=0)
    beat(store, T, "vm-1")
    watch.look(T + SECOND)
    watch.look(T + 80 * SECOND)
    clock.at_ns = T + 90 * SECOND
    for one in store.absences.list(PLACE, only_open=True):
        found = store.absences.dismiss(PLACE, one.row, actor="k1", reason="decommissioned")
        assert (found.absence.ended, found.actor, found.reason) == ("dismissed", "k1", "decommissioned")
        assert store.absences.dismiss(PLACE, one.row, actor="k2", reason="again") == found
    assert watch.look(T + 95 * SECOND) == 0
    assert going_on(store) == []
    entries = store.audit.entries(PLACE)
    assert [(each.action, each.subject, each.actor) for each in entries] == [
        ("absence.dismiss", "vm-1", "k1"),
        ("absence.dismiss", "host", "k1"),
    ]
    with pytest.raises(NotFound):
        store.absences.dismiss(Place(seller_id="default", scope_id="default"), 999, actor="k1", reason="")
    beat(store, T + 100 * SECOND, "vm-1")
    watch.look(T + 101 * SECOND)
    assert watch.look(T + 200 * SECOND) == 2


def test_absences_of_another_place_are_not_there(store: Store) -> None:
    other = Place(seller_id="other", scope_id="x")
    store.registry.add_place(other)
    beat(store, T, "vm-1", place=other)
    Watch(store, RULES, since_ns=0).look(T + 80 * SECOND)
    assert going_on(store) == []
    one, _ = store.absences.list(other)
    with pytest.raises(NotFound):
        store.absences.dismiss(PLACE, one.row, actor="k1", reason="")


def numbers(store: Store) -> list[tuple[str, str, int, int]]:
    return sorted((one.boot_id, one.spool_id, one.first, one.last) for _, one in store.sequences.missing(PLACE))


def test_missing_numbers_are_followed_batch_by_batch(store: Store) -> None:
    write(store, *(batch(sequence=number, at_ns=T + number * 60 * SECOND) for number in (2, 3, 6, 9)), batch(spool="b", sequence=9))
    write(store, batch(boot="", sequence=0, at_ns=T + 7200 * SECOND))
    store.sequences.follow(T)
    assert numbers(store) == [("boot", "spool", 4, 5), ("boot", "spool", 7, 8)]
    write(store, batch(sequence=5, at_ns=T + 300 * SECOND), batch(sequence=7, at_ns=T + 420 * SECOND), batch(spool="b", sequence=7))
    store.sequences.follow(T + SECOND)
    assert numbers(store) == [("boot", "b", 8, 8), ("boot", "spool", 4, 4), ("boot", "spool", 8, 8)]
    since = {(one.spool_id, one.first): one.noticed_at_ns for _, one in store.sequences.missing(PLACE)}
    assert since == {("spool", 4): T, ("spool", 8): T, ("b", 8): T + SECOND}
    write(store, *(batch(sequence=number, at_ns=T + number * 60 * SECOND) for number in (4, 8)), batch(spool="b", sequence=8, level=7))
    for _ in range(3):
        store.sequences.follow(T + 2 * SECOND)
    assert numbers(store) == []
    assert store.sequences.follow(T + 3 * SECOND) == 0


def test_missing_numbers_are_listed_in_pages(store: Store) -> None:
    write(store, *(batch(sequence=number, at_ns=T + number * 60 * SECOND) for number in range(1, 12, 2)))
    store.sequences.follow(T)
    whole = store.sequences.missing(PLACE)
    first = store.sequences.missing(PLACE, limit=2)
    assert first + store.sequences.missing(PLACE, before=first[-1][0]) == whole
    assert [one.first for _, one in whole] == [10, 8, 6, 4, 2]
    assert store.sequences.missing(PLACE, resource_keys=[77]) == []


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(1, 4)], Run(1, 4)),
        ([(1, 4), (7, 7)], Run(1, 7, ((5, 6),))),
        ([(1, 4), (7, 7), (5, 5)], Run(1, 7, ((6, 6),))),
        ([(7, 7), (3, 4), (1, 1)], Run(1, 7, ((2, 2), (5, 6)))),
        ([(1, 1), (9, 9), (4, 5), (2, 8)], Run(1, 9)),
        ([(5, 5), (5, 5), (4, 6)], Run(4, 6)),
        ([(1, 1), (2, 2), (2, 5)], Run(1, 5)),
    ],
)
def test_a_run_of_numbers(seen: list[tuple[int, int]], expected: Run) -> None:
    assert absorbed(None, seen) == expected
    assert absorbed(expected, seen) == expected
