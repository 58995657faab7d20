"""Keeping the database itself: partitions ahead of time, space given back, sizes told."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg

from tallystick.model.instants import DAY_NS
from tallystick.store.engine import Tx
from tallystick.store.retention.sections import NEEDED
from tallystick.store.section import Section

DAYS_AHEAD = 3
MONTHS_AHEAD = 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
COLUMNS = {"payload": "received_at_ns", "segment": "cell_ns", "usage_hour": "hour_ns"}
"""The tables that have partitions, and by what."""


class Maintenance(Section):
    """What a worker does for the database once in a while."""

    def ensure_partitions(self, now_ns: int) -> list[str]:
        """On PostgreSQL: make the partitions of the days and months ahead that are not there; their names.

        Payload has one per day of reception, segments and hours one per month measured. What was measured in no such month goes
        to the default partition, and a partition whose rows are there already is not made.
        """
        made: list[str] = []
        if self._database.dialect.value != "postgresql":
            return made
        today = (EPOCH + timedelta(seconds=now_ns // 10**9)).replace(hour=0, minute=0, second=0)
        wanted = [
            ("payload", day, day + timedelta(days=1), f"{day:%Y%m%d}") for day in (today + timedelta(days=n) for n in range(DAYS_AHEAD + 1))
        ]
        month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
        for _ in range(MONTHS_AHEAD + 2):
            following = (month + timedelta(days=32)).replace(day=1)
            wanted.extend((table, month, following, f"{month:%Y%m}") for table in ("segment", "usage_hour"))
            month = following
        for table, start, end, name in wanted:
            with self._database.write() as tx:
                if make_partition(tx, table, f"{table}_{name}", ns(start), ns(end)):
                    made.append(f"{table}_{name}")
        return made

    def drop_partitions(self, before_ns: int, *, with_rows: bool) -> list[str]:
        """On PostgreSQL: drop partitions that end at an instant or before; their names. Nobody waits for it longer than 0.2 s.

        Of payloads those that hold nothing that is needed, if they may be dropped `with_rows`; of the others, those that are empty.
        """
        dropped: list[str] = []
        if self._database.dialect.value != "postgresql":
            return dropped
        with self._database.read() as tx:
            names = [row[0] for row in tx.rows("SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1")]
        for name in names:
            table, _, stamp = name.rpartition("_")
            if table not in COLUMNS or not stamp.isdigit() or _end_of(stamp) > before_ns:
                continue
            with suppress(psycopg.errors.LockNotAvailable), self._database.write() as tx:
                tx.run("SET LOCAL lock_timeout = '200ms'")
                if table == "payload" and with_rows:
                    needed = " OR ".join(condition for _, condition in NEEDED)
                    found = tx.row(
                        f"SELECT 1 FROM {name} p JOIN batch b ON b.batch_key = p.batch_key JOIN boot t ON t.boot_key = b.boot_key"
                        f" WHERE {needed} LIMIT 1",
                        (before_ns,),
                    )
                else:
                    found = tx.row(f"SELECT 1 FROM {name} LIMIT 1")
                if found is None:
                    tx.run(f"DROP TABLE {name}")
                    dropped.append(name)
        return dropped

    def give_back(self, pages: int) -> int:
        """On SQLite: give some free pages at the end of the file back to its disk; how many are left to give."""
        if self._database.file is None:
            return 0
        with self._database.write() as tx:
            for _ in range(pages):
                # The driver goes one step, which is one page, whatever number it is told.
                tx.rows("PRAGMA incremental_vacuum(1)")
            row = tx.row("PRAGMA freelist_count")
        return int(row[0]) if row else 0

    def check_reachable(self) -> None:
        """See that the database answers.

        Raises:
            Exception: it does not; the driver's own says why.

        """
        with self._database.read() as tx:
            tx.row("SELECT 1")

    def stored_bytes(self) -> int:
        """The size of the database on its disk, its log included for SQLite."""
        if self._database.file:
            names = [self._database.file.with_name(self._database.file.name + suffix) for suffix in ("", "-wal", "-shm")]
            return sum(name.stat().st_size for name in names if name.exists())
        with self._database.read() as tx:
            row = tx.row("SELECT pg_database_size(current_database())")
        return int(row[0]) if row else 0

    def sample_counts(self) -> tuple[int, int]:
        """Batches and samples that are stored."""
        with self._database.read() as tx:
            row = tx.row("SELECT (SELECT COUNT(*) FROM batch), (SELECT COALESCE(SUM(samples), 0) FROM segment)")
        return (int(row[0]), int(row[1])) if row else (0, 0)


def make_partition(tx: Tx, table: str, name: str, from_ns: int, until_ns: int) -> bool:
    """Make a partition of a table for [from_ns, until_ns); false if it is there, or if the default one has rows of that span."""
    column = COLUMNS[table]
    tx.run("SELECT pg_advisory_xact_lock(?)", (0x7A12,))
    if tx.row("SELECT 1 FROM pg_class WHERE relname = ? AND relnamespace = current_schema()::regnamespace", (name,)):
        return False
    if tx.row(f"SELECT 1 FROM {table}_default WHERE {column} >= ? AND {column} < ? LIMIT 1", (from_ns, until_ns)):
        return False
    tx.run(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ({from_ns:d}) TO ({until_ns:d})")
    if table == "payload":
        tx.run(f"ALTER TABLE {name} ALTER COLUMN body SET STORAGE EXTERNAL")
    return True


def _end_of(stamp: str) -> int:
    """Where the partition of a day (20260310) or a month (202603) ends."""
    if len(stamp) == 8:
        return ns(datetime.strptime(stamp, "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1))
    first = datetime.strptime(stamp, "%Y%m").replace(tzinfo=UTC)
    return ns((first + timedelta(days=32)).replace(day=1))


def ns(moment: datetime) -> int:
    """The instant of a midnight in UTC."""
    return (moment - EPOCH).days * DAY_NS
