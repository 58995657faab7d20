"""What is deleted by age: the points that are kept, payloads that are still needed, what came too late, files of the archive."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = (
    """CREATE TABLE kept_segment (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    boot_key INTEGER NOT NULL,
    first_at_ns BIGINT NOT NULL,
    last_at_ns BIGINT NOT NULL,
    samples INTEGER NOT NULL,
    interval_ns BIGINT NOT NULL,
    block {octets} NOT NULL,
    late INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT kept_segment_pkey PRIMARY KEY (scope_key, resource_key, boot_key, first_at_ns)
)""",
    """CREATE TABLE needed_payload (
    batch_key BIGINT NOT NULL,
    resource_key INTEGER NOT NULL,
    CONSTRAINT needed_payload_pkey PRIMARY KEY (batch_key)
)""",
    "CREATE INDEX needed_payload_resource_key_idx ON needed_payload (resource_key)",
    """CREATE TABLE late_batch (
    batch_key BIGINT NOT NULL,
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    boot_key INTEGER NOT NULL,
    first_at_ns BIGINT NOT NULL,
    last_at_ns BIGINT NOT NULL,
    samples INTEGER NOT NULL,
    sealed_until_ns BIGINT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    state TEXT NOT NULL,
    decided_at_ns BIGINT,
    decided_by TEXT,
    reason TEXT,
    change TEXT,
    CONSTRAINT late_batch_pkey PRIMARY KEY (batch_key)
)""",
    "CREATE INDEX late_batch_scope_key_state_idx ON late_batch (scope_key, state)",
    "CREATE INDEX late_batch_resource_key_idx ON late_batch (resource_key)",
    """CREATE TABLE late_segment (
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    cell_ns BIGINT NOT NULL,
    batch_key BIGINT NOT NULL,
    boot_key INTEGER NOT NULL,
    first_at_ns BIGINT NOT NULL,
    last_at_ns BIGINT NOT NULL,
    samples INTEGER NOT NULL,
    interval_ns BIGINT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    block {octets} NOT NULL,
    CONSTRAINT late_segment_pkey PRIMARY KEY (batch_key, cell_ns)
)""",
    """CREATE TABLE archive_file (
    file_key {key} NOT NULL,
    scope_key INTEGER NOT NULL,
    day_ns BIGINT NOT NULL,
    path TEXT NOT NULL,
    batches INTEGER NOT NULL,
    samples BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    digest TEXT NOT NULL,
    written_at_ns BIGINT NOT NULL,
    batch_keys {octets},
    CONSTRAINT archive_file_pkey PRIMARY KEY (file_key),
    CONSTRAINT archive_file_path_key UNIQUE (path)
)""",
    "CREATE INDEX archive_file_scope_key_idx ON archive_file (scope_key, day_ns)",
    """CREATE TABLE deletion (
    deletion_key {key} NOT NULL,
    kind TEXT NOT NULL,
    scope_key INTEGER NOT NULL,
    resource_key INTEGER NOT NULL,
    until_ns BIGINT NOT NULL,
    at_ns BIGINT NOT NULL,
    CONSTRAINT deletion_pkey PRIMARY KEY (deletion_key)
)""",
    "CREATE INDEX deletion_kind_idx ON deletion (kind, scope_key, resource_key, until_ns)",
)

COLUMNS = (
    "ALTER TABLE resource ADD COLUMN first_hour_ns BIGINT",
    "ALTER TABLE resource ADD COLUMN hours_until_ns BIGINT",
    "ALTER TABLE lifecycle_event ADD COLUMN late INTEGER DEFAULT 0 NOT NULL",
)

OVERLAPPING = """INSERT INTO needed_payload (batch_key, resource_key)
SELECT DISTINCT a.batch_key, a.resource_key FROM segment a JOIN segment b ON b.scope_key = a.scope_key
 AND b.resource_key = a.resource_key AND b.cell_ns = a.cell_ns AND b.boot_key = a.boot_key AND b.batch_key <> a.batch_key
 AND b.first_at_ns <= a.last_at_ns AND b.last_at_ns >= a.first_at_ns"""
"""Batches that overlap: the samples of those that come from now on are remembered when they are opened."""


def upgrade() -> None:
    """Add them; nothing is deleted yet."""
    connection = op.get_bind()
    is_postgresql = connection.dialect.name == "postgresql"
    words = {"octets": "BYTEA", "key": "BIGSERIAL"} if is_postgresql else {"octets": "BLOB", "key": "INTEGER"}
    for statement in (*(table.format(**words) for table in TABLES), *COLUMNS, OVERLAPPING):
        connection.exec_driver_sql(statement)
