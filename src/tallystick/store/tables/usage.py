"""Tables of usage: hours with their cells, local days and months, gaps and findings."""

from __future__ import annotations

from sqlalchemy import Index, MetaData, PrimaryKeyConstraint, Table

from tallystick.store.engine import Dialect
from tallystick.store.tables.columns import count, instant, integrals, long_key, octets, partitioned, uncompressed, words


def add_usage_tables(metadata: MetaData, dialect: Dialect) -> None:
    """Hours, days, months, gaps (those that are open, and the log of all), findings."""
    hour = Table(
        "usage_hour",
        metadata,
        count("scope_key"),
        count("resource_key"),
        instant("hour_ns"),
        *integrals(dialect),
        instant("samples"),
        instant("memory_peak_bytes", null=True),
        count("runs"),
        octets("cells"),
        instant("computed_at_ns"),
        count("sealed", default=0),
        PrimaryKeyConstraint("scope_key", "resource_key", "hour_ns"),
    )
    partitioned(metadata, dialect, hour, "hour_ns")
    uncompressed(dialect, hour, "cells")
    for name in ("usage_day", "usage_month"):
        Table(
            name,
            metadata,
            count("scope_key"),
            count("resource_key"),
            instant("start_ns"),
            instant("end_ns"),
            words("zone"),
            words("customer_id"),
            words("date"),
            *integrals(dialect),
            instant("samples"),
            instant("memory_peak_bytes", null=True),
            count("runs"),
            instant("unknown_ns"),
            instant("computed_at_ns"),
            count("sealed", default=0),
            PrimaryKeyConstraint("scope_key", "resource_key", "start_ns", "zone", "customer_id"),
        )
    _add_gap_tables(metadata)


def _add_gap_tables(metadata: MetaData) -> None:
    Table(
        "gap",
        metadata,
        count("scope_key"),
        count("resource_key"),
        instant("from_ns"),
        instant("until_ns"),
        words("filled"),
        words("cause"),
        instant("noticed_at_ns"),
        PrimaryKeyConstraint("scope_key", "resource_key", "from_ns", "until_ns"),
    )
    Table(
        "gap_log",
        metadata,
        long_key("gap_key"),
        count("scope_key"),
        count("resource_key"),
        instant("from_ns"),
        instant("until_ns"),
        words("filled"),
        words("cause"),
        instant("noticed_at_ns"),
        instant("closed_at_ns"),
        Index(None, "scope_key", "resource_key", "from_ns"),
    )
    Table(
        "finding",
        metadata,
        count("scope_key"),
        count("resource_key"),
        instant("at_ns"),
        words("code"),
        words("boot_id"),
        words("record"),
        words("severity"),
        words("counters"),
        words("detail"),
        PrimaryKeyConstraint("scope_key", "resource_key", "at_ns", "code", "boot_id", "record"),
    )
    # What the source of a record told beside it, or what came too late to count, and nothing can derive again.
    Table(
        "told_finding",
        metadata,
        count("scope_key"),
        count("resource_key"),
        instant("at_ns"),
        words("code"),
        words("record"),
        words("severity"),
        words("detail"),
        instant("received_at_ns"),
        PrimaryKeyConstraint("scope_key", "resource_key", "at_ns", "code", "record"),
    )
