"""Why there is a gap, as far as anybody told or numbers tell. A cause never changes usage.

What is certain goes first: a stop that was told of, a clock that was set, numbers of batches that never came. Then what was seen from
outside: an agent that announced a possible gap, or was not heard from, on a host that since started anew or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.model.silence import Evidence
from tallystick.model.timeline import BootExtent, Timeline
from tallystick.model.usage import Gap, GapCause

NO_EVIDENCE = Evidence()
Span = tuple[int, int]


def caused(gaps: Sequence[Gap], timeline: Timeline, evidence: Evidence = NO_EVIDENCE) -> tuple[Gap, ...]:
    """The gaps with their causes; one that the links told already (a restart, a stop) is only made more exact.

    Worked: an agent unheard from 14:02:00 to 14:10:00 explains a gap from 14:01:58 to 14:09:30, a gap that ended at 14:01:59 it does not.
    """
    return tuple(_caused(gap, timeline, evidence) for gap in gaps)


def host_of(boot_id: str) -> str:
    """The boot of the host in the incarnation of our agent, `HOST_BOOT/INODE`; empty: the incarnation does not tell."""
    host, slash, _ = boot_id.partition("/")
    return host if slash else ""


def _caused(gap: Gap, timeline: Timeline, evidence: Evidence) -> Gap:
    cause = gap.cause
    away = _overlaps(gap, evidence.absences) or _announced(gap, timeline.events)
    if cause is GapCause.RESTART:
        cause = GapCause.HOST_AWAY if away and _host_began_anew(gap, timeline.boots) else cause
    elif cause in (GapCause.UNSTATED, GapCause.AGENT_AWAY):
        if _stepped(gap, timeline.events):
            cause = GapCause.CLOCK_STEPPED
        elif _overlaps(gap, evidence.lost):
            cause = GapCause.BATCH_MISSING
        elif away:
            cause = GapCause.AGENT_AWAY
    return gap if cause is gap.cause else replace(gap, cause=cause)


def _overlaps(gap: Gap, spans: Iterable[Span]) -> bool:
    return any(since < gap.until_ns and gap.from_ns < until for since, until in spans)


def _announced(gap: Gap, events: Iterable[LifecycleEvent]) -> bool:
    """Whether the agent announced that it may have missed all of the gap."""
    return any(
        each.kind is LifecycleKind.POSSIBLE_GAP
        and each.last_sent_ns is not None
        and each.last_sent_ns <= gap.from_ns
        and gap.until_ns <= each.at_ns
        for each in events
    )


def _stepped(gap: Gap, events: Iterable[LifecycleEvent]) -> bool:
    """Whether the host's clock was set between two looks that lie around or in the gap, by at least half of it, forward.

    Instants never go back: what a step back does to them is nothing, and one forward shows as a gap of its length.
    """
    return any(
        each.kind is LifecycleKind.CLOCK_STEPPED
        and 2 * (each.step_ns or 0) >= gap.until_ns - gap.from_ns
        and (each.last_sent_ns or each.at_ns) < gap.until_ns
        and gap.from_ns <= each.at_ns
        for each in events
    )


def _host_began_anew(gap: Gap, boots: Sequence[BootExtent]) -> bool:
    """Whether the last incarnation before the gap and the first after it are of two boots of a host."""
    before = max((boot for boot in boots if boot.last_at_ns <= gap.from_ns), key=lambda boot: boot.last_at_ns, default=None)
    after = min((boot for boot in boots if boot.first_at_ns >= gap.until_ns), key=lambda boot: boot.first_at_ns, default=None)
    if before is None or after is None:
        return False
    hosts = host_of(before.boot_id), host_of(after.boot_id)
    return "" not in hosts and hosts[0] != hosts[1]
