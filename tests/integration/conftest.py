"""Fixtures of all integration tests: a server on each store for a whole module, and one on SQLite for what no store has a part in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick.store.store import migrate
from tests.integration.serving import Served
from tests.keys import make_key
from tests.servers import ServerProcess
from tests.stores import database


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[Served]:
    with database(kind, folder) as url:
        migrate(url)
        with ServerProcess(folder, {"TALLY_STORE_URL": url}) as server:
            yield Served(server, url, make_key(url, "agent"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(request.param, tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(scope="module")
def served_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving("sqlite", tmp_path_factory.mktemp("served")) as found:
        yield found
