"""Who is away, a line a case: agents, resources, what is open, and what a look changes."""

from __future__ import annotations

import pytest

from tallystick.meter.silence.presence import look
from tallystick.model.silence import Absence, AbsenceCause, AbsenceKind, SeenAgent, SeenResource, WatchRules

S = 10**9
NOW = 10_000 * S
RULES = WatchRules(agent_after_ns=75 * S, resource_after_ns=10 * S, unsaid_after_ns=90 * S)


def agent(text: str, row: int) -> SeenAgent:
    """`a -20 r-25 vm-1,vm-2 key`: heard 20 s ago, reported until 25 s ago (`r0`: it never says), what it lists, its key."""
    name, heard, reported, active, *key = text.split()
    until_ns = 0 if reported == "r0" else NOW + int(reported[1:]) * S
    listed = tuple(active.split(",")) if active != "-" else ()
    return SeenAgent(
        row=row,
        instance_id=name,
        received_at_ns=NOW + int(heard) * S,
        reported_until_ns=until_ns,
        active=listed,
        key_id="".join(key),
    )


def resource(text: str) -> SeenResource:
    """`vm-1 a -300 -26`: listed by a since 300 s, last sample 26 s ago (`none`); `ended`, or an interval in seconds, may follow."""
    name, by, since, last, *more = text.split()
    return SeenResource(
        resource_id=name,
        instance_id=by,
        listed_at_ns=NOW + int(since) * S,
        last_sample_ns=None if last == "none" else NOW + int(last) * S,
        interval_ns=next((int(each) * S for each in more if each.isdigit()), S // 10),
        ended="ended" in more,
    )


def absent(text: str) -> Absence:
    kind, subject, by, cause = text.split()
    return Absence(
        kind=AbsenceKind(kind),
        subject=subject,
        instance_id=by,
        cause=AbsenceCause(cause),
        since_ns=NOW - 500 * S,
        noticed_at_ns=NOW - 400 * S,
    )


CASES = {
    "all is well": "a -20 r-25 vm-1 | vm-1 a -300 -25 | | ",
    "an agent not heard from is away, with its resources": (
        "a -76 r-80 vm-1 | vm-1 a -300 -80 | | agent a agent_away -76; resource vm-1 agent_away -80"
    ),
    "at the limit it is not": "a -75 r-80 vm-1 | vm-1 a -300 -80 | | ",
    "an agent that lists nothing is missed too": "a -76 r-80 - | | | agent a agent_away -76",
    "a resource of which nothing came though its agent reported past it": "a -5 r-6 vm-1 | vm-1 a -300 -17 | | resource vm-1 silent -17",
    "an agent that is behind is late, not silent": "a -5 r-400 vm-1 | vm-1 a -900 -405 | | ",
    "ten intervals are no silence": "a -5 r-6 vm-1 | vm-1 a -900 -600 60 | | ",
    "a resource that never had a sample": "a -5 r-6 vm-1 | vm-1 a -60 none | | resource vm-1 silent -60",
    "a daemon says not how far: batches of a minute are awaited": "d -5 r0 vm-1 | vm-1 d -300 -90 | | ",
    "and no longer": "d -5 r0 vm-1 | vm-1 d -300 -91 | | resource vm-1 silent -91",
    "not listed any more, and no stop was told": "a -5 r-6 - | vm-1 a -300 -40 | | resource vm-1 silent -40",
    "not listed any more, and a stop was told": "a -5 r-6 - | vm-1 a -300 -40 ended | | ",
    "what is open stays open, once": "a -200 r-210 vm-1 | vm-1 a -300 -210 | agent a a agent_away; resource vm-1 a agent_away | ",
    "it is back": (
        "a -5 r-6 vm-1 | vm-1 a -900 -7 | agent a a agent_away; resource vm-1 a agent_away | -agent a returned; -resource vm-1 returned"
    ),
    "back without its resource": (
        "a -5 r-6 vm-1 | vm-1 a -900 -210 | agent a a agent_away; resource vm-1 a agent_away "
        "| -agent a returned; -resource vm-1 returned; resource vm-1 silent -210"
    ),
    "a daemon under a new instance id": (
        "d1 -200 r0 vm-1 k; d2 -5 r0 vm-1 k | vm-1 d1 -900 -7 | agent d1 d1 agent_away; resource vm-1 d1 agent_away "
        "| -agent d1 claimed; -resource vm-1 claimed"
    ),
    "claimed before it was noticed": "d1 -200 r0 vm-1 k; d2 -5 r0 vm-1 k | vm-1 d2 -900 -7 | | ",
    "claimed in part": (
        "d1 -200 r0 vm-1,vm-2; d2 -5 r0 vm-1 | vm-1 d2 -900 -7; vm-2 d1 -900 -210 | "
        "| agent d1 agent_away -200; resource vm-2 agent_away -210"
    ),
    "an idle daemon began anew under its key": "d1 -200 r0 - k; d2 -5 r0 - k | | agent d1 d1 agent_away | -agent d1 claimed",
    "an idle daemon of another key": "d1 -200 r0 - k; d2 -5 r0 - l | | agent d1 d1 agent_away | ",
    "our own agent keeps its id: another of its key is no successor": "a1 -200 r-201 - k; a2 -5 r-6 - k | | | agent a1 agent_away -200",
    "a silent resource that ended after all": "a -5 r-6 - | vm-1 a -900 -210 ended | resource vm-1 a silent | -resource vm-1 stopped",
    "a resource that is expected no more": "a -5 r-6 - | | resource vm-1 a silent | -resource vm-1 stopped",
    "all resources of a daemon that is gone have ended": (
        "d -200 r0 vm-1 | vm-1 d -900 -210 ended | agent d d agent_away | -agent d stopped"
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_who_is_away(case: str) -> None:
    agents, resources, known, expected = ([part.strip() for part in column.split(";") if part.strip()] for column in CASES[case].split("|"))
    changes = look(
        [agent(text, row) for row, text in enumerate(agents)], [resource(text) for text in resources], map(absent, known), NOW, RULES
    )
    found = [f"-{one.kind} {one.subject} {end}" for one, end in changes.closed]
    found += [f"{one.kind} {one.subject} {one.cause} {(one.since_ns - NOW) // S}" for one in changes.opened]
    assert sorted(found) == sorted(expected)
    assert all(one.noticed_at_ns == NOW for one in changes.opened)
