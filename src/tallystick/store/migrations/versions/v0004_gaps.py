"""Gaps with their causes, agents and resources that are away, conflicts that a person resolves."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What agents tell of their clocks and of what they thinned; what is not told is null."""
    for statement in (
        "ALTER TABLE agent ADD COLUMN clock_offset_ns BIGINT",
        "ALTER TABLE agent ADD COLUMN clock_synchronised INTEGER",
        "ALTER TABLE agent ADD COLUMN thinned_batches BIGINT",
        "ALTER TABLE lifecycle_event ADD COLUMN step_ns BIGINT",
    ):
        op.get_bind().exec_driver_sql(statement)
