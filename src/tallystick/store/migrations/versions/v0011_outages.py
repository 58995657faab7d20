"""Declared unavailability of resources."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = (
    """CREATE TABLE outage (
    outage_key {key} NOT NULL,
    scope_key INTEGER NOT NULL,
    outage_id TEXT NOT NULL,
    from_ns BIGINT NOT NULL,
    until_ns BIGINT NOT NULL,
    document TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    withdrawn_at_ns BIGINT,
    withdrawal TEXT,
    CONSTRAINT outage_pkey PRIMARY KEY (outage_key),
    CONSTRAINT outage_scope_key_outage_id_key UNIQUE (scope_key, outage_id),
    CONSTRAINT outage_scope_key_fkey FOREIGN KEY(scope_key) REFERENCES scope (scope_key)
)""",
    "CREATE INDEX outage_scope_key_until_ns_idx ON outage (scope_key, until_ns)",
)


def upgrade() -> None:
    """Add its table."""
    connection = op.get_bind()
    key = "BIGSERIAL" if connection.dialect.name == "postgresql" else "INTEGER"
    for statement in TABLES:
        connection.exec_driver_sql(statement.format(key=key))
