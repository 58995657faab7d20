"""`tally agent`: the collector on the host. It needs no server installed, and imports nothing of it."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tallystick.app.cli.output import WRONG_USE, AsJson, fail, print_json, print_table

app = typer.Typer(help="The collector on the host.", rich_markup_mode=None)

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML; the environment wins over it.")]
COLUMNS = {
    "resource": "resource_id",
    "CPU ns": "cpu_time_nanos",
    "memory bytes": "memory_bytes_used",
    "read bytes": "disk_read_bytes",
    "written bytes": "disk_write_bytes",
    "received bytes": "network_rx_bytes",
    "sent bytes": "network_tx_bytes",
}
NUMBERS = tuple(COLUMNS)[1:]


@app.callback(invoke_without_command=True)
def agent(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Print one reading of every resource, and send nothing.")] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """The collector on the host.

    \b
    Example:
        tally agent --once
    """
    if context.invoked_subcommand is not None:
        return
    if not once:
        typer.echo(context.get_help())
        raise typer.Exit(WRONG_USE)
    show_readings(config, None, as_json)


@app.command()
def run(config: Config = None, as_json: AsJson = False) -> None:
    """Meter this host until it is told to stop; the last batch is flushed. Logs are JSON lines, with or without `--json`.

    \b
    Example:
        TALLY_AGENT_ENDPOINT=https://billing.example.com tally agent run
    """
    # A fresh process without this command line in it: the agent is to stay small for as long as the host runs.
    given = ["--config", str(config)] if config else []
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "tallystick.app.agent", *given, "run"])  # noqa: S606 - no shell, our own module


@app.command()
def read(
    resource: Annotated[str, typer.Argument(metavar="RESOURCE", help="Its id, or its path in the source.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print one reading of one resource, and send nothing.

    \b
    Example:
        tally agent read vm-1
    """
    show_readings(config, resource, as_json)


def show_readings(config: Path | None, resource: str | None, as_json: bool) -> None:
    """One reading of one resource, or of all: the values as the kernel has them now."""
    from tallystick.app.agent import once
    from tallystick.app.agent_settings import AgentSettingsError, load_settings
    from tallystick.collect.mapping import MappingError

    told = logging.StreamHandler()
    told.setFormatter(logging.Formatter("%(message)s: %(detail)s", defaults={"detail": ""}))
    logging.getLogger().addHandler(told)
    try:
        readings = once(load_settings(config), resource)
    except (AgentSettingsError, MappingError, OSError) as error:
        fail(str(error), code=WRONG_USE)
    if resource is not None and not readings:
        fail(f"RESOURCE = {resource!r}: nothing of that name is metered here; `tally agent --once` lists what is")
    print_json(readings) if as_json else print_table("readings", readings, COLUMNS, right=NUMBERS)
