"""Worlds of fixed seeds, and of those that once found something: nothing may be wrong in any."""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.sim import run
from tallystick.sim.run import many, one

FRESH = range(1, 25)
KEPT = [int(line.split()[0]) for line in (Path(__file__).parent / "seeds.txt").read_text().splitlines() if line and line[0] != "#"]


@pytest.mark.parametrize("seed", sorted({*FRESH, *KEPT}))
def test_nothing_is_wrong_in_a_world(seed: int) -> None:
    assert one(seed).wrong == []


def test_a_seed_is_the_same_world_each_time() -> None:
    assert one(7) == one(7)


def test_a_process_that_has_done_its_part_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PARTS_OF_A_PROCESS", 1)
    monkeypatch.setattr(run, "SEEDS_AT_ONCE", 1)
    assert [runs.runs for runs in many(33, 3, jobs=2)] == [1, 2, 3]
