"""Events with a price, and what the market asked."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = (
    """CREATE TABLE market_price (
    seller_key INTEGER NOT NULL,
    region TEXT NOT NULL,
    kind TEXT NOT NULL,
    hour_ns BIGINT NOT NULL,
    currency TEXT NOT NULL,
    price TEXT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    CONSTRAINT market_price_pkey PRIMARY KEY (seller_key, region, kind, hour_ns, currency),
    CONSTRAINT market_price_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
)""",
    "CREATE INDEX market_price_seller_key_hour_ns_idx ON market_price (seller_key, hour_ns)",
    """CREATE TABLE priced_event (
    event_key {key} NOT NULL,
    scope_key INTEGER NOT NULL,
    event_id TEXT NOT NULL,
    resource_key INTEGER NOT NULL,
    meter TEXT NOT NULL,
    at_ns BIGINT NOT NULL,
    amount TEXT NOT NULL,
    price TEXT,
    received_at_ns BIGINT NOT NULL,
    CONSTRAINT priced_event_pkey PRIMARY KEY (event_key),
    CONSTRAINT priced_event_scope_key_event_id_key UNIQUE (scope_key, event_id),
    CONSTRAINT priced_event_resource_key_fkey FOREIGN KEY(resource_key) REFERENCES resource (resource_key)
)""",
    "CREATE INDEX priced_event_scope_key_resource_key_at_ns_idx ON priced_event (scope_key, resource_key, at_ns)",
)


def upgrade() -> None:
    """Add their tables."""
    connection = op.get_bind()
    key = "BIGSERIAL" if connection.dialect.name == "postgresql" else "INTEGER"
    for statement in TABLES:
        connection.exec_driver_sql(statement.format(key=key))
