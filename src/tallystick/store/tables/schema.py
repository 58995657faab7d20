"""All tables of the store for one database: what the migrations make, as a test proves."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import MetaData, Table

from tallystick.store.engine import Dialect
from tallystick.store.tables.batches import add_batch_tables
from tallystick.store.tables.money import add_money_tables
from tallystick.store.tables.registry import add_registry_tables
from tallystick.store.tables.retention import add_retention_tables
from tallystick.store.tables.service import add_service_tables
from tallystick.store.tables.usage import add_usage_tables
from tallystick.store.tables.watch import add_watch_tables


class Schema:
    """The tables by name."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.metadata = MetaData(
            naming_convention={
                "pk": "%(table_name)s_pkey",
                "uq": "%(table_name)s_%(column_0_N_name)s_key",
                "ix": "%(table_name)s_%(column_0_N_name)s_idx",
                "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
                "ck": "%(table_name)s_%(constraint_name)s_check",
            }
        )
        adders = (
            add_registry_tables,
            add_batch_tables,
            add_usage_tables,
            add_money_tables,
            add_service_tables,
            add_retention_tables,
            add_watch_tables,
        )
        for add in adders:
            add(self.metadata, dialect)

    def __getitem__(self, name: str) -> Table:
        """The table of that name."""
        return self.metadata.tables[name]


@lru_cache(maxsize=2)
def schema(dialect: Dialect) -> Schema:
    """The tables of a dialect."""
    return Schema(dialect)
