"""The protocol files: lint, breaking changes, generation, and whether the committed code is current. Offline.

Commands: `lint`, `breaking [--against DIR-OR-COMMIT]`, `generate`, `current`, and `all` (lint, breaking and current).
"""

from __future__ import annotations

import argparse
import filecmp
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENERATED = Path("src/tallystick/proto")
PACKAGES = {
    "": "The wire messages, generated from `proto/` by `tools/proto.py generate`.",
    "tallystick": "Messages of the product's own protocol.",
    "tallystick/v1": "Version 1 of the product's own protocol.",
    "billing": "Messages of clients that exist already.",
    "billing/v1": "Version 1 of the service of existing VM daemons.",
    "billing/collector": "Messages of the collector and query services of a billing service.",
    "billing/collector/v1": "Version 1 of the collector and query services.",
}
FOREIGN_IMPORT = re.compile(r"^from ((?:tallystick|billing)(?:\.\w+)*\.v\d+) import ", re.MULTILINE)


def buf(*arguments: str) -> int:
    """Run buf on this repository with the environment's own plugins, and give its exit code."""
    beside = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": beside + os.pathsep + os.environ.get("PATH", "")}
    return subprocess.run(["buf", *arguments], cwd=ROOT, env=environment, check=False).returncode


def git(*arguments: str) -> bytes | None:
    """What a git command prints, or None if it fails (no repository, no such commit)."""
    ran = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    return ran.stdout if ran.returncode == 0 else None


def lint() -> int:
    """Hold the protocol files against buf's standard rules."""
    return buf("lint")


def baseline() -> str | None:
    """The commit to compare with: the last release; without one the branch `main`; on `main` itself the last other state.

    None: this is the first commit, and there is nothing that a change could break.
    """
    if tag := git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"):
        return tag.decode().strip()
    head = git("rev-parse", "HEAD")
    if head is None:
        return None
    for branch in ("origin/main", "main"):
        base = git("merge-base", "HEAD", branch)
        if base is not None and base != head:
            return base.decode().strip()
    if git("diff", "--quiet", "HEAD", "--", "proto") is None:
        return "HEAD"
    return "HEAD^" if git("rev-parse", "--verify", "--quiet", "HEAD^:proto") is not None else None


def breaking(against: str | None) -> int:
    """Refuse a change that a client of the baseline would notice. `against` is a folder with a `proto` in it, or a commit."""
    if against is not None and Path(against).is_dir():
        return buf("breaking", "--against", str(Path(against).resolve()))
    commit = against or baseline()
    if commit is None:
        print("proto: the first commit, nothing that a change could break", file=sys.stderr)
        return 0
    packed = git("archive", "--format=zip", commit, "proto")
    if packed is None:
        print(f"proto: commit {commit!r} has no folder proto", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(io.BytesIO(packed)).extractall(folder)
        Path(folder, "buf.yaml").write_bytes((ROOT / "buf.yaml").read_bytes())
        return buf("breaking", "--against", folder)


def generate(root: Path) -> int:
    """Write the generated code below `root`, as a package whose imports are its own."""
    code = buf("generate", "-o", str(root))
    if code:
        return code
    for at, sentence in PACKAGES.items():
        (root / GENERATED / at / "__init__.py").write_text(f'"""{sentence}"""\n')
    for path in (root / GENERATED).rglob("*_pb2.py*"):
        text = path.read_text()
        # The names of protocol packages are not those of Python packages: protoc has no option for it.
        path.write_text(FOREIGN_IMPORT.sub(r"from tallystick.proto.\1 import ", text))
    return 0


def sources(root: Path) -> set[Path]:
    """The generated files below `root`, relative to it."""
    return {path.relative_to(root) for path in (root / GENERATED).rglob("*.py*") if path.suffix in {".py", ".pyi"}}


def current() -> int:
    """Refuse if generating again would change the committed code."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        if code := generate(fresh):
            return code
        wanted, found = sources(fresh), sources(ROOT)
        wrong = sorted(
            str(path)
            for path in wanted | found
            if path not in wanted or path not in found or not filecmp.cmp(fresh / path, ROOT / path, shallow=False)
        )
    for path in wrong:
        print(f"proto: {path} is not what `tools/proto.py generate` writes", file=sys.stderr)
    return 1 if wrong else 0


def main() -> int:
    """Run the named command and give its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("command", choices=("lint", "breaking", "generate", "current", "all"))
    parser.add_argument("--against", help="for breaking: a folder with a proto in it, or a commit")
    options = parser.parse_args()
    match options.command:
        case "lint":
            return lint()
        case "breaking":
            return breaking(options.against)
        case "generate":
            return generate(ROOT)
        case "current":
            return current()
        case _:
            return lint() or breaking(options.against) or current()


if __name__ == "__main__":
    sys.exit(main())
