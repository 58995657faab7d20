"""Findings that a source tells beside what it sends. What a key's client means is in its profile, which has a column already."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the findings that nothing can derive again."""
    op.get_bind().exec_driver_sql(
        "CREATE TABLE told_finding (scope_key INTEGER NOT NULL, resource_key INTEGER NOT NULL, at_ns BIGINT NOT NULL, code TEXT NOT NULL,"
        " record TEXT NOT NULL, severity TEXT NOT NULL, detail TEXT NOT NULL, received_at_ns BIGINT NOT NULL,"
        " CONSTRAINT told_finding_pkey PRIMARY KEY (scope_key, resource_key, at_ns, code, record))"
    )
