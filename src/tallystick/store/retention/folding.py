"""Identities of batches whose segments are gone: a contiguous run of sequences becomes one range, which recognises repeats for ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tallystick.store.engine import Tx

Run = tuple[int, int]


def fold_batches(tx: Tx, scope_key: int, batch_keys: Sequence[int]) -> None:
    """Delete batches with all that is kept of them, their sequences into ranges; those that a person is to decide about stay.

    Those without a sequence are only deleted: what comes again of them lies in sealed hours, and is too late.
    """
    if not batch_keys:
        return
    clause, value = tx.each_of("b.batch_key", sorted(batch_keys))
    rows = tx.rows(
        "SELECT b.batch_key, b.boot_key, b.spool_key, b.sequence, b.received_at_ns FROM batch b WHERE"
        f" {clause} AND NOT EXISTS (SELECT 1 FROM late_batch l WHERE l.batch_key = b.batch_key AND l.state = 'open')"
        " ORDER BY b.boot_key, b.spool_key, b.sequence",
        (value,),
    )
    spools: dict[tuple[int, int], list[int]] = {}
    for _, boot_key, spool_key, sequence, _ in rows:
        if sequence:
            spools.setdefault((boot_key, spool_key), []).append(sequence)
    for (boot_key, spool_key), sequences in spools.items():
        for run in runs_of(sequences):
            _keep_run(tx, (scope_key, boot_key, spool_key), run)
    tx.many("DELETE FROM payload WHERE batch_key = ? AND received_at_ns = ?", [(row[0], row[4]) for row in rows])
    clause, value = tx.each_of("batch_key", [row[0] for row in rows])
    # Of a batch that was replaced the payload set aside has another instant of reception. There are few: all partitions are asked.
    replaced = tx.rows(
        f"SELECT DISTINCT batch_key FROM conflict WHERE scope_key = ? AND state = 'replaced' AND {clause}", (scope_key, value)
    )
    tx.many("DELETE FROM payload WHERE batch_key = ?", replaced)
    tx.run(f"DELETE FROM needed_payload WHERE {clause}", (value,))
    tx.run(f"DELETE FROM batch WHERE {clause}", (value,))


def runs_of(sequences: Sequence[int]) -> Iterator[Run]:
    """Rising sequences as contiguous runs, first and last included: 1, 2, 3, 7 are (1, 3) and (7, 7)."""
    first = last = sequences[0]
    for sequence in sequences[1:]:
        if sequence != last + 1:
            yield first, last
            first = sequence
        last = sequence
    yield first, last


def _keep_run(tx: Tx, of: tuple[int, int, int], run: Run) -> None:
    """Keep a run, as one with the ranges that it touches."""
    first, last = run
    where = "scope_key = ? AND boot_key = ? AND spool_key = ?"
    touching = tx.rows(
        f"SELECT first_sequence, last_sequence FROM batch_range WHERE {where} AND last_sequence >= ? AND first_sequence <= ?",
        (*of, first - 1, last + 1),
    )
    tx.many(f"DELETE FROM batch_range WHERE {where} AND first_sequence = ?", [(*of, row[0]) for row in touching])
    tx.run(
        "INSERT INTO batch_range (scope_key, boot_key, spool_key, first_sequence, last_sequence) VALUES (?, ?, ?, ?, ?)",
        (*of, min([first, *(row[0] for row in touching)]), max([last, *(row[1] for row in touching)])),
    )
