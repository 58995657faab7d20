"""The first bill while server and agent are killed with -9 in the middle: every equality holds, no acknowledged batch is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def first_bill(out: Path, *options: str) -> dict[str, object]:
    ran = subprocess.run(
        [sys.executable, "-m", "tools.first_bill", "--out", str(out), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    checked: dict[str, object] = json.loads((out / "check.json").read_text())
    assert checked["ok"] is True
    return checked


@pytest.mark.timeout(260)
def test_five_kills_change_no_line(tmp_path: Path) -> None:
    checked = first_bill(tmp_path, "--seconds", "18", "--kills", "5", "--seed", "7")
    assert checked["kills"] == 5
    batches = checked["batches"]
    assert isinstance(batches, dict)
    assert batches["acknowledged"] > 0
    assert batches["missing"] == []
    assert {path.suffix for path in tmp_path.iterdir()} >= {".pdf", ".json", ".txt"}


@pytest.mark.timeout(260)
def test_without_groups_processes_are_billed(tmp_path: Path) -> None:
    checked = first_bill(tmp_path, "--seconds", "8", "--no-cgroups")
    assert checked["kills"] == 0
