"""Replay every scenario of the sample generator on both stores and hold what comes out against its truth.

    python -m tools.replay_all [--seed N] [--only SCENARIO] [--jobs N] [--generator ../shared/samples/generate.py]

Each scenario is generated with the seed, replayed on SQLite and on PostgreSQL, and compared three times: hours and days by the
generator's own `--check`, outcomes, gaps and findings by ours, and the store by `tally check`. Some are replayed again with
servers that are killed meanwhile, and by three servers on one PostgreSQL. Any difference: exit status 1.
`--store`, `--kills`, `--servers` replay all streams in that way, and no other; `--generate "--hours 3"` adds to the generator's options.
"""

from __future__ import annotations

import argparse
import io
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tools.live.processes import BrokenError
from tools.replay import Way
from tools.replay import replay as replay_one
from tools.streams import compare

if TYPE_CHECKING:
    from tests.stores import PostgresServer

GENERATOR = Path("../shared/samples/generate.py")
BOTH = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream: its scenario, how many resources show all its variants, its length and interval, and how it is replayed."""

    scenario: str
    resources: int = 17
    hours: str = "0.5"
    interval_ms: int = 1000
    store: str = "sqlite"
    servers: int = 1
    kills: int = 0

    @property
    def name(self) -> str:
        """What the table says: `restart (postgresql, 3 servers, 2 kills)`."""
        ways = [self.store, *([f"{self.servers} servers"] if self.servers > 1 else []), *([f"{self.kills} kills"] if self.kills else [])]
        return f"{self.scenario} ({', '.join(ways)})"


SCENARIOS = (
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
)
HARDER = (
    Stream("restart", resources=27, kills=4),
    Stream("late", kills=4),
    Stream("everything", resources=60, kills=6),
    Stream("conflicts", store="postgresql", kills=3),
    Stream("everything", resources=60, store="postgresql", kills=4),
    Stream("repeats", store="postgresql", servers=3, kills=1),
    Stream("migration", store="postgresql", servers=3, kills=1),
    Stream("everything", resources=60, store="postgresql", servers=3, kills=3),
)
STREAMS = (*(replace(stream, store=store) for store in BOTH for stream in SCENARIOS), *HARDER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a stream: the verdict in a few words, what the replay told, every difference, and the seconds that it took."""

    verdict: str
    told: str
    differences: list[str]
    seconds: float


def run(stream: Stream, generator: Path, seed: int, further: list[str], postgres: PostgresServer | None) -> Result:
    """Generate, replay and compare one stream."""
    began = time.monotonic()
    told = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="tallystick-stream-") as folder, redirect_stdout(told):
        verdict, differences = _run(stream, generator, seed, further, postgres, Path(folder))
    return Result(verdict=verdict, told=told.getvalue().strip(), differences=differences, seconds=time.monotonic() - began)


def _run(
    stream: Stream, generator: Path, seed: int, further: list[str], postgres: PostgresServer | None, folder: Path
) -> tuple[str, list[str]]:
    samples, out = folder / "samples", folder / "usage.json"
    size = ("--resources", str(stream.resources), "--hours", stream.hours, "--interval-ms", str(stream.interval_ms))
    options = ("--scenario", stream.scenario, "--seed", str(seed), *size, *further)
    made = subprocess.run(
        [sys.executable, str(generator), "--out", str(samples), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        return "not generated", [made.stderr]
    url = postgres.new_database() if postgres is not None and stream.store == "postgresql" else None
    try:
        differences = replay_one(samples, out, Way(store_url=url, servers=stream.servers, kills=stream.kills, seed=seed))
    except BrokenError as error:
        return "broken", [str(error)]
    finally:
        if postgres is not None and url is not None:
            postgres.drop(url)
    checked = subprocess.run(
        [sys.executable, str(generator), "--out", str(samples), "--check", str(out)], capture_output=True, text=True, check=False
    )
    *wrong, days, hours = checked.stdout.splitlines() or [checked.stderr, "", ""]
    return f"{days}; {hours}", [*differences, *(wrong or [checked.stderr] if checked.returncode else [])]


@contextmanager
def postgresql(*, needed: bool) -> Iterator[PostgresServer | None]:
    """A PostgreSQL for all streams that need one, started as the tests start theirs."""
    if not needed:
        yield None
        return
    from tests.stores import start_postgres  # noqa: PLC0415 - only this way in needs it

    server = start_postgres()
    try:
        yield server
    finally:
        server.stop()


def wanted(options: argparse.Namespace) -> list[Stream]:
    """The streams that the options ask for."""
    streams = STREAMS
    if options.store or options.kills or options.servers > 1:
        store = "postgresql" if options.servers > 1 else options.store or "sqlite"
        kills = options.kills or int(options.servers > 1)
        streams = tuple(replace(stream, store=store, kills=kills, servers=options.servers) for stream in SCENARIOS)
    if options.resources:
        streams = tuple(replace(stream, resources=options.resources) for stream in streams)
    return [stream for stream in streams if options.only in ("", stream.scenario)]


def main() -> int:
    """Replay all, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--generator", type=Path, default=GENERATOR)
    parser.add_argument("--only", default="", help="one scenario")
    parser.add_argument("--store", choices=BOTH, help="every scenario on this store, and nothing else")
    parser.add_argument("--kills", type=int, default=0, help="every scenario, with so many kills")
    parser.add_argument("--servers", type=int, default=1, help="every scenario by so many servers on one PostgreSQL")
    parser.add_argument("--resources", type=int, default=0, help="so many in each stream")
    parser.add_argument("--generate", type=shlex.split, default=[], metavar="OPTIONS", help="further options of the generator")
    parser.add_argument("--jobs", type=int, default=2, help="streams at the same time")
    options = parser.parse_args()
    if not options.generator.is_file():
        print(f"replay-all: --generator {options.generator}: no such file", file=sys.stderr)
        return 2
    streams, began = wanted(options), time.monotonic()
    results: list[Result] = []
    needed = any(stream.store == "postgresql" for stream in streams)
    with postgresql(needed=needed) as postgres, ProcessPoolExecutor(options.jobs) as pool:
        generator = options.generator.resolve()
        running = [pool.submit(run, stream, generator, options.seed, options.generate, postgres) for stream in streams]
        for stream, future in zip(streams, running, strict=True):
            results.append(future.result())
            print(f"{stream.name}: {state(results[-1])}: {results[-1].told}", flush=True)
            for line in compare.shortened(results[-1].differences):
                print(f"  {line}")
    print(f"\nseed {options.seed}, {time.monotonic() - began:.0f} s")
    for stream, result in zip(streams, results, strict=True):
        print(f"{stream.name:<44} {state(result):<16} {result.seconds:>4.0f} s  {result.verdict}")
    return int(any(result.differences for result in results))


def state(result: Result) -> str:
    """`equal`, or how many differences."""
    return f"{len(result.differences)} DIFFERENCES" if result.differences else "equal"


if __name__ == "__main__":
    sys.exit(main())
