"""Hours to be computed: gathered while a transaction writes, marked with a new generation of their resource (metering.md, Late data)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tallystick.model.instants import HOUR_NS, hour_start
from tallystick.store.batches.identities import Candidate
from tallystick.store.engine import Tx, integers

UPSERT = (
    "INSERT INTO dirty_hour (scope_key, resource_key, hour_ns, generation) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (scope_key, resource_key, hour_ns) DO UPDATE SET generation = excluded.generation"
)
UPSERT_ARRAYS = (
    "INSERT INTO dirty_hour (scope_key, resource_key, hour_ns, generation)"
    " SELECT * FROM unnest(?::int[], ?::int[], ?::bigint[], ?::bigint[])"
    " ON CONFLICT (scope_key, resource_key, hour_ns) DO UPDATE SET generation = excluded.generation"
)


@dataclass(slots=True)
class Marks:
    """The hours of resources that a transaction makes dirty.

    A resource's generation rises with each transaction that marks it, and never comes again: so a mark is the one that
    was seen exactly if its generation is. `sealed`: the hours of these resources before these instants are computed no more.
    """

    generations: dict[int, int] = field(default_factory=dict)
    sealed: dict[int, int] = field(default_factory=dict)
    _hours: dict[int, set[int]] = field(default_factory=dict)

    def add(self, resource_key: int, from_ns: int, until_ns: int) -> None:
        """Mark the hours from the one that holds `from_ns` to the one that holds `until_ns`, both included."""
        hours = self._hours.setdefault(resource_key, set())
        first, last = hour_start(max(from_ns, 0)), hour_start(max(until_ns, 0))
        if first == last:
            hours.add(first)
        else:
            hours.update(range(first, last + HOUR_NS, HOUR_NS))

    def resources(self) -> Sequence[int]:
        """The resources that have marks, in order."""
        return sorted(self._hours)

    def write(self, tx: Tx, scope_key: int) -> None:
        """Write the marks. The resources' rows are locked by this transaction, and `generations` is what they say."""
        rows = [
            (scope_key, resource_key, hour_ns, self.generations[resource_key] + 1)
            for resource_key, hours in sorted(self._hours.items())
            for hour_ns in sorted(hours)
            if hour_ns >= self.sealed.get(resource_key, 0)
        ]
        if not rows:
            return
        if tx.is_sqlite:
            tx.many(UPSERT, rows)
        else:
            tx.run(UPSERT_ARRAYS, tuple(integers([row[column] for row in rows]) for column in range(4)))


def trace_hours(tx: Tx, scope_key: int, new: Sequence[Candidate]) -> None:
    """Tell the marks of the hours that traced batches lie in of which trace they are: that of the last one."""
    tx.many(
        "UPDATE dirty_hour SET trace = ? WHERE scope_key = ? AND resource_key = ? AND hour_ns >= ? AND hour_ns <= ?",
        [
            (each.batch.trace, scope_key, each.resource_key, hour_start(each.batch.first_at_ns), each.batch.last_at_ns)
            for each in new
            if each.batch.trace
        ],
    )


def lock_resources(tx: Tx, resource_keys: Sequence[int]) -> None:
    """Let no other transaction write for these resources: on PostgreSQL by their rows, in one order; SQLite has one writer anyway."""
    if not tx.is_sqlite and not tx.locked.issuperset(resource_keys):
        tx.rows("SELECT 1 FROM resource WHERE resource_key = ANY(?) ORDER BY resource_key FOR UPDATE", (integers(sorted(resource_keys)),))
        tx.locked.update(resource_keys)


def mark(tx: Tx, scope_key: int, marks: Marks) -> None:
    """Write marks made outside the hot path: locks the resources, raises their generations."""
    keys = marks.resources()
    if not keys:
        return
    lock_resources(tx, keys)
    clause, value = tx.each_of("resource_key", keys)
    rows = tx.rows(f"SELECT resource_key, generation, sealed_until_ns FROM resource WHERE {clause}", (value,))
    marks.generations = {row[0]: row[1] for row in rows}
    marks.sealed = {row[0]: row[2] for row in rows if row[2] is not None}
    marks.write(tx, scope_key)
    tx.run(f"UPDATE resource SET generation = generation + 1 WHERE {clause}", (value,))
