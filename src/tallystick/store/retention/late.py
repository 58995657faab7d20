"""Batches that arrive when what they belong to is gone: repeats by their ranges, and what lies in sealed hours put aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tallystick.model.outcomes import BatchResult, Outcome
from tallystick.model.timeline import Segment, last_point
from tallystick.store.batches.identities import Candidate
from tallystick.store.engine import Tx

TOO_LATE = 1
"""The state of a batch of which something came too late."""
IN_RANGE = (
    "SELECT last_sequence FROM batch_range WHERE scope_key = ? AND boot_key = ? AND spool_key = ? AND first_sequence <= ?"
    " ORDER BY first_sequence DESC LIMIT 1"
)


def recognise_folded(
    tx: Tx, scope_key: int, candidates: Sequence[Candidate], sealed: Mapping[int, int], results: list[BatchResult | None]
) -> None:
    """Batches whose sequence lies in a range of folded identities are repeats: what they hold is no longer compared."""
    for candidate in candidates:
        sequence = candidate.batch.identity.sequence
        if not sequence or candidate.resource_key not in sealed:
            continue
        row = tx.row(IN_RANGE, (scope_key, candidate.boot_key, candidate.spool_key, sequence))
        if row is not None and row[0] >= sequence:
            results[candidate.index] = BatchResult(outcome=Outcome.REPEATED)


def put_aside(tx: Tx, scope_key: int, candidate: Candidate, sealed_until_ns: int) -> Candidate | None:
    """Put the segments of a new batch that lie in sealed hours aside; what is left of it, None if that is nothing.

    Of a batch that goes on after them the last sample there is kept as its boot's: the open part begins with the link from it.
    """
    batch = candidate.batch
    late = [segment for segment in batch.segments if segment.cell_ns < sealed_until_ns]
    if not late:
        return candidate
    still_open = batch.segments[len(late) :]
    tx.many(
        "INSERT INTO late_segment (scope_key, resource_key, cell_ns, batch_key, boot_key, first_at_ns, last_at_ns, samples, interval_ns,"
        " received_at_ns, block) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(scope_key, candidate.resource_key, each.cell_ns, candidate.batch_key, candidate.boot_key),
                *(each.first_at_ns, each.last_at_ns, each.samples, each.interval_ns, batch.received_at_ns, each.block),
            )
            for each in late
        ],
    )
    tx.run(
        "INSERT INTO late_batch (batch_key, scope_key, resource_key, boot_key, first_at_ns, last_at_ns, samples, sealed_until_ns,"
        " received_at_ns, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open')",
        (
            *(candidate.batch_key, scope_key, candidate.resource_key, candidate.boot_key, late[0].first_at_ns, late[-1].last_at_ns),
            *(sum(each.samples for each in late), sealed_until_ns, batch.received_at_ns),
        ),
    )
    tx.run("UPDATE batch SET state = ? WHERE batch_key = ?", (TOO_LATE, candidate.batch_key))
    if not still_open:
        return None
    keep_last(tx, scope_key, candidate.resource_key, candidate.boot_key, late[-1], late=True)
    return replace_segments(candidate, still_open)


def replace_segments(candidate: Candidate, segments: Sequence[Segment]) -> Candidate:
    """The candidate with some of its segments only."""
    return Candidate(
        candidate.index,
        replace(candidate.batch, segments=tuple(segments)),
        candidate.resource_key,
        candidate.boot_key,
        candidate.spool_key,
        candidate.batch_key,
    )


def keep_last(tx: Tx, scope_key: int, resource_key: int, boot_key: int, segment: Segment, *, late: bool) -> None:
    """Keep the last sample of a segment as a point of its boot, unless one of that instant is kept."""
    at_ns = segment.last_at_ns
    of = (scope_key, resource_key, boot_key)
    where = "scope_key = ? AND resource_key = ? AND boot_key = ? AND first_at_ns <= ? AND last_at_ns >= ?"
    if tx.row(f"SELECT 1 FROM kept_segment WHERE {where}", (*of, at_ns, at_ns)) is None:
        tx.run(
            "INSERT INTO kept_segment (scope_key, resource_key, boot_key, first_at_ns, last_at_ns, samples, interval_ns, block, late)"
            " VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)",
            (*of, at_ns, at_ns, segment.interval_ns, last_point(segment.block), int(late)),
        )
