"""What is agreed beside subscriptions: coupons, who redeemed them, reservations."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = (
    """CREATE TABLE coupon (
    coupon_key {key} NOT NULL,
    seller_key INTEGER NOT NULL,
    coupon_id TEXT NOT NULL,
    redeemed INTEGER NOT NULL,
    document TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    CONSTRAINT coupon_pkey PRIMARY KEY (coupon_key),
    CONSTRAINT coupon_seller_key_coupon_id_key UNIQUE (seller_key, coupon_id),
    CONSTRAINT coupon_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
)""",
    """CREATE TABLE coupon_redemption (
    seller_key INTEGER NOT NULL,
    coupon_id TEXT NOT NULL,
    subscription_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    redeemed_at_ns BIGINT NOT NULL,
    CONSTRAINT coupon_redemption_pkey PRIMARY KEY (seller_key, coupon_id, subscription_id),
    CONSTRAINT coupon_redemption_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
)""",
    """CREATE TABLE reservation (
    reservation_key {key} NOT NULL,
    seller_key INTEGER NOT NULL,
    reservation_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at_ns BIGINT NOT NULL,
    CONSTRAINT reservation_pkey PRIMARY KEY (reservation_key),
    CONSTRAINT reservation_seller_key_reservation_id_key UNIQUE (seller_key, reservation_id),
    CONSTRAINT reservation_seller_key_fkey FOREIGN KEY(seller_key) REFERENCES seller (seller_key)
)""",
    "CREATE INDEX reservation_seller_key_customer_id_idx ON reservation (seller_key, customer_id)",
)


def upgrade() -> None:
    """Coupons with how often each was redeemed, redemptions by subscription, reservations."""
    connection = op.get_bind()
    key = "BIGSERIAL" if connection.dialect.name == "postgresql" else "INTEGER"
    for statement in TABLES:
        connection.exec_driver_sql(statement.format(key=key))
