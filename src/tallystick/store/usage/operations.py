"""What can be done with usage: the hours to compute, the hours computed, days and months, gaps, findings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from tallystick.model.access import Place
from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.model.usage import Filled, Gap, GapCause, HoursResult, HourTotals, UsageHour, UsagePeriod
from tallystick.store.batches.marks import lock_resources
from tallystick.store.batches.told import keep_told
from tallystick.store.engine import Tx, Values
from tallystick.store.records import DirtyHour, ReplacedHours
from tallystick.store.section import Section, limited
from tallystick.store.usage import hours, integrals, queries
from tallystick.store.usage.cells import read_cells
from tallystick.store.usage.whole import Whole, whole

LATEST = 2**63 - 1
NOTHING_REPLACED = ReplacedHours(replaced=(), exchanged={}, unknown_until_ns=0)

FINDINGS = (
    "SELECT scope_key, resource_key, at_ns, code, boot_id, record, severity, counters, detail FROM finding UNION ALL"
    " SELECT scope_key, resource_key, at_ns, code, '', record, severity, '[]', detail FROM told_finding"
)
"""The derived ones and the told ones."""


class Usage(Section):
    """Usage of resources. Resources are named by their numbers (`StoredResource.row`, `DirtyHour.resource_key`); None: all of the place."""

    def dirty(
        self, *, limit: int = 1000, after_resource_key: int = 0, place: Place | None = None, until_ns: int = LATEST, tx: Tx | None = None
    ) -> list[DirtyHour]:
        """Hours to be computed that begin before `until_ns`, by resource and hour: those of resources after one by its number.

        A resource whose hours do not all fit is cut off; the rest comes with the next call.
        """
        with self._reading(tx) as reading:
            where, values = ("", ()) if place is None else (" AND d.scope_key = ?", (self._surrogates.scope(reading, place),))
            rows = reading.rows(
                "SELECT s.seller_id, c.scope_id, d.resource_key, r.resource_id, d.hour_ns, d.generation, d.trace FROM dirty_hour d"
                " JOIN resource r ON r.resource_key = d.resource_key JOIN scope c ON c.scope_key = d.scope_key"
                f" JOIN seller s ON s.seller_key = c.seller_key WHERE d.resource_key > ? AND d.hour_ns < ?{where}"
                " ORDER BY d.resource_key, d.hour_ns LIMIT ?",
                (after_resource_key, until_ns, *values, limit),
            )
        return [
            DirtyHour(
                place=Place(seller_id=row[0], scope_id=row[1]),
                resource_key=row[2],
                resource_id=row[3],
                hour_ns=row[4],
                generation=row[5],
                trace=row[6] or "",
            )
            for row in rows
        ]

    def dirty_count(
        self, place: Place | None = None, *, resource_keys: Sequence[int] | None = None, until_ns: int = LATEST, tx: Tx | None = None
    ) -> int:
        """How many hours that begin before `until_ns` wait to be computed."""
        with self._reading(tx) as reading:
            where, values = ("", ()) if place is None else (" AND scope_key = ?", (self._surrogates.scope(reading, place),))
            which, keys = _among(reading, "resource_key", resource_keys)
            row = reading.row(f"SELECT COUNT(*) FROM dirty_hour WHERE hour_ns < ?{where}{which}", (until_ns, *values, *keys))
        return int(row[0]) if row else 0

    def replace_hours(self, tx: Tx, seen: Sequence[DirtyHour], result: HoursResult) -> ReplacedHours:
        """Put computed hours of one resource in the place of those that were stored, with their gaps and findings.

        Only the hours whose mark is still the one that was `seen` are replaced: one marked again since, or computed by another
        worker, is left to the newer. So it does not matter how many workers compute an hour, nor in what order they end.
        The resource is locked: of two workers, each with an hour of one day, the second makes that day of both hours.
        """
        return self.replace_hours_of(tx, [(seen, result)])[0] if seen else NOTHING_REPLACED

    def replace_hours_of(self, tx: Tx, pieces: Sequence[tuple[Sequence[DirtyHour], HoursResult]]) -> list[ReplacedHours]:
        """The same for several pieces, each of one resource, all of one place: with few statements for all of them."""
        scope_key, now_ns = self._surrogates.scope(tx, pieces[0][0][0].place), self._clock.now_ns()
        marks = [mark for seen, _ in pieces for mark in seen]
        keys = sorted({mark.resource_key for mark in marks})
        lock_resources(tx, keys)
        taken = hours.unmark(tx, scope_key, [(mark.resource_key, mark.hour_ns, mark.generation) for mark in marks])
        if not taken:
            return [NOTHING_REPLACED] * len(pieces)
        wanted: dict[tuple[int, int], UsageHour | None] = {}
        ours: list[list[int]] = []
        for seen, result in pieces:
            key, found = seen[0].resource_key, {hour.hour_ns: hour for hour in result.hours}
            ours.append(sorted(mark.hour_ns for mark in seen if (key, mark.hour_ns) in taken))
            wanted.update(((key, hour_ns), found.get(hour_ns)) for hour_ns in ours[-1])
        exchanged = hours.exchange(tx, scope_key, wanted, now_ns)
        first_ns, end_ns = min(hour_ns for _, hour_ns in taken), max(hour_ns for _, hour_ns in taken) + HOUR_NS
        noted = hours.noted(tx, scope_key, keys, first_ns, end_ns)
        replaced = []
        for mine, (seen, result) in zip(ours, pieces, strict=True):
            key, unknown_until_ns = seen[0].resource_key, 0
            if mine and (result.gaps or key in noted):
                unknown_until_ns = self._write_gaps(tx, scope_key, key, mine, result.gaps)
            if mine and (result.findings or key in noted):
                self._write_findings(tx, scope_key, key, mine, result.findings)
            changed = {hour_ns: both for hour_ns, both in exchanged.get(key, {}).items() if hour_ns in mine}
            replaced.append(ReplacedHours(replaced=tuple(mine), exchanged=changed, unknown_until_ns=unknown_until_ns))
        return replaced

    def _write_gaps(self, tx: Tx, scope_key: int, key: int, ours: Sequence[int], gaps: Sequence[Gap]) -> int:
        """Replace the gaps that begin in `ours`; the end of the last unknown one that is new or is no more, or 0."""
        wanted, now_ns = set(ours), self._clock.now_ns()
        new = {
            (gap.from_ns, gap.until_ns): (gap.filled.value, gap.cause.value)
            for gap in gaps
            if gap.from_ns - gap.from_ns % HOUR_NS in wanted
        }
        old = {
            (row[0], row[1]): (row[2], row[3], row[4])
            for row in tx.rows(
                "SELECT from_ns, until_ns, filled, cause, noticed_at_ns FROM gap"
                " WHERE scope_key = ? AND resource_key = ? AND from_ns >= ? AND from_ns < ?",
                (scope_key, key, ours[0], ours[-1] + HOUR_NS),
            )
            if row[0] - row[0] % HOUR_NS in wanted
        }
        closed = [span for span, row in old.items() if span not in new or new[span][0] != row[0]]
        opened = [span for span, row in new.items() if span not in old or old[span][0] != row[0]]
        # A cause that is better known is no other gap.
        tx.many(
            "UPDATE gap SET cause = ? WHERE scope_key = ? AND resource_key = ? AND from_ns = ? AND until_ns = ?",
            [
                (row[1], scope_key, key, *span)
                for span, row in new.items()
                if span in old and old[span][0] == row[0] and old[span][1] != row[1]
            ],
        )
        tx.many(
            "DELETE FROM gap WHERE scope_key = ? AND resource_key = ? AND from_ns = ? AND until_ns = ?",
            [(scope_key, key, *span) for span in closed],
        )
        tx.many(
            "INSERT INTO gap_log (scope_key, resource_key, from_ns, until_ns, filled, cause, noticed_at_ns, closed_at_ns)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(scope_key, key, *span, *old[span], now_ns) for span in closed],
        )
        tx.many(
            "INSERT INTO gap (scope_key, resource_key, from_ns, until_ns, filled, cause, noticed_at_ns) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(scope_key, key, *span, *new[span], now_ns) for span in opened],
        )
        unknown = Filled.UNKNOWN.value
        changed = [span for span in closed if old[span][0] == unknown] + [span for span in opened if new[span][0] == unknown]
        return max((until_ns for _, until_ns in changed), default=0)

    def _write_findings(self, tx: Tx, scope_key: int, key: int, ours: Sequence[int], findings: Sequence[Finding]) -> None:
        wanted = set(ours)
        for first_ns, end_ns in _runs_of(ours):
            tx.run(
                "DELETE FROM finding WHERE scope_key = ? AND resource_key = ? AND at_ns >= ? AND at_ns < ?",
                (scope_key, key, first_ns, end_ns),
            )
        tx.many(
            "INSERT INTO finding (scope_key, resource_key, at_ns, code, boot_id, record, severity, counters, detail)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            [
                (
                    scope_key,
                    key,
                    each.at_ns,
                    each.code.value,
                    each.boot_id,
                    each.record,
                    each.severity.value,
                    json.dumps(each.counters),
                    each.detail,
                )
                for each in findings
                if each.at_ns is not None and each.at_ns - each.at_ns % HOUR_NS in wanted
            ],
        )

    def hours(
        self,
        place: Place,
        from_ns: int = 0,
        until_ns: int = LATEST,
        *,
        resource_keys: Sequence[int] | None = None,
        before: tuple[int, int] | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> list[tuple[int, UsageHour]]:
        """Hours that begin in [from_ns, until_ns) with their resources' numbers: without a `limit` by resource and hour.

        With a `limit`, newest first: by hour, then by resource number, both falling; `before` goes on after (hour_ns, resource_key).
        """
        with self._reading(tx) as reading:
            which, keys = _among(reading, "h.resource_key", resource_keys)
            older, at = (
                ("", ()) if before is None else (" AND (h.hour_ns < ? OR (h.hour_ns = ? AND h.resource_key < ?))", (before[0], *before))
            )
            order = "h.resource_key, h.hour_ns" if limit is None else "h.hour_ns DESC, h.resource_key DESC"
            rows = reading.rows(
                "SELECT h.resource_key, r.resource_id, h.hour_ns, h.cells, h.samples, h.memory_peak_bytes FROM usage_hour h"
                " JOIN resource r ON r.resource_key = h.resource_key"
                f" WHERE h.scope_key = ? AND h.hour_ns >= ? AND h.hour_ns < ?{which}{older} ORDER BY {order}{limited(limit)}",
                (self._surrogates.scope(reading, place), from_ns, until_ns, *keys, *at),
            )
        return [(row[0], _hour(row)) for row in rows]

    def hour_totals(
        self, place: Place, from_ns: int, until_ns: int, *, resource_keys: Sequence[int], tx: Tx | None = None
    ) -> list[tuple[int, HourTotals]]:
        """What the hours add up to that begin in [from_ns, until_ns), by resource number and hour: their cells stay closed."""
        with self._reading(tx) as reading:
            rows = hours.total_rows(reading, self._surrogates.scope(reading, place), resource_keys, from_ns, until_ns)
            return [(row[0], hours.read_totals(reading, row)) for row in rows]

    def with_unknown_gaps(self, tx: Tx, place: Place, resource_keys: Sequence[int], from_ns: int, until_ns: int) -> set[int]:
        """The resources of which something in [from_ns, until_ns) is unknown."""
        return hours.with_unknown_gaps(tx, self._surrogates.scope(tx, place), resource_keys, from_ns, until_ns)

    def whole(self, tx: Tx, place: Place, resource_keys: Sequence[int], span: tuple[int, int], known_until_ns: int) -> dict[int, Whole]:
        """By resource number, what tells whether sums over a span say as much as its hours that began before an instant."""
        return whole(tx, self._surrogates.scope(tx, place), resource_keys, span, known_until_ns)

    def totals(
        self, place: Place, from_ns: int, until_ns: int, *, resource_keys: Sequence[int] | None = None, tx: Tx | None = None
    ) -> dict[int, tuple[dict[str, int], dict[str, int]]]:
        """Exact totals and estimated parts by stored meter over the whole hours that begin in [from_ns, until_ns), by resource number."""
        with self._reading(tx) as reading:
            which, keys = _among(reading, "resource_key", resource_keys)
            rows = reading.rows(
                f"SELECT resource_key, {integrals.summed(reading)} FROM usage_hour"
                f" WHERE scope_key = ? AND hour_ns >= ? AND hour_ns < ?{which} GROUP BY resource_key ORDER BY resource_key",
                (self._surrogates.scope(reading, place), from_ns, until_ns, *keys),
            )
            return {row[0]: integrals.read_sums(reading, row[1:]) for row in rows}

    def gaps(
        self,
        place: Place,
        from_ns: int = 0,
        until_ns: int = LATEST,
        *,
        resource_keys: Sequence[int] | None = None,
        before: tuple[int, int] | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> list[tuple[int, Gap]]:
        """Gaps that reach into [from_ns, until_ns), newest first, with their resources' numbers; `before` is (from_ns, resource_key)."""
        with self._reading(tx) as reading:
            which, keys = _among(reading, "g.resource_key", resource_keys)
            older, at = _before("g.from_ns", "g.resource_key", before)
            rows = reading.rows(
                "SELECT g.resource_key, r.resource_id, g.from_ns, g.until_ns, g.filled, g.cause FROM gap g"
                " JOIN resource r ON r.resource_key = g.resource_key"
                f" WHERE g.scope_key = ? AND g.until_ns > ? AND g.from_ns < ?{which}{older}"
                f" ORDER BY g.from_ns DESC, g.resource_key DESC, g.until_ns DESC{limited(limit)}",
                (self._surrogates.scope(reading, place), from_ns, until_ns, *keys, *at),
            )
        return [
            (row[0], Gap(resource_id=row[1], from_ns=row[2], until_ns=row[3], filled=Filled(row[4]), cause=GapCause(row[5])))
            for row in rows
        ]

    def findings(
        self,
        place: Place,
        from_ns: int = 0,
        until_ns: int = LATEST,
        *,
        resource_keys: Sequence[int] | None = None,
        before: tuple[int, int] | None = None,
        limit: int | None = None,
        tx: Tx | None = None,
    ) -> list[tuple[int, Finding]]:
        """Findings of [from_ns, until_ns), derived and told, newest first, with their resources' numbers; `before` is (at_ns,
        resource_key).
        """  # noqa: D205 (the order is one sentence)
        with self._reading(tx) as reading:
            which, keys = _among(reading, "f.resource_key", resource_keys)
            older, at = _before("f.at_ns", "f.resource_key", before)
            rows = reading.rows(
                "SELECT f.resource_key, r.resource_id, f.at_ns, f.code, f.boot_id, f.record, f.severity, f.counters, f.detail"
                f" FROM ({FINDINGS}) f JOIN resource r ON r.resource_key = f.resource_key"
                f" WHERE f.scope_key = ? AND f.at_ns >= ? AND f.at_ns < ?{which}{older}"
                f" ORDER BY f.at_ns DESC, f.resource_key DESC, f.code, f.boot_id, f.record{limited(limit)}",
                (self._surrogates.scope(reading, place), from_ns, until_ns, *keys, *at),
            )
        return [(row[0], _finding(row)) for row in rows]

    def tell(self, tx: Tx, place: Place, findings: Sequence[Finding], received_at_ns: int) -> None:
        """Keep findings that a source told beside what it sent, each once; they stay when their hour is computed again."""
        scope_key = self._surrogates.scope(tx, place)
        keys = self._surrogates.resources(tx, scope_key, {each.resource_id for each in findings}, received_at_ns)
        keep_told(tx, scope_key, keys, findings, received_at_ns)

    def replace_periods(self, tx: Tx, place: Place, kind: str, periods: Iterable[tuple[int, UsagePeriod]]) -> None:
        """Keep usage days (`kind` `day`) or months (`month`) by their resources' numbers, in the place of those that are there."""
        table = {"day": "usage_day", "month": "usage_month"}[kind]
        scope_key, now_ns = self._surrogates.scope(tx, place), self._clock.now_ns()
        names = (
            *("scope_key", "resource_key", "start_ns", "zone", "customer_id", "end_ns", "date"),
            *integrals.columns(tx),
            *("samples", "memory_peak_bytes", "runs", "unknown_ns", "computed_at_ns"),
        )
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[5:])
        rows = [
            (
                *(scope_key, key, each.start_ns, each.zone, each.customer_id, each.end_ns, each.date),
                *integrals.written(tx, each.totals, each.estimated),
                *(each.samples, each.memory_peak_bytes, each.runs, each.unknown_ns, now_ns),
            )
            for key, each in periods
        ]
        tx.many(
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' for _ in names)})"
            f" ON CONFLICT (scope_key, resource_key, start_ns, zone, customer_id) DO UPDATE SET {changes}",
            rows,
        )

    def drop_periods(self, tx: Tx, place: Place, kind: str, periods: Iterable[tuple[int, UsagePeriod]]) -> None:
        """Delete usage days or months, named by their resources' numbers and what they are of."""
        table = {"day": "usage_day", "month": "usage_month"}[kind]
        scope_key = self._surrogates.scope(tx, place)
        tx.many(
            f"DELETE FROM {table} WHERE scope_key = ? AND resource_key = ? AND start_ns = ? AND zone = ? AND customer_id = ?",
            [(scope_key, key, each.start_ns, each.zone, each.customer_id) for key, each in periods],
        )

    def periods(
        self,
        place: Place,
        kind: str,
        from_ns: int,
        until_ns: int,
        *,
        resource_keys: Sequence[int] | None = None,
        end_after_ns: int = 0,
        tx: Tx | None = None,
    ) -> list[tuple[int, UsagePeriod]]:
        """Usage days (`kind` `day`) or months (`month`) that begin in [from_ns, until_ns), by resource number and instant.

        Those that end at `end_after_ns` or before are left out.
        """
        table = {"day": "usage_day", "month": "usage_month"}[kind]
        with self._reading(tx) as reading:
            which, keys = _among(reading, "u.resource_key", resource_keys)
            exact = ", ".join(f"u.{name}" for name in integrals.columns(reading))
            rows = reading.rows(
                "SELECT u.resource_key, r.resource_id, u.start_ns, u.end_ns, u.zone, u.customer_id, u.date, u.samples, u.memory_peak_bytes,"
                f" u.runs, u.unknown_ns, {exact} FROM {table} u JOIN resource r ON r.resource_key = u.resource_key"
                f" WHERE u.scope_key = ? AND u.start_ns >= ? AND u.start_ns < ? AND u.end_ns > ?{which}"
                " ORDER BY u.resource_key, u.start_ns, u.customer_id",
                (self._surrogates.scope(reading, place), from_ns, until_ns, end_after_ns, *keys),
            )
            return [(row[0], _period(reading, row)) for row in rows]

    def sums_of(self, tx: Tx, place: Place, kind: str, customer_id: str, zone: str, span: tuple[int, int]) -> list[UsagePeriod] | None:
        """What each resource of a customer adds up to over the whole days or months of a zone that a span is made of, by its number.

        None: a day or month of it reaches into the span that is of another zone, or beyond the span: then hours have to be summed.
        """
        table, scope_key = {"day": "usage_day", "month": "usage_month"}[kind], self._surrogates.scope(tx, place)
        if queries.strange_to(tx, scope_key, table, customer_id, zone, span):
            return None
        found = []
        for row in queries.sums_of(tx, scope_key, table, customer_id, zone, span):
            totals, estimated = integrals.read_sums(tx, row[6:])
            found.append(
                UsagePeriod(
                    resource_id=row[1],
                    customer_id=customer_id,
                    zone=zone,
                    date="",
                    start_ns=span[0],
                    end_ns=span[1],
                    totals=totals,
                    estimated=estimated,
                    samples=int(row[2]),
                    memory_peak_bytes=row[3],
                    runs=int(row[4]),
                    unknown_ns=int(row[5]),
                )
            )
        return found

    def waiting_of(self, tx: Tx, place: Place, customer_id: str, from_ns: int, until_ns: int) -> int:
        """How many hours of resources that are or were a customer's wait to be computed."""
        return queries.waiting_of(tx, self._surrogates.scope(tx, place), customer_id, from_ns, until_ns)

    def resources_of(self, tx: Tx, place: Place, customer_id: str) -> dict[int, str]:
        """The resources that are or were a customer's: their ids by number."""
        return queries.resources_of(tx, self._surrogates.scope(tx, place), customer_id)

    def owned_by(self, tx: Tx, place: Place, customers: Sequence[str]) -> tuple[queries.Owned, ...]:
        """The resources that are or were some customers', in every scope of the seller, in order of scopes and numbers."""
        rows = queries.owned_by(tx, self._surrogates.seller(tx, place), customers)
        names = ("customer_id", "key", "resource_id", "first_ns", "hours_until_ns")
        return tuple(queries.Owned(place=replace(place, scope_id=row[0]), **dict(zip(names, row[1:], strict=True))) for row in rows)

    def changed_since(
        self, tx: Tx, place: Place, resource_keys: Sequence[int], from_ns: int, computed_after_ns: int, *, limit: int
    ) -> list[tuple[int, int, UsageHour]]:
        """Hours from `from_ns` on that were computed after an instant: resource number, instant, hour; in the order of the instants."""
        scope_key = self._surrogates.scope(tx, place)
        rows = queries.changed_since(tx, scope_key, resource_keys, from_ns, computed_after_ns, limit)
        return [(row[0], row[6], _hour(row)) for row in rows]

    def first_hour(self, place: Place, resource_keys: Sequence[int], *, tx: Tx | None = None) -> int | None:
        """The first hour with usage of some resources, or None; also if it is deleted by now: contracts begin there."""
        with self._reading(tx) as reading:
            which, keys = _among(reading, "resource_key", resource_keys)
            scope_key = self._surrogates.scope(reading, place)
            row = reading.row(
                f"SELECT MIN(at_ns) FROM (SELECT MIN(hour_ns) AS at_ns FROM usage_hour WHERE scope_key = ?{which}"
                f" UNION ALL SELECT MIN(first_hour_ns) FROM resource WHERE scope_key = ?{which}) AS firsts",
                (scope_key, *keys) * 2,
            )
        return None if row is None or row[0] is None else int(row[0])

    def last_hour(self, place: Place, *, tx: Tx | None = None) -> int | None:
        """The last hour with stored usage of a place, or None."""
        with self._reading(tx) as reading:
            row = reading.row("SELECT MAX(hour_ns) FROM usage_hour WHERE scope_key = ?", (self._surrogates.scope(reading, place),))
        return None if row is None or row[0] is None else int(row[0])


def _runs_of(hours: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Neighbouring hours as spans."""
    first = last = hours[0]
    for hour_ns in hours[1:]:
        if hour_ns != last + HOUR_NS or hour_ns - first > 366 * DAY_NS:
            yield first, last + HOUR_NS
            first = hour_ns
        last = hour_ns
    yield first, last + HOUR_NS


def _among(tx: Tx, column: str, keys: Sequence[int] | None) -> tuple[str, tuple[Any, ...]]:
    if keys is None:
        return "", ()
    clause, value = tx.each_of(column, list(keys))
    return f" AND {clause}", (value,)


def _before(instant: str, key: str, before: tuple[int, int] | None) -> tuple[str, tuple[int, ...]]:
    return ("", ()) if before is None else (f" AND ({instant} < ? OR ({instant} = ? AND {key} < ?))", (before[0], *before))


def _hour(row: Values) -> UsageHour:
    cells, estimated, runs = read_cells(bytes(row[3]))
    return UsageHour(
        resource_id=row[1], hour_ns=row[2], cells=cells, estimated=estimated, samples=row[4], memory_peak_bytes=row[5], runs=runs
    )


def _finding(row: Values) -> Finding:
    return Finding(
        code=FindingCode(row[3]),
        severity=Severity(row[6]),
        resource_id=row[1],
        boot_id=row[4],
        at_ns=row[2],
        counters=tuple(json.loads(row[7])),
        record=row[5],
        detail=row[8],
    )


def _period(tx: Tx, row: Values) -> UsagePeriod:
    totals, estimated = integrals.read(tx, row[11:])
    return UsagePeriod(
        resource_id=row[1],
        customer_id=row[5],
        zone=row[4],
        date=row[6],
        start_ns=row[2],
        end_ns=row[3],
        totals=totals,
        estimated=estimated,
        samples=row[7],
        memory_peak_bytes=row[8],
        runs=row[9],
        unknown_ns=row[10],
    )
