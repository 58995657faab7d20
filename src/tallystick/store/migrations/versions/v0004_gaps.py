"""Gaps with their causes, agents and resources that are away, conflicts that a person resolves."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
