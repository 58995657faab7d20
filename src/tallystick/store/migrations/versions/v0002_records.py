"""Usage records: the peak that one tells, which source was registered first, and those that are longer than an hour.

And the boots of daemons, which were stored as if they were of our protocol: boots without an id whose batches have no numbers.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what tells which of several sources bills."""
    connection = op.get_bind()
    serial = "SERIAL" if connection.dialect.name == "postgresql" else "INTEGER"
    connection.exec_driver_sql("ALTER TABLE usage_record ADD COLUMN peak BIGINT")
    connection.exec_driver_sql(
        "CREATE INDEX usage_record_long_idx ON usage_record (scope_key, resource_key, until_ns) WHERE until_ns - from_ns > 3600000000000"
    )
    connection.exec_driver_sql(
        f"CREATE TABLE record_source (source_key {serial} NOT NULL, scope_key INTEGER NOT NULL, source TEXT NOT NULL,"
        " registered_at_ns BIGINT NOT NULL, CONSTRAINT record_source_pkey PRIMARY KEY (source_key),"
        " CONSTRAINT record_source_scope_key_source_key UNIQUE (scope_key, source))"
    )
    character = "chr" if connection.dialect.name == "postgresql" else "char"
    connection.exec_driver_sql(
        f"UPDATE boot SET boot_id = {character}(1) WHERE boot_id = '' AND NOT EXISTS"
        " (SELECT 1 FROM batch b WHERE b.scope_key = boot.scope_key AND b.boot_key = boot.boot_key AND b.sequence > 0)"
    )
