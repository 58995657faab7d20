"""Jobs as rows, unique by (job, scope, period): claimed with a lease by the database's clock, done under a fence."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.store.engine import Tx
from tallystick.store.records import Fence, JobRun, LostLease
from tallystick.store.section import Section

NOW_MS = {
    True: "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    False: "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
}
"""The database's clock in milliseconds since the epoch, on SQLite (true) and on PostgreSQL."""


class Jobs(Section):
    """What is to be done once, on whatever worker."""

    def claim(self, job: str, scope: str, period: str, owner: str, lease_seconds: int, *, tx: Tx | None = None) -> Fence | None:
        """Claim a job that nobody has: it is new, or failed, or its owner's lease is over. None: it is done, or another's.

        Each claim has a higher fence than the one before: an owner that lost its lease cannot mark it done.
        """
        with self._writing(tx) as writing:
            now = NOW_MS[writing.is_sqlite]
            row = writing.row(
                "INSERT INTO job_run (job, scope, period, state, owner, fence, lease_until_ms, attempts, claimed_at_ms)"
                f" VALUES (?, ?, ?, 'run', ?, 1, {now} + ?, 1, {now}) ON CONFLICT (job, scope, period) DO UPDATE SET"
                " state = 'run', owner = excluded.owner, fence = job_run.fence + 1, lease_until_ms = excluded.lease_until_ms,"
                " attempts = job_run.attempts + 1, claimed_at_ms = excluded.claimed_at_ms"
                f" WHERE job_run.state <> 'done' AND job_run.lease_until_ms <= {now} RETURNING fence",
                (job, scope, period, owner, lease_seconds * 1000),
            )
        return None if row is None else Fence(job=job, scope=scope, period=period, owner=owner, fence=row[0])

    def extend(self, fence: Fence, lease_seconds: int, *, tx: Tx | None = None) -> None:
        """Keep a job for longer.

        Raises:
            LostLease: another has it.

        """
        with self._writing(tx) as writing:
            self._touch(writing, fence, f"lease_until_ms = {NOW_MS[writing.is_sqlite]} + ?", (lease_seconds * 1000,))

    def done(self, tx: Tx, fence: Fence) -> None:
        """Mark a job done, in the transaction of its results.

        Raises:
            LostLease: another has it; the transaction must not be committed.

        """
        now = NOW_MS[tx.is_sqlite]
        self._touch(tx, fence, f"state = 'done', failure = NULL, lease_until_ms = 0, done_at_ms = {now}", ())

    def failed(self, fence: Fence, failure: str, retry_seconds: int, *, tx: Tx | None = None) -> None:
        """Give a job up: it can be claimed again after `retry_seconds`. Nothing happens if another has it."""
        with self._writing(tx) as writing:
            now = NOW_MS[writing.is_sqlite]
            writing.run(
                f"UPDATE job_run SET state = 'failed', failure = ?, lease_until_ms = {now} + ?"
                " WHERE job = ? AND scope = ? AND period = ? AND owner = ? AND fence = ? AND state = 'run'",
                (failure, retry_seconds * 1000, fence.job, fence.scope, fence.period, fence.owner, fence.fence),
            )

    def is_done(self, job: str, scope: str, period: str, *, tx: Tx | None = None) -> bool:
        """Whether a job is done."""
        with self._reading(tx) as reading:
            row = reading.row("SELECT state FROM job_run WHERE job = ? AND scope = ? AND period = ?", (job, scope, period))
        return row is not None and row[0] == "done"

    def due(self, job: str, runs: Sequence[tuple[str, str]], *, idle: bool = True, tx: Tx | None = None) -> list[tuple[str, str]]:
        """Those (scope, period) of a job that are not done and, if they have to be `idle`, that nobody works at; in their order."""
        with self._reading(tx) as reading:
            clause, scopes = reading.each_of("scope", sorted({scope for scope, _ in runs}))
            taken = {
                (row[0], row[1])
                for row in reading.rows(
                    f"SELECT scope, period FROM job_run WHERE job = ? AND {clause}"
                    f" AND (state = 'done'{f' OR lease_until_ms > {NOW_MS[reading.is_sqlite]}' if idle else ''})",
                    (job, scopes),
                )
            }
        return [run for run in runs if run not in taken]

    def list(self, *, job: str | None = None, state: str | None = None, limit: int = 100, tx: Tx | None = None) -> list[JobRun]:
        """Jobs by their rows, those claimed last first."""
        conditions = [(f"{column} = ?", value) for column, value in (("job", job), ("state", state)) if value is not None]
        where = " AND ".join(clause for clause, _ in conditions) or "1 = 1"
        with self._reading(tx) as reading:
            rows = reading.rows(
                "SELECT job, scope, period, state, owner, attempts, lease_until_ms, done_at_ms, failure FROM job_run"
                f" WHERE {where} ORDER BY claimed_at_ms DESC, job, scope, period LIMIT ?",
                (*(value for _, value in conditions), limit),
            )
        return [
            JobRun(
                job=row[0],
                scope=row[1],
                period=row[2],
                state=row[3],
                owner=row[4],
                attempts=row[5],
                lease_until_ms=row[6],
                done_at_ms=row[7],
                failure=row[8],
            )
            for row in rows
        ]

    def _touch(self, tx: Tx, fence: Fence, change: str, values: tuple[object, ...]) -> None:
        changed = tx.run(
            f"UPDATE job_run SET {change} WHERE job = ? AND scope = ? AND period = ? AND owner = ? AND fence = ? AND state = 'run'",
            (*values, fence.job, fence.scope, fence.period, fence.owner, fence.fence),
        )
        if changed != 1:
            raise LostLease(f"job {fence.job} {fence.scope} {fence.period}: {fence.owner} has lost it (fence {fence.fence})")
