"""The product with a bug planted on purpose: a copy of its sources with a patch, simulated until the auditor sees it.

    python -m tests.simulation.planted [bug ...]

tells of each in how many seeds it was caught, and by what.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BUGS = {path.stem: path for path in sorted((Path(__file__).parent / "bugs").glob("*.patch"))}
MOST_SEEDS = 60
HEADER = re.compile(r"# (?P<what>[^\n]+)\n# seed (?P<seed>\d+)\n")


@dataclass(frozen=True, slots=True)
class Caught:
    """A bug, in which of the seeds from the one of its patch on it was caught (None: in none), and what was wrong there."""

    what: str
    first_seed: int
    seed: int | None
    wrong: list[dict[str, Any]]


def caught(name: str, first_seed: int | None = None, most_seeds: int = MOST_SEEDS) -> Caught:
    """Plant a bug and simulate until something is wrong."""
    text = BUGS[name].read_text()
    header = HEADER.match(text)
    assert header is not None, f"{name}.patch does not begin with what it breaks and the seed to begin with"
    seed = int(header["seed"]) if first_seed is None else first_seed
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        shutil.copytree(ROOT / "src" / "tallystick", Path(folder) / "src" / "tallystick", ignore=shutil.ignore_patterns("fonts", "*.png"))
        applied = subprocess.run(["git", "apply", "-"], cwd=folder, input=text, text=True, capture_output=True, check=False)
        assert applied.returncode == 0, f"{name}.patch no longer applies: {applied.stderr}"
        command = [sys.executable, "-m", "tallystick", "simulate", "--seed", str(seed), "--runs", str(most_seeds), "--jobs", "1"]
        simulated = subprocess.run(
            [*command, "--fail-fast", "--json", "--coverage-runs", "0"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{folder}/src"},
            text=True,
            capture_output=True,
            check=False,
        )
    assert simulated.stdout, simulated.stderr
    failed = json.loads(simulated.stdout)["failed"]
    return Caught(header["what"], seed, failed[0]["seed"] if failed else None, failed[0]["wrong"] if failed else [])


def main() -> int:
    """Plant what is asked for, or all."""
    unseen = 0
    for name in sys.argv[1:] or BUGS:
        found = caught(name)
        unseen += found.seed is None
        seen = "NOT caught" if found.seed is None else f"caught in seed {found.seed} ({found.seed - found.first_seed + 1}.)"
        print(f"{name}: {seen}: {sorted({wrong['what'] for wrong in found.wrong})}", flush=True)
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main())
