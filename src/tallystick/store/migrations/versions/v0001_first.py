"""The first schema, with the seller and the scope `default`."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table of the first version."""
    connection = op.get_bind()
    script = Path(__file__).with_name(f"v0001_first.{connection.dialect.name}.sql").read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
    seller = '{"id": "default", "name": "Seller"}'
    connection.exec_driver_sql(f"INSERT INTO seller (seller_id, document, created_at_ns) VALUES ('default', '{seller}', 0)")
    connection.exec_driver_sql("INSERT INTO scope (seller_key, scope_id, created_at_ns) SELECT seller_key, 'default', 0 FROM seller")
