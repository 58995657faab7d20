"""Traces from the agent's tick to the usage hour."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The trace in which an hour was marked."""
    op.get_bind().exec_driver_sql("ALTER TABLE dirty_hour ADD COLUMN trace TEXT")
