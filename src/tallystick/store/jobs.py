"""Jobs as rows, unique by (job, scope, period): taken with a lease by the database's clock and a fence (architecture.md, Processes)."""

from __future__ import annotations

from dataclasses import dataclass

from tallystick.store.engine import Database, Tx

DATABASE_NOW_MS = {
    True: "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    False: "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
}
"""The database's own clock in milliseconds since the epoch; the key tells whether it is SQLite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job that is ours until its lease ends, or until it is done; `fence` rises with every lease of it."""

    job: str
    scope: str
    period: str
    owner: str
    fence: int


class LeaseLost(Exception):  # noqa: N818 (it is an answer, not a fault)
    """Another worker has taken the job, or it is done: nothing of this run may be kept."""


class Jobs:
    """Claims jobs and marks them done, on any number of servers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, job: str, scope: str, period: str, *, owner: str, lease_seconds: int) -> Lease | None:
        """Take a job for so long; None: it is done, or another worker has it."""
        return self._database.transact(lambda tx: self._claim(tx, job, scope, period, owner, lease_seconds))

    @staticmethod
    def _claim(tx: Tx, job: str, scope: str, period: str, owner: str, lease_seconds: int) -> Lease | None:
        now = DATABASE_NOW_MS[tx.is_sqlite]
        row = tx.row(
            "INSERT INTO job_run (job, scope, period, state, owner, fence, lease_until_ms, attempts, claimed_at_ms)"
            f" VALUES (?, ?, ?, 'run', ?, 1, {now} + ?, 1, {now})"
            " ON CONFLICT (job, scope, period) DO UPDATE SET owner = excluded.owner, fence = job_run.fence + 1,"
            " lease_until_ms = excluded.lease_until_ms, attempts = job_run.attempts + 1, claimed_at_ms = excluded.claimed_at_ms"
            f" WHERE job_run.state = 'run' AND job_run.lease_until_ms < {now} RETURNING fence",
            (job, scope, period, owner, lease_seconds * 1000),
        )
        return None if row is None else Lease(job=job, scope=scope, period=period, owner=owner, fence=int(row[0]))

    @staticmethod
    def done(tx: Tx, lease: Lease) -> None:
        """Mark the job done, in the transaction of its results.

        Raises:
            LeaseLost: it is no longer ours: the transaction must not commit.

        """
        changed = tx.run(
            f"UPDATE job_run SET state = 'done', done_at_ms = {DATABASE_NOW_MS[tx.is_sqlite]}, failure = NULL"
            " WHERE job = ? AND scope = ? AND period = ? AND owner = ? AND fence = ? AND state = 'run'",
            (lease.job, lease.scope, lease.period, lease.owner, lease.fence),
        )
        if changed != 1:
            raise LeaseLost(f"job {lease.job} of {lease.scope}, {lease.period}: fence {lease.fence} of {lease.owner} is no longer ours")

    def release(self, lease: Lease, failure: str = "") -> None:
        """Give a job back that is not done, so that any worker may take it at once; `failure` says why it failed."""

        def give_back(tx: Tx) -> None:
            tx.run(
                "UPDATE job_run SET lease_until_ms = 0, failure = ?"
                " WHERE job = ? AND scope = ? AND period = ? AND owner = ? AND fence = ? AND state = 'run'",
                (failure or None, lease.job, lease.scope, lease.period, lease.owner, lease.fence),
            )

        self._database.transact(give_back)
