"""`make check`: every rule of the repository, each step by its name, all of them even when one fails.

The steps are those of `STEPS`; `--only NAME` runs one. `make gates` shows that each rule of each step can fail.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from tools.tree import ROOT

STEPS: dict[str, tuple[str, ...]] = {
    "ruff": ("ruff", "check", "--quiet", "."),
    "format": ("ruff", "format", "--check", "--quiet", "--diff", "."),
    "mypy": ("mypy",),
    "imports": ("lint-imports",),
    "buf-lint": ("python", "tools/proto.py", "lint"),
    "buf-breaking": ("python", "tools/proto.py", "breaking"),
    "generated": ("python", "tools/proto.py", "current"),
    "tidy": ("python", "-m", "tools.tidy"),
    "docs": ("python", "-m", "tools.docs"),
}


def environment(root: Path) -> dict[str, str]:
    """The environment for a step: the tools beside this Python, the sources of `root` before any that are installed."""
    beside = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": beside + os.pathsep + os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join((str(root / "src"), str(root))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "200",
    }


def step(root: Path, name: str, *more: str) -> tuple[int, str]:
    """Run one step on the repository at `root`: its exit code, and everything it said."""
    ran = subprocess.run(
        [*STEPS[name], *more],
        cwd=root,
        env=environment(root),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stdout


def main() -> int:
    """Run the steps, print what the failing ones say, and how each ended; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=STEPS, action="append", help="run this step (more than once: these)")
    options = parser.parse_args()
    failed = []
    for name in options.only or STEPS:
        begun = time.perf_counter()
        code, said = step(ROOT, name)
        print(f"{'ok    ' if code == 0 else 'FAILED'} {name} ({time.perf_counter() - begun:.1f} s)", flush=True)
        if code:
            failed.append(name)
            print(said, flush=True)
    print(f"check: {', '.join(failed)} failed" if failed else "check: everything holds")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
