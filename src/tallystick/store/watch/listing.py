"""Gaps as a list: those that go on, those that stand in the usage, those that later data closed; and how many of each there are."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.model.access import Place
from tallystick.model.instants import HOUR_NS, LATEST_NS
from tallystick.model.silence import GapState, ListedGap, SilenceCounts
from tallystick.model.usage import Filled, GapCause
from tallystick.store.engine import Values
from tallystick.store.section import Section, limited

SOURCES = {
    GapState.OPEN: "SELECT scope_key, resource_key, from_ns, until_ns, filled, cause, noticed_at_ns,"
    " CAST(NULL AS BIGINT) AS closed_at_ns, 'open' AS state FROM gap",
    GapState.CLOSED: "SELECT scope_key, resource_key, from_ns, until_ns, filled, cause, noticed_at_ns, closed_at_ns, 'closed' AS state"
    " FROM gap_log",
    GapState.LIVE: "SELECT scope_key, resource_key, since_ns AS from_ns, CAST(9223372036854775807 AS BIGINT) AS until_ns,"
    " CAST(NULL AS TEXT) AS filled, CASE WHEN cause = 'agent_away' THEN cause ELSE 'unstated' END AS cause, noticed_at_ns,"
    " CAST(NULL AS BIGINT) AS closed_at_ns, 'live' AS state FROM absence WHERE kind = 'resource' AND closed_at_ns IS NULL",
}
STANDING = frozenset({GapState.LIVE, GapState.OPEN})
LATE_NS = 180 * 10**9
"""How far behind its heartbeat an agent may have reported before it is called late: a batch of a minute, and two minutes of backlog."""


class Gaps(Section):
    """Lists and counts."""

    def gaps(
        self,
        place: Place,
        from_ns: int = 0,
        until_ns: int = LATEST_NS,
        *,
        states: frozenset[GapState] = STANDING,
        resource_keys: Sequence[int] | None = None,
        before: tuple[int, int] | None = None,
        limit: int | None = None,
    ) -> list[tuple[int, ListedGap]]:
        """Gaps that reach into [from_ns, until_ns), newest first, with their resources' numbers; `before` is (from_ns, resource_key)."""
        with self._reading(None) as reading:
            which, keys = ("", ()) if resource_keys is None else _among(*reading.each_of("resource_key", list(resource_keys)))
            older = "" if before is None else " AND (from_ns < ? OR (from_ns = ? AND resource_key < ?))"
            at = () if before is None else (before[0], *before)
            scope_key = self._surrogates.scope(reading, place)
            parts = [
                f"SELECT * FROM ({SOURCES[state]}) AS {state.value}_gap WHERE scope_key = ? AND until_ns > ? AND from_ns < ?{which}{older}"
                for state in sorted(states)
            ]
            rows = reading.rows(
                "SELECT g.resource_key, r.resource_id, g.from_ns, g.until_ns, g.filled, g.cause, g.state, g.noticed_at_ns, g.closed_at_ns"
                f" FROM ({' UNION ALL '.join(parts)}) AS g JOIN resource r ON r.resource_key = g.resource_key"
                f" ORDER BY g.from_ns DESC, g.resource_key DESC, g.until_ns DESC, g.closed_at_ns DESC{limited(limit)}",
                (scope_key, from_ns, until_ns, *keys, *at) * len(parts),
            )
        return [(row[0], _listed(row)) for row in rows]

    def counts(self, now_ns: int, away_after_ns: int, offset_limit_ns: int) -> SilenceCounts:
        """How many of everything there are now, over all places: a few statements over what is open, and one over the gaps."""
        with self._reading(None) as reading:
            absent = reading.rows("SELECT kind, cause, COUNT(*) FROM absence WHERE closed_at_ns IS NULL GROUP BY kind, cause ORDER BY 1, 2")
            gaps = reading.rows("SELECT cause, COUNT(*) FROM gap GROUP BY cause ORDER BY cause")
            rest = reading.row(
                "SELECT (SELECT COALESCE(SUM(last_sequence - first_sequence + 1), 0) FROM missing_sequence),"
                " (SELECT COUNT(*) FROM conflict WHERE state = 'open'), (SELECT COUNT(*) FROM dirty_hour WHERE hour_ns < ?)",
                (now_ns - 2 * HOUR_NS,),
            )
            living = reading.row(
                "SELECT COUNT(*),"
                " COALESCE(SUM(CASE WHEN reported_until_ns > 0 AND received_at_ns - reported_until_ns > ? THEN 1 ELSE 0 END), 0),"
                " COALESCE(SUM(CASE WHEN ABS(COALESCE(clock_offset_ns, 0)) > ? THEN 1 ELSE 0 END), 0) FROM agent WHERE received_at_ns >= ?",
                (LATE_NS, offset_limit_ns, now_ns - away_after_ns),
            )
        return SilenceCounts(
            agents=0 if living is None else int(living[0]),
            away=sum(row[2] for row in absent if row[0] == "agent"),
            late=0 if living is None else int(living[1]),
            clocks_off=0 if living is None else int(living[2]),
            resources=tuple((row[1], row[2]) for row in absent if row[0] == "resource"),
            gaps=tuple((row[0], row[1]) for row in gaps),
            missing=0 if rest is None else int(rest[0]),
            conflicts=0 if rest is None else int(rest[1]),
            hours_waiting=0 if rest is None else int(rest[2]),
        )


def _among(clause: str, value: object) -> tuple[str, tuple[object, ...]]:
    return f" AND {clause}", (value,)


def _listed(row: Values) -> ListedGap:
    return ListedGap(
        resource_id=row[1],
        from_ns=row[2],
        until_ns=row[3],
        filled=None if row[4] is None else Filled(row[4]),
        cause=GapCause(row[5]),
        state=GapState(row[6]),
        noticed_at_ns=row[7],
        closed_at_ns=row[8],
    )
