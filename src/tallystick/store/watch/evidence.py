"""What is known around the gaps of a resource, besides its samples and notices."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.model.access import Place
from tallystick.model.instants import LATEST_NS
from tallystick.model.silence import Evidence
from tallystick.model.timeline import Timeline
from tallystick.model.usage import Gap, GapCause
from tallystick.store.engine import Tx
from tallystick.store.section import Section

UNCERTAIN = (GapCause.UNSTATED, GapCause.AGENT_AWAY, GapCause.RESTART)
"""What more evidence can make more exact."""


class Witness(Section):
    """Finds evidence."""

    def evidence(self, place: Place, resource_key: int, timeline: Timeline, gaps: Sequence[Gap], *, tx: Tx | None = None) -> Evidence:
        """The spans in which the agent of a resource was away, and those of the gaps between whose ends numbers of batches are missing."""
        doubtful = [gap for gap in gaps if gap.cause in UNCERTAIN]
        if not doubtful:
            return Evidence()
        with self._reading(tx) as reading:
            scope_key = self._surrogates.scope(reading, place)
            away = reading.rows(
                "SELECT since_ns, closed_at_ns FROM absence WHERE scope_key = ? AND resource_key = ? AND cause = 'agent_away'"
                " AND since_ns < ? ORDER BY since_ns",
                (scope_key, resource_key, max(gap.until_ns for gap in doubtful)),
            )
            lost = _lost(reading, scope_key, timeline, doubtful)
        return Evidence(absences=tuple((row[0], LATEST_NS if row[1] is None else row[1]) for row in away), lost=tuple(lost))


def _lost(tx: Tx, scope_key: int, timeline: Timeline, gaps: Sequence[Gap]) -> list[tuple[int, int]]:
    """The gaps that lie between two batches of one boot and spool, with numbers between theirs of which nothing is stored."""
    before: dict[int, list[tuple[str, int]]] = {}
    after: dict[int, list[tuple[str, int]]] = {}
    for stored in timeline.segments:
        before.setdefault(stored.segment.last_at_ns, []).append((stored.boot_id, stored.batch_key))
        after.setdefault(stored.segment.first_at_ns, []).append((stored.boot_id, stored.batch_key))
    pairs = [
        (gap, old, new)
        for gap in gaps
        for boot_id, old in before.get(gap.from_ns, ())
        for other, new in after.get(gap.until_ns, ())
        if boot_id == other and old != new
    ]
    if not pairs:
        return []
    clause, value = tx.each_of("batch_key", sorted({key for _, old, new in pairs for key in (old, new)}))
    found = {row[0]: row[1:] for row in tx.rows(f"SELECT batch_key, boot_key, spool_key, sequence FROM batch WHERE {clause}", (value,))}
    return [
        (gap.from_ns, gap.until_ns)
        for gap, old, new in pairs
        if old in found and new in found and found[old][:2] == found[new][:2] and _is_hole(tx, scope_key, found[old], found[new][2])
    ]


def _is_hole(tx: Tx, scope_key: int, old: tuple[int, int, int], following: int) -> bool:
    boot_key, spool_key, sequence = old
    if not 0 < sequence < following - 1:
        return False
    row = tx.row(
        "SELECT COUNT(*) FROM batch WHERE scope_key = ? AND boot_key = ? AND spool_key = ? AND sequence > ? AND sequence < ?"
        " AND sequence > 0",
        (scope_key, boot_key, spool_key, sequence, following),
    )
    return row is None or int(row[0]) < following - sequence - 1
