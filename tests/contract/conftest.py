"""Every test of this folder runs on each database that a store can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.store.store import Store, open_store
from tests.stores import migrated_database

DATABASES = ("sqlite", "postgresql")
NOW_NS = 1_773_100_000 * 10**9


class StandingClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at_ns = NOW_NS

    def now_ns(self) -> int:
        return self.at_ns


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database of its own."""
    with migrated_database(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def store(url: str, clock: StandingClock) -> Iterator[Store]:
    opened = open_store(url, clock)
    yield opened
    opened.close()
