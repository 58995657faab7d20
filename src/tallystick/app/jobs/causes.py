"""The cause of each gap that was computed, from what the store knows besides the timeline. Hours without gaps cost nothing."""

from __future__ import annotations

from dataclasses import replace

from tallystick.meter.silence.causes import caused
from tallystick.model.access import Place
from tallystick.model.timeline import Timeline
from tallystick.model.usage import HoursResult
from tallystick.store.store import Store, Tx


def with_causes(
    store: Store, place: Place, resource_key: int, timeline: Timeline, result: HoursResult, tx: Tx | None = None
) -> HoursResult:
    """The same hours, their gaps with causes as exact as is known now."""
    if not result.gaps:
        return result
    evidence = store.witness.evidence(place, resource_key, timeline, result.gaps, tx=tx)
    return replace(result, gaps=caused(result.gaps, timeline, evidence))
