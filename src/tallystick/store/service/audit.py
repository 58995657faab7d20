"""The audit log and the outbox: appended in the transaction of what they tell of, read in the order of commits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tallystick.model.access import Place
from tallystick.store.engine import Tx
from tallystick.store.records import AuditEntry, OutboxMessage
from tallystick.store.section import Section

BELOW_RUNNING = "commit_seq < (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint"
"""On PostgreSQL rows become visible in another order than their numbers: a reader stops below the oldest transaction that runs."""


def append(tx: Tx, seller_key: int, at_ns: int, actor: str, action: str, subject: str, details: Mapping[str, object]) -> None:
    """Append one entry of the audit log."""
    tx.run(
        "INSERT INTO audit_log (seller_key, at_ns, actor, action, subject, details) VALUES (?, ?, ?, ?, ?, ?)",
        (seller_key, at_ns, actor, action, subject, json.dumps(dict(details), ensure_ascii=False, sort_keys=True)),
    )


def tell(tx: Tx, scope_key: int, topic: str, subject: str, body: Mapping[str, object], at_ns: int) -> None:
    """Leave an event about something of a scope in the outbox of its seller."""
    tx.run(
        "INSERT INTO outbox (seller_key, topic, subject, body, created_at_ns, due_at_ns)"
        " SELECT seller_key, ?, ?, ?, ?, ? FROM scope WHERE scope_key = ?",
        (topic, subject, json.dumps(dict(body), ensure_ascii=False, sort_keys=True), at_ns, at_ns, scope_key),
    )


class Audit(Section):
    """Who did what: every financial operation, never changed."""

    def append(self, tx: Tx, place: Place, actor: str, action: str, subject: str, details: Mapping[str, object]) -> None:
        """Append an entry in the transaction of the operation: `action` such as `invoice.finalize`, `subject` such as an invoice id."""
        append(tx, self._surrogates.seller(tx, place), self._clock.now_ns(), actor, action, subject, details)

    def entries(
        self,
        place: Place,
        *,
        after: tuple[int, int] = (-1, -1),
        subject: str | None = None,
        limit: int = 1000,
        tx: Tx | None = None,
    ) -> list[AuditEntry]:
        """Entries in the order of their commits after (commit_seq, key), oldest first; a reader that goes on passes over none."""
        with self._reading(tx) as reading:
            stop = "" if reading.is_sqlite else f" AND {BELOW_RUNNING}"
            about, values = ("", ()) if subject is None else (" AND subject = ?", (subject,))
            rows = reading.rows(
                "SELECT audit_key, commit_seq, at_ns, actor, action, subject, details FROM audit_log"
                f" WHERE seller_key = ? AND (commit_seq > ? OR (commit_seq = ? AND audit_key > ?)){stop}{about}"
                " ORDER BY commit_seq, audit_key LIMIT ?",
                (self._surrogates.seller(reading, place), after[0], after[0], after[1], *values, limit),
            )
        return [
            AuditEntry(key=row[0], commit_seq=row[1], at_ns=row[2], actor=row[3], action=row[4], subject=row[5], details=json.loads(row[6]))
            for row in rows
        ]


class Outbox(Section):
    """Messages decided in a transaction and delivered after it, at least once."""

    def put(self, tx: Tx, place: Place, topic: str, subject: str, body: Mapping[str, object]) -> None:
        """Leave a message in the transaction that decides it."""
        now_ns = self._clock.now_ns()
        tx.run(
            "INSERT INTO outbox (seller_key, topic, subject, body, created_at_ns, due_at_ns) VALUES (?, ?, ?, ?, ?, ?)",
            (
                self._surrogates.seller(tx, place),
                topic,
                subject,
                json.dumps(dict(body), ensure_ascii=False, sort_keys=True),
                now_ns,
                now_ns,
            ),
        )

    def due(self, tx: Tx, limit: int = 100, topics: Sequence[str] = ()) -> list[OutboxMessage]:
        """Messages to deliver now, oldest first. On PostgreSQL other servers get other ones as long as `tx` runs."""
        clause, values = ("", ()) if not topics else _topics(tx, topics)
        lock = "" if tx.is_sqlite else " FOR UPDATE SKIP LOCKED"
        rows = tx.rows(
            "SELECT outbox_key, topic, subject, body, created_at_ns, attempts FROM outbox"
            f" WHERE done_at_ns IS NULL AND due_at_ns <= ?{clause} ORDER BY outbox_key LIMIT ?{lock}",
            (self._clock.now_ns(), *values, limit),
        )
        return [
            OutboxMessage(key=row[0], topic=row[1], subject=row[2], body=json.loads(row[3]), created_at_ns=row[4], attempts=row[5])
            for row in rows
        ]

    def done(self, tx: Tx, key: int) -> None:
        """Tell that a message was delivered."""
        tx.run("UPDATE outbox SET done_at_ns = ?, attempts = attempts + 1 WHERE outbox_key = ?", (self._clock.now_ns(), key))

    def failed(self, tx: Tx, key: int, failure: str, due_at_ns: int) -> None:
        """Tell that a message was not delivered, and when to try again."""
        tx.run("UPDATE outbox SET failure = ?, due_at_ns = ?, attempts = attempts + 1 WHERE outbox_key = ?", (failure, due_at_ns, key))


def _topics(tx: Tx, topics: Sequence[str]) -> tuple[str, tuple[object, ...]]:
    clause, value = tx.each_of("topic", list(topics))
    return f" AND {clause}", (value,)
