"""Tables of usage: hours with their cells, local days and months, gaps and findings."""

from __future__ import annotations

from sqlalchemy import Index, MetaData, PrimaryKeyConstraint, Table, text

from tallystick.store.engine import Dialect
from tallystick.store.tables.columns import count, instant, integrals, long_key, meter_column, octets, partitioned, uncompressed, words

OFTEN_MEASURED = (
    *("cpu.used", "cpu.allocated", "memory.used", "memory.allocated", "disk.read", "disk.write", "disk.read_ops", "disk.write_ops"),
    *("network.rx", "network.tx", "gpu.allocated"),
)
UNEVEN_METERS = {
    Dialect.POSTGRESQL: {meter: meter_column(meter) for meter in OFTEN_MEASURED},
    Dialect.SQLITE: {meter: f"{meter_column(meter)}_lo" for meter in OFTEN_MEASURED},
}
"""What an agent measures of a machine whose sizes are known, with the column that is null in an hour that lacks it."""


def uneven_hour(dialect: Dialect) -> str:
    """The condition that something ran in an hour and one of those meters is missing: of most resources no hour is so."""
    up = "uptime > 0" if dialect is Dialect.POSTGRESQL else "uptime_lo > 0"
    return f"{up} AND ({' OR '.join(f'{column} IS NULL' for column in UNEVEN_METERS[dialect].values())})"


def uneven_index(dialect: Dialect) -> str:
    """What names the index of such hours in a statement; PostgreSQL finds it by itself."""
    return " INDEXED BY usage_hour_uneven_idx" if dialect is Dialect.SQLITE else ""


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
        Index(
            "usage_hour_uneven_idx",
            *("scope_key", "resource_key", "hour_ns"),
            sqlite_where=text(uneven_hour(dialect)),
            postgresql_where=text(uneven_hour(dialect)),
        ),
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
