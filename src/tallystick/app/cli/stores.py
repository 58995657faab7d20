"""`tally store`: a whole store at once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.app.cli.output import FAILED, WRONG_USE, AsJson, fail, print_json
from tallystick.app.cli.processes import Config, progress, settings_of, told_plainly

if TYPE_CHECKING:
    from tallystick.app.check import Checked
    from tallystick.app.settings import Settings
    from tallystick.store.moving.copy import CopiedTable

app = typer.Typer(help="Move a whole store.", no_args_is_help=True)


@app.callback()
def options() -> None:
    """Move a whole store."""


@app.command()
def copy(
    source: Annotated[str, typer.Option("--from", metavar="URL", help="The store to copy; nothing may have it open.")],
    target: Annotated[str, typer.Option("--to", metavar="URL", help="An empty database: it is given its tables first.")],
    no_check: Annotated[bool, typer.Option("--no-check", help="Compare rows and digests only: no `tally check` on both sides.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Copy a whole store into an empty database, SQLite or PostgreSQL, and prove that both are the same; stop its servers first.

    \b
    Example:
        tally store copy --from sqlite:////var/lib/tallystick/tallystick.db --to postgresql://tally@db.example.com/tally
    """
    from tallystick.store.moving.copy import TargetNotEmpty, copy_store

    settings = settings_of(config)
    try:
        with told_plainly():
            tables = copy_store(source, target, step=progress)
            checks = {} if no_check else {url: _checked(settings, url) for url in (source, target)}
    except TargetNotEmpty as error:
        fail(str(error), code=WRONG_USE)
    differ = [table.table for table in tables if not table.is_equal]
    counts = [dict(check.compared) for check in checks.values()]
    same = not differ and all(each == counts[0] for each in counts) and not any(check.different for check in checks.values())
    if as_json:
        print_json({"equal": same, "tables": [dataclasses.asdict(table) for table in tables], "checks": [*map(_plain, checks.values())]})
    else:
        _print(tables, list(checks.values()), same=same)
    if not same:
        raise typer.Exit(FAILED)


def _checked(settings: Settings, url: str) -> Checked:
    from tallystick.app.check import run_check
    from tallystick.app.checks.report import Report, Wanted

    return run_check(settings.model_copy(update={"store_url": url}), Wanted(), Report(step=progress))


def _plain(check: Checked) -> dict[str, object]:
    return dataclasses.asdict(check)


def _print(tables: list[CopiedTable], checks: list[Checked], *, same: bool) -> None:
    progress("")
    for table in tables:
        typer.echo(f"{table.table:<20} {table.rows:>12} rows  {table.digest[:16]}")
        if not table.is_equal:
            typer.echo(f"{'  the copy has':<20} {table.target_rows:>12} rows  {table.target_digest[:16]}")
    for side, check in zip(("the source", "the copy"), checks, strict=False):
        for difference in check.differences:
            typer.echo(f"{side}: {difference}")
        counts = ", ".join(f"{number} {layer}" for layer, number in check.compared.items())
        typer.echo(f"{side}: {counts or 'nothing'} computed again: {check.different} differences")
    typer.echo("both are the same" if same else "both are NOT the same")
