"""Silences that go on, of a customer's resources: no hour tells of them yet, and what they hold is not known, which is not "no usage"."""

from __future__ import annotations

from collections.abc import Iterable

from tallystick.model.access import Place
from tallystick.model.instants import LATEST_NS
from tallystick.model.silence import AbsenceCause, GapState, ListedGap
from tallystick.model.usage import GapCause
from tallystick.store.engine import Tx
from tallystick.store.store import Store

Span = tuple[int, int]


def silences_of(tx: Tx, store: Store, place: Place, customer_id: str, span: Span) -> list[ListedGap]:
    """Those that reach into a span, newest first, each as far as its resource was the customer's."""
    absent = [one for one in store.absences.open(place, tx=tx) if one.resource_key is not None and one.absence.since_ns < span[1]]
    mine = store.usage.resources_of(tx, place, customer_id) if absent else {}
    absent = [one for one in absent if one.resource_key in mine]
    attributes = store.registry.attributes(place, sorted({one.resource_key for one in absent if one.resource_key}), tx=tx) if absent else {}
    found = [
        ListedGap(
            resource_id=one.absence.subject,
            from_ns=max(one.absence.since_ns, each.from_ns),
            until_ns=min(each.until_ns, LATEST_NS),
            filled=None,
            cause=GapCause.AGENT_AWAY if one.absence.cause is AbsenceCause.AGENT_AWAY else GapCause.UNSTATED,
            state=GapState.LIVE,
            noticed_at_ns=one.absence.noticed_at_ns,
        )
        for one in absent
        for each in attributes.get(one.absence.subject, ())
        if each.customer_id == customer_id and each.until_ns > max(one.absence.since_ns, span[0]) and each.from_ns < span[1]
    ]
    return sorted(found, key=lambda gap: (gap.from_ns, gap.resource_id), reverse=True)


def silent_ns(silences: Iterable[ListedGap], span: Span, now_ns: int) -> int:
    """How much resource time of a span they hold up to now."""
    return sum(max(0, min(gap.until_ns, span[1], now_ns) - max(gap.from_ns, span[0])) for gap in silences)
