"""A server that is away for hours: the product's spool, sender and server on a moved clock (`make absence-test`: a whole day)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.live.absence import Absence, live_through


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("limit_bytes", "is_thinned", "is_paused"),
    [(2**63, False, False), (2**19, True, False), (2**16, True, True)],
    ids=["all-fits", "thinned-fits", "nothing-fits"],
)
def test_hours_without_a_server_are_billed_to_the_unit_when_it_is_back(
    tmp_path: Path, limit_bytes: int, is_thinned: bool, is_paused: bool
) -> None:
    lines: list[str] = []
    assert live_through(tmp_path, Absence(resources=3, hours=3, limit_bytes=limit_bytes), lines.append) == []
    story = "\n".join(lines)
    assert (" 0 batches arrived thinned" not in story) == is_thinned, story
    assert ("paused for 0 minutes" not in story) == is_paused, story
