"""Declared unavailability: kept for ever, and what was withdrawn counts no more."""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.model.access import Place
from tallystick.model.billing.outages import DeclaredOutage
from tallystick.model.instants import iso
from tallystick.store.documents import read_document, write_document
from tallystick.store.engine import Tx, Values
from tallystick.store.records import NotFound
from tallystick.store.section import Section, newest
from tallystick.store.service.audit import append

COLUMNS = "outage_key, document, created_at_ns, withdrawn_at_ns, withdrawal"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutage:
    """A declared outage with the number of its row, by which lists go on; and when and why it was withdrawn, if it was."""

    row: int
    outage: DeclaredOutage
    created_at_ns: int
    withdrawn_at_ns: int | None
    withdrawal: str


class Outages(Section):
    """What was declared of the resources of a place."""

    def declare(self, place: Place, outage: DeclaredOutage, *, actor: str, tx: Tx | None = None) -> bool:
        """Keep an outage; false, and nothing happens, if its id is taken."""
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            made = writing.run(
                "INSERT INTO outage (scope_key, outage_id, from_ns, until_ns, document, created_at_ns) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (
                    *(self._surrogates.scope(writing, place), outage.id, outage.from_ns, outage.until_ns),
                    *(write_document(outage), now_ns),
                ),
            )
            if made:
                details: dict[str, object] = {"from": iso(outage.from_ns), "until": iso(outage.until_ns), "cause": outage.cause}
                details |= {"resources": outage.resources, "region": outage.region, "labels": outage.labels, "reason": outage.reason}
                append(writing, self._surrogates.seller(writing, place), now_ns, actor, "outage.declare", outage.id, details)
        return made == 1

    def withdraw(self, place: Place, outage_id: str, *, actor: str, reason: str, tx: Tx | None = None) -> StoredOutage:
        """Let an outage count no more; one that was withdrawn stays as it is.

        Raises:
            NotFound: there is no such outage.

        """
        now_ns = self._clock.now_ns()
        with self._writing(tx) as writing:
            changed = writing.run(
                "UPDATE outage SET withdrawn_at_ns = ?, withdrawal = ? WHERE scope_key = ? AND outage_id = ? AND withdrawn_at_ns IS NULL",
                (now_ns, reason, self._surrogates.scope(writing, place), outage_id),
            )
            if changed:
                seller_key = self._surrogates.seller(writing, place)
                append(writing, seller_key, now_ns, actor, "outage.withdraw", outage_id, {"reason": reason})
            found = self.outage(place, outage_id, tx=writing)
        if found is None:
            raise NotFound(f"outage {outage_id!r}")
        return found

    def outage(self, place: Place, outage_id: str, *, tx: Tx | None = None) -> StoredOutage | None:
        """An outage by its id, or None."""
        with self._reading(tx) as reading:
            row = reading.row(
                f"SELECT {COLUMNS} FROM outage WHERE scope_key = ? AND outage_id = ?", (self._surrogates.scope(reading, place), outage_id)
            )
        return None if row is None else _stored(row)

    def outages(self, place: Place, *, before: int | None = None, limit: int | None = None, tx: Tx | None = None) -> list[StoredOutage]:
        """All outages, declared last first; also those that were withdrawn."""
        with self._reading(tx) as reading:
            select = f"SELECT {COLUMNS} FROM outage WHERE scope_key = ?"
            rows = newest(reading, select, (self._surrogates.scope(reading, place),), "outage_key", before, limit)
        return [_stored(row) for row in rows]

    def counted(self, place: Place, from_ns: int, until_ns: int, *, tx: Tx | None = None) -> list[DeclaredOutage]:
        """What was declared of some part of [from_ns, until_ns) and not withdrawn, in order of time."""
        with self._reading(tx) as reading:
            rows = reading.rows(
                "SELECT document FROM outage WHERE scope_key = ? AND until_ns > ? AND from_ns < ? AND withdrawn_at_ns IS NULL"
                " ORDER BY from_ns, outage_key",
                (self._surrogates.scope(reading, place), from_ns, until_ns),
            )
        return [read_document(DeclaredOutage, row[0]) for row in rows]


def _stored(row: Values) -> StoredOutage:
    return StoredOutage(
        row=row[0],
        outage=read_document(DeclaredOutage, row[1]),
        created_at_ns=row[2],
        withdrawn_at_ns=row[3],
        withdrawal=row[4] or "",
    )
