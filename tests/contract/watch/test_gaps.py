"""Gaps with their causes, as they are listed and counted, on each database."""

from __future__ import annotations

from tallystick.app.check import check_store
from tallystick.app.jobs.presence import Watch
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.instants import HOUR_NS, LATEST_NS
from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.model.silence import GapState, SilenceCounts
from tallystick.store.registry import Agent
from tallystick.store.store import Store
from tests.contract.rows import PLACE, SECOND, T, batch, write
from tests.contract.watch.test_watch import RULES, beat

MINUTE = 60 * SECOND
NOW = T + 3 * HOUR_NS
EVERY = frozenset(GapState)


def computed(store: Store) -> None:
    roll_up(store, DiskHorizon.CLOCK, NOW)
    assert check_store(store, DiskHorizon.CLOCK, NOW).differences == ()


def listed(store: Store, *states: GapState) -> list[tuple[str, int, int | None, str, str]]:
    """(resource, from, until, cause, state), in minutes after T; None: it goes on."""
    return [
        (
            gap.resource_id,
            round((gap.from_ns - T) / MINUTE),
            None if gap.until_ns == LATEST_NS else round((gap.until_ns - T) / MINUTE),
            gap.cause,
            gap.state,
        )
        for _, gap in store.gaps.gaps(PLACE, states=frozenset(states or EVERY))
    ]


def test_a_gap_has_its_cause_and_is_closed_by_late_data(store: Store) -> None:
    write(store, batch(sequence=1), batch(sequence=3, at_ns=T + 5 * MINUTE), batch(sequence=4, at_ns=T + 9 * MINUTE))
    computed(store)
    assert listed(store) == [("vm-1", 6, 9, "unstated", "open"), ("vm-1", 1, 5, "batch_missing", "open")]
    write(store, batch(sequence=2, at_ns=T + MINUTE, count=240))
    computed(store)
    assert listed(store) == [("vm-1", 6, 9, "unstated", "open"), ("vm-1", 1, 5, "batch_missing", "closed")]
    assert [gap.estimated_percent for _, gap in store.gaps.gaps(PLACE, states=EVERY)] == [100, 100]
    assert all(gap.closed_at_ns is not None for _, gap in store.gaps.gaps(PLACE, states=frozenset({GapState.CLOSED})))


def test_an_agent_that_was_away_explains_a_gap_that_was_computed_before_it_is_back(store: Store) -> None:
    watch = Watch(store, RULES, since_ns=0)
    write(store, batch(sequence=1))
    beat(store, T + MINUTE, "vm-1")
    watch.look(T + MINUTE)
    watch.look(T + 3 * MINUTE)
    assert listed(store) == [("vm-1", 1, None, "agent_away", "live")]
    write(store, batch(sequence=2, at_ns=T + 9 * MINUTE))
    computed(store)
    assert listed(store, GapState.OPEN) == [("vm-1", 1, 9, "agent_away", "open")]
    beat(store, T + 10 * MINUTE, "vm-1")
    watch.look(T + 10 * MINUTE)
    computed(store)
    assert listed(store) == [("vm-1", 1, 9, "agent_away", "open")]


def test_a_notice_that_comes_after_the_gap_explains_it(store: Store) -> None:
    write(store, batch(sequence=1), batch(sequence=2, at_ns=T + 9 * MINUTE))
    computed(store)
    assert [row[3] for row in listed(store)] == ["unstated"]
    told = LifecycleEvent(
        resource_id="vm-1",
        boot_id="boot",
        kind=LifecycleKind.CLOCK_STEPPED,
        at_ns=T + 9 * MINUTE,
        received_at_ns=T + 11 * MINUTE,
        last_sent_ns=T + 59 * SECOND,
        step_ns=8 * MINUTE,
    )
    with store.write() as tx:
        store.batches.write_events(tx, PLACE, [told])
    computed(store)
    assert [(row[3], row[4]) for row in listed(store)] == [("clock_stepped", "open")]  # a cause that is better known closes nothing
    assert "clock_stepped" in {finding.code for _, finding in store.usage.findings(PLACE)}


def test_gaps_are_listed_in_pages(store: Store) -> None:
    write(store, *(batch(sequence=number, at_ns=T + 3 * number * MINUTE) for number in range(1, 7)))
    computed(store)
    whole = store.gaps.gaps(PLACE, states=EVERY)
    first = store.gaps.gaps(PLACE, states=EVERY, limit=2)
    before = (first[-1][1].from_ns, first[-1][0])
    assert [*first, *store.gaps.gaps(PLACE, states=EVERY, before=before)] == whole
    assert len(whole) == 5
    assert store.gaps.gaps(PLACE, states=EVERY, resource_keys=[99]) == []
    assert store.gaps.gaps(PLACE, 0, T, states=EVERY) == []


def test_everything_that_is_not_there_is_counted(store: Store) -> None:
    watch = Watch(store, RULES, since_ns=0)
    write(store, batch(sequence=1), batch(sequence=3, at_ns=T + 5 * MINUTE), batch(sequence=3, at_ns=T + 5 * MINUTE, level=7))
    computed(store)
    store.sequences.follow(T)
    beat(store, T, "vm-1", instance="gone")
    watch.look(T)
    late = Agent(
        instance_id="late",
        at_ns=T + 10 * MINUTE,
        received_at_ns=T + 10 * MINUTE,
        reported_until_ns=T + MINUTE,
        clock_offset_ns=-2 * SECOND,
    )
    with store.write() as tx:
        store.registry.heartbeat(tx, PLACE, late)
    watch.look(T + 10 * MINUTE)
    found = store.gaps.counts(T + 10 * MINUTE, RULES.agent_after_ns, SECOND)
    assert found == SilenceCounts(
        agents=1,
        away=1,
        late=1,
        clocks_off=1,
        resources=(("agent_away", 1),),
        gaps=(("batch_missing", 1),),
        missing=1,
        conflicts=1,
        hours_waiting=0,
    )
