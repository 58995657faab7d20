"""The steps of a clean-up, in order: each is one short transaction, and gives what it did; between any two a worker may do other things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tallystick.app.jobs.days import Zones
from tallystick.app.jobs.retention.archive import Archive
from tallystick.app.jobs.retention.needs import Needs
from tallystick.app.jobs.retention.rules import Rules
from tallystick.app.jobs.rollup import open_samples
from tallystick.meter.sealing.points import kept_points, needs_samples_to_seal
from tallystick.model.access import Place
from tallystick.model.calendar import month_of
from tallystick.model.instants import hour_start, iso
from tallystick.store.registry import StoredResource
from tallystick.store.retention.sections import OldPayload
from tallystick.store.store import Store

RESOURCES_AT_ONCE = 100
SEGMENTS_AT_ONCE = 200
PAYLOADS_AT_ONCE = 64
ARCHIVED_AT_ONCE = 1024
HOURS_AT_ONCE = 100
ROWS_AT_ONCE = 500
PAGES_AT_ONCE = 64


@dataclass(slots=True)
class Tally:
    """What a clean-up did: rows by kind, and what it refused, with how many resources or batches for each reason."""

    deleted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """One clean-up of a store, by rules, as of an instant."""

    store: Store
    rules: Rules
    now_ns: int
    tally: Tally = field(default_factory=Tally)

    def steps(self) -> Iterator[None]:
        """Do all of it; a step at a time."""
        archive = Archive(self.rules.archive, self.store) if self.rules.archive else None
        needs = Needs(self.store, self.now_ns)
        if archive is not None:
            archive.forget_unfinished()
            yield from self._finish_archived()
        for place in self.store.registry.places():
            for some in self._resources(place):
                yield from self._seal_some(place, some, needs)
        # Whole days first: what lies in them need not be deleted row by row.
        yield from self._drop_partitions(archive)
        yield from self._drop_payloads(archive)
        for place in self.store.registry.places():
            for some in self._resources(place):
                for resource in some:
                    yield from self._drop_segments(place, resource, archive)
                    yield from self._drop_usage(place, resource, needs)
        yield from self._drop_others()
        yield from self._drop_partitions(archive)
        while self.store.maintenance.give_back(PAGES_AT_ONCE):
            yield

    def told(self) -> dict[str, object]:
        """What was done, for a log and for `tally retention status`."""
        return {
            "at": iso(self.now_ns),
            "deleted": {kind: rows for kind, rows in sorted(self.tally.deleted.items()) if rows},
            "refused": dict(sorted(self.tally.refused.items())),
        }

    def _resources(self, place: Place) -> Iterator[list[StoredResource]]:
        before = None
        while some := self.store.registry.resources(place, before=before, limit=RESOURCES_AT_ONCE):
            yield list(some)
            before = some[-1].row

    def _seal_some(self, place: Place, resources: list[StoredResource], needs: Needs) -> Iterator[None]:
        """Seal the hours of resources that nothing needs any more, and say of which something is needed longer than by age."""
        keys = [each.row for each in resources]
        with self.store.read() as tx:
            held = self.store.retention.held(place, keys, tx=tx)
            spans = self.store.registry.attributes(place, keys, tx=tx)
            by_age_ns = needs.month_before(place, self.rules.segments_ns, tx)
            found = {
                each.row: needs.of_resource(place, spans[each.id], held[each.row], self.rules.segments_ns, tx)
                for each in resources
                if held[each.row].first_ns is not None
            }
        for key, need in found.items():
            first_ns = held[key].first_ns
            if first_ns is None:
                continue
            if need.why and max(need.from_ns, first_ns) < by_age_ns:
                self.tally.refused[need.why] += 1
            until_ns = min(need.from_ns, hour_start(self.now_ns - self.rules.payload_ns))
            if until_ns > max(held[key].sealed_until_ns, first_ns):
                self.tally.deleted["resources sealed"] += self._seal(place, key, until_ns)
                yield

    def _seal(self, place: Place, key: int, until_ns: int) -> bool:
        with self.store.read() as tx:
            held = self.store.retention.held(place, [key], tx=tx)[key]
            timeline = self.store.retention.to_seal(place, key, until_ns, tx=tx)
            needed = needs_samples_to_seal(timeline, until_ns)
            samples, gone = open_samples(self.store, set(needed), tx) if needed else ({}, frozenset())
        kept = kept_points(timeline, until_ns, samples, gone)
        return self.store.transact(lambda tx: self.store.retention.seal(tx, place, key, until_ns, held, kept, self.now_ns))

    def _drop_partitions(self, archive: Archive | None) -> Iterator[None]:
        self._note_payloads()
        for name in self.store.maintenance.drop_partitions(self.now_ns - self.rules.payload_ns, with_rows=archive is None):
            self.tally.deleted[f"partitions of {name.rpartition('_')[0]}"] += 1
            yield

    def _note_payloads(self) -> None:
        """Note how far raw samples may be gone before the first goes: what is interrupted is otherwise taken for a loss."""
        with self.store.write() as tx:
            self.store.retention.note_deletion(tx, "payload", self.now_ns - self.rules.payload_ns, self.now_ns)

    def _drop_payloads(self, archive: Archive | None) -> Iterator[None]:
        """Raw samples by age, but those that are needed; moved to files before, if there is an archive."""
        before_ns = self.now_ns - self.rules.payload_ns
        self._note_payloads()
        after: int | None = 0
        while after is not None:
            found, after = self.store.retention.old_payloads(before_ns, after, ARCHIVED_AT_ONCE if archive else ROWS_AT_ONCE)
            for each in found:
                if each.needed:
                    self.tally.refused[f"raw samples of a batch that {each.needed}"] += 1
            # A payload without a batch is of nobody: no file could say whose samples they are.
            yield from self._drop(None, [each for each in found if each.orphaned])
            yield from self._drop(archive, [each for each in found if not each.needed and not each.orphaned])

    def _drop(self, archive: Archive | None, payloads: list[OldPayload]) -> Iterator[None]:
        if archive is not None and payloads:
            files = archive.write([each.batch_key for each in payloads], self.now_ns)
            with self.store.write() as tx:
                self.store.archived.add(tx, files, self.now_ns)
            archive.finish(files)
            self.tally.deleted["files written"] += len(files)
            yield from self._finish_archived()
            return
        for start in range(0, len(payloads), PAYLOADS_AT_ONCE):
            some = [(each.batch_key, each.received_at_ns) for each in payloads[start : start + PAYLOADS_AT_ONCE]]
            self._delete_payloads(some, unless_needed=True)
            yield

    def _finish_archived(self) -> Iterator[None]:
        """Delete the rows of what is in files."""
        for path, keys in self.store.archived.unfinished():
            for start in range(0, len(keys), PAYLOADS_AT_ONCE):
                self._delete_payloads(self.store.archived.rows(keys[start : start + PAYLOADS_AT_ONCE]))
                yield
            with self.store.write() as tx:
                self.store.archived.finish(tx, [path])

    def _delete_payloads(self, rows: list[tuple[int, int]], *, unless_needed: bool = False) -> None:
        self.tally.deleted["payloads"] += self.store.transact(
            lambda tx: self.store.retention.delete_payloads(tx, rows, unless_needed=unless_needed)
        )

    def _drop_segments(self, place: Place, resource: StoredResource, archive: Archive | None) -> Iterator[None]:
        """The segments of sealed hours; batches that have no other are folded into ranges."""
        if not self.store.retention.sealed_segments(place, resource.row, 1):
            return
        ends = self.store.retention.last_cells(place, resource.row)
        while some := self.store.retention.sealed_segments(place, resource.row, SEGMENTS_AT_ONCE):
            ended = [key for cell_ns, key in some if ends[key] == cell_ns]
            if archive is not None:
                yield from self._drop(archive, [OldPayload(key, at_ns, "") for key, at_ns in self.store.archived.rows(ended)])
            self._delete_segments(place, resource.row, some, ended)
            yield

    def _delete_segments(self, place: Place, key: int, some: list[tuple[int, int]], ended: list[int]) -> None:
        self.tally.deleted["segments"] += self.store.transact(lambda tx: self.store.retention.delete_segments(tx, place, key, some, ended))

    def _drop_usage(self, place: Place, resource: StoredResource, needs: Needs) -> Iterator[None]:
        """Usage hours that are sealed and whose invoices are old, and days that are: whole days, and days of whole months."""
        key = resource.row
        with self.store.read() as tx:
            held = self.store.retention.held(place, [key], tx=tx)[key]
            if not held.sealed_until_ns:
                return
            spans = self.store.registry.attributes(place, [key], tx=tx)[resource.id]
            need = needs.of_owners(place, spans, self.rules.hours_ns, tx, of_nobody_ns=self.rules.days_ns)
            zones = {each.zone for each in Zones.read(self.store, place, [key], tx).owned(resource.id)}
            until_ns = needs.day_of(place, zones, min(need.from_ns, held.sealed_until_ns), tx)
        while held.first_hour_ns is not None and held.first_hour_ns < until_ns:
            deleted = self.store.transact(
                lambda tx: self.store.retention.delete_hours(tx, place, key, until_ns, HOURS_AT_ONCE, self.now_ns)
            )
            self.tally.deleted["hours"] += deleted
            yield
            if deleted < HOURS_AT_ONCE:
                break
        for zone in sorted(zones):
            before_ns = month_of(min(self.now_ns - self.rules.days_ns, until_ns), zone)[0]
            self.tally.deleted["days"] += self._delete_days(place, key, zone, before_ns)
        yield

    def _delete_days(self, place: Place, key: int, zone: str, before_ns: int) -> int:
        return self.store.transact(lambda tx: self.store.retention.delete_days(tx, place, key, zone, before_ns, self.now_ns))

    def _drop_others(self) -> Iterator[None]:
        ages = {"requests": self.rules.requests_ns, "messages": self.rules.messages_ns, "quarantined": self.rules.quarantine_ns}
        for kind, age_ns in ages.items():
            deleted = ROWS_AT_ONCE
            while deleted == ROWS_AT_ONCE:
                deleted = self._delete_others(kind, self.now_ns - age_ns)
                self.tally.deleted[kind] += deleted
                yield

    def _delete_others(self, kind: str, before_ns: int) -> int:
        return self.store.transact(lambda tx: self.store.retention.delete_some(tx, kind, before_ns, ROWS_AT_ONCE))
