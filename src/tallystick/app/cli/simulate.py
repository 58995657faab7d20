"""`tally simulate`: the product in a world of faults, in virtual time, and an auditor that knows what it must come to."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.app.cli.output import FAILED, AsJson, print_json
from tallystick.app.cli.processes import progress

if TYPE_CHECKING:
    from tallystick.sim.run import Runs
    from tallystick.sim.world.world import Run

SHOWN_OF_A_SEED = 5


def simulate(
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1,
    runs: Annotated[int, typer.Option(min=1, help="How many seeds, one after the other.")] = 1,
    jobs: Annotated[int, typer.Option(min=0, help="Processors to use; 0: all.")] = 0,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End with the first seed in which anything is wrong.")] = False,
    coverage_runs: Annotated[int, typer.Option(min=0, help="Of so many runs note which lines they went through; slower.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Run agents, spools, network, server and store in virtual time under faults, and audit every usage hour; no store of yours is used.

    \b
    Example:
        tally simulate --seed 1 --runs 200
    """
    from tallystick.sim.coverage import report
    from tallystick.sim.run import Runs, many

    result = Runs(first_seed=seed)
    told = 0
    for result in many(seed, runs, jobs=jobs or os.cpu_count() or 1, traced_runs=min(coverage_runs, runs)):
        if not as_json:
            for failed in result.failed[told:]:
                _print_failed(failed)
            told = len(result.failed)
        if fail_fast and result.failed:
            break
        if not as_json:
            progress(f"{result.runs} of {runs} seeds, {result.virtual_hours} virtual hours, {len(result.failed)} failed")
    parts = report(result.lines) if coverage_runs else {}
    if as_json:
        print_json(_plain(result, parts))
    else:
        progress("")
        _print(result, parts)
    if result.failed:
        raise typer.Exit(FAILED)


def _print_failed(run: Run) -> None:
    typer.echo(f"seed {run.seed}: {len(run.wrong)} wrong; again: tally simulate --seed {run.seed}")
    for wrong in run.wrong[:SHOWN_OF_A_SEED]:
        where = " ".join(part for part in (wrong.resource, wrong.meter, str(wrong.at_ns or "")) if part)
        typer.echo(f"  {wrong.what}: {where}")
        if wrong.expected or wrong.got:
            typer.echo(f"    expected {wrong.expected or 'nothing'}\n    got      {wrong.got or 'nothing'}")


def _print(result: Runs, parts: dict[str, dict[str, object]]) -> None:
    typer.echo(f"seeds               {result.first_seed} to {result.first_seed + result.runs - 1}, {len(result.failed)} failed")
    typer.echo(f"virtual hours       {result.virtual_hours}, {result.virtual_hours_a_minute} a minute")
    typer.echo(f"events              {result.events}")
    typer.echo(f"samples             {result.readings}")
    typer.echo(f"usage hours audited {result.audited_hours}")
    typer.echo("faults")
    for name, count in sorted(result.faults.items()):
        typer.echo(f"  {name:<28} {count:>9}")
    for part, told in parts.items():
        typer.echo(f"{part:<8} {told['run']} of {told['lines']} lines were run: {told['percent']} %")
        modules = told["modules"]
        if isinstance(modules, dict):
            typer.echo("  " + ", ".join(f"{path.partition('/')[2].removesuffix('.py')} {percent} %" for path, percent in modules.items()))


def _plain(result: Runs, parts: dict[str, dict[str, object]]) -> dict[str, object]:
    return {
        "first_seed": result.first_seed,
        "runs": result.runs,
        "virtual_hours": result.virtual_hours,
        "virtual_hours_a_minute": result.virtual_hours_a_minute,
        "events": result.events,
        "samples": result.readings,
        "usage_hours_audited": result.audited_hours,
        "faults": dict(sorted(result.faults.items())),
        "coverage": parts,
        "failed": [
            {"seed": run.seed, "again": f"tally simulate --seed {run.seed}", "wrong": [dataclasses.asdict(wrong) for wrong in run.wrong]}
            for run in result.failed
        ],
    }
