"""The files of the repository: what git tracks, and what it would."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tracked(root: Path) -> list[str]:
    """The paths from `root`, with `/`, of all files that are tracked or not ignored, in order.

    Outside a git repository (a source archive, a copy): of all files but those in folders that start with a point.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0 and (root / ".git").exists():
        names = listed.stdout.decode().split("\0")
        return sorted(name for name in names if name and (root / name).is_file())
    found = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(
        path.as_posix()
        for path in found
        if "__pycache__" not in path.parts and not any(part.startswith(".") and part != ".ci" for part in path.parts[:-1])
    )
