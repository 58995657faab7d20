"""Kills at chosen moments: which process, in which phase of a request, by chance from a seed; and what phase it was in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tools.kill.relay import Passage, Stage
from tools.kill.world import Agent, World

MOST_TRIES = 60
CAUGHT_SECONDS = 6.0
"""An agent sends ten times a second; one that does not has met five failures in a row, and rests for half a minute."""
BACKLOG_SECONDS = 20.0
"""A host that is slow to fill its disk is not waited for any longer: its agent has a patience of its own."""
REQUEST_RECORDS = 60
"""What one request of an agent carries at most: with more on its disk it is draining."""
ENOUGH_RECORDS = 100
"""So many are let wait: what is left when one request is answered would still not fit into one with what comes meanwhile."""
GROUP_SECONDS = 0.02
"""Longer than a request takes on the server."""
AGENT = "agent"
WORKER_EVERY = 6
WORKER_SECONDS = 3.0
"""So long a worker must have run to have had work."""


class Phase(StrEnum):
    """Where a kill came. `ELSEWHERE`: no request of a killed agent was under way, or none at the server."""

    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit"
    BEFORE_ACKNOWLEDGEMENT = "before the acknowledgement"
    DRAINING = "while draining"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Blow:
    """One kill to be: of whom (of agents the one that is met), and in which phase; `ELSEWHERE`: at any moment."""

    victim: str
    phase: Phase


def plan(kills: int, victims: tuple[str, ...], chance: random.Random) -> Iterator[Blow]:
    """So many blows. Each five in a row have every phase, `5 x len(victims)` every phase of every victim; a worker in between."""
    phases = list(Phase)
    worker_after = chance.randrange(WORKER_EVERY)
    place = 0
    for number in range(kills):
        if number % WORKER_EVERY == worker_after:
            yield Blow("worker", Phase.ELSEWHERE)
            continue
        turn, phase = divmod(place % (len(phases) * len(victims)), len(phases))
        if not turn and not phase:
            chance.shuffle(phases)
        yield Blow(victims[(turn + phase) % len(victims)], phases[phase])
        place += 1


class Striker:
    """Carries out blows."""

    def __init__(self, world: World) -> None:
        self._world, self._chance = world, world.chance
        self._ways = {
            Phase.BEFORE_COMMIT: self._around_commit,
            Phase.AFTER_COMMIT: self._around_commit,
            Phase.BEFORE_ACKNOWLEDGEMENT: self._before_acknowledgement,
            Phase.DRAINING: self._draining,
            Phase.ELSEWHERE: self._anywhere,
        }

    def strike(self, blow: Blow) -> Phase:
        """Kill, start again, and tell in which phase it was: what was found, whatever was wanted."""
        self._world.look()
        if blow.victim == "worker":
            time.sleep(max(0.0, self._world.worker.started_at + WORKER_SECONDS + self._chance.random() - time.monotonic()))
            self._world.kill("worker")
            self._world.start("worker")
            return Phase.ELSEWHERE
        return self._ways[blow.phase](blow)

    def _around_commit(self, blow: Blow) -> Phase:
        """The server is halted a little further on each time, until the request under way is (not) in the database; then the kill."""
        world = self._world
        for _ in range(MOST_TRIES):
            with world.relay.trap(Stage.FORWARDED, lambda one: one.is_fresh) as trap:
                passage = trap.wait(CAUGHT_SECONDS)
                if passage is None:
                    world.look()
                    continue
                time.sleep(self._chance.random() * (0.004 if blow.phase is Phase.BEFORE_COMMIT else 0.01))
                victim = passage.agent if blow.victim == AGENT else blow.victim
                is_killed = False
                while passage.stage is Stage.FORWARDED and not is_killed:
                    is_killed = self._halted(victim, blow.phase, passage)
                    time.sleep(0.0003)
            if is_killed:
                world.start(victim)
                return blow.phase
        return self._anywhere(blow)

    def _halted(self, victim: str, wanted: Phase, passage: Passage) -> bool:
        """Whether the request is where the kill is wanted; then it was killed."""
        with self._world.frozen():
            time.sleep(0.003)  # an answer that was on its way is at the relay now, and a commit is done
            if passage.stage is not Stage.FORWARDED:
                return False
            is_stored = self._world.database.holds(passage.batches)
            if is_stored is (wanted is Phase.BEFORE_COMMIT):
                return False
            self._world.kill(victim)
            return True

    def _before_acknowledgement(self, blow: Blow) -> Phase:
        """The answer is held at the relay, the kill comes, and the agent never hears of it."""
        world = self._world
        for _ in range(MOST_TRIES):
            with world.relay.trap(Stage.ANSWERED, lambda one: bool(one.batches)) as trap:
                passage = trap.wait(CAUGHT_SECONDS)
                if passage is None:
                    world.look()
                    continue
                victim = passage.agent if blow.victim == AGENT else blow.victim
                world.kill(victim)
                trap.release(lost=True)
            world.start(victim)
            return Phase.BEFORE_ACKNOWLEDGEMENT
        return self._anywhere(blow)

    def _draining(self, blow: Blow) -> Phase:
        """An agent sends what has piled up, and the kill comes."""
        world = self._world
        for _ in range(MOST_TRIES):
            agent = self._chance.choice(world.agents)
            victim = agent.host.name if blow.victim == AGENT else blow.victim
            is_sending = self._piled_up(agent)
            time.sleep(self._chance.random() * GROUP_SECONDS)
            with world.frozen():
                is_draining = is_sending and world.backlog(agent) > REQUEST_RECORDS
                if is_draining:
                    world.kill(victim)
            if is_draining:
                world.start(victim)
                return Phase.DRAINING
        return self._anywhere(blow)

    def _piled_up(self, agent: Agent) -> bool:
        """Let nothing pass until an agent has more on its disk than a request carries; whether it sends after that."""
        relay = self._world.relay
        relay.gate.clear()
        until = time.monotonic() + BACKLOG_SECONDS
        while self._world.backlog(agent) <= ENOUGH_RECORDS and time.monotonic() < until:
            time.sleep(0.15)
        with relay.trap(Stage.FORWARDED, lambda one: one.agent == agent.host.name) as trap:
            relay.gate.set()
            return trap.wait(CAUGHT_SECONDS) is not None

    def _anywhere(self, blow: Blow) -> Phase:
        """The kill comes at any moment; what it hit is found out before anything more is let through."""
        match blow.victim:
            case "server":
                self._as_a_request_comes()
                return self._anywhere_of_server()
            case "postgresql":
                self._as_a_request_comes()
                victim, whose = "postgresql", {agent.host.name for agent in self._world.agents}
            case _:
                time.sleep(self._chance.random())
                victim = self._chance.choice(self._world.agents).host.name
                whose = {victim}
        with self._world.frozen():
            under_way = [one for one in self._world.relay.under_way() if one.agent in whose]
            self._world.kill(victim)
            self._world.recover()
            phase = self._phase_of(under_way)
        self._world.start(victim)
        return phase

    def _as_a_request_comes(self) -> None:
        """So that there is something to hit."""
        with self._world.relay.trap(Stage.FORWARDED, lambda one: bool(one.batches)) as trap:
            trap.wait(CAUGHT_SECONDS)
        time.sleep(self._chance.random() * GROUP_SECONDS)

    def _anywhere_of_server(self) -> Phase:
        world = self._world
        world.relay.gate.clear()
        try:
            under_way = world.relay.under_way()
            world.kill("server")
            world.start("server")
            return self._phase_of(under_way)
        finally:
            world.relay.gate.set()

    def _phase_of(self, under_way: list[Passage]) -> Phase:
        """Of requests that were not answered: in the database or not."""
        unanswered = [one for one in under_way if one.batches and one.is_fresh and not one.is_answered]
        if not unanswered:
            return Phase.ELSEWHERE
        is_stored = all(self._world.database.holds(one.batches) for one in unanswered)
        return Phase.AFTER_COMMIT if is_stored else Phase.BEFORE_COMMIT
