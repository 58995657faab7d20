"""The command `tally`: every command in its place. Heavy modules are imported inside commands: `tally --help` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from tallystick import __version__
from tallystick.app.cli import agent, books, doctor, processes, retention, simulate, stores
from tallystick.app.cli.client import RefusedError
from tallystick.app.cli.nouns import (
    absences,
    conflicts,
    customers,
    invoices,
    keys,
    offers,
    prices,
    resources,
    subscriptions,
    too_late,
    usage,
)
from tallystick.app.cli.output import FAILED, refused

app = typer.Typer(
    name="tally",
    help="Metering and billing for compute: from a sample on the host to a paid invoice, exactly.",
    epilog="Commands talk to the server at TALLY_URL (http://127.0.0.1:8080) with the key of TALLY_KEY or TALLY_KEY_FILE.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)

BEFORE: tuple[Callable[..., None], ...] = (processes.up, processes.init, processes.serve, processes.worker)
AFTER: tuple[Callable[..., None], ...] = (
    invoices.estimate,
    invoices.explain,
    processes.check,
    doctor.doctor,
    processes.migrate,
    simulate.simulate,
)

for command in BEFORE:
    app.command()(command)
app.add_typer(agent.app, name="agent")
app.add_typer(keys.app, name="keys")
app.add_typer(customers.app, name="customer")
app.add_typer(resources.app, name="resource")
app.add_typer(resources.outages, name="outage")
app.add_typer(subscriptions.app, name="subscription")
app.add_typer(offers.coupons, name="coupon")
app.add_typer(offers.reservations, name="reservation")
for command in (books.new, books.lint, books.diff, books.activate):
    prices.app.command()(command)
app.add_typer(prices.app, name="price")
app.command()(usage.usage)
app.command()(usage.gaps)
app.add_typer(absences.app, name="absences")
app.add_typer(conflicts.app, name="conflicts")
app.add_typer(too_late.app, name="too-late")
app.add_typer(invoices.app, name="invoice")
app.add_typer(stores.app, name="store")
app.add_typer(retention.app, name="retention")
for command in AFTER:
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tally {__version__}")
        raise typer.Exit


@app.callback()
def options(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version.")) -> None:
    """Metering and billing for compute: from a sample on the host to a paid invoice, exactly."""


def run() -> None:
    """Run the command line; what a server refuses is one line with field and value, and an exit code that is not 0."""
    try:
        app()
    except RefusedError as error:
        sys.exit(refused(error, as_json="--json" in sys.argv))
    except BrokenPipeError:
        sys.exit(FAILED)  # whoever read the table has seen enough
