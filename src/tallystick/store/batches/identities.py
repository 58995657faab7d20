"""The identity of batches: each is stored once, a repeat is told, other content under a known identity is kept aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tallystick.model.outcomes import BatchResult, Outcome
from tallystick.model.timeline import PayloadForm, StorableBatch
from tallystick.store.engine import Tx, Values, integers, octet_strings
from tallystick.store.service.audit import tell

FORMS = {PayloadForm.PLANES: 1, PayloadForm.THINNED: 2}
"""The numbers in the columns `form`."""
INSERT = (
    "INSERT OR IGNORE INTO batch (batch_key, scope_key, boot_key, spool_key, sequence, content_hash, received_at_ns, source)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_ARRAYS = (
    "INSERT INTO batch (scope_key, boot_key, spool_key, sequence, content_hash, received_at_ns, source)"
    " SELECT ?::int, n.* FROM unnest(?::int[], ?::int[], ?::bigint[], ?::bytea[], ?::bigint[], ?::int[]) AS n"
    " ON CONFLICT DO NOTHING RETURNING batch_key, boot_key, spool_key, sequence, content_hash"
)
# The condition on the sequence is written out: only so does the partial index serve.
FIND_BY_SEQUENCE = (
    "SELECT batch_key, content_hash FROM batch WHERE scope_key = ? AND boot_key = ? AND spool_key = ? AND sequence = ? AND sequence > 0"
)
KEEP_ASIDE = (
    "INSERT INTO conflict (scope_key, batch_key, stored_hash, sent_hash, received_at_ns, first_at_ns, last_at_ns, samples, form,"
    " interval_ns, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)


@dataclass(slots=True)
class Candidate:
    """A batch of a request with the numbers of its identity; `batch_key` is 0 until it is stored."""

    index: int
    batch: StorableBatch
    resource_key: int
    boot_key: int
    spool_key: int
    batch_key: int = 0

    @property
    def identity(self) -> Values:
        """What makes it one batch: its sequence, or without one its content."""
        if self.batch.identity.sequence:
            return (self.boot_key, self.spool_key, self.batch.identity.sequence)
        return (self.boot_key, self.batch.content_hash)


def insert_identities(tx: Tx, scope_key: int, candidates: Sequence[Candidate], results: Sequence[BatchResult | None]) -> list[Candidate]:
    """Store the identities that are new, and give back their candidates with their `batch_key`, in order."""
    first: dict[Values, Candidate] = {}
    for candidate in candidates:
        if results[candidate.index] is None:
            first.setdefault(candidate.identity, candidate)
    distinct = list(first.values())
    return _insert_one_writer(tx, scope_key, distinct) if tx.is_sqlite else _insert_arrays(tx, scope_key, distinct)


def _insert_one_writer(tx: Tx, scope_key: int, candidates: Sequence[Candidate]) -> list[Candidate]:
    # SQLite has one writer: the keys that follow the last one are ours, and those that then are in the table are the new batches.
    row = tx.row("SELECT seq FROM sqlite_sequence WHERE name = 'batch'")
    next_key = (row[0] if row else 0) + 1
    rows = [
        (
            key,
            scope_key,
            each.boot_key,
            each.spool_key,
            each.batch.identity.sequence,
            each.batch.content_hash,
            each.batch.received_at_ns,
            each.batch.identity.source,
        )
        for key, each in enumerate(candidates, next_key)
    ]
    inserted = tx.many(INSERT, rows)
    stored = None
    if inserted != len(rows):
        stored = {found[0] for found in tx.rows("SELECT batch_key FROM batch WHERE batch_key >= ?", (next_key,))}
    new = []
    for key, each in enumerate(candidates, next_key):
        if stored is None or key in stored:
            each.batch_key = key
            new.append(each)
    return new


def _insert_arrays(tx: Tx, scope_key: int, candidates: Sequence[Candidate]) -> list[Candidate]:
    by_identity = {each.identity: each for each in candidates}
    rows = tx.rows(
        INSERT_ARRAYS,
        (
            scope_key,
            integers([each.boot_key for each in candidates]),
            integers([each.spool_key for each in candidates]),
            integers([each.batch.identity.sequence for each in candidates]),
            octet_strings([each.batch.content_hash for each in candidates]),
            integers([each.batch.received_at_ns for each in candidates]),
            integers([each.batch.identity.source.value for each in candidates]),
        ),
    )
    for batch_key, boot_key, spool_key, sequence, content_hash in rows:
        by_identity[(boot_key, spool_key, sequence) if sequence else (boot_key, bytes(content_hash))].batch_key = batch_key
    return [each for each in candidates if each.batch_key]


def settle_known(tx: Tx, scope_key: int, candidates: Sequence[Candidate], results: list[BatchResult | None]) -> None:
    """Tell of each batch that was not new whether it repeats what is stored, or conflicts with it; a conflict is kept aside."""
    for candidate in candidates:
        if results[candidate.index] is not None:
            continue
        batch = candidate.batch
        if not batch.identity.sequence:
            results[candidate.index] = BatchResult(outcome=Outcome.REPEATED)
            continue
        row = tx.row(FIND_BY_SEQUENCE, (scope_key, candidate.boot_key, candidate.spool_key, batch.identity.sequence))
        if row is None:
            raise RuntimeError(f"batch {batch.identity} is neither new nor stored")
        batch_key, stored_hash = row[0], bytes(row[1])
        if stored_hash == batch.content_hash:
            results[candidate.index] = BatchResult(outcome=Outcome.REPEATED)
            continue
        form = FORMS[batch.payload_form]
        kept = (batch.received_at_ns, batch.first_at_ns, batch.last_at_ns, batch.samples, form, batch.interval_ns, batch.payload)
        if tx.run(KEEP_ASIDE, (scope_key, batch_key, stored_hash, batch.content_hash, *kept)):
            _alarm(tx, scope_key, batch, stored_hash)
        results[candidate.index] = BatchResult(outcome=Outcome.CONFLICT, stored_hash=stored_hash.hex(), sent_hash=batch.content_hash.hex())


def _alarm(tx: Tx, scope_key: int, batch: StorableBatch, stored_hash: bytes) -> None:
    """An event in the outbox: a person must say which content counts."""
    identity = batch.identity
    told = {
        "resource": identity.resource_id,
        "boot": identity.boot_id,
        "spool": identity.spool_id,
        "sequence": identity.sequence,
        "stored": stored_hash.hex(),
        "sent": batch.content_hash.hex(),
    }
    tell(tx, scope_key, "metering.conflict", identity.resource_id, told, batch.received_at_ns)
