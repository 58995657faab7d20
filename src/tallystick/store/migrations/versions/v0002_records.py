"""Usage records: the peak that one tells, which source was registered first, and those that are longer than an hour.

And the boots of daemons, which were stored as if they were of our protocol: boots without an id whose batches have no
numbers, and the columns of a daemon's rows.
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
    # Batches without numbers are not enough: other clients of our protocol need not number theirs, and an older server may go on to
    # take them into the boot that has no id. The samples tell: rows of daemons have all columns but the operations of disks.
    postgresql = connection.dialect.name == "postgresql"
    character, mask = ("chr", "'\\x9f01'::bytea") if postgresql else ("char", "X'9F01'")
    samples = "FROM batch b JOIN payload p ON p.batch_key = b.batch_key AND p.received_at_ns = b.received_at_ns"
    own = "WHERE b.scope_key = boot.scope_key AND b.boot_key = boot.boot_key"
    connection.exec_driver_sql(
        f"UPDATE boot SET boot_id = {character}(1) WHERE boot_id = '' AND EXISTS (SELECT 1 {samples} {own})"
        f" AND NOT EXISTS (SELECT 1 {samples} {own} AND (b.sequence > 0 OR substr(p.body, 2, 2) <> {mask}))"
    )
