"""`tally absences`: agents and resources of which nothing comes."""

from __future__ import annotations

from typing import Annotated

import typer

from tallystick.app.cli.client import connect, segment
from tallystick.app.cli.nouns.arguments import Limit
from tallystick.app.cli.output import AsJson, print_json, print_table

app = typer.Typer(help="Agents and resources of which nothing comes.", no_args_is_help=True, rich_markup_mode=None)

Reason = Annotated[str, typer.Option(help="Why; it stands in the audit log.")]


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False, limit: Limit = 100, as_json: AsJson = False
) -> None:
    """List who is away, noticed last first.

    \b
    Example:
        tally absences list
    """
    rows = list(connect().pages("/v1/absences", limit, open=None if every else True))
    columns = {
        "id": "id",
        "who": "kind",
        "name": "subject",
        "agent": "agent_id",
        "cause": "cause",
        "since": "since",
        "noticed": "noticed_at",
        "ended": "ended",
        "reason": "reason",
    }
    print_json(rows) if as_json else print_table("absences", rows, columns)


@app.command()
def dismiss(
    absence: Annotated[int, typer.Argument(metavar="ID", help="The id of the absence.")], reason: Reason, as_json: AsJson = False
) -> None:
    """Let an absence be: a host that was taken away, a daemon that has a new name.

    \b
    Example:
        tally absences dismiss 17 --reason "host-17 was sold"
    """
    answer = connect().post(f"/v1/absences/{absence}/dismiss", {"reason": reason})
    print_json(answer) if as_json else typer.echo(f"{answer['subject']}: {answer['ended']}")


@app.command()
def release(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The instance id of the agent.")], reason: Reason, as_json: AsJson = False
) -> None:
    """Let another key report for an agent: an instance belongs to the key that reported it first.

    \b
    Example:
        tally absences release host-17 --reason "its key was changed"
    """
    answer = connect().post(f"/v1/agents/{segment(agent)}/release", {"reason": reason})
    print_json(answer) if as_json else typer.echo(f"released {agent}")
