"""Replay every scenario of the sample generator and hold what comes out against its truth.

    python -m tools.replay_all [--seed N] [--generator ../shared/samples/generate.py]

Each scenario is generated with the seed, replayed on SQLite, and compared twice: hours and days by the generator's own
`--check`, outcomes, gaps and findings by ours. `everything` is replayed on PostgreSQL as well. Any difference: exit status 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tools.live.processes import BrokenError
from tools.replay import postgresql, replay
from tools.streams import compare

GENERATOR = Path("../shared/samples/generate.py")


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream: its scenario, how many resources show all its variants, its length and interval, and where it is replayed."""

    scenario: str
    resources: int = 17
    hours: str = "0.5"
    interval_ms: int = 1000
    store: str = "sqlite"


STREAMS = (
    Stream("steady", resources=6),
    Stream("busy", resources=6),
    Stream("idle", resources=6),
    Stream("restart", resources=27),
    Stream("gaps", hours="1"),
    Stream("late"),
    Stream("repeats"),
    Stream("conflicts"),
    Stream("migration"),
    Stream("huge"),
    Stream("irregular"),
    Stream("timezone"),
    Stream("hostile"),
    Stream("steady", resources=3, hours="0.3", interval_ms=100),
    Stream("everything", resources=60),
    Stream("everything", resources=60, store="postgresql"),
)


def run(stream: Stream, generator: Path, seed: int, folder: Path) -> tuple[str, list[str]]:
    """Generate, replay and compare one stream: the verdict in a few words, and every difference."""
    samples, out = folder / "samples", folder / "usage.json"
    size = ("--resources", str(stream.resources), "--hours", stream.hours, "--interval-ms", str(stream.interval_ms))
    options = ("--scenario", stream.scenario, "--seed", str(seed), *size)
    made = subprocess.run(
        [sys.executable, str(generator), "--out", str(samples), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        return "not generated", [made.stderr]
    try:
        if stream.store == "postgresql":
            with postgresql() as url:
                differences = replay(samples, out, url)
        else:
            differences = replay(samples, out)
    except BrokenError as error:
        return "broken", [str(error)]
    checked = subprocess.run(
        [sys.executable, str(generator), "--out", str(samples), "--check", str(out)], capture_output=True, text=True, check=False
    )
    *wrong, days, hours = checked.stdout.splitlines() or [checked.stderr, "", ""]
    return f"{days}; {hours}", [*differences, *(wrong or [checked.stderr] if checked.returncode else [])]


def main() -> int:
    """Replay all, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--generator", type=Path, default=GENERATOR)
    parser.add_argument("--only", default="", help="one scenario")
    options = parser.parse_args()
    if not options.generator.is_file():
        print(f"replay-all: --generator {options.generator}: no such file", file=sys.stderr)
        return 2
    rows: list[tuple[str, str, str, str]] = []
    for stream in STREAMS:
        if options.only in ("", stream.scenario):
            began = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="tallystick-stream-") as folder:
                verdict, differences = run(stream, options.generator.resolve(), options.seed, Path(folder))
            for line in compare.shortened(differences):
                print(f"  {line}")
            state = f"{len(differences)} DIFFERENCES" if differences else "equal"
            rows.append((f"{stream.scenario} ({stream.store})", state, f"{time.monotonic() - began:.0f} s", verdict))
            print(" | ".join(rows[-1]), flush=True)
    print(f"\nseed {options.seed}")
    for row in rows:
        print(f"{row[0]:<26} {row[1]:<16} {row[2]:>6}  {row[3]}")
    return int(any(row[1] != "equal" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
