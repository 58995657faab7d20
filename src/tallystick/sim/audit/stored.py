"""What the store holds, read from its file by the auditor's own SQL: batches with their samples, notices, facts, records."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tallystick.sim.audit.planes import columns_of
from tallystick.sim.audit.truth import Boot, Declared, Notice, RecordContent, RecordKey

STRANGERS = "stranger%"
"""Resources that only strangers send: what is wrong with those requests is on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """One batch: `samples` by instant, the values of those columns that are there; None: it was thinned, `spans` says where."""

    boot: Boot
    spool_id: str
    sequence: int
    interval_ns: int
    received_at_ns: int
    samples: dict[int, dict[int, int]] | None
    spans: tuple[tuple[int, int, int], ...]
    """(first, last, samples) of each segment."""


@dataclass(slots=True)
class Stored:
    """Everything of one store."""

    batches: list[StoredBatch] = field(default_factory=list)
    conflicts: list[tuple[Boot, frozenset[int]]] = field(default_factory=list)
    """Instants of what was kept aside."""
    notices: set[Notice] = field(default_factory=set)
    facts: list[tuple[Declared, int]] = field(default_factory=list)
    """With the order in which they were received."""
    records: dict[RecordKey, RecordContent] = field(default_factory=dict)
    dirty: int = 0


def read(database: Path) -> Stored:
    """All of an SQLite file."""
    found = Stored()
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        segments: dict[int, list[tuple[int, int, int, int]]] = {}
        for key, first, last, samples, interval in connection.execute(
            "SELECT batch_key, first_at_ns, last_at_ns, samples, interval_ns FROM segment ORDER BY first_at_ns"
        ):
            segments.setdefault(key, []).append((first, last, samples, interval))
        for row in connection.execute(
            "SELECT batch_key, resource_id, boot_id, spool_id, sequence, batch.received_at_ns, interval_ns, body FROM batch"
            " JOIN boot USING (boot_key) JOIN resource USING (resource_key) LEFT JOIN spool USING (spool_key)"
            " LEFT JOIN payload USING (batch_key) WHERE resource_id NOT LIKE ? ORDER BY batch.received_at_ns, batch_key",
            (STRANGERS,),
        ):
            found.batches.append(_batch(row, segments.get(row[0], [])))
        for resource_id, boot_id, interval_ns, body, form in connection.execute(
            "SELECT resource_id, boot_id, conflict.interval_ns, conflict.body, conflict.form FROM conflict JOIN batch USING (batch_key)"
            " JOIN boot USING (boot_key) JOIN resource USING (resource_key)"
        ):
            instants = columns_of(body, interval_ns, 1)[0] if form == 1 else ()
            found.conflicts.append(((resource_id, _plain(boot_id)), frozenset(instants)))
        found.notices = {
            Notice(*row)
            for row in connection.execute(
                "SELECT resource_id, boot_id, lifecycle_event.kind, at_ns FROM lifecycle_event JOIN resource USING (resource_key)"
                " WHERE resource_id NOT LIKE ?",
                (STRANGERS,),
            )
        }
        found.facts = [
            (Declared(*row[:5]), row[5])
            for row in connection.execute(
                "SELECT resource_id, at_ns, resource_fact.vcpus, resource_fact.memory_bytes, resource_fact.disk_bytes, received_at_ns"
                " FROM resource_fact JOIN resource USING (resource_key) WHERE resource_id NOT LIKE ? ORDER BY received_at_ns, fact_key",
                (STRANGERS,),
            )
        ]
        found.records = {
            (row[0], row[1], row[2]): (row[3], row[4], row[5], int(row[6]))
            for row in connection.execute(
                "SELECT source, record_id, meter, resource_id, from_ns, until_ns, amount FROM usage_record"
                " JOIN resource USING (resource_key) WHERE resource_id NOT LIKE ?",
                (STRANGERS,),
            )
        }
        found.dirty = connection.execute("SELECT COUNT(*) FROM dirty_hour").fetchone()[0]
    return found


def _plain(boot_id: str) -> str:
    """A boot without the mark of rows."""
    return boot_id.removeprefix("\x01")


def _batch(row: tuple, segments: list[tuple[int, int, int, int]]) -> StoredBatch:  # type: ignore[type-arg]  # of a database
    _, resource_id, boot_id, spool_id, sequence, received_at_ns, interval_ns, body = row
    samples = None
    if body is not None:
        columns = columns_of(body, interval_ns)
        instants = columns.pop(0)
        samples = {at_ns: {column: values[place] for column, values in columns.items()} for place, at_ns in enumerate(instants)}
    return StoredBatch(
        boot=(resource_id, _plain(boot_id)),
        spool_id=spool_id or "",
        sequence=sequence,
        interval_ns=interval_ns if body is not None else segments[0][3] if segments else 0,
        received_at_ns=received_at_ns,
        samples=samples,
        spans=tuple((first, last, count) for first, last, count, _ in segments),
    )
