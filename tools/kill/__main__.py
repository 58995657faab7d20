"""The kill test: real agents, server, worker and PostgreSQL, killed with -9 at chosen and at random moments, and an independent ledger.

    python -m tools.kill --kills 200 [--store sqlite|postgresql] [--seed 1] [--limit-seconds 900]

Agents meter hosts of files whose counters are known to the unit, and send through a relay. The ledger is kept there, what was sent and
what was acknowledged, and after each kill of an agent it is told what lies on that host's disk. At the end nothing that was
acknowledged is missing, nothing is there twice, every sample that was on a disk is stored once, hours, gaps and findings are what the
scalar reference makes of those samples, each counter is billed as far as it rose, and `tally check` finds nothing. Any difference is
a line, and the exit status is then 1. The last line is the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tallystick.app.cli.client import RefusedError
from tools.kill import verdict
from tools.kill.strikes import AGENT, Phase, Striker, plan
from tools.kill.world import World
from tools.live.processes import BrokenError
from tools.streams import compare, usage

VICTIMS = {"sqlite": (AGENT, "server", AGENT), "postgresql": (AGENT, "server", AGENT, "postgresql")}
"""In turns: an agent is back at once, a server takes seconds."""
FIRST_SECONDS = 60
SECONDS_PER_KILL = 5

Kills = Counter[tuple[str, Phase]]


def kill(world: World, options: argparse.Namespace) -> Kills:
    """All kills, or as many as there was time for: by victim and phase."""
    until = time.monotonic() + (options.limit_seconds or FIRST_SECONDS + SECONDS_PER_KILL * options.kills)
    chance = random.Random(options.seed)  # noqa: S311 - blows that can be had again, no secret
    striker, kills = Striker(world), Kills()
    for blow in plan(options.kills, VICTIMS[options.store], chance):
        if time.monotonic() > until:
            break
        phase = striker.strike(blow)
        kills[blow.victim, phase] += 1
        if options.verbose:
            print(f"  {time.monotonic() - world.began:6.1f} s  {blow.victim:<12} wanted {blow.phase:<28} was {phase}", flush=True)
    return kills


def judge(world: World) -> list[str]:
    """Every difference, once everything has come to rest."""
    world.settle()
    told = usage.everything(world.rest)
    _, shown = world.run(world.gaps)
    for process in (world.worker, world.server):
        process.stop()
    code, said = world.run(world.check)
    stored = world.database.batches()
    hosts = [agent.host for agent in world.agents]
    usage_lines = list(verdict.usage_differences(world.ledger, hosts, told, json.loads(shown)))
    world.counted = {
        "batches": len(stored),
        "acknowledged": len(world.ledger.acknowledged),
        "repeated": world.ledger.repeats,
        "samples": len(world.ledger.samples),
        "hours": len(told["usage"]),
        "gaps": len(told["gaps"]),
    }
    return [
        *world.ledger.told,
        *verdict.batch_differences(world.ledger, stored),
        *verdict.sample_differences(world.ledger, stored),
        *usage_lines,
        *([f"{world.database.conflicts()} second contents were kept aside"] if world.database.conflicts() else []),
        *([f"tally check: {line}" for line in said.splitlines()] if code else []),
    ]


def table(kills: Kills) -> str:
    """Kills by victim and phase."""
    victims = sorted({victim for victim, _ in kills})
    rows = [["", *Phase, "all"]]
    for victim in victims:
        own = [kills[victim, phase] for phase in Phase]
        rows.append([victim, *map(str, own), str(sum(own))])
    rows.append(["all", *(str(sum(kills[victim, phase] for victim in victims)) for phase in Phase), str(kills.total())])
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join("  ".join([f"{row[0]:<{widths[0]}}", *map(str.rjust, row[1:], widths[1:])]) for row in rows)


def report(world: World, kills: Kills, differences: list[str], options: argparse.Namespace) -> int:
    """The table, the differences, how to have it again, and all of it as one line of JSON. The exit status."""
    by_phase = {str(phase): sum(count for (_, each), count in kills.items() if each is phase) for phase in Phase}
    never = [phase for phase, count in by_phase.items() if not count and phase != Phase.ELSEWHERE]
    differences = [
        *differences,
        *([f"only {kills.total()} of {options.kills} kills in the time that there was"] if kills.total() < options.kills else []),
        *(f"no kill {phase}" for phase in never),
    ]
    again = f"make kill-test KILLS={options.kills} STORE={options.store} SEED={options.seed}"
    print(table(kills))
    print(", ".join(f"{count} {noun}" for noun, count in world.counted.items()) + f"; {time.monotonic() - world.began:.0f} s")
    for line in compare.shortened(differences):
        print(f"DIFFERENT {line}")
    print(f"nothing acknowledged is missing, nothing is double, usage is exact: {again}" if not differences else f"again: {again}")
    document: dict[str, Any] = {
        "ok": not differences,
        "store": options.store,
        "seed": options.seed,
        "kills": kills.total(),
        "by_phase": by_phase,
        "by_victim": {victim: sum(count for (each, _), count in kills.items() if each == victim) for victim, _ in sorted(kills)},
        **world.counted,
        "seconds": round(time.monotonic() - world.began),
        "differences": differences,
    }
    print(json.dumps(document))
    return int(bool(differences))


def main() -> int:
    """Run it in a temporary folder; every process that was started is ended, whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how often something is killed (200)")
    parser.add_argument("--store", choices=tuple(VICTIMS), default="sqlite")
    parser.add_argument("--seed", type=int, default=1, help="decides whom the kills hit and in which phase (1)")
    parser.add_argument("--limit-seconds", type=int, help="no kill after so many seconds (60, and 5 for each kill)")
    parser.add_argument("--keep", type=Path, help="copy database, spools and logs to this folder")
    parser.add_argument("--verbose", action="store_true", help="a line for each kill")
    options = parser.parse_args()
    if options.kills < 1:
        parser.error(f"--kills {options.kills}: at least 1")
    print(f"{options.kills} kills on {options.store}, seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tallystick-kill-test-") as folder:
        world = World(Path(folder), options.store, options.seed)
        try:
            world.open()
            kills = kill(world, options)
            return report(world, kills, judge(world), options)
        except (BrokenError, RefusedError, OSError) as error:
            print(f"kill-test: {error}\n{world.tails()}", file=sys.stderr)
            return 1
        finally:
            world.close()
            if options.keep:
                shutil.copytree(folder, options.keep, dirs_exist_ok=True)


if __name__ == "__main__":
    sys.exit(main())
