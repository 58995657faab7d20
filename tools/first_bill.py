"""The first bill: three real workloads, metered, priced, invoiced, and every line computed three times over.

    python -m tools.first_bill --out DIR

An own server and agent on a free port and an empty database meter workloads in real control groups for about a minute; the
subscriptions of two customers end, their invoices are finalized, and DIR gets each invoice as PDF, JSON and text,
explain.txt (a line opened to hours, cells and raw samples) and check.json. The exit status is 0 only if no line is 0 and the
invoice, a re-rating from its frozen evidence, an independent computation from the raw samples, and the kernel all agree.
Without control groups the workloads are single-threaded processes that are metered through /proc.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tallystick.app.cli.client import RefusedError
from tools.bill import show
from tools.bill.billing import Accounts, bill, insist
from tools.bill.check import check
from tools.bill.groups import Hierarchies, disk_is_counted, disk_of, hierarchies, parent
from tools.bill.stage import HOST, Stage, kill_plan
from tools.bill.workloads import Reading, Run, Workloads, command_of
from tools.live.processes import BrokenError

RESOURCES = {"steady": "steady", "bursty": "bursty", "brief": "stop-and-go"}
"""The kinds of workload, and the id that each is metered as in a group; without groups its command and process id are its id."""
BRIEF_SHARE = 3
"""What stops half-way runs a third of the time, is away, and runs another third."""
PAUSE_SECONDS = 2.0


def play(stage: Stage, accounts: Accounts, workloads: Workloads, seconds: float) -> list[Reading]:
    """Run the three workloads for so many seconds, and tell what the kernel said of each run before its place was removed."""

    def begin(kind: str) -> Run:
        child = workloads.spawn(kind, seconds / (BRIEF_SHARE if kind == "brief" else 1))
        resource_id = RESOURCES[kind] if stage.in_groups else f"{HOST}:{command_of(child.pid)}:{child.pid}"
        accounts.assign(kind, resource_id, lambda act: insist(stage, act))
        return workloads.begin(kind, resource_id, child)

    readings: list[Reading] = []
    running = [begin(kind) for kind in RESOURCES]
    stage.began_at = time.monotonic()
    again_at: float | None = None
    first_brief = running[-1]
    while running or again_at is not None or stage.kills or stage.returning:
        stage.look()
        for run in list(running):
            run.look()
            if run.ended_at is not None and stage.read_since(run.ended_at):
                readings.append(run.remove())
                running.remove(run)
                again_at = time.monotonic() + PAUSE_SECONDS if run is first_brief else again_at
        if again_at is not None and time.monotonic() >= again_at:
            running.append(begin("brief"))
            again_at = None
        time.sleep(0.05)
    return readings


def perform(options: argparse.Namespace, folder: Path, found: Hierarchies | None, group: str) -> int:
    """The whole of it in one folder: open, play, bill, check. The exit status."""
    disk = found is None or disk_is_counted(found, group, folder)
    for line in show.circumstances(found, folder, disk=disk, asked=options.no_cgroups):
        print(line, flush=True)
    workloads = Workloads(folder=folder / "work", found=found, parent=group)
    workloads.folder.mkdir()
    stage = Stage(folder=folder, kills=kill_plan(options.kills, options.seconds, options.seed), in_groups=found is not None)
    try:
        stage.open_server()
        accounts = Accounts.open(stage.rest, seconds=options.seconds, disk=disk)
        stage.open_agent(accounts.agent_key(), {f"{group}/{kind}": name for kind, name in RESOURCES.items()})
        print(f"metering three workloads for {options.seconds} s", flush=True)
        readings = play(stage, accounts, workloads, options.seconds)
        invoices = bill(stage, accounts, readings)
        show.write_invoices(stage.rest, invoices, options.out)
    finally:
        workloads.clean()
        stage.close()
    return check(stage, accounts, invoices, readings, options.out)


def arguments() -> argparse.Namespace:
    """What the script is told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the invoices and check.json")
    parser.add_argument("--seconds", type=int, default=60, help="how long the workloads run (60)")
    parser.add_argument("--no-cgroups", action="store_true", help="meter processes through /proc, even where groups can be made")
    parser.add_argument("--kills", type=int, default=0, help="how many times server and agent are killed with -9 in the middle (0)")
    parser.add_argument("--seed", type=int, default=1, help="decides when the kills come (1)")
    parser.add_argument("--keep", action="store_true", help="copy the database, spool and logs to OUT/work")
    return parser.parse_args()


def main() -> int:
    """Run it in a temporary folder; groups and processes are gone at the end, whatever happens."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    found = None if options.no_cgroups else hierarchies()
    on_disk = None if disk_of(Path(tempfile.gettempdir())) else options.out
    with tempfile.TemporaryDirectory(prefix="tallystick-first-bill-", dir=on_disk) as folder:
        try:
            if found is None:
                return perform(options, Path(folder), None, "")
            with parent(found, Path(folder).name) as group:
                return perform(options, Path(folder), found, group)
        except (BrokenError, RuntimeError) as error:
            print(f"first-bill: {error}", file=sys.stderr)
            return 1
        except RefusedError as error:
            print("\n".join(["first-bill: the server refused:", *error.lines()]), file=sys.stderr)
            return 1
        finally:
            if options.keep:
                shutil.copytree(folder, options.out / "work", dirs_exist_ok=True, ignore=shutil.ignore_patterns("burst.bin"))


if __name__ == "__main__":
    sys.exit(main())
