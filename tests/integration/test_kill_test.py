"""A short kill test on each store: every phase is hit, nothing acknowledged is missing, nothing is double, usage is exact."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PHASES = ("before commit", "after commit", "before the acknowledgement", "while draining")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_kills_in_every_phase_lose_and_double_nothing(store: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tools.kill", "--kills", "5", "--store", store, "--seed", "1", "--limit-seconds", "150", "--verbose"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["kills"] == 5
    assert all(told["by_phase"][phase] for phase in PHASES)
    assert told["acknowledged"] == told["batches"] > 0
