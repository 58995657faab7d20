"""The collector on a clock that is set by hand, with sources and a sink that remember."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest

from tallystick.collect.collector import Collector, Earlier, Rules
from tallystick.collect.mapping import Declarations
from tallystick.collect.resource import CPU, MEASURED_AT, MEMORY, Found, GoneError, Row, Sizes
from tallystick.model.resources import Fact
from tallystick.model.samples import LifecycleEvent, LifecycleKind

MS = 10**6
S = 10**9
WALL = 1_700_000_000 * S


class Clock:
    def __init__(self) -> None:
        self.boot = 50 * S
        self.wall = WALL

    def now_ns(self) -> int:
        return self.wall

    def boottime_ns(self) -> int:
        return self.boot

    def process_cpu_ns(self, pid: int) -> int:
        raise OSError(pid)


class Thing:
    """A resource whose counter is set by the test."""

    def __init__(self, local: str, boot: str = "b/1") -> None:
        self.found = Found(source="fake", local=local, boot_id=boot, pid=0, kind="group")
        self.cpu = 0
        self.presence = MEASURED_AT | CPU
        self.empty = self.gone = False
        self.limits = Sizes()
        self.told = self.presence
        self.is_open = True

    def read(self, at_ns: int) -> Row:
        if self.gone:
            raise GoneError
        return (at_ns, 0, self.cpu, 0, 0, 0, 0, 0, 0)

    def take(self, rows: array[int], at_ns: int) -> None:
        rows.extend(self.read(at_ns))

    def refresh(self) -> bool:
        before, self.told = self.told, self.presence
        return before != self.presence

    def is_empty(self) -> bool:
        return self.empty or self.gone

    def watch(self) -> tuple[int, int] | None:
        return None

    def sizes(self) -> Sizes:
        return self.limits

    def close(self) -> None:
        self.is_open = False


class Source:
    name = "fake"

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self.used: list[str] = []
        self.ended_away: frozenset[str] = frozenset()

    def look(self, running: Mapping[str, Found], ended_away: frozenset[str]) -> tuple[list[Found], list[str]]:
        self.ended_away = self.ended_away or ended_away
        present = [t.found for t in self.things if not t.empty or t.found.key in running or t.found.key in ended_away]
        return present, [t.found.key for t in self.things if t.found not in present] + self.used

    def open(self, found: Found) -> Thing:
        return next(thing for thing in self.things if thing.found == found)


class Sink:
    def __init__(self) -> None:
        self.batches: list[tuple[str, str, int, int, list[int], bool]] = []
        self.events: list[LifecycleEvent] = []
        self.facts: list[Fact] = []
        self.tails: list[Any] = []
        self.since: list[int | None] = []
        self.begun: list[tuple[str, str, int]] = []
        self.is_stalled = self.is_behind = False

    def batch(
        self, resource_id: str, boot_id: str, interval_ns: int, presence: int, rows: array[int], *, urgent: bool, since_ns: int | None
    ) -> None:
        self.since.append(since_ns)
        self.batches.append((resource_id, boot_id, interval_ns, presence, list(rows), urgent))

    def notice(self, events: Sequence[LifecycleEvent], facts: Sequence[Fact]) -> None:
        self.events += events
        self.facts += facts

    def tail(self, at_ns: int, anchor_ns: int, host_boot: str, seen: Any, parts: Any, since: Any) -> None:
        self.begun += since
        self.tails.append((at_ns, anchor_ns, host_boot, None if seen is None else dict(seen), list(parts)))

    def of(self, kind: LifecycleKind) -> list[tuple[str, int]]:
        return [(event.resource_id, event.at_ns) for event in self.events if event.kind is kind]


class World:
    def __init__(self, earlier: Earlier | None = None, *, size: int = 600, clock: Clock | None = None) -> None:
        self.clock, self.source, self.sink = clock or Clock(), Source(), Sink()
        self.collector = Collector(
            sources=[self.source],
            sink=self.sink,
            clock=self.clock,
            rules=Rules(interval_ns=100 * MS, batch_size=size, batch_ns=60 * S, host_boot="boot"),
            declarations=Declarations(host="h"),
            earlier=earlier,
        )

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.collector.step()
            self.clock.boot += 100 * MS
            self.clock.wall += 100 * MS


@pytest.fixture
def world() -> World:
    return World()


def test_what_is_there_at_the_start_gets_no_start_and_what_comes_gets_the_last_look(world: World) -> None:
    first, second = Thing("first"), Thing("second")
    world.source.things = [first]
    world.run(2.05)
    world.source.things.append(second)
    world.run(1)
    assert world.sink.of(LifecycleKind.STARTED) == [("h:second", WALL + 1 * S)], "the look before saw it not"
    assert [fact.resource_id for fact in world.sink.facts] == ["h:first", "h:second"]
    assert world.sink.facts[1].at_ns == WALL + 1 * S, "its sizes hold from its start"


def test_what_was_seen_unmetered_gets_no_start(world: World) -> None:
    thing = Thing("used")
    world.source.used = [thing.found.key]
    world.run(2)
    world.source.things, world.source.used = [thing], []
    world.run(2)
    assert world.sink.events == []


def test_an_empty_one_is_read_once_more_and_stopped_then(world: World) -> None:
    thing = Thing("vm")
    world.source.things = [thing]
    world.run(1.5)
    thing.empty, thing.cpu = True, 70
    world.run(0.6)
    assert world.sink.events == [], "seen empty at 2.0, read then"
    thing.cpu = 77
    world.run(0.2)
    ((stopped, at_ns),) = world.sink.of(LifecycleKind.STOPPED)
    assert (stopped, at_ns) == ("h:vm", WALL + 2_100 * MS)
    last = world.sink.batches[-1]
    assert last[4][-9:][0] == at_ns
    assert last[4][-9:][2] == 77, "the last instructions too"
    assert last[5], "urgent"
    assert world.collector.metered == 0


def test_one_that_fills_again_goes_on(world: World) -> None:
    thing = Thing("vm")
    world.source.things = [thing]
    world.run(1.5)
    thing.empty = True
    world.run(0.6)
    thing.empty = False
    world.run(2)
    assert world.sink.events == []
    assert world.collector.metered == 1


def test_one_that_is_gone_stops_at_its_last_sample(world: World) -> None:
    thing = Thing("vm")
    world.source.things = [thing]
    world.run(1.25)
    thing.gone = True
    world.source.things = []
    world.run(1)
    ((_, at_ns),) = world.sink.of(LifecycleKind.STOPPED)
    assert at_ns == WALL + 1_100 * MS
    assert at_ns == world.sink.batches[-1][4][-9]


def test_one_that_vanished_from_the_look_stops(world: World) -> None:
    world.source.things = [Thing("vm")]
    world.run(1.5)
    world.source.things = []
    world.run(1)
    assert len(world.sink.of(LifecycleKind.STOPPED)) == 1


def test_batches_are_whole_in_order_and_of_the_size_asked_for() -> None:
    world = World(size=20)
    world.source.things = [Thing("a"), Thing("b")]
    world.run(20)
    for name in ("h:a", "h:b"):
        own = [batch for batch in world.sink.batches if batch[0] == name]
        assert {len(batch[4]) // 9 for batch in own[1:]} == {20}
        assert 0 < len(own[0][4]) // 9 <= 20, "first batches are cut shorter, so that all do not close at once"
        instants = [at for batch in own for at in batch[4][::9]]
        assert instants == sorted(set(instants))
        assert all(later - earlier == 100 * MS for earlier, later in pairwise(instants[1:]))


def test_a_batch_is_closed_after_its_seconds_too(world: World) -> None:
    world.collector.set_interval(1 * S)
    world.source.things = [Thing("a")]
    world.run(125)
    lengths = [len(batch[4]) // 9 for batch in world.sink.batches]
    assert max(lengths) <= 61
    assert world.sink.batches[-1][2] == 1 * S


def test_missed_ticks_are_counted_and_not_made_up_for(world: World) -> None:
    world.source.things = [Thing("a")]
    world.run(1)
    taken = world.collector.counts.samples
    world.clock.boot += 1000 * MS
    world.clock.wall += 1000 * MS
    world.run(1)
    assert world.collector.counts.samples - taken == 10
    assert world.collector.counts.missed_ticks == 10


def test_tails_hold_every_sample_once_and_what_is_seen_when_it_changes(world: World) -> None:
    world.source.things = [Thing("a")]
    world.run(3.1)
    parts = [part for tail in world.sink.tails for part in tail[4]]
    rows = array("q", b"".join(part[4] for part in parts))
    assert len(rows) // 9 == len(set(rows[::9])) == 21 + 10
    assert [tail[3] is None for tail in world.sink.tails] == [False, True, True, True]
    assert world.sink.tails[0][3] == {"b/1 a": (True, world.collector._resources["b/1 a"].facts)}


def test_a_disk_that_takes_nothing_pauses_the_ticks(world: World) -> None:
    world.source.things = [Thing("a")]
    world.run(1)
    taken = world.collector.counts.samples
    world.sink.is_stalled = world.sink.is_behind = True
    world.run(2)
    assert world.collector.counts.samples == taken
    world.sink.is_stalled = world.sink.is_behind = False
    world.run(1)
    assert world.collector.counts.samples > taken
    assert world.collector.counts.missed_ticks == 20


def restarted(world: World, clock: Clock, *, boot: str = "boot") -> World:
    at_ns, anchor_ns = world.sink.tails[-1][:2]
    seen = next(tail[3] for tail in reversed(world.sink.tails) if tail[3] is not None)
    return World(Earlier(at_ns=at_ns, anchor_ns=anchor_ns, host_boot=boot, seen=seen), clock=clock)


def test_after_a_restart_only_what_the_last_look_did_not_see_starts(world: World) -> None:
    old, ended = Thing("old"), Thing("ended")
    world.source.things = [old, ended]
    world.run(3)
    last_look = world.sink.tails[-1][0]
    world.clock.boot += 5 * S
    world.clock.wall += 5 * S
    again = restarted(world, world.clock)
    ended.empty, ended.cpu = True, 99
    new = Thing("new", "b/9")
    again.source.things = [old, ended, new]
    again.run(0.35)
    assert again.sink.of(LifecycleKind.STARTED) == [("h:new", last_look)]
    assert [event.resource_id for event in again.sink.events if event.kind is LifecycleKind.POSSIBLE_GAP] == ["h:old", "h:ended"]
    assert [fact.resource_id for fact in again.sink.facts] == ["h:new"], "what was told is not told again"
    ((name, at_ns),) = again.sink.of(LifecycleKind.STOPPED)
    assert name == "h:ended"
    assert again.sink.batches[0][4][-7] == 99, "its last counters are read though nothing runs in it any more"
    assert at_ns == again.sink.batches[0][4][-9]


def test_after_a_boot_of_the_host_nothing_starts_and_time_goes_on(world: World) -> None:
    world.source.things = [Thing("a")]
    world.run(3)
    clock = Clock()
    clock.boot, clock.wall = 1 * S, WALL - 3600 * S
    last = world.sink.tails[-1][0]
    again = restarted(world, clock, boot="another")
    again.source.things = [Thing("a", "c/1")]
    again.run(1)
    assert again.sink.events == []
    assert again.sink.tails[0][0] > last, "the wall clock was set back, instants are not"


def test_handed_over_is_never_later_than_what_is_open_or_a_start_may_say(world: World) -> None:
    world.source.things = [Thing("a")]
    world.run(5)
    collector = world.collector
    assert collector.handed_over_until_ns == WALL, "the first sample of the open batch"
    collector.flush(lambda: None)
    world.run(1.1)
    last = world.sink.batches[-1][4][-9]
    assert last >= WALL + 4 * S
    assert collector.handed_over_until_ns == last, "what is used after the last sample of a batch is known with the next one"
    assert collector.active == ("h:a",)


def test_facts_are_told_again_when_they_change(world: World) -> None:
    thing = Thing("a")
    world.source.things = [thing]
    world.run(2)
    thing.limits = Sizes(vcpus=4)
    world.run(65)
    assert [fact.vcpus for fact in world.sink.facts] == [None, 4]


def test_a_column_that_comes_begins_a_new_batch(world: World) -> None:
    thing = Thing("a")
    world.source.things = [thing]
    world.run(2)
    thing.presence |= MEMORY
    world.run(2)
    world.collector.flush(lambda: None)
    world.run(0.1)
    assert [batch[3] for batch in world.sink.batches][-2:] == [MEASURED_AT | CPU, MEASURED_AT | CPU | MEMORY]


def test_one_that_is_gone_between_opening_and_its_first_reading_leaves_nothing_open(world: World) -> None:
    thing = Thing("a")
    world.source.things = [thing]
    thing.gone = True
    world.run(0.1)
    assert not thing.is_open
    assert world.collector.metered == 0


def test_a_batch_says_since_when_it_tells_of_usage(world: World) -> None:
    world.run(2)
    world.source.things = [Thing("a")]
    world.run(3)
    assert world.sink.of(LifecycleKind.STARTED)[0][1] == world.sink.begun[0][2], "from its start"
    world.collector.flush(lambda: None)
    world.run(2)
    world.collector.flush(lambda: None)
    world.run(0.1)
    first, second = world.sink.batches[:2]
    assert world.sink.since[:2] == [world.sink.begun[0][2], first[4][-9]], "then from the sample before"
    assert world.sink.begun[1] == ("h:a", "b/1", first[4][-9])
    assert second[4][0] > first[4][-9]


def test_after_an_outage_nothing_of_it_is_handed_over_before_the_first_batch(world: World) -> None:
    world.source.things = [Thing("a")]
    world.run(5)
    clock = world.clock
    told = world.sink.tails[-1][0]
    clock.boot += 3600 * S
    clock.wall += 3600 * S
    again = restarted(world, clock)
    again.source.things = world.source.things
    again.run(3)
    assert told - S <= again.collector.handed_over_until_ns <= told, "a bill that ends in the outage waits for the sample after it"
    again.collector.flush(lambda: None)
    again.run(1.1)
    assert again.collector.handed_over_until_ns > told + 3600 * S


@pytest.mark.parametrize("step_ns", [10 * S, 101 * MS, -3600 * S, -101 * MS])
def test_a_wall_clock_that_is_set_is_told_of_and_instants_only_rise(world: World, step_ns: int) -> None:
    world.source.things = [Thing("one"), Thing("two")]
    world.run(2)
    last_look = world.sink.tails[-1][0]
    world.clock.wall += step_ns
    world.run(2)
    stepped = [event for event in world.sink.events if event.kind is LifecycleKind.CLOCK_STEPPED]
    assert [(event.resource_id, event.last_sent_ns, event.step_ns) for event in stepped] == [
        ("h:one", last_look, step_ns),
        ("h:two", last_look, step_ns),
    ]
    assert world.collector.counts.clock_steps == 1
    world.collector.stop()
    world.collector.run()
    rows = [row for batch in world.sink.batches if batch[0] == "h:one" for row in batch[4][::9]]
    spans = [later - earlier for earlier, later in pairwise(rows)]
    assert all(0 < span <= max(step_ns, 0) + 100 * MS for span in spans), "no time twice, none backwards"
    assert sum(span > 200 * MS for span in spans) == (step_ns > 100 * MS and 1), "a step forward shows once"
    assert len(rows) > 38, "no sample is lost by it"


def test_a_clock_that_is_slewed_is_not_told_of(world: World) -> None:
    world.source.things = [Thing("one")]
    for _ in range(20):
        world.run(1)
        world.clock.wall += 50 * MS
    assert not [event for event in world.sink.events if event.kind is LifecycleKind.CLOCK_STEPPED]
    assert world.collector.counts.clock_steps == 0
