"""`tally retention status, run`: what is kept, since when, and what must stay; and a clean-up at once."""

from __future__ import annotations

import typer

from tallystick.app.cli.output import AsJson, Json, print_json, print_table
from tallystick.app.cli.processes import Config, Store, settings_of, told_plainly

app = typer.Typer(help="What is deleted by age, and what is kept.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def status(config: Config = None, store: Store = None, as_json: AsJson = False) -> None:
    """Show what is kept of each kind and since when, what must stay and why, and what the last clean-up did.

    \b
    Example:
        tally retention status
    """
    from tallystick.app.jobs.retention.report import read_status

    settings = settings_of(config, store_url=store)
    with told_plainly():
        told: Json = read_status(settings)
    if as_json:
        print_json(told)
        return
    rows = [{"kind": kind, **each} for kind, each in told["kept"].items()]
    print_table("kept", rows, {"what": "kind", "rows": "rows", "from": "from"}, right=["rows"])
    typer.echo(f"{told['stored_bytes']} bytes in the store")
    archive = told["archive"]
    if archive["files"]:
        typer.echo(f"{archive['files']} files with {archive['samples']} samples, {archive['bytes']} bytes in {archive['directory']}")
    for why, resources in told["refused"].items():
        typer.echo(f"refused: {why} ({resources} resources)")
    if told["last"]:
        _tell(told["last"])


@app.command()
def run(config: Config = None, store: Store = None, as_json: AsJson = False) -> None:
    """Clean up now, as the worker does at night: delete what is old and not needed, in small steps that keep nobody waiting.

    \b
    Example:
        tally retention run --json
    """
    from tallystick.app.jobs.retention.archive import ArchiveUnavailable
    from tallystick.app.jobs.retention.report import run_now

    settings = settings_of(config, store_url=store)
    with told_plainly():
        try:
            told: Json = run_now(settings)
        except ArchiveUnavailable as error:
            raise OSError(str(error)) from None
    print_json(told) if as_json else _tell(told)


def _tell(told: Json) -> None:
    done = ", ".join(f"{rows} {kind}" for kind, rows in told["deleted"].items()) or "nothing"
    typer.echo(f"clean-up of {told['at']}: {done}")
    for why, count in told["refused"].items():
        typer.echo(f"kept: {why} ({count})")
