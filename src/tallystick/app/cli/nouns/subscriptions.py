"""`tally subscription`: which plan a customer is on, and from when."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tallystick.app.cli.client import connect, segment
from tallystick.app.cli.nouns.arguments import Limit, instant, labels_of
from tallystick.app.cli.output import AsJson, print_json, print_record, print_table

app = typer.Typer(help="Subscriptions: which plan a customer is on, and from when.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = {
    "id": "id",
    "customer": "customer_id",
    "plan": "plan_id",
    "start": "start",
    "end": "end",
    "resources": "covers.resources",
    "labels": "covers.labels",
}


@app.command()
def create(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Who is billed.")],
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A plan of the price book.")],
    start: Annotated[str | None, typer.Option("--from", help="ISO 8601, or a day; without it: now.")] = None,
    end: Annotated[str | None, typer.Option("--until", help="When it ends; without it: open.")] = None,
    resource: Annotated[list[str] | None, typer.Option(help="Covers this resource only; more than once for more.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Covers resources with this label: NAME=VALUE.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put a customer on a plan. Without a resource or label it covers all of the customer.

    \b
    Example:
        tally subscription create acme standard --from 2026-03-01
    """
    document: dict[str, Any] = {"customer_id": customer, "plan_id": plan}
    document |= {key: text for key, text in (("start", instant(start)), ("end", instant(end))) if text}
    covers: dict[str, Any] = {}
    if resource:
        covers["resources"] = resource
    if label:
        covers["labels"] = labels_of(label)
    if covers:
        document["covers"] = covers
    answer = connect().post("/v1/subscriptions", document)
    print_json(answer) if as_json else print_record(answer, COLUMNS)


@app.command("list")
def list_(
    customer: Annotated[str | None, typer.Option(help="Only of this customer.")] = None, limit: Limit = 100, as_json: AsJson = False
) -> None:
    """List subscriptions, newest first.

    \b
    Example:
        tally subscription list --customer acme
    """
    subscriptions = list(connect().pages("/v1/subscriptions", limit, customer_id=customer))
    print_json(subscriptions) if as_json else print_table("subscriptions", subscriptions, COLUMNS)


@app.command()
def show(subscription_id: Annotated[str, typer.Argument(metavar="ID")], as_json: AsJson = False) -> None:
    """Show a subscription.

    \b
    Example:
        tally subscription show sub-acme
    """
    answer = connect().get(f"/v1/subscriptions/{segment(subscription_id)}")
    print_json(answer) if as_json else print_record(answer, COLUMNS)


@app.command()
def end(
    subscription_id: Annotated[str, typer.Argument(metavar="ID")],
    at: Annotated[str | None, typer.Option("--at", help="ISO 8601; without it: now.")] = None,
    as_json: AsJson = False,
) -> None:
    """End a subscription: its last invoice is made once everything up to that instant is known.

    \b
    Example:
        tally subscription end sub-acme --at 2026-04-01
    """
    document = {"at": instant(at)} if at else {}
    answer = connect().post(f"/v1/subscriptions/{segment(subscription_id)}/end", document)
    print_json(answer) if as_json else print_record(answer, COLUMNS)
