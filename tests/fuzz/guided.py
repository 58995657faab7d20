"""Fuzz the decoders for some seconds each, guided by what of the product runs: crashes, hangs and growth of memory end it.

Each target of tests/fuzz/targets.py is a process of its own. What breaks one is kept in a file, and what to do with it is said.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).with_name("corpus")
MOST_BYTES = 4096
"""Of an input: what is wrong with a format shows in small ones, and many of those are tried in a second."""
HANG_SECONDS = 10
MEMORY_MIB = 1024
GROWTH_MIB = 150
"""Of the resident memory between a fifth of the time and the end."""
PROGRESS = re.compile(rb"#(\d+)\s.*?cov: (\d+).*?rss: (\d+)Mb")


def fuzz_one(name: str, seconds: int, found: Path) -> int:
    """Fuzz a target in this process. It does not return: libFuzzer ends the process."""
    atheris = importlib.import_module("atheris")  # an extra of its own, which is not there where the checks run

    with atheris.instrument_imports(include=["tallystick"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS, seeds
    logging.disable(logging.CRITICAL)
    given = found / "seeds"
    given.mkdir(parents=True)
    for number, content in enumerate(seeds()[name]):
        (given / f"seed-{number}").write_bytes(content)
    folders = [str(found / "new"), str(given), *([str(CORPUS / name)] if (CORPUS / name).is_dir() else [])]
    (found / "new").mkdir()
    options = [f"-max_total_time={seconds}", f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={MOST_BYTES}"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={found}/", *folders], TARGETS[name])
    atheris.Fuzz()
    return 0


def report(name: str, said: bytes, code: int) -> str | None:
    """A line for a target that was fuzzed; None, and what it said on the screen, if it broke or its memory grew."""
    marks = [(int(runs), int(covered), int(mib)) for runs, covered, mib in PROGRESS.findall(said)]
    if code or not marks:
        sys.stdout.buffer.write(said[-5000:])
        return None
    settled = next((mark for mark in marks if mark[0] >= marks[-1][0] // 5), marks[0])
    grown = marks[-1][2] - settled[2]
    if grown > GROWTH_MIB:
        print(f"{name}: memory grew by {grown} MiB")
        return None
    return f"{name:18} {marks[-1][0]:9,} inputs, {marks[-1][1]:6,} edges covered, {marks[-1][2]:4} MiB at the end ({grown:+} MiB)"


def main() -> int:
    """0 if every target held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="of each target")
    parser.add_argument("--only", help="one target")
    parser.add_argument("--target", help=argparse.SUPPRESS)
    parser.add_argument("--found", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.target:
        return fuzz_one(given.target, given.seconds, given.found)
    from tests.fuzz.targets import TARGETS

    broken = []
    for name in [given.only] if given.only else TARGETS:
        found = Path(tempfile.mkdtemp(prefix=f"tally-fuzz-{name}-"))
        command = [sys.executable, "-m", "tests.fuzz.guided", "--target", name, "--seconds", str(given.seconds), "--found", str(found)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        line = report(name, done.stdout, done.returncode)
        print(line or f"{name:18} BROKE: the input is in {found}; keep it in {CORPUS / name} and mend what it shows", flush=True)
        broken += [] if line else [name]
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
