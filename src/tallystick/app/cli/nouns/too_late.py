"""`tally too-late`: batches that came when their hours were sealed, for a person to decide about."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tallystick.app.cli.client import Json, connect
from tallystick.app.cli.nouns.arguments import Limit
from tallystick.app.cli.output import AsJson, print_json, print_record, print_table

app = typer.Typer(help="Batches that came when their hours were sealed.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = {
    "batch": "batch",
    "resource": "resource_id",
    "boot": "boot_id",
    "from": "first_at",
    "to": "last_at",
    "samples": "samples",
    "received": "received_at",
    "state": "state",
    "by": "decided_by",
    "reason": "reason",
}


class State(StrEnum):
    """What became of one."""

    OPEN = "open"
    ADMITTED = "admitted"
    DISMISSED = "dismissed"


Batch = Annotated[int, typer.Argument(metavar="BATCH", min=1, help="Its number, as the list shows it.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit log.")]


@app.command("list")
def list_(
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None, limit: Limit = 100, as_json: AsJson = False
) -> None:
    """List them, the latest first.

    \b
    Example:
        tally too-late list --state open
    """
    rows = list(connect().pages("/v1/too-late", limit, state=None if state is None else state.value))
    print_json(rows) if as_json else print_table("too late", rows, COLUMNS, right=["batch", "samples"])


@app.command()
def show(batch: Batch, as_json: AsJson = False) -> None:
    """Show one, with what it would change, or did.

    \b
    Example:
        tally too-late show 4711
    """
    _print(connect().get(f"/v1/too-late/{batch}"), as_json)


@app.command()
def admit(batch: Batch, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let it count: its difference is added to the sealed hours, their days and months. Final invoices stay as they are.

    \b
    Example:
        tally too-late admit 4711 --reason "the host was in a cupboard"
    """
    _print(connect().post(f"/v1/too-late/{batch}/admit", {"reason": reason}), as_json)


@app.command()
def dismiss(batch: Batch, reason: Reason = "", as_json: AsJson = False) -> None:
    """Decide that it changes nothing.

    \b
    Example:
        tally too-late dismiss 4711 --reason "a test machine"
    """
    _print(connect().post(f"/v1/too-late/{batch}/dismiss", {"reason": reason}), as_json)


def _print(answer: Json, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    print_record(answer, COLUMNS)
    rows = [{"hour": hour, **meters} for hour, meters in answer["change"].items()]
    meters = sorted({meter for row in answer["change"].values() for meter in row})
    shown = [{"hour": row["hour"], **{meter.replace(".", " "): row.get(meter, "") for meter in meters}} for row in rows]
    headings = [meter.replace(".", " ") for meter in meters]
    print_table("change", shown, {"hour": "hour", **{heading: heading for heading in headings}}, right=headings)
