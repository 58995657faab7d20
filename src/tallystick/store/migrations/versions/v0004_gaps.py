"""Gaps with their causes, agents and resources that are away, conflicts that a person resolves."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ABSENCE = """CREATE TABLE absence (
    absence_key {key} NOT NULL,
    scope_key INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    resource_key INTEGER,
    instance_id TEXT NOT NULL,
    cause TEXT NOT NULL,
    since_ns BIGINT NOT NULL,
    noticed_at_ns BIGINT NOT NULL,
    closed_at_ns BIGINT,
    ended TEXT,
    actor TEXT,
    reason TEXT,
    CONSTRAINT absence_pkey PRIMARY KEY (absence_key),
    CONSTRAINT absence_scope_key_kind_subject_cause_since_ns_key UNIQUE (scope_key, kind, subject, cause, since_ns)
)"""

WATCHED = (
    "CREATE UNIQUE INDEX absence_open_idx ON absence (scope_key, kind, subject) WHERE closed_at_ns IS NULL",
    "CREATE INDEX absence_scope_key_resource_key_since_ns_idx ON absence (scope_key, resource_key, since_ns)",
    """CREATE TABLE presence (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    listed_at_ns BIGINT NOT NULL,
    CONSTRAINT presence_pkey PRIMARY KEY (scope_key, resource_key)
)""",
    """CREATE TABLE sequence_run (
    scope_key INTEGER NOT NULL,
    boot_key INTEGER NOT NULL,
    spool_key INTEGER NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    CONSTRAINT sequence_run_pkey PRIMARY KEY (scope_key, boot_key, spool_key)
)""",
    """CREATE TABLE missing_sequence (
    scope_key INTEGER NOT NULL,
    boot_key INTEGER NOT NULL,
    spool_key INTEGER NOT NULL,
    first_sequence BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    noticed_at_ns BIGINT NOT NULL,
    CONSTRAINT missing_sequence_pkey PRIMARY KEY (scope_key, boot_key, spool_key, first_sequence)
)""",
    """CREATE TABLE watch_progress (
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    CONSTRAINT watch_progress_pkey PRIMARY KEY (name)
)""",
)


def upgrade() -> None:
    """What agents tell of their clocks and of what they thinned, whose an instance is, what is watched; what is not told is null."""
    connection = op.get_bind()
    for statement in (
        "ALTER TABLE agent ADD COLUMN clock_offset_ns BIGINT",
        "ALTER TABLE agent ADD COLUMN clock_synchronised INTEGER",
        "ALTER TABLE agent ADD COLUMN thinned_batches BIGINT",
        "ALTER TABLE agent ADD COLUMN key_id TEXT",
        "ALTER TABLE lifecycle_event ADD COLUMN step_ns BIGINT",
        "ALTER TABLE conflict ADD COLUMN state TEXT DEFAULT 'open' NOT NULL",
        "ALTER TABLE conflict ADD COLUMN resolved_at_ns BIGINT",
        "ALTER TABLE conflict ADD COLUMN resolved_by TEXT",
        "ALTER TABLE conflict ADD COLUMN reason TEXT",
        "CREATE INDEX conflict_open_idx ON \"conflict\" (scope_key) WHERE state = 'open'",
        ABSENCE.format(key="BIGSERIAL" if connection.dialect.name == "postgresql" else "INTEGER"),
        *WATCHED,
    ):
        connection.exec_driver_sql(statement)
