"""A rolling upgrade from an earlier commit, while its servers and agents are at work: nothing is lost, nothing is changed.

    python -m tools.live.upgrade [--from COMMIT] [--scenario restart]

The servers of the earlier commit make their store and take the first part of a kept stream. While they take the second part `tally
migrate` of this commit brings the store to its schema; they go on with the third part on a schema that they do not know. Then one
server after the other is replaced by one of this commit, each during a further part. At the end outcomes, hours, days, gaps and
findings are the true ones, and `tally check` finds nothing. On SQLite, which has one server, the same with one.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tallystick.store.engine import Database
from tallystick.store.schema_version import newest_version, version_of
from tools.live.fleet import Fleet, Member, Plan, running
from tools.live.processes import BrokenError
from tools.replay import checked, make_customers, postgresql, wait_computed
from tools.streams import compare, kept, usage
from tools.streams.delivery import Delivery, deliveries
from tools.streams.playing import play
from tools.tree import ROOT

PREVIOUS = "d5490dd"
"""The commit of the release before: its schema is 0001."""
SERVERS = {"sqlite": 1, "postgresql": 2}


def unpack_commit(commit: str, folder: Path) -> Path:
    """The sources of a commit, as they were.

    Raises:
        BrokenError: there is no such commit here.

    """
    made = subprocess.run(["git", "-C", str(ROOT), "archive", commit, "src"], capture_output=True, check=False)
    if made.returncode:
        raise BrokenError(f"commit {commit}: {made.stderr.decode()}")
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


def parts(wanted: Sequence[Delivery], count: int) -> list[Sequence[Delivery]]:
    """Deliveries in as many parts of equal length."""
    size = len(wanted) // count + 1
    return [wanted[start : start + size] for start in range(0, len(wanted), size)]


def migrate(fleet: Fleet) -> subprocess.Popen[bytes]:
    """`tally migrate` of this commit on the store of a fleet that runs."""
    member = fleet.members[0]
    environment = {name: value for name, value in member.process.environment.items() if name != "PYTHONPATH"}
    return subprocess.Popen([sys.executable, "-m", "tallystick", "migrate"], env=environment, stdout=subprocess.DEVNULL)


def schema_of(store_url: str) -> str:
    """The schema version of a store."""
    database = Database(store_url)
    with database.engine.connect() as connection:
        found = version_of(connection)
    database.close()
    return found


def bring_up_to_date(member: Member) -> None:
    """A server of the earlier commit ends as a service manager ends it; one of this commit takes its place."""
    member.process.stop()
    member.process.environment.pop("PYTHONPATH")
    member.start()


def upgrade(samples: Path, store_url: str, servers: int, source: Path) -> list[str]:
    """Play a stream through the upgrade; every difference from its truth."""
    wanted, _ = deliveries(samples)
    chance = random.Random(1)  # noqa: S311 - it spreads deliveries over servers
    few = parts(wanted, 3 + servers)
    outcomes: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tallystick-upgrade-") as folder:
        with running(Path(folder), store_url, servers, wanted[0].received_at_ns, source) as fleet:
            make_customers(fleet.client(), samples)
            outcomes += play(fleet, few[0], Plan(), chance)
            print(f"schema {schema_of(store_url)} is brought to {newest_version()}")
            migrating = migrate(fleet)
            outcomes += play(fleet, few[1], Plan(), chance)
            if migrating.wait(60):
                raise BrokenError("tally migrate failed while servers of the earlier commit were at work")
            outcomes += play(fleet, few[2], Plan(), chance)
            for member, part in zip(fleet.members, few[3:], strict=True):
                bring_up_to_date(member)
                outcomes += play(fleet, part, Plan(), chance)
            client = fleet.client()
            wait_computed(fleet, client)
            result = usage.everything(client)
        differences = checked(store_url, wanted[-1].received_at_ns)
    truth = json.loads((samples / "truth.json").read_text())
    return [
        *differences,
        *kept.usage_differences(truth, result),
        *compare.outcome_differences(truth, outcomes, fleet.resent),
        *compare.gap_differences(truth, result["gaps"]),
        *compare.finding_differences(truth, result["findings"]),
    ]


def run(store: str, samples: Path, source: Path, folder: Path) -> list[str]:
    """The upgrade on one kind of store."""
    if store == "sqlite":
        return upgrade(samples, f"sqlite:///{folder / 'tallystick.db'}", SERVERS[store], source)
    with postgresql() as url:
        return upgrade(samples, url, SERVERS[store], source)


def main() -> int:
    """Upgrade a store of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="commit", default=PREVIOUS, help="the commit that the servers are of at first")
    parser.add_argument("--scenario", default="restart", help="the kept stream that is sent")
    options = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="tallystick-earlier-") as name:
        folder = Path(name)
        try:
            source = unpack_commit(options.commit, folder)
            (folder / "samples").mkdir()
            samples = kept.unpack(options.scenario, folder / "samples")
            for store in SERVERS:
                began = time.monotonic()
                differences = run(store, samples, source, folder)
                wrong += len(differences)
                print(f"{store}: {len(differences)} differences after {time.monotonic() - began:.0f} s", flush=True)
                for line in compare.shortened(differences):
                    print(f"  {line}")
        except BrokenError as error:
            print(f"upgrade: {error}", file=sys.stderr)
            return 1
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
