"""Bringing a database to the schema of this release, and telling which one it has."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from tallystick.store.engine import SQLITE_PAGE_BYTES, Database, Dialect
from tallystick.store.tables.schema import schema

SCRIPTS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x7A11
NEWEST = "head"


class SchemaMismatch(Exception):  # noqa: N818 (it is a state of the world, not a fault)
    """The database has another schema than this release needs; the message says which, and what to do."""


def migrate(url: str, version: str = NEWEST) -> None:
    """Bring the database of a URL to the newest schema; a missing SQLite file is created. Nothing happens if it is there already.

    `version` stops at an older one: as the database of an earlier release is.

    Raises:
        StoreUrlError: the URL names no database.

    """
    database = Database(url)
    try:
        migrate_database(database, version)
    finally:
        database.close()


def migrate_database(database: Database, version: str = NEWEST) -> None:
    """Bring a database to the newest schema, or to an older one."""
    if database.file:
        database.file.parent.mkdir(parents=True, exist_ok=True)
        with database.engine.connect() as connection:
            cursor = connection.connection.cursor()
            # Before the first table: later they have no effect. Pages are given back step by step as old rows are deleted.
            cursor.execute(f"PRAGMA page_size = {SQLITE_PAGE_BYTES}")
            cursor.execute("PRAGMA auto_vacuum = INCREMENTAL")
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.close()
    with database.write() as tx:
        if database.dialect is Dialect.POSTGRESQL:
            tx.run("SELECT pg_advisory_xact_lock(?)", (MIGRATION_LOCK,))
        configuration = _configuration()
        configuration.attributes["connection"] = tx.connection
        configuration.attributes["metadata"] = schema(database.dialect).metadata
        command.upgrade(configuration, version)


def versions() -> list[str]:
    """Every schema version, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(_configuration()).walk_revisions()][::-1]


def newest_version() -> str:
    """The schema version of this release."""
    return ScriptDirectory.from_config(_configuration()).get_current_head() or ""


def version_of(connection: Connection) -> str:
    """The schema version of a database, empty if it has none."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def check_version(database: Database) -> None:
    """See that a database has a schema that this release can run on: its own, or a newer one (server N-1 runs on schema N).

    Raises:
        SchemaMismatch: it has none, or an older one.

    """
    with database.engine.connect() as connection:
        found = version_of(connection)
    if found < newest_version():
        shown = database.url.render_as_string(hide_password=True)
        raise SchemaMismatch(f"{shown} has schema version {found or 'none'}, this release needs {newest_version()}: run `tally migrate`")


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return configuration
