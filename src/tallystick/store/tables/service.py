"""Tables of the service itself: outbox, audit log, jobs, idempotency keys, settings."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, Index, MetaData, PrimaryKeyConstraint, Table

from tallystick.store.engine import Dialect
from tallystick.store.tables.columns import commit_seq, count, instant, long_key, octets, words


def add_service_tables(metadata: MetaData, dialect: Dialect) -> None:
    """Rows that are read in the order of their commits have a `commit_seq` (architecture.md, Stores)."""
    Table(
        "outbox",
        metadata,
        long_key("outbox_key"),
        commit_seq(dialect),
        count("seller_key"),
        words("topic"),
        words("subject"),
        words("body"),
        instant("created_at_ns"),
        count("attempts", default=0),
        instant("due_at_ns"),
        instant("done_at_ns", null=True),
        words("failure", null=True),
        Index(None, "done_at_ns", "due_at_ns"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
        sqlite_autoincrement=True,
    )
    Table(
        "audit_log",
        metadata,
        long_key("audit_key"),
        commit_seq(dialect),
        count("seller_key"),
        instant("at_ns"),
        words("actor"),
        words("action"),
        words("subject"),
        words("details"),
        Index(None, "seller_key", "subject"),
        Index(None, "commit_seq", "audit_key"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
    Table(
        "job_run",
        metadata,
        words("job"),
        words("scope"),
        words("period"),
        words("state"),
        words("owner"),
        instant("fence"),
        instant("lease_until_ms"),
        instant("attempts"),
        instant("claimed_at_ms"),
        instant("done_at_ms", null=True),
        words("failure", null=True),
        PrimaryKeyConstraint("job", "scope", "period"),
    )
    _add_request_tables(metadata)


def _add_request_tables(metadata: MetaData) -> None:
    Table(
        "idempotency_key",
        metadata,
        count("scope_key"),
        words("actor"),
        words("idempotency_key"),
        octets("request_hash"),
        count("status", null=True),
        octets("answer", null=True),
        instant("created_at_ns"),
        PrimaryKeyConstraint("scope_key", "actor", "idempotency_key"),
        ForeignKeyConstraint(["scope_key"], ["scope.scope_key"]),
    )
    Table(
        "setting",
        metadata,
        count("seller_key"),
        words("name"),
        words("document"),
        instant("changed_at_ns"),
        PrimaryKeyConstraint("seller_key", "name"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
