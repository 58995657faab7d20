"""`tally conflicts`: batches that were sent again with other content."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tallystick.app.cli.client import connect
from tallystick.app.cli.nouns.arguments import Limit
from tallystick.app.cli.output import AsJson, print_json, print_record, print_table

app = typer.Typer(help="Batches that were sent again with other content.", no_args_is_help=True, rich_markup_mode=None)

Number = Annotated[int, typer.Argument(metavar="ID", help="The id of the conflict.")]
FIELDS = {
    "id": "id",
    "resource": "resource_id",
    "boot": "boot_id",
    "spool": "spool_id",
    "sequence": "sequence",
    "stored content": "stored_hash",
    "sent content": "sent_hash",
    "sent at": "received_at",
    "its first sample": "first",
    "its last sample": "last",
    "its samples": "samples",
    "state": "state",
    "resolved at": "resolved_at",
    "by": "resolved_by",
    "reason": "reason",
}


class Counts(StrEnum):
    """Which content counts."""

    STORED = "stored"
    SENT = "sent"


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that were resolved, too.")] = False,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List conflicts, newest first.

    \b
    Example:
        tally conflicts list
    """
    rows = list(connect().pages("/v1/conflicts", limit, open=None if every else True))
    columns = {"id": "id", "resource": "resource_id", "boot": "boot_id", "spool": "spool_id", "sequence": "sequence"}
    print_json(rows) if as_json else print_table("conflicts", rows, {**columns, "sent at": "received_at", "state": "state"})


@app.command()
def show(number: Number, as_json: AsJson = False) -> None:
    """Show one, with both hashes.

    \b
    Example:
        tally conflicts show 3
    """
    found = connect().get(f"/v1/conflicts/{number}")
    print_json(found) if as_json else print_record(found, FIELDS)


@app.command()
def resolve(
    number: Number,
    counts: Annotated[Counts, typer.Option(help="The content that is stored, or the one that was sent after it.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the audit log.")],
    as_json: AsJson = False,
) -> None:
    """Say which content counts. With `sent` the hours that it touches are computed again. Both contents are kept.

    \b
    Example:
        tally conflicts resolve 3 --counts stored --reason "the host was restored from a backup"
    """
    found = connect().post(f"/v1/conflicts/{number}/resolve", {"counts": counts.value, "reason": reason})
    print_json(found) if as_json else typer.echo(f"conflict {number}: {found['state']}")
