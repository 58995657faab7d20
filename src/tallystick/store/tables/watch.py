"""Tables of what is watched: who is away, which resources are expected, which sequence numbers are missing."""

from __future__ import annotations

from sqlalchemy import Index, MetaData, PrimaryKeyConstraint, Table, UniqueConstraint, text

from tallystick.store.engine import Dialect
from tallystick.store.tables.columns import count, instant, long_key, words


def add_watch_tables(metadata: MetaData, dialect: Dialect) -> None:
    """Absences, resources that agents list, runs of sequence numbers with their holes, how far batches were looked at.

    An absence is of an agent (`subject` is its instance) or of a resource; one that was closed never opens again for the same cause and
    `since_ns`, and of each subject at most one is open: so several workers may look at once.
    """
    del dialect
    Table(
        "absence",
        metadata,
        long_key("absence_key"),
        count("scope_key"),
        words("kind"),
        words("subject"),
        count("resource_key", null=True),
        words("instance_id"),
        words("cause"),
        instant("since_ns"),
        instant("noticed_at_ns"),
        instant("closed_at_ns", null=True),
        words("ended", null=True),
        words("actor", null=True),
        words("reason", null=True),
        UniqueConstraint("scope_key", "kind", "subject", "cause", "since_ns"),
        Index(None, "scope_key", "resource_key", "since_ns"),
        Index(
            "absence_open_idx",
            "scope_key",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("closed_at_ns IS NULL"),
            postgresql_where=text("closed_at_ns IS NULL"),
        ),
    )
    _add_followed_tables(metadata)


def _add_followed_tables(metadata: MetaData) -> None:
    Table(
        "presence",
        metadata,
        count("scope_key"),
        count("resource_key"),
        words("instance_id"),
        instant("listed_at_ns"),
        PrimaryKeyConstraint("scope_key", "resource_key"),
    )
    Table(
        "sequence_run",
        metadata,
        count("scope_key"),
        count("boot_key"),
        count("spool_key"),
        instant("first_sequence"),
        instant("last_sequence"),
        PrimaryKeyConstraint("scope_key", "boot_key", "spool_key"),
    )
    Table(
        "missing_sequence",
        metadata,
        count("scope_key"),
        count("boot_key"),
        count("spool_key"),
        instant("first_sequence"),
        instant("last_sequence"),
        instant("noticed_at_ns"),
        PrimaryKeyConstraint("scope_key", "boot_key", "spool_key", "first_sequence"),
    )
    Table(
        "watch_progress",
        metadata,
        words("name"),
        instant("position"),
        PrimaryKeyConstraint("name"),
    )
