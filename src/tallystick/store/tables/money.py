"""Tables of money: price books, subscriptions, invoices with their lines and evidence, numbers."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, Index, MetaData, PrimaryKeyConstraint, Table, UniqueConstraint

from tallystick.store.engine import Dialect
from tallystick.store.tables.columns import count, instant, key, long_key, octets, uncompressed, words


def add_money_tables(metadata: MetaData, dialect: Dialect) -> None:
    """Price books, subscriptions, invoices, lines, evidence, number series. Money is in minor units, exact values as `n/d`."""
    Table(
        "price_book",
        metadata,
        key("book_key"),
        count("seller_key"),
        words("book_id"),
        count("version"),
        words("state"),
        instant("effective_from_ns"),
        instant("effective_until_ns", null=True),
        count("corrects", null=True),
        words("digest"),
        words("book"),
        words("document"),
        instant("created_at_ns"),
        instant("activated_at_ns", null=True),
        UniqueConstraint("seller_key", "book_id", "version"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
    Table(
        "subscription",
        metadata,
        key("subscription_key"),
        count("seller_key"),
        words("subscription_id"),
        words("customer_id"),
        words("plan_id"),
        instant("start_ns"),
        instant("end_ns", null=True),
        words("document"),
        instant("created_at_ns"),
        instant("changed_at_ns"),
        UniqueConstraint("seller_key", "subscription_id"),
        Index(None, "seller_key", "customer_id"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
    _add_agreed_tables(metadata)
    _add_invoice_tables(metadata, dialect)
    _add_priced_tables(metadata)
    _add_outage_table(metadata)
    Table(
        "number_series",
        metadata,
        count("seller_key"),
        words("series"),
        count("fiscal_year"),
        instant("last_number"),
        PrimaryKeyConstraint("seller_key", "series", "fiscal_year"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )


def _add_agreed_tables(metadata: MetaData) -> None:
    Table(
        "coupon",
        metadata,
        long_key("coupon_key"),
        count("seller_key"),
        words("coupon_id"),
        count("redeemed"),
        words("document"),
        instant("created_at_ns"),
        UniqueConstraint("seller_key", "coupon_id"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
    Table(
        "coupon_redemption",
        metadata,
        count("seller_key"),
        words("coupon_id"),
        words("subscription_id"),
        words("customer_id"),
        instant("redeemed_at_ns"),
        PrimaryKeyConstraint("seller_key", "coupon_id", "subscription_id"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
    Table(
        "reservation",
        metadata,
        long_key("reservation_key"),
        count("seller_key"),
        words("reservation_id"),
        words("customer_id"),
        words("document"),
        instant("created_at_ns"),
        UniqueConstraint("seller_key", "reservation_id"),
        Index(None, "seller_key", "customer_id"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )


def _add_priced_tables(metadata: MetaData) -> None:
    """Market prices by the hour, and events; amounts and prices as `n/d`."""
    Table(
        "market_price",
        metadata,
        count("seller_key"),
        words("region"),
        words("kind"),
        instant("hour_ns"),
        words("currency"),
        words("price"),
        instant("received_at_ns"),
        PrimaryKeyConstraint("seller_key", "region", "kind", "hour_ns", "currency"),
        Index(None, "seller_key", "hour_ns"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
    Table(
        "priced_event",
        metadata,
        long_key("event_key"),
        count("scope_key"),
        words("event_id"),
        count("resource_key"),
        words("meter"),
        instant("at_ns"),
        words("amount"),
        words("price", null=True),
        instant("received_at_ns"),
        UniqueConstraint("scope_key", "event_id"),
        Index(None, "scope_key", "resource_key", "at_ns"),
        ForeignKeyConstraint(["resource_key"], ["resource.resource_key"]),
    )


def _add_outage_table(metadata: MetaData) -> None:
    """Declared unavailability; one that was withdrawn stays, and counts no more."""
    Table(
        "outage",
        metadata,
        long_key("outage_key"),
        count("scope_key"),
        words("outage_id"),
        instant("from_ns"),
        instant("until_ns"),
        words("document"),
        instant("created_at_ns"),
        instant("withdrawn_at_ns", null=True),
        words("withdrawal", null=True),
        UniqueConstraint("scope_key", "outage_id"),
        Index(None, "scope_key", "until_ns"),
        ForeignKeyConstraint(["scope_key"], ["scope.scope_key"]),
    )


def _add_invoice_tables(metadata: MetaData, dialect: Dialect) -> None:
    Table(
        "invoice",
        metadata,
        long_key("invoice_key"),
        count("seller_key"),
        words("invoice_id"),
        words("customer_id"),
        words("run"),
        words("currency"),
        count("revision"),
        words("state"),
        words("series", null=True),
        count("fiscal_year", null=True),
        instant("number_value", null=True),
        words("number", null=True),
        instant("period_start_ns"),
        instant("period_end_ns"),
        instant("closing_ns"),
        instant("net_minor"),
        instant("total_minor"),
        instant("issued_at_ns", null=True),
        instant("due_at_ns", null=True),
        words("content_hash"),
        words("evidence_hash"),
        octets("document"),
        instant("created_at_ns"),
        instant("changed_at_ns"),
        UniqueConstraint("seller_key", "invoice_id"),
        UniqueConstraint("seller_key", "customer_id", "run", "currency", "revision"),
        UniqueConstraint("seller_key", "series", "fiscal_year", "number_value"),
        UniqueConstraint("seller_key", "number"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
    Table(
        "invoice_line",
        metadata,
        count("seller_key"),
        instant("invoice_key"),
        count("ordinal"),
        words("line_key"),
        words("kind"),
        words("subscription_id"),
        words("charge_id"),
        words("plan_id"),
        words("book_id"),
        count("book_version"),
        count("tier"),
        instant("service_start_ns"),
        instant("service_end_ns"),
        words("meter"),
        words("quantity"),
        words("unit"),
        words("unit_price"),
        words("unrounded"),
        instant("amount_minor"),
        words("currency"),
        PrimaryKeyConstraint("seller_key", "invoice_key", "ordinal"),
        ForeignKeyConstraint(["invoice_key"], ["invoice.invoice_key"]),
    )
    _add_evidence_table(metadata, dialect)


def _add_evidence_table(metadata: MetaData, dialect: Dialect) -> None:
    evidence = Table(
        "evidence",
        metadata,
        count("seller_key"),
        words("evidence_hash"),
        octets("body"),
        instant("created_at_ns"),
        PrimaryKeyConstraint("seller_key", "evidence_hash"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
    uncompressed(dialect, evidence, "body")
