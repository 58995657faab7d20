"""`tally up, init, serve, worker, check, migrate`: what opens the store itself. Everything else asks a server."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.app.cli.output import FAILED, WRONG_USE, AsJson, fail, print_json

if TYPE_CHECKING:
    from tallystick.app.settings import Settings

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings in TOML; the environment wins over it.")]
Store = Annotated[str | None, typer.Option("--store", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/DATABASE.")]
Listen = Annotated[str | None, typer.Option("--listen", metavar="HOST:PORT", help="Where to answer.")]


def settings_of(config: Path | None, **given: object) -> Settings:
    """The settings for a process: what is given on the command line over the environment over the file; a wrong one ends it."""
    from tallystick.app.settings import SettingsError, load_settings

    try:
        return load_settings(config, **{name: value for name, value in given.items() if value is not None})
    except SettingsError as error:
        fail(str(error), code=WRONG_USE)


@contextmanager
def told_plainly() -> Iterator[None]:
    """What keeps a process from its store or its address is one line, not a stack: wrong URLs, old schemas, a second server."""
    from tallystick.store.engine import StoreUrlError
    from tallystick.store.store import SchemaMismatch, StoreFault, StoreInUse

    try:
        yield
    except StoreUrlError as error:
        fail(f"store_url (TALLY_STORE_URL): {error}", code=WRONG_USE)
    except (SchemaMismatch, StoreInUse, OSError) as error:
        fail(str(error))
    except StoreFault as error:
        fail(f"store_url (TALLY_STORE_URL): the store cannot be opened: {error.orig}")


def up(
    seconds: Annotated[int | None, typer.Option(envvar="RUN_SECONDS", min=1, help="End after so many seconds.")] = None,
    config: Config = None,
    store: Store = None,
    listen: Listen = None,
    as_json: AsJson = False,
) -> None:
    """Start server, worker and an agent that meters this machine, and show a live table. Ctrl-C stops all of it cleanly.

    \b
    Example:
        tally up --seconds 60
    """
    from tallystick.app.up import run_up

    settings = settings_of(config, store_url=store, listen=listen)
    raise typer.Exit(run_up(settings, seconds=seconds, as_json=as_json))


def init(config: Config = None, store: Store = None, as_json: AsJson = False) -> None:
    """Create the store: tables, the default seller and scope, the default price book, and the first admin key, shown once.

    \b
    Example:
        tally init --store postgresql://tally@db.example.com/tally
    """
    from tallystick.app.init import AlreadyThereError, init_store

    settings = settings_of(config, store_url=store)
    try:
        with told_plainly():
            made = init_store(settings)
    except AlreadyThereError as error:
        fail(str(error))
    if as_json:
        print_json({"store": made.store_url, "price_book": made.price_book, "admin_key": made.admin_key, "key_file": str(made.key_file)})
        return
    typer.echo(made.admin_key)
    typer.echo(f"the first admin key, shown once and kept in {made.key_file}", err=True)
    typer.echo(f"store {made.store_url}, price book {made.price_book}", err=True)


def serve(config: Config = None, store: Store = None, listen: Listen = None, as_json: AsJson = False) -> None:
    """Serve the API; workers run as child processes. Logs are JSON lines on stderr, with or without `--json`.

    \b
    Example:
        TALLY_WORKERS=2 tally serve --listen 0.0.0.0:8080
    """
    from tallystick.app.server import run_server

    settings = settings_of(config, store_url=store, listen=listen)
    with told_plainly():
        status = run_server(settings)
    raise typer.Exit(status)


def worker(config: Config = None, store: Store = None, as_json: AsJson = False) -> None:
    """Run the jobs only: usage hours, and the closing of billing periods. Logs are JSON lines, with or without `--json`.

    \b
    Example:
        tally worker --store postgresql://tally@db.example.com/tally
    """
    from tallystick.app.jobs.worker import run_worker

    settings = settings_of(config, store_url=store)
    with told_plainly():
        run_worker(settings)


def migrate(config: Config = None, store: Store = None, as_json: AsJson = False) -> None:
    """Bring the tables of the store to this version. Running it again changes nothing.

    \b
    Example:
        tally migrate
    """
    from tallystick.app.init import migrate_store

    settings = settings_of(config, store_url=store)
    with told_plainly():
        version = migrate_store(settings)
    print_json({"store": settings.url, "schema": version}) if as_json else typer.echo(f"the store is at schema {version}")


def check(
    resource: Annotated[str | None, typer.Option("--resource", metavar="ID", help="Only this resource.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", metavar="ID", help="Only what is or was this customer's.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="INSTANT", help="Only what lies after it.")] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="INSTANT", help="Only what lies before it.")] = None,
    config: Config = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Compute all that is derived again, from raw samples to invoices; print each difference, and fail if there is one.

    \b
    Example:
        tally check --customer acme --from 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z
    """
    from tallystick.app.check import run_check
    from tallystick.app.checks.report import Report, Wanted
    from tallystick.model.instants import LATEST_NS

    settings = settings_of(config, store_url=store)
    wanted = Wanted(
        resource_id=resource, customer_id=customer, from_ns=_instant("--from", from_, 0), until_ns=_instant("--until", until, LATEST_NS)
    )
    report = Report() if as_json else Report(tell=typer.echo, step=progress)
    with told_plainly():
        found = run_check(settings, wanted, report)
    if as_json:
        print_json(dataclasses.asdict(found))
    else:
        progress("")
        counts = ", ".join(f"{number} {layer}" for layer, number in found.compared.items())
        typer.echo(f"{counts or 'nothing'} computed again: {found.different} differences")
    if found.different:
        raise typer.Exit(FAILED)


def _instant(option: str, text: str | None, otherwise: int) -> int:
    from tallystick.model.instants import parse_iso

    try:
        return otherwise if text is None else parse_iso(text)
    except ValueError as error:
        fail(f"{option} {text!r}: {error}", code=WRONG_USE)


def progress(told: str) -> None:
    """How far it is, on one line of a terminal; a file or a pipe is told nothing."""
    if sys.stderr.isatty():
        typer.echo(f"\r\033[K{told}", err=True, nl=False)
