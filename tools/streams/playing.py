"""A stream played to servers that are killed: deliveries in their order, to one server after the other or to all at once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tools.live.fleet import MOST_DELAY_SECONDS, Fleet, Member, Plan, parted, resources_of
from tools.streams.delivery import Delivery, told

WINDOW = (1, 60)
"""How many deliveries go to all servers at the same time, at least and at most."""
AWAY = (5, 120)
"""For how many deliveries a killed server is away while others go on."""

Outcomes = dict[int, dict[str, Any]]


def play(fleet: Fleet, wanted: Sequence[Delivery], plan: Plan, chance: random.Random) -> list[dict[str, Any]]:
    """Send every delivery at its instant; the outcome of each line of samples.jsonl, in its order.

    One server gets them in the order of their reception. Several get them at the same time, a window of them after the other,
    in each window those of one resource at one of them, which is another in the next: every server gets some of each.
    """
    outcomes: Outcomes = {}
    due, back = list(plan.at), dict[int, int]()
    place = 0
    for window in _windows(wanted, chance) if len(fleet.members) > 1 else ([each] for each in wanted):
        _return(fleet, back, place)
        while due and due[0] < place + len(window):
            due.pop(0)
            victim = chance.choice(fleet.alive)
            victim.kill_soon(chance.uniform(0, MOST_DELAY_SECONDS))
            fleet.kills += 1
            back[victim.number] = place + chance.randint(*AWAY) if due else len(wanted) + 1
        _send(fleet, window, chance, outcomes)
        for member in fleet.members:
            if member.killing is not None and not member.killing.is_alive():
                member.settle()
        place += len(window)
    if wanted:
        fleet.advance(wanted[-1].received_at_ns)
    for delay in plan.after:
        fleet.client()
        time.sleep(delay)
        victim = chance.choice(fleet.alive)
        victim.kill_soon(0)
        fleet.kills += 1
        victim.start()
    return [outcomes[line] for line in sorted(outcomes)]


def _windows(wanted: Sequence[Delivery], chance: random.Random) -> Iterator[Sequence[Delivery]]:
    """A delivery of several resources is a window of its own: all before it have arrived, and none after it."""
    start, size = 0, chance.randint(*WINDOW)
    for place, delivery in enumerate(wanted):
        if len(resources_of(delivery)) > 1:
            if start < place:
                yield wanted[start:place]
            yield [delivery]
            start = place + 1
        elif place - start + 1 >= size:
            yield wanted[start : place + 1]
            start, size = place + 1, chance.randint(*WINDOW)
    if start < len(wanted):
        yield wanted[start:]


def _return(fleet: Fleet, back: dict[int, int], place: int) -> None:
    """Start again the servers that were killed and whose time has come."""
    for number, since in sorted(back.items()):
        if place >= since:
            del back[number]
            if fleet.members[number].killing is not None or fleet.members[number].gone:
                fleet.members[number].start()


def _send(fleet: Fleet, window: Sequence[Delivery], chance: random.Random, outcomes: Outcomes) -> None:
    members = fleet.alive or fleet.members[:1]
    if len(window) == 1 or len(members) == 1:
        for delivery in window:
            _send_one(fleet, delivery, chance.choice(members), chance, outcomes)
        return

    def send_all(member: Member, deliveries: Sequence[Delivery], seed: int) -> None:
        own = random.Random(seed)  # noqa: S311 - a thread's own part of the seeded chance
        for delivery in deliveries:
            _send_one(fleet, delivery, member, own, outcomes)

    with ThreadPoolExecutor(len(members)) as pool:
        parts = parted(window, members, chance)
        running = [pool.submit(send_all, member, part, chance.randrange(2**32)) for member, part in zip(members, parts, strict=True)]
        for each in running:
            each.result()


def _send_one(fleet: Fleet, delivery: Delivery, member: Member, chance: random.Random, outcomes: Outcomes) -> None:
    response = fleet.send(delivery, member, chance)
    if delivery.line is not None:
        outcomes[delivery.line] = told(response.batches[0])
