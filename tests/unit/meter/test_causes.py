"""Why there is a gap, a line a case: the gap, what was told, what is known beside, and the cause."""

from __future__ import annotations

import pytest

from tallystick.meter.silence.causes import caused, host_of
from tallystick.model.samples import LifecycleEvent, LifecycleKind
from tallystick.model.silence import Evidence
from tallystick.model.timeline import BootExtent, Timeline
from tallystick.model.usage import Filled, Gap, GapCause

S = 10**9
T = 1_000_000 * S

CASES = {
    "nothing is known": "100..160 unstated | | | unstated",
    "its agent was away": "100..160 unstated | | away 100..170 | agent_away",
    "it was away at another time": "100..160 unstated | | away 160..200 | unstated",
    "the agent announced it": "100..160 unstated | possible_gap 99..161 | | agent_away",
    "the agent announced a part of it only": "100..160 unstated | possible_gap 99..140 | | unstated",
    "numbers of batches are missing, which says more": "100..160 unstated | | away 90..170, lost 100..160 | batch_missing",
    "numbers are missing elsewhere": "100..160 unstated | | lost 160..220 | unstated",
    "the clock was set forward by as much": "100..160 unstated | clock_stepped 99..160 60 | | clock_stepped",
    "by less than half of it": "100..160 unstated | clock_stepped 99..160 29 | | unstated",
    "a clock set back makes no gap": "100..160 unstated | clock_stepped 99..160 -60 | | unstated",
    "a restart stays one": "100..160 restart | | | restart",
    "a restart while the agent was there": "100..160 restart h1/1 h2/1 | | | restart",
    "a host that began anew": "100..160 restart h1/1 h2/1 | | away 100..170 | host_away",
    "a host that is the same": "100..160 restart h1/1 h1/2 | | away 100..170 | restart",
    "incarnations that do not tell their host": "100..160 restart one two | | away 100..170 | restart",
    "a stop that was told of": "100..160 resource_down | | away 100..170, lost 100..160 | resource_down",
}


def span(text: str) -> tuple[int, int]:
    low, high = text.split("..")
    return T + int(low) * S, T + int(high) * S


def told(text: str) -> LifecycleEvent:
    kind, at, *step = text.split()
    last_sent_ns, at_ns = span(at)
    return LifecycleEvent(
        resource_id="vm-1",
        boot_id="",
        kind=LifecycleKind(kind),
        at_ns=at_ns,
        received_at_ns=at_ns,
        last_sent_ns=last_sent_ns,
        step_ns=int(step[0]) * S if step else None,
    )


@pytest.mark.parametrize("case", CASES)
def test_the_cause_of_a_gap(case: str) -> None:
    about, events, beside, expected = (column.strip() for column in CASES[case].split("|"))
    at, cause, *boots = about.split()
    from_ns, until_ns = span(at)
    gap = Gap(resource_id="vm-1", from_ns=from_ns, until_ns=until_ns, filled=Filled.UNKNOWN, cause=GapCause(cause))
    extents = [(from_ns - S, from_ns), (until_ns, until_ns + S)]
    timeline = Timeline(
        resource_id="vm-1",
        boots=tuple(
            BootExtent(boot_id=name, first_at_ns=low, last_at_ns=high, first_interval_ns=S, last_interval_ns=S)
            for name, (low, high) in zip(boots, extents, strict=False)
        ),
        segments=(),
        complete=(),
        events=tuple(told(text) for text in events.split(",") if text),
        facts=(),
    )
    known = [each.split() for each in beside.split(",") if each]
    evidence = Evidence(
        absences=tuple(span(at) for word, at in known if word == "away"), lost=tuple(span(at) for word, at in known if word == "lost")
    )
    (found,) = caused([gap], timeline, evidence)
    assert found.cause == expected
    assert (found.from_ns, found.until_ns, found.filled) == (gap.from_ns, gap.until_ns, gap.filled)
    assert caused([found], timeline, evidence) == (found,)


def test_the_host_of_an_incarnation() -> None:
    assert [host_of(boot_id) for boot_id in ("b1/77", "b1", "", "a/b/c")] == ["b1", "", "", "a"]
