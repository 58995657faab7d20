"""Small streams through a real server: hours, days, outcomes, gaps and findings are the true ones, on both stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.stores import postgresql_database
from tools.replay import Way, replay
from tools.streams import kept


def check(scenario: str, folder: Path, way: Way) -> None:
    samples, out = kept.unpack(scenario, folder), folder / "usage.json"
    assert replay(samples, out, way) == []
    truth, usage = json.loads((samples / "truth.json").read_text()), json.loads(out.read_text())
    assert kept.usage_differences(truth, usage) == []


@pytest.mark.timeout(180)
@pytest.mark.parametrize("scenario", ["hostile", "repeats", "restart", "timezone"])
def test_what_a_server_makes_of_a_stream_is_its_truth(scenario: str, tmp_path: Path) -> None:
    check(scenario, tmp_path, Way(kills=3))


@pytest.mark.timeout(180)
def test_postgresql_makes_the_same_of_it(tmp_path: Path) -> None:
    with postgresql_database() as url:
        check("restart", tmp_path, Way(store_url=url, servers=3, kills=2))
