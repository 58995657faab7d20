"""Tables of what is measured: batches by identity, segments, payloads, the extent of each boot, hours to compute.

The tables of the hot path have no foreign keys: the rows that they would point to are made in the same transaction.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, MetaData, PrimaryKeyConstraint, Table, UniqueConstraint, text

from tallystick.store.engine import Dialect
from tallystick.store.tables.columns import count, instant, key, long_key, octets, partitioned, uncompressed, words


def add_batch_tables(metadata: MetaData, dialect: Dialect) -> None:
    """Boots, spools, batches, segments, payloads, conflicts, quarantine, usage records and dirty hours."""
    _add_identity_tables(metadata)
    segment = Table(
        "segment",
        metadata,
        count("scope_key"),
        count("resource_key"),
        instant("cell_ns"),
        Column("batch_key", BigInteger, nullable=False),
        count("boot_key"),
        instant("first_at_ns"),
        instant("last_at_ns"),
        count("samples"),
        instant("interval_ns"),
        instant("received_at_ns"),
        octets("block"),
        PrimaryKeyConstraint("scope_key", "resource_key", "cell_ns", "batch_key"),
    )
    partitioned(metadata, dialect, segment, "cell_ns")
    # The form is 1 for planes (in a conflict also 2: thinned); `boot_id` is that of the batch's boot.
    payload = Table(
        "payload",
        metadata,
        Column("batch_key", BigInteger, nullable=False),
        instant("received_at_ns"),
        count("form"),
        instant("interval_ns"),
        octets("body"),
        PrimaryKeyConstraint("batch_key", "received_at_ns"),
    )
    partitioned(metadata, dialect, payload, "received_at_ns")
    uncompressed(dialect, payload, "body")
    Table(
        "conflict",
        metadata,
        long_key("conflict_key"),
        count("scope_key"),
        Column("batch_key", BigInteger, nullable=False),
        octets("stored_hash"),
        octets("sent_hash"),
        instant("received_at_ns"),
        instant("first_at_ns"),
        instant("last_at_ns"),
        count("samples"),
        count("form"),
        instant("interval_ns"),
        octets("body"),
        words("state", default="open"),
        instant("resolved_at_ns", null=True),
        words("resolved_by", null=True),
        words("reason", null=True),
        UniqueConstraint("scope_key", "batch_key", "sent_hash"),
        Index("conflict_open_idx", "scope_key", sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")),
    )
    Table(
        "dirty_hour",
        metadata,
        count("scope_key"),
        count("resource_key"),
        instant("hour_ns"),
        instant("generation"),
        words("trace", null=True),
        PrimaryKeyConstraint("scope_key", "resource_key", "hour_ns"),
        sqlite_with_rowid=False,
    )
    _add_other_sources(metadata)


def _add_identity_tables(metadata: MetaData) -> None:
    Table(
        "boot",
        metadata,
        key("boot_key"),
        count("scope_key"),
        count("resource_key"),
        words("boot_id"),
        instant("first_at_ns", null=True),
        instant("last_at_ns", null=True),
        instant("first_interval_ns", null=True),
        instant("last_interval_ns", null=True),
        octets("first_block", null=True),
        octets("last_block", null=True),
        instant("sealed_until_ns", null=True),
        UniqueConstraint("scope_key", "resource_key", "boot_id"),
    )
    Table(
        "spool",
        metadata,
        key("spool_key"),
        count("scope_key"),
        words("spool_id"),
        UniqueConstraint("scope_key", "spool_id"),
    )
    # Source 0 is a native agent, 1 a daemon of rows; state 0 is counted, 1 came too late, 2 was thinned on its host.
    Table(
        "batch",
        metadata,
        long_key("batch_key"),
        count("scope_key"),
        count("boot_key"),
        count("spool_key"),
        instant("sequence"),
        octets("content_hash"),
        instant("received_at_ns"),
        count("source", default=0),
        count("state", default=0),
        Index(
            "batch_sequence_idx",
            "scope_key",
            "boot_key",
            "spool_key",
            "sequence",
            unique=True,
            sqlite_where=text("sequence > 0"),
            postgresql_where=text("sequence > 0"),
        ),
        Index(
            "batch_content_idx",
            "scope_key",
            "boot_key",
            "content_hash",
            unique=True,
            sqlite_where=text("sequence = 0"),
            postgresql_where=text("sequence = 0"),
        ),
        sqlite_autoincrement=True,
    )
    Table(
        "batch_range",
        metadata,
        count("scope_key"),
        count("boot_key"),
        count("spool_key"),
        instant("first_sequence"),
        instant("last_sequence"),
        PrimaryKeyConstraint("scope_key", "boot_key", "spool_key", "first_sequence"),
    )


def _add_other_sources(metadata: MetaData) -> None:
    Table(
        "quarantine",
        metadata,
        long_key("quarantine_key"),
        count("scope_key"),
        words("resource_id"),
        instant("received_at_ns"),
        count("sample_index"),
        words("field"),
        words("value"),
        Index(None, "scope_key", "resource_id"),
    )
    Table(
        "usage_record",
        metadata,
        long_key("record_key"),
        count("scope_key"),
        words("source"),
        words("record_id"),
        count("resource_key"),
        words("meter"),
        instant("from_ns"),
        instant("until_ns"),
        words("amount"),
        octets("content_hash"),
        instant("received_at_ns"),
        instant("peak", null=True),
        UniqueConstraint("scope_key", "source", "record_id", "meter"),
        Index(None, "scope_key", "resource_key", "from_ns"),
        # Those longer than an hour, of which there are few: what touches an hour is found among them and those that began just before.
        Index(
            "usage_record_long_idx",
            "scope_key",
            "resource_key",
            "until_ns",
            sqlite_where=text("until_ns - from_ns > 3600000000000"),
            postgresql_where=text("until_ns - from_ns > 3600000000000"),
        ),
    )
    # The number of a source tells which of two was registered first, for ever.
    Table(
        "record_source",
        metadata,
        key("source_key"),
        count("scope_key"),
        words("source"),
        instant("registered_at_ns"),
        UniqueConstraint("scope_key", "source"),
    )
