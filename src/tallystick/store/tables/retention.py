"""Tables of what is deleted by age: what is kept of it, what came too late for it, what was moved to files."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, MetaData, PrimaryKeyConstraint, Table, UniqueConstraint

from tallystick.store.engine import Dialect
from tallystick.store.tables.columns import count, instant, long_key, octets, words


def add_retention_tables(metadata: MetaData, dialect: Dialect) -> None:
    """Points of boots whose segments are gone, payloads that hours need, late batches, files of the archive, deletions."""
    del dialect
    # `late` is 1 for the last sealed sample of a batch of which only the open part counts.
    Table(
        "kept_segment",
        metadata,
        count("scope_key"),
        count("resource_key"),
        count("boot_key"),
        instant("first_at_ns"),
        instant("last_at_ns"),
        count("samples"),
        instant("interval_ns"),
        octets("block"),
        count("late", default=0),
        PrimaryKeyConstraint("scope_key", "resource_key", "boot_key", "first_at_ns"),
    )
    Table(
        "needed_payload",
        metadata,
        Column("batch_key", BigInteger, nullable=False, autoincrement=False),
        count("resource_key"),
        PrimaryKeyConstraint("batch_key"),
        Index("needed_payload_resource_key_idx", "resource_key"),
    )
    _add_late_tables(metadata)
    # `batch_keys` are those whose rows may still be there, 8 bytes each; null once they are gone.
    Table(
        "archive_file",
        metadata,
        long_key("file_key"),
        count("scope_key"),
        instant("day_ns"),
        words("path"),
        count("batches"),
        instant("samples"),
        instant("bytes"),
        words("digest"),
        instant("written_at_ns"),
        octets("batch_keys", null=True),
        UniqueConstraint("path"),
        Index("archive_file_scope_key_idx", "scope_key", "day_ns"),
    )
    # Up to where something was deleted, and when; resource 0 is all of them.
    Table(
        "deletion",
        metadata,
        long_key("deletion_key"),
        words("kind"),
        count("scope_key"),
        count("resource_key"),
        instant("until_ns"),
        instant("at_ns"),
        Index("deletion_kind_idx", "kind", "scope_key", "resource_key", "until_ns"),
    )


def _add_late_tables(metadata: MetaData) -> None:
    # State is `open`, `admitted` or `dismissed`; `change` is what admitting it changed, as JSON.
    Table(
        "late_batch",
        metadata,
        Column("batch_key", BigInteger, nullable=False, autoincrement=False),
        count("scope_key"),
        count("resource_key"),
        count("boot_key"),
        instant("first_at_ns"),
        instant("last_at_ns"),
        count("samples"),
        instant("sealed_until_ns"),
        instant("received_at_ns"),
        words("state"),
        instant("decided_at_ns", null=True),
        words("decided_by", null=True),
        words("reason", null=True),
        words("change", null=True),
        PrimaryKeyConstraint("batch_key"),
        Index("late_batch_scope_key_state_idx", "scope_key", "state"),
        Index("late_batch_resource_key_idx", "resource_key"),
    )
    Table(
        "late_segment",
        metadata,
        count("scope_key"),
        count("resource_key"),
        instant("cell_ns"),
        Column("batch_key", BigInteger, nullable=False, autoincrement=False),
        count("boot_key"),
        instant("first_at_ns"),
        instant("last_at_ns"),
        count("samples"),
        instant("interval_ns"),
        instant("received_at_ns"),
        octets("block"),
        PrimaryKeyConstraint("batch_key", "cell_ns"),
    )
