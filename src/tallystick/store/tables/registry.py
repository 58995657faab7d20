"""Tables of who and what: sellers, scopes, keys, customers, resources and what is declared of them."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, Index, MetaData, Table, UniqueConstraint

from tallystick.store.engine import Dialect
from tallystick.store.tables.columns import count, instant, key, long_key, octets, words


def add_registry_tables(metadata: MetaData, dialect: Dialect) -> None:
    """Sellers and scopes, keys, customers, resources, lifecycle, facts, agents.

    `scope_key` stands for a seller and a scope, `resource_key` for a resource in its scope: small numbers, since each usage
    row has them.
    """
    del dialect
    _add_seller_tables(metadata)
    _add_resource_tables(metadata)
    Table(
        "agent",
        metadata,
        key("agent_key"),
        count("scope_key"),
        words("instance_id"),
        instant("at_ns"),
        instant("received_at_ns"),
        instant("reported_until_ns"),
        words("active"),
        instant("spool_depth"),
        instant("missed_ticks"),
        instant("clock_offset_ns", null=True),
        count("clock_synchronised", null=True),
        instant("thinned_batches", null=True),
        words("key_id", null=True),
        UniqueConstraint("scope_key", "instance_id"),
        ForeignKeyConstraint(["scope_key"], ["scope.scope_key"]),
    )


def _add_seller_tables(metadata: MetaData) -> None:
    Table(
        "seller",
        metadata,
        key("seller_key"),
        words("seller_id"),
        words("document"),
        instant("created_at_ns"),
        UniqueConstraint("seller_id"),
    )
    Table(
        "scope",
        metadata,
        key("scope_key"),
        count("seller_key"),
        words("scope_id"),
        instant("created_at_ns"),
        UniqueConstraint("seller_key", "scope_id"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )
    Table(
        "api_key",
        metadata,
        key("api_key_key"),
        count("scope_key"),
        words("key_id"),
        octets("key_hash"),
        words("role"),
        words("name"),
        words("customers"),
        words("regions"),
        words("profile"),
        instant("created_at_ns"),
        instant("expires_at_ns", null=True),
        instant("revoked_at_ns", null=True),
        UniqueConstraint("key_hash"),
        UniqueConstraint("scope_key", "key_id"),
        ForeignKeyConstraint(["scope_key"], ["scope.scope_key"]),
    )
    Table(
        "customer",
        metadata,
        key("customer_key"),
        count("seller_key"),
        words("customer_id"),
        words("document"),
        instant("created_at_ns"),
        instant("changed_at_ns"),
        UniqueConstraint("seller_key", "customer_id"),
        ForeignKeyConstraint(["seller_key"], ["seller.seller_key"]),
    )


def _add_resource_tables(metadata: MetaData) -> None:
    # What a resource is now (customer, name, ...) is kept beside the facts that say since when, so that lists need not read them.
    Table(
        "resource",
        metadata,
        key("resource_key"),
        count("scope_key"),
        words("resource_id"),
        instant("first_seen_at_ns"),
        instant("generation"),
        count("latest_boot_key", default=0),
        instant("event_at_ns", null=True),
        instant("disk_from_ns", null=True),
        instant("disk_until_ns", null=True),
        instant("disk_marked_ns", null=True),
        instant("sealed_until_ns", null=True),
        words("customer_id", default=""),
        words("name", default=""),
        words("kind", default=""),
        words("region", default=""),
        words("labels", default="{}"),
        instant("first_hour_ns", null=True),
        instant("hours_until_ns", null=True),
        UniqueConstraint("scope_key", "resource_id"),
        ForeignKeyConstraint(["scope_key"], ["scope.scope_key"]),
    )
    Table(
        "resource_customer",
        metadata,
        count("scope_key"),
        words("customer_id"),
        count("resource_key"),
        UniqueConstraint("scope_key", "customer_id", "resource_key"),
        ForeignKeyConstraint(["resource_key"], ["resource.resource_key"]),
    )
    Table(
        "resource_fact",
        metadata,
        long_key("fact_key"),
        count("scope_key"),
        count("resource_key"),
        instant("at_ns"),
        instant("received_at_ns"),
        words("origin"),
        words("customer_id", null=True),
        words("name", null=True),
        words("kind", null=True),
        words("region", null=True),
        words("labels", null=True),
        instant("vcpus", null=True),
        instant("memory_bytes", null=True),
        instant("disk_bytes", null=True),
        instant("gpus", null=True),
        count("deleted"),
        octets("content_hash"),
        UniqueConstraint("scope_key", "resource_key", "at_ns", "origin", "content_hash"),
        ForeignKeyConstraint(["resource_key"], ["resource.resource_key"]),
    )
    _add_lifecycle_table(metadata)


def _add_lifecycle_table(metadata: MetaData) -> None:
    Table(
        "lifecycle_event",
        metadata,
        long_key("event_key"),
        count("scope_key"),
        count("resource_key"),
        words("boot_id"),
        words("kind"),
        instant("at_ns"),
        instant("last_sent_ns"),
        instant("received_at_ns"),
        instant("step_ns", null=True),
        count("late", default=0),
        UniqueConstraint("scope_key", "resource_key", "boot_id", "kind", "at_ns", "last_sent_ns"),
        Index("lifecycle_event_at_idx", "scope_key", "resource_key", "at_ns"),
        ForeignKeyConstraint(["resource_key"], ["resource.resource_key"]),
    )
