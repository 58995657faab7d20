"""`tally customer`: who is billed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tallystick.app.cli.client import connect, segment
from tallystick.app.cli.nouns.arguments import Limit, labels_of
from tallystick.app.cli.output import AsJson, print_json, print_record, print_table

app = typer.Typer(help="Customers: who is billed.", no_args_is_help=True, rich_markup_mode=None)

FIELDS = {
    "id": "id",
    "name": "name",
    "currency": "currency",
    "time zone": "time_zone",
    "e-mail": "email",
    "tax id": "tax_id",
    "labels": "labels",
}


@app.command()
def create(
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Its id, which never changes.")],
    name: Annotated[str, typer.Option(help="The name on the invoice.")] = "",
    currency: Annotated[str, typer.Option(help="ISO 4217 code of the currency that it is billed in.")] = "USD",
    time_zone: Annotated[str, typer.Option(help="IANA zone of its billing periods.")] = "UTC",
    email: Annotated[str, typer.Option(help="Where invoices go.")] = "",
    tax_id: Annotated[str, typer.Option(help="Its VAT number or the like, as printed.")] = "",
    label: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; more than once for more.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a customer.

    \b
    Example:
        tally customer create acme --name "Acme GmbH" --currency EUR --time-zone Europe/Berlin
    """
    document: dict[str, Any] = {"id": customer_id, "name": name or customer_id, "currency": currency, "time_zone": time_zone}
    document |= {key: text for key, text in (("email", email), ("tax_id", tax_id)) if text}
    if label:
        document["labels"] = labels_of(label)
    answer = connect().post("/v1/customers", document)
    print_json(answer) if as_json else print_record(answer, FIELDS)


@app.command("list")
def list_(limit: Limit = 100, as_json: AsJson = False) -> None:
    """List customers, newest first.

    \b
    Example:
        tally customer list --limit 20
    """
    customers = list(connect().pages("/v1/customers", limit))
    if as_json:
        print_json(customers)
    else:
        print_table("customers", customers, {"id": "id", "name": "name", "currency": "currency", "time zone": "time_zone"})


@app.command()
def show(customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER")], as_json: AsJson = False) -> None:
    """Show a customer.

    \b
    Example:
        tally customer show acme
    """
    answer = connect().get(f"/v1/customers/{segment(customer_id)}")
    print_json(answer) if as_json else print_record(answer, FIELDS)
