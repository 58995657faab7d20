"""The meter against sample streams whose true usage is known, to the last unit."""

from __future__ import annotations

import pytest

from tests.laws.generated import KEPT, generated, kept
from tests.laws.truth import differences

SCENARIOS = [
    *("steady", "busy", "idle", "restart", "gaps", "late", "repeats", "conflicts", "migration"),
    *("huge", "irregular", "timezone", "hostile", "everything"),
]
RESOURCES = {"restart": "28", "everything": "60", "timezone": "15"}


@pytest.mark.parametrize("scenario", sorted(path.name.removesuffix(".json.gz") for path in KEPT.glob("*.json.gz")))
def test_kept_streams_are_metered_as_they_should_be(scenario: str) -> None:
    stream, truth = kept(scenario)
    assert truth["usage"]
    assert list(differences(stream, truth))[:9] == []


@pytest.mark.shared
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_new_streams_are_metered_as_they_should_be(scenario: str) -> None:
    stream, truth = generated(scenario, 41, "--interval-ms", "4000", "--resources", RESOURCES.get(scenario, "17"))
    assert truth["usage"]
    assert list(differences(stream, truth))[:9] == []


def test_a_wrong_truth_is_noticed() -> None:
    """The comparison itself can fail: in an amount, a gap, a finding, an outcome."""
    stream, truth = kept("gaps")
    truth["usage"][0]["meters"]["cpu.used"] += "0"
    truth["gaps"].pop()
    truth["findings"].append({**truth["findings"][0], "at_ns": 1})
    truth["outcomes_not_stored"].append({"line": 0, "outcome": "repeated"})
    found = list(differences(stream, truth))
    assert len(found) == 4, found
