"""Hours that say more than their sums are found without looking at the others."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

METERS = (
    *("cpu_used", "cpu_allocated", "memory_used", "memory_allocated", "disk_read", "disk_write", "disk_read_ops", "disk_write_ops"),
    *("network_rx", "network_tx", "gpu_allocated"),
)


def upgrade() -> None:
    """An index of the hours in which something ran and a meter is missing that agents measure: it is empty on most machines."""
    end = "_lo" if op.get_bind().dialect.name == "sqlite" else ""
    missing = " OR ".join(f"{meter}{end} IS NULL" for meter in METERS)
    op.get_bind().exec_driver_sql(
        f"CREATE INDEX usage_hour_uneven_idx ON usage_hour (scope_key, resource_key, hour_ns) WHERE uptime{end} > 0 AND ({missing})"
    )
