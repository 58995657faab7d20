"""Replay a folder of samples through a real server, and write the usage that it makes of them.

    python -m tools.replay --samples DIR --out usage.json [--store sqlite|postgresql] [--servers 3] [--kills 5] [--seed 1]

starts `tally serve` with an empty database and a clock that follows `received_at_ns`, sends deliveries, notices and sizes in
the order of their reception over HTTP in the native protocol, waits until every hour is computed, and writes usage hours and
days in the shape of truth.json. Where truth.json is there, outcomes, gaps and findings are compared with it as well
(`generate.py --check` compares hours and days), and `tally check` computes the store again: any difference is printed, and the
exit status is then not 0. Servers can be killed (SIGKILL) meanwhile, and there can be several on one PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.app.check import check_store
from tallystick.app.cli.client import Client, RefusedError
from tallystick.app.clock import SystemClock
from tallystick.app.jobs.rollup import DiskHorizon
from tallystick.store.store import open_store
from tools.live.fleet import Fleet, Plan, running
from tools.live.processes import BrokenError
from tools.streams import compare, usage
from tools.streams.delivery import deliveries
from tools.streams.playing import play

COMPUTED_SECONDS = 600
"""How long all hours may take after the last delivery."""
FOLLOWED_SECONDS = 30
"""How far behind the ingest a worker may follow sequence numbers."""


def make_customers(client: Client, folder: Path) -> None:
    """The customers of customers.json, each in its time zone."""
    zones = json.loads((folder / "customers.json").read_text())
    for customer_id, customer in zones.items():
        client.post("/v1/customers", {"id": customer_id, "name": customer_id, "time_zone": customer["timezone"]})


def wait_computed(fleet: Fleet, client: Client) -> None:
    """Until no hour waits to be computed.

    Raises:
        BrokenError: a server ended, or the hours took too long.

    """
    until = time.monotonic() + COMPUTED_SECONDS
    while waiting := client.get("/v1/status")["hours_waiting"]:
        if not all(member.process.running for member in fleet.alive):
            raise BrokenError(f"a server ended\n{fleet.tails()}")
        if time.monotonic() > until:
            raise BrokenError(f"{waiting} hours are not computed after {COMPUTED_SECONDS} s\n{fleet.tails()}")
        time.sleep(0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a folder is replayed: on which store (None: an SQLite file of its own), by how many servers, with how many kills.

    `seed` chooses when and which; `checked`: `tally check` is run on the store afterwards.
    """

    store_url: str | None = None
    servers: int = 1
    kills: int = 0
    seed: int = 1
    checked: bool = True


def replay(samples: Path, out: Path, way: Way) -> list[str]:
    """Replay one folder, write `out`, and tell every difference: from its truth.json but for hours and days, and of `tally check`."""
    began = time.monotonic()
    wanted, left_out = deliveries(samples)
    truth_file = samples / "truth.json"
    truth = json.loads(truth_file.read_text()) if truth_file.exists() else None
    chance = random.Random(way.seed)  # noqa: S311 - it chooses when a server is killed
    with tempfile.TemporaryDirectory(prefix="tallystick-replay-") as name:
        folder = Path(name)
        store_url = way.store_url or f"sqlite:///{folder / 'tallystick.db'}"
        with running(folder, store_url, way.servers, wanted[0].received_at_ns if wanted else 0) as fleet:
            try:
                make_customers(fleet.client(), samples)
                outcomes = play(fleet, wanted, Plan.of(way.kills, len(wanted), chance), chance)
                sent = time.monotonic()
                client = fleet.client()
                wait_computed(fleet, client)
                computed = time.monotonic()
                result = usage.everything(client)
                missing = missing_differences(client, truth) if truth is not None else []
            except (OSError, RuntimeError, RefusedError) as error:
                raise BrokenError(f"{error}\n{fleet.tails()}") from None
        differences = checked(store_url, wanted[-1].received_at_ns if wanted else 0) if way.checked else []
    out.write_text(json.dumps({"usage": result["usage"], "days": result["days"]}, indent=1) + "\n")
    beats = f", {left_out} heartbeats left out that a later one superseded before anything else came" if left_out else ""
    kills = f", {fleet.kills} kills, {len(fleet.resent)} batches sent again" if way.kills else ""
    print(
        f"{len(wanted)} requests in {sent - began:.1f} s{kills}{beats}; hours after {computed - sent:.1f} s more: "
        f"{len(result['usage'])} hours, {len(result['days'])} days, {len(result['gaps'])} gaps, {len(result['findings'])} findings"
    )
    if truth is None:
        return differences
    return [
        *differences,
        *compare.outcome_differences(truth, outcomes, fleet.resent),
        *compare.gap_differences(truth, result["gaps"]),
        *compare.finding_differences(truth, result["findings"]),
        *missing,
    ]


def missing_differences(client: Client, truth: Mapping[str, Any]) -> list[str]:
    """What differs in the sequence numbers that never came, once a worker had the time to follow them."""
    until = time.monotonic() + FOLLOWED_SECONDS
    while (found := compare.missing_differences(truth, usage.missing(client))) and time.monotonic() < until:
        time.sleep(0.5)
    return found


def checked(store_url: str, now_ns: int) -> list[str]:
    """What `tally check` finds in the store of a replay."""
    store = open_store(store_url, SystemClock())
    try:
        found = check_store(store, DiskHorizon.RESOURCE, now_ns)
    finally:
        store.close()
    return [f"tally check: {difference}" for difference in found.differences]


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL with an empty database, started as the tests start theirs."""
    from tests.stores import postgresql_database  # noqa: PLC0415 - only this way in needs it

    with postgresql_database() as url:
        yield url


def main() -> int:
    """Replay one folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, required=True, help="folder made by the generator")
    parser.add_argument("--out", type=Path, required=True, help="where usage hours and days are written")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--servers", type=int, default=1, help="servers on one PostgreSQL, deliveries spread over them")
    parser.add_argument("--kills", type=int, help="how often a server is killed; 1 if there are several servers")
    parser.add_argument("--seed", type=int, default=1, help="which servers are killed, and when")
    parser.add_argument("--no-check", action="store_true", help="leave out `tally check` at the end")
    options = parser.parse_args()
    if not (options.samples / "samples.jsonl").is_file():
        parser.error(f"--samples {options.samples}: no samples.jsonl there")
    if options.servers < 1 or (options.servers > 1 and options.store == "sqlite"):
        parser.error(f"--servers {options.servers}: one SQLite file has one server; several need --store postgresql")
    kills = int(options.servers > 1) if options.kills is None else options.kills
    try:
        with postgresql() if options.store == "postgresql" else nullcontext() as url:
            way = Way(store_url=url, servers=options.servers, kills=kills, seed=options.seed, checked=not options.no_check)
            differences = replay(options.samples, options.out, way)
    except BrokenError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    for line in compare.shortened(differences):
        print(line)
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())
