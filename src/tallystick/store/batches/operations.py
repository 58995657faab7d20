"""What can be done with batches, notices and facts: the `batches` of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.outcomes import BatchResult
from tallystick.model.records import UsageRecord
from tallystick.model.resources import Fact
from tallystick.model.samples import LifecycleEvent, boot_of
from tallystick.model.timeline import PayloadForm, StorableBatch, Timeline
from tallystick.store.batches import notices, timelines
from tallystick.store.batches.marks import Marks, lock_resources, mark
from tallystick.store.batches.usage_records import records_of, write_records
from tallystick.store.batches.write import write_batches
from tallystick.store.engine import Database, Tx
from tallystick.store.records import StoredPayload
from tallystick.store.surrogates import Surrogates


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A sample that cannot be: its index in the batch as sent, the field, and its value, as text."""

    resource_id: str
    received_at_ns: int
    index: int
    field: str
    value: str


class Batches:
    """Batches, notices and facts into the store, and out of it as timelines."""

    def __init__(self, database: Database, surrogates: Surrogates) -> None:
        self._database = database
        self._surrogates = surrogates

    def lock(self, tx: Tx, place: Place, resource_ids: Sequence[str], received_at_ns: int) -> None:
        """Lock all resources that a transaction will write for, before it writes: so no two transactions wait for each other.

        Only PostgreSQL needs it, and only if a transaction writes batches, notices and facts, or for several places: then lock
        each place in the order of (seller, scope). Without it the database ends one of the two, and `Store.transact` runs it again.
        """
        keys = self._surrogates.resources(tx, self._surrogates.scope(tx, place), set(resource_ids), received_at_ns)
        lock_resources(tx, list(keys.values()))

    def write(self, tx: Tx, place: Place, batches: Sequence[StorableBatch]) -> list[BatchResult]:
        """Store batches; the results (stored, repeated, conflict) are in their order, and hold once `tx` is committed."""
        return write_batches(tx, self._surrogates, place, batches)

    def write_events(self, tx: Tx, place: Place, events: Sequence[LifecycleEvent]) -> list[BatchResult]:
        """Keep lifecycle notices; a repeated one is one."""
        return notices.write_events(tx, self._surrogates, place, events)

    def write_facts(self, tx: Tx, place: Place, facts: Sequence[Fact]) -> list[BatchResult]:
        """Keep facts; a repeated one is kept as received the later time."""
        return notices.write_facts(tx, self._surrogates, place, facts)

    def write_records(self, tx: Tx, place: Place, records: Sequence[UsageRecord]) -> list[BatchResult]:
        """Store usage records, each once for ever by (source, id, meter); the results are in their order."""
        return write_records(tx, self._surrogates, place, records)

    def records(self, place: Place, resource_key: int, from_ns: int, until_ns: int, *, tx: Tx | None = None) -> tuple[UsageRecord, ...]:
        """The usage records of a resource that touch [from_ns, until_ns), in order of their beginning."""
        if tx is None:
            with self._database.read() as snapshot:
                return self.records(place, resource_key, from_ns, until_ns, tx=snapshot)
        found = records_of(tx, self._surrogates.scope(tx, place), {resource_key: ""}, from_ns, until_ns)
        return tuple(each.record for each in found.get(resource_key, ()))

    def quarantine(self, tx: Tx, place: Place, samples: Sequence[Quarantined]) -> None:
        """Keep the samples of row batches that cannot be."""
        scope_key = self._surrogates.scope(tx, place)
        tx.many(
            "INSERT INTO quarantine (scope_key, resource_id, received_at_ns, sample_index, field, value) VALUES (?, ?, ?, ?, ?, ?)",
            [(scope_key, each.resource_id, each.received_at_ns, each.index, each.field, each.value) for each in samples],
        )

    def mark_disk_hours(self, tx: Tx, now_ns: int, *, most_resources: int = 64) -> int:
        """Mark each hour completed by `now_ns` of resources that hold disk, up or not, once; how many resources there were.

        Call it again until there are none: few at a time keep the transaction short.
        """
        return notices.mark_disk_hours(tx, now_ns, most_resources)

    def mark_known_hours(self, tx: Tx, place: Place, resource_key: int, from_ns: int, until_ns: int) -> None:
        """Mark the hours of [from_ns, until_ns) of a resource that have stored usage and wait for nothing: their days are made again."""
        scope_key, marks = self._surrogates.scope(tx, place), Marks()
        for (hour_ns,) in tx.rows(
            "SELECT u.hour_ns FROM usage_hour u WHERE u.scope_key = ? AND u.resource_key = ? AND u.hour_ns >= ? AND u.hour_ns < ?"
            " AND NOT EXISTS (SELECT 1 FROM dirty_hour d WHERE d.scope_key = u.scope_key AND d.resource_key = u.resource_key"
            " AND d.hour_ns = u.hour_ns)",
            (scope_key, resource_key, from_ns, until_ns),
        ):
            marks.add(resource_key, hour_ns, hour_ns)
        mark(tx, scope_key, marks)

    def mark_hours(self, tx: Tx, place: Place, resource_key: int, from_ns: int, until_ns: int) -> None:
        """Mark the hours of [from_ns, until_ns) of a resource, so that they are computed again."""
        marks = Marks()
        marks.add(resource_key, from_ns, max(from_ns, until_ns - 1))
        mark(tx, self._surrogates.scope(tx, place), marks)

    def timelines(self, place: Place, resource_keys: Sequence[int], from_ns: int, until_ns: int, *, tx: Tx | None = None) -> list[Timeline]:
        """The timelines of resources around [from_ns, until_ns), in the order asked for, from one snapshot.

        Raises:
            LookupError: the place has no such resource.

        """
        if tx is not None:
            return timelines.timelines(tx, self._surrogates.scope(tx, place), resource_keys, from_ns, until_ns)
        with self._database.read() as snapshot:
            return timelines.timelines(snapshot, self._surrogates.scope(snapshot, place), resource_keys, from_ns, until_ns)

    def payloads(self, batch_keys: Sequence[int], *, tx: Tx | None = None) -> Mapping[int, StoredPayload]:
        """The samples of batches as they are kept, by batch key; those that are gone are left out."""
        if tx is None:
            with self._database.read() as snapshot:
                return self.payloads(batch_keys, tx=snapshot)
        clause, value = tx.each_of("b.batch_key", sorted(batch_keys))
        rows = tx.rows(
            "SELECT b.batch_key, p.body, p.interval_ns, t.boot_id, r.resource_id, b.received_at_ns"
            " FROM batch b JOIN payload p ON p.batch_key = b.batch_key AND p.received_at_ns = b.received_at_ns"
            f" JOIN boot t ON t.boot_key = b.boot_key JOIN resource r ON r.resource_key = t.resource_key WHERE {clause}",
            (value,),
        )
        return {
            row[0]: StoredPayload(
                form=PayloadForm.PLANES,
                body=bytes(row[1]),
                interval_ns=row[2],
                boot_id=boot_of(row[3])[0],
                resource_id=row[4],
                received_at_ns=row[5],
            )
            for row in rows
        }

    def batch_keys(self, place: Place, resource_key: int, from_ns: int, until_ns: int, *, tx: Tx | None = None) -> tuple[int, ...]:
        """The batches of a resource with a sample in the cells of [from_ns, until_ns), in order of their keys."""
        if tx is None:
            with self._database.read() as snapshot:
                return self.batch_keys(place, resource_key, from_ns, until_ns, tx=snapshot)
        rows = tx.rows(
            "SELECT DISTINCT batch_key FROM segment WHERE scope_key = ? AND resource_key = ? AND cell_ns >= ? AND cell_ns < ?"
            " AND last_at_ns >= ? AND first_at_ns < ? ORDER BY batch_key",
            (self._surrogates.scope(tx, place), resource_key, from_ns - from_ns % (300 * 10**9), until_ns, from_ns, until_ns),
        )
        return tuple(row[0] for row in rows)
