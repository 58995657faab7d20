"""Who is away: agents by their heartbeats, resources by what their agents say of them. It changes no usage, ever.

A heartbeat lists what an agent sees and, from our own agent, until when all that it measured was sent. So silence of a resource
that is listed, or was and of which no end was told, is not "no usage": something is broken, or a notice was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tallystick.model.samples import GAP_AFTER_INTERVALS
from tallystick.model.silence import Absence, AbsenceCause, AbsenceEnd, AbsenceKind, Changes, SeenAgent, SeenResource, WatchRules


@dataclass(frozen=True, slots=True)
class _Look:
    """One look: who lives, and which living agent lists a resource."""

    now_ns: int
    rules: WatchRules
    agents: Mapping[str, SeenAgent]
    living: frozenset[str]
    listed_by: Mapping[str, str]


def look(
    agents: Sequence[SeenAgent], resources: Sequence[SeenResource], open_ones: Iterable[Absence], now_ns: int, rules: WatchRules
) -> Changes:
    """What changes now: an absence opens when its limit is passed, and ends when its subject is back, is another's, or has ended.

    Agents are away by the server's clock. An agent whose resources are all claimed by other instances, or told ended, is not missed:
    existing daemons take a new instance id at each start. One that listed nothing and never says how far it reported is not missed
    either once a later instance reports under its key.
    """
    living = frozenset(one.instance_id for one in agents if now_ns - one.received_at_ns <= rules.agent_after_ns)
    listed_by = {name: one.instance_id for one in agents if one.instance_id in living for name in one.active}
    seen = _Look(now_ns, rules, {one.instance_id: one for one in agents}, living, listed_by)
    ended = {one.resource_id for one in resources if one.ended}
    away = {
        one.instance_id: _agent_state(one, agents, seen, ended)
        for one in sorted(agents, key=lambda each: each.instance_id)
        if one.instance_id not in living
    }
    states = {one.resource_id: _resource_state(one, seen) for one in resources}
    opened: list[Absence] = []
    closed: list[tuple[Absence, AbsenceEnd]] = []
    known = set()
    for each in open_ones:
        end = _end_of(each, seen, away, states)
        if end is None:
            known.add((each.kind, each.subject))
        else:
            closed.append((each, end))
    for instance_id, ends in away.items():
        if ends is None and (AbsenceKind.AGENT, instance_id) not in known:
            since_ns = seen.agents[instance_id].received_at_ns
            opened.append(_absence(AbsenceKind.AGENT, instance_id, instance_id, AbsenceCause.AGENT_AWAY, since_ns, now_ns))
    for one in sorted(resources, key=lambda each: each.resource_id):
        cause = states[one.resource_id]
        if isinstance(cause, AbsenceCause) and (AbsenceKind.RESOURCE, one.resource_id) not in known:
            since_ns = one.listed_at_ns if one.last_sample_ns is None else one.last_sample_ns
            opened.append(_absence(AbsenceKind.RESOURCE, one.resource_id, one.instance_id, cause, since_ns, now_ns))
    return Changes(opened=tuple(opened), closed=tuple(closed))


def _absence(kind: AbsenceKind, subject: str, instance_id: str, cause: AbsenceCause, since_ns: int, now_ns: int) -> Absence:
    return Absence(kind=kind, subject=subject, instance_id=instance_id, cause=cause, since_ns=since_ns, noticed_at_ns=now_ns)


def _agent_state(one: SeenAgent, agents: Sequence[SeenAgent], seen: _Look, ended: set[str]) -> AbsenceEnd | None:
    """Why an agent that is not heard from is not missed; None: it is."""
    left = [name for name in one.active if name not in ended]
    if one.active:
        if left and all(seen.listed_by.get(name, one.instance_id) != one.instance_id for name in left):
            return AbsenceEnd.CLAIMED
        return AbsenceEnd.STOPPED if not left and not one.reported_until_ns else None
    later = any(other.row > one.row and other.key_id == one.key_id for other in agents if one.key_id)
    return AbsenceEnd.CLAIMED if later and not one.reported_until_ns else None


def _resource_state(one: SeenResource, seen: _Look) -> AbsenceCause | AbsenceEnd | None:
    """Why nothing comes of a resource, or that it has ended; None: all is well, or it is too early to say."""
    if one.ended:
        return AbsenceEnd.STOPPED
    instance_id = seen.listed_by.get(one.resource_id, one.instance_id)
    if instance_id not in seen.living:
        return AbsenceCause.AGENT_AWAY
    agent = seen.agents[instance_id]
    last_ns = one.listed_at_ns if one.last_sample_ns is None else one.last_sample_ns
    known_until_ns = agent.reported_until_ns or seen.now_ns
    usual_ns = seen.rules.resource_after_ns if agent.reported_until_ns else seen.rules.unsaid_after_ns
    limit_ns = max(usual_ns, GAP_AFTER_INTERVALS * one.interval_ns)
    return AbsenceCause.SILENT if known_until_ns - last_ns > limit_ns else None


def _end_of(
    one: Absence,
    seen: _Look,
    away: Mapping[str, AbsenceEnd | None],
    states: Mapping[str, AbsenceCause | AbsenceEnd | None],
) -> AbsenceEnd | None:
    """How an open absence ends now; None: it goes on."""
    if one.kind is AbsenceKind.AGENT:
        return away.get(one.subject, AbsenceEnd.RETURNED)
    state = states.get(one.subject, AbsenceEnd.STOPPED)
    if isinstance(state, AbsenceEnd):
        return state
    if state is not None:
        # Its agent is back, and nothing comes of it all the same: that is another silence, with its own cause.
        return None if state is one.cause else AbsenceEnd.RETURNED
    return AbsenceEnd.CLAIMED if seen.listed_by.get(one.subject, one.instance_id) != one.instance_id else AbsenceEnd.RETURNED
