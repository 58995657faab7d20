"""Migrations only add: the server of the release before runs on the schema of this one while a fleet is brought up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tallystick.store.engine import Database, Tx
from tallystick.store.schema_version import migrate, versions
from tests.migration.shape import Shape, not_additive, shape_of
from tests.stores import database, migrated_database

KINDS = ("sqlite", "postgresql")
REBUILT = {
    "sqlite": (
        "CREATE TABLE anew AS SELECT * FROM batch",
        "DROP TABLE batch",
        "ALTER TABLE anew RENAME TO batch",
    ),
    "postgresql": ("ALTER TABLE batch ALTER COLUMN source TYPE BIGINT",),
}
BROKEN: dict[str, tuple[str, str]] = {
    "a column that is gone": ("ALTER TABLE agent DROP COLUMN spool_depth", "agent.spool_depth is gone"),
    "a column by another name": ("ALTER TABLE agent RENAME COLUMN active TO living", "agent.active is gone"),
    "a table that is gone": ("DROP TABLE quarantine", "quarantine is gone"),
    "a column that must be named": (
        "ALTER TABLE agent ADD COLUMN mood INTEGER NOT NULL",
        "agent.mood is new, and neither nullable nor with a default",
    ),
    "a unique key": ("CREATE UNIQUE INDEX only_one ON agent (at_ns)", "agent has a new condition"),
    "an identity that is gone": ("DROP INDEX batch_content_idx", "batch has lost a condition"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_migration_only_adds(kind: str, tmp_path: Path) -> None:
    with database(kind, tmp_path) as url:
        shapes = []
        for version in versions():
            migrate(url, version)
            opened = Database(url)
            with opened.read() as tx:
                shapes.append(shape_of(tx))
            opened.close()
    found = {version: list(not_additive(before, after)) for version, before, after in zip(versions()[1:], shapes, shapes[1:], strict=False)}
    assert len(found) >= 6
    assert {version: wrong for version, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_migration_that_takes_away_is_seen(kind: str, tmp_path: Path) -> None:
    """The broken examples of this gate, each rolled back."""
    with migrated_database(kind, tmp_path) as url:
        opened = Database(url)
        with opened.read() as tx:
            before = shape_of(tx)
        for name, (statement, told) in BROKEN.items():
            # SQLite takes such a column only if the table is empty or it has a default: it is seen where it is taken.
            if kind == "sqlite" and "NOT NULL" in statement:
                continue
            assert any(wrong.startswith(told) for wrong in _after(opened, [statement], before)), name
        assert list(_after(opened, REBUILT[kind], before)) != []
        assert list(_after(opened, ["ALTER TABLE agent ADD COLUMN mood INTEGER"], before)) == []
        assert (
            list(_after(opened, ["ALTER TABLE agent ADD COLUMN mood INTEGER NOT NULL DEFAULT 0", "CREATE TABLE extra (a INTEGER)"], before))
            == []
        )
        opened.close()


def _after(opened: Database, statements: Sequence[str], before: Shape) -> list[str]:
    """What is found after some statements, which are rolled back."""
    with opened.engine.connect() as connection:
        transaction = connection.begin()
        tx = Tx(connection, opened.dialect, writing=True)
        for statement in statements:
            tx.run(statement)
        found = list(not_additive(before, shape_of(tx)))
        tx.finish()
        transaction.rollback()
    return found
