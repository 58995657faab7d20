"""Bugs planted on purpose: the simulation must see each, or it proves nothing. A patch that no longer applies is a failure."""

from __future__ import annotations

import re

import pytest

from tests.simulation.planted import BUGS, ROOT, caught


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str) -> None:
    found = caught(name)
    assert found.seed is not None, f"not seen in many seeds: {found.what}"


def test_every_planted_bug_is_told_of() -> None:
    told = set(re.findall(r"^\| `([a-z-]+)` ", (ROOT / "docs" / "simulation.md").read_text(), re.MULTILINE))
    assert told == set(BUGS)
