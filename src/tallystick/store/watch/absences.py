"""What can be done with absences: who is expected and was last seen when, who is away since when, and that somebody lets it be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tallystick.model.access import Place
from tallystick.model.silence import Absence, AbsenceCause, AbsenceEnd, AbsenceKind, Changes, SeenAgent, SeenResource
from tallystick.store.batches.marks import Marks, mark
from tallystick.store.engine import Tx, Values
from tallystick.store.records import NotFound
from tallystick.store.section import Section, newest
from tallystick.store.service.audit import append, tell

TOPICS = {
    (AbsenceKind.AGENT, True): "metering.agent_away",
    (AbsenceKind.AGENT, False): "metering.agent_back",
    (AbsenceKind.RESOURCE, True): "metering.resource_silent",
    (AbsenceKind.RESOURCE, False): "metering.resource_back",
}
"""The topic of the event in the outbox, by who it is and whether the absence opens."""
COLUMNS = "absence_key, kind, subject, instance_id, cause, since_ns, noticed_at_ns, closed_at_ns, ended, actor, reason, resource_key"
MOST_AT_ONCE = 100
"""How many absences open or close in one transaction: 3 ms on SQLite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAbsence:
    """An absence with its number, by which lists go on, and who let it be, and why."""

    row: int
    absence: Absence
    resource_key: int | None
    actor: str
    reason: str


class Absences(Section):
    """Agents and resources that are away."""

    def agents(self, place: Place, heard_since_ns: int, *, tx: Tx | None = None) -> list[SeenAgent]:
        """The agents heard from since an instant, and those before whose absence has not ended: it is open, or not noticed yet."""
        with self._reading(tx) as reading:
            rows = reading.rows(
                "SELECT a.agent_key, a.instance_id, a.received_at_ns, a.reported_until_ns, a.active, a.key_id FROM agent a"
                " WHERE a.scope_key = ? AND (a.received_at_ns >= ? OR NOT EXISTS (SELECT 1 FROM absence x WHERE x.scope_key = a.scope_key"
                " AND x.kind = 'agent' AND x.subject = a.instance_id AND x.cause = 'agent_away' AND x.since_ns = a.received_at_ns"
                " AND x.closed_at_ns IS NOT NULL)) ORDER BY a.agent_key",
                (self._surrogates.scope(reading, place), heard_since_ns),
            )
        return [
            SeenAgent(
                row=row[0],
                instance_id=row[1],
                received_at_ns=row[2],
                reported_until_ns=row[3],
                active=tuple(json.loads(row[4])),
                key_id=row[5] or "",
            )
            for row in rows
        ]

    def resources(self, place: Place, *, tx: Tx | None = None) -> list[SeenResource]:
        """The resources that are expected (`expect`), each with its last sample and whether an end of it was told."""
        with self._reading(tx) as reading:
            scope_key = self._surrogates.scope(reading, place)
            rows = reading.rows(
                "SELECT r.resource_key, r.resource_id, p.instance_id, p.listed_at_ns, b.last_at_ns, b.last_interval_ns, r.event_at_ns"
                " FROM presence p JOIN resource r ON r.resource_key = p.resource_key LEFT JOIN boot b"
                " ON b.boot_key = CASE WHEN r.latest_boot_key > 0 THEN r.latest_boot_key"
                " ELSE (SELECT l.boot_key FROM boot l WHERE l.scope_key = r.scope_key AND l.resource_key = r.resource_key"
                " AND l.last_at_ns IS NOT NULL ORDER BY l.last_at_ns DESC LIMIT 1) END"
                " WHERE p.scope_key = ?",
                (scope_key,),
            )
            # Only of those with a notice since their last sample it must be asked what it said.
            told = {row[0]: row[4] or row[3] for row in rows if row[6] is not None and row[6] >= (row[4] or row[3])}
            stopped = self._stopped(reading, scope_key, told)
            deleted = self._deleted(reading, scope_key)
        return [
            SeenResource(
                resource_id=row[1],
                instance_id=row[2],
                listed_at_ns=row[3],
                last_sample_ns=row[4],
                interval_ns=row[5] or 0,
                ended=row[0] in stopped or deleted.get(row[0], -1) >= (row[4] or 0),
            )
            for row in rows
        ]

    def _stopped(self, tx: Tx, scope_key: int, since: Mapping[int, int]) -> set[int]:
        """Those whose latest start or stop, since their last sample, is a stop."""
        if not since:
            return set()
        clause, value = tx.each_of("resource_key", list(since))
        latest: dict[int, tuple[int, str]] = {}
        for key, kind, at_ns in tx.rows(
            f"SELECT resource_key, kind, MAX(at_ns) FROM lifecycle_event WHERE scope_key = ? AND {clause}"
            " AND kind IN ('started', 'stopped') GROUP BY resource_key, kind",
            (scope_key, value),
        ):
            if at_ns >= since[key]:
                latest[key] = max(latest.get(key, (0, "")), (at_ns, kind))
        return {key for key, (_, kind) in latest.items() if kind == "stopped"}

    def _deleted(self, tx: Tx, scope_key: int) -> dict[int, int]:
        """When those that were declared deleted were, the last time."""
        rows = tx.rows(
            "SELECT f.resource_key, MAX(f.at_ns) FROM presence p JOIN resource_fact f ON f.scope_key = p.scope_key AND f.resource_key ="
            " p.resource_key WHERE p.scope_key = ? AND f.deleted = 1 GROUP BY f.resource_key",
            (scope_key,),
        )
        return {row[0]: row[1] for row in rows}

    def expect(self, place: Place, listed: Mapping[str, str], ended: Sequence[str], now_ns: int) -> int:
        """Expect the resources that living agents list (by their instance), until their end is told of; how many changed.

        Each transaction is short. A resource that another agent lists now is that one's; a listed one that has ended is expected
        anew only once it is listed again after its end was noted.
        """
        with self._database.read() as reading:
            scope_key = self._surrogates.scope(reading, place)
            known = {
                row[0]: row[1]
                for row in reading.rows(
                    "SELECT r.resource_id, p.instance_id FROM presence p JOIN resource r ON r.resource_key = p.resource_key"
                    " WHERE p.scope_key = ?",
                    (scope_key,),
                )
            }
        gone = sorted(set(ended) & known.keys())
        fresh = sorted(name for name, instance_id in listed.items() if known.get(name) != instance_id and name not in set(ended))
        changes = [(name, True) for name in gone] + [(name, False) for name in fresh]
        for start in range(0, len(changes), MOST_AT_ONCE):
            some = changes[start : start + MOST_AT_ONCE]
            leave = [name for name, ends in some if ends]
            enter = {name: listed[name] for name, ends in some if not ends}
            self._database.transact(partial(self._expect, scope_key=scope_key, gone=leave, fresh=enter, now_ns=now_ns))
        return len(changes)

    def _expect(self, tx: Tx, scope_key: int, gone: Sequence[str], fresh: Mapping[str, str], now_ns: int) -> None:
        keys = self._surrogates.resources(tx, scope_key, [*gone, *fresh], now_ns)
        tx.many("DELETE FROM presence WHERE scope_key = ? AND resource_key = ?", [(scope_key, keys[name]) for name in gone])
        tx.many(
            "INSERT INTO presence (scope_key, resource_key, instance_id, listed_at_ns) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (scope_key, resource_key) DO UPDATE SET instance_id = excluded.instance_id",
            [(scope_key, keys[name], instance_id, now_ns) for name, instance_id in sorted(fresh.items())],
        )

    def apply(self, place: Place, changes: Changes, now_ns: int) -> tuple[int, int]:
        """Close and open absences, each with its event; (opened, closed), those that another worker was first with left out.

        Where a closing tells of the cause of a gap that is computed already, its hour is marked. A few at a time are one transaction.
        """
        opened = closed = 0
        for start in range(0, len(changes.closed), MOST_AT_ONCE):
            some = changes.closed[start : start + MOST_AT_ONCE]
            closed += self._database.transact(partial(self._close_all, place=place, some=some, now_ns=now_ns))
        for start in range(0, len(changes.opened), MOST_AT_ONCE):
            few = changes.opened[start : start + MOST_AT_ONCE]
            opened += self._database.transact(partial(self._open_all, place=place, few=few))
        return opened, closed

    def _close_all(self, tx: Tx, place: Place, some: Sequence[tuple[Absence, AbsenceEnd]], now_ns: int) -> int:
        return sum(self._close(tx, place, absence, end, now_ns) for absence, end in some)

    def _open_all(self, tx: Tx, place: Place, few: Sequence[Absence]) -> int:
        return sum(self._open(tx, place, absence) for absence in few)

    def _open(self, tx: Tx, place: Place, one: Absence) -> bool:
        scope_key = self._surrogates.scope(tx, place)
        key = None if one.kind is AbsenceKind.AGENT else self._surrogates.found_resource(tx, scope_key, one.subject)
        row = (scope_key, one.kind.value, one.subject, key, one.instance_id, one.cause.value, one.since_ns, one.noticed_at_ns)
        made = tx.run(
            "INSERT INTO absence (scope_key, kind, subject, resource_key, instance_id, cause, since_ns, noticed_at_ns)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            row,
        )
        # Of an agent that is away one event tells, not one more for each of its resources.
        if made and (one.kind is AbsenceKind.AGENT or one.cause is AbsenceCause.SILENT):
            _tell(tx, scope_key, place, one, one.noticed_at_ns, {"since_ns": one.since_ns, "cause": one.cause.value})
        return made == 1

    def _close(self, tx: Tx, place: Place, one: Absence, end: AbsenceEnd, now_ns: int, actor: str = "", reason: str = "") -> bool:
        scope_key = self._surrogates.scope(tx, place)
        done = tx.run(
            "UPDATE absence SET closed_at_ns = ?, ended = ?, actor = ?, reason = ? WHERE scope_key = ? AND kind = ? AND subject = ?"
            " AND cause = ? AND since_ns = ? AND closed_at_ns IS NULL",
            (now_ns, end.value, actor or None, reason or None, scope_key, one.kind.value, one.subject, one.cause.value, one.since_ns),
        )
        if not done:
            return False
        if one.kind is AbsenceKind.AGENT or one.cause is AbsenceCause.SILENT:
            told = {"since_ns": one.since_ns, "closed_at_ns": now_ns, "ended": end.value, "cause": one.cause.value}
            _tell(tx, scope_key, place, one, now_ns, told, opens=False)
        if one.kind is AbsenceKind.RESOURCE and one.cause is AbsenceCause.AGENT_AWAY:
            self._mark_gaps(tx, scope_key, one, now_ns)
        return True

    def _mark_gaps(self, tx: Tx, scope_key: int, one: Absence, now_ns: int) -> None:
        key = self._surrogates.found_resource(tx, scope_key, one.subject)
        if key is None:
            return
        marks = Marks()
        for (from_ns,) in tx.rows(
            "SELECT from_ns FROM gap WHERE scope_key = ? AND resource_key = ? AND from_ns < ? AND until_ns > ?"
            " AND cause IN ('unstated', 'restart')",
            (scope_key, key, now_ns, one.since_ns),
        ):
            marks.add(key, from_ns, from_ns)
        mark(tx, scope_key, marks)

    def dismiss(self, place: Place, row: int, *, actor: str, reason: str) -> StoredAbsence:
        """Let an open absence be: it ends now, with its entry in the audit log, and is not noticed again until there was a sign of life.

        Raises:
            NotFound: there is no such absence.

        """
        now_ns = self._clock.now_ns()
        with self._database.write() as tx:
            found = self._one(tx, place, row)
            if found.absence.closed_at_ns is None and self._close(tx, place, found.absence, AbsenceEnd.DISMISSED, now_ns, actor, reason):
                details = {"kind": found.absence.kind.value, "since_ns": found.absence.since_ns, "reason": reason}
                append(tx, self._surrogates.seller(tx, place), now_ns, actor, "absence.dismiss", found.absence.subject, details)
            return self._one(tx, place, row)

    def _one(self, tx: Tx, place: Place, row: int) -> StoredAbsence:
        found = tx.row(f"SELECT {COLUMNS} FROM absence WHERE scope_key = ? AND absence_key = ?", (self._surrogates.scope(tx, place), row))
        if found is None:
            raise NotFound(f"absence {row}")
        return _absence(found)

    def open(self, place: Place, *, tx: Tx | None = None) -> list[StoredAbsence]:
        """Those that go on, those noticed last first."""
        with self._reading(tx) as reading:
            rows = reading.rows(
                f"SELECT {COLUMNS} FROM absence WHERE scope_key = ? AND closed_at_ns IS NULL ORDER BY absence_key DESC",
                (self._surrogates.scope(reading, place),),
            )
        return [_absence(row) for row in rows]

    def list(
        self, place: Place, *, only_open: bool = False, before: int | None = None, limit: int | None = None, tx: Tx | None = None
    ) -> Sequence[StoredAbsence]:
        """Absences, those noticed last first; `before` goes on after the row of that number."""
        with self._reading(tx) as reading:
            select = f"SELECT {COLUMNS} FROM absence WHERE scope_key = ?{' AND closed_at_ns IS NULL' if only_open else ''}"
            rows = newest(reading, select, (self._surrogates.scope(reading, place),), "absence_key", before, limit)
        return [_absence(row) for row in rows]


def _tell(tx: Tx, scope_key: int, place: Place, one: Absence, now_ns: int, told: Mapping[str, object], *, opens: bool = True) -> None:
    body = {"scope": place.scope_id, "kind": one.kind.value, "subject": one.subject, "agent": one.instance_id, **told}
    tell(tx, scope_key, TOPICS[one.kind, opens], one.subject, body, now_ns)


def _absence(row: Values) -> StoredAbsence:
    return StoredAbsence(
        row=row[0],
        absence=Absence(
            kind=AbsenceKind(row[1]),
            subject=row[2],
            instance_id=row[3],
            cause=AbsenceCause(row[4]),
            since_ns=row[5],
            noticed_at_ns=row[6],
            closed_at_ns=row[7],
            ended=None if row[8] is None else AbsenceEnd(row[8]),
        ),
        resource_key=row[11],
        actor=row[9] or "",
        reason=row[10] or "",
    )
