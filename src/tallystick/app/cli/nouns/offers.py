"""`tally coupon` and `tally reservation`: what customers can be given, and what they reserve."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tallystick.app.cli.client import connect, segment
from tallystick.app.cli.nouns.arguments import Limit, instant
from tallystick.app.cli.output import AsJson, print_json, print_record, print_table

coupons = typer.Typer(help="Coupons, and how often they were redeemed.", no_args_is_help=True, rich_markup_mode=None)
reservations = typer.Typer(help="Reserved capacity.", no_args_is_help=True, rich_markup_mode=None)

COUPON = {
    "id": "id",
    "name": "name",
    "percent": "percent",
    "amount": "amount",
    "charges": "charges",
    "periods": "periods",
    "redeemed": "redeemed",
    "limit": "limit",
    "each customer": "limit_per_customer",
}
RESERVATION = {
    "id": "id",
    "customer": "customer_id",
    "subscription": "subscription_id",
    "quantity": "quantity.decimal",
    "meter": "meter",
    "per": "per",
    "region": "region",
    "kind": "kind",
    "start": "start",
    "end": "end",
    "upfront": "upfront",
    "recurring": "recurring",
}


@coupons.command("create")
def create_coupon(
    coupon_id: Annotated[str, typer.Argument(metavar="COUPON", help="Its id, which customers name.")],
    percent: Annotated[str | None, typer.Option(help="Percent off.")] = None,
    amount: Annotated[str | None, typer.Option(help="An amount off, with --currency.")] = None,
    currency: Annotated[str | None, typer.Option(help="The currency of the amount.")] = None,
    name: Annotated[str, typer.Option(help="What stands on invoices; without it: the id.")] = "",
    charge: Annotated[list[str] | None, typer.Option(help="Only off this charge; more than once for more.")] = None,
    periods: Annotated[int, typer.Option(min=0, help="In how many billing periods it holds; 0: for ever.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="How often it can be redeemed in all.")] = None,
    limit_per_customer: Annotated[int | None, typer.Option(min=1, help="How often by one customer.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a coupon. It is redeemed with `tally subscription create --coupon` or `redeem`.

    \b
    Example:
        tally coupon create WELCOME --percent 20 --periods 3 --limit 100 --limit-per-customer 1
    """
    document: dict[str, Any] = {"id": coupon_id, "name": name, "charges": charge or [], "periods": periods or None}
    money = None if amount is None else {"amount": amount, "currency": currency or ""}
    told = {"percent": percent, "amount": money, "limit": limit, "limit_per_customer": limit_per_customer}
    answer = connect().post("/v1/coupons", document | {key: value for key, value in told.items() if value is not None})
    print_json(answer) if as_json else print_record(answer, COUPON)


@coupons.command("list")
def list_coupons(limit: Limit = 100, as_json: AsJson = False) -> None:
    """List coupons, newest first.

    \b
    Example:
        tally coupon list
    """
    found = list(connect().pages("/v1/coupons", limit))
    print_json(found) if as_json else print_table("coupons", found, COUPON, right=("redeemed",))


@coupons.command("show")
def show_coupon(coupon_id: Annotated[str, typer.Argument(metavar="COUPON")], as_json: AsJson = False) -> None:
    """Show a coupon, and how often it was redeemed.

    \b
    Example:
        tally coupon show WELCOME
    """
    answer = connect().get(f"/v1/coupons/{segment(coupon_id)}")
    print_json(answer) if as_json else print_record(answer, COUPON)


@reservations.command("create")
def create_reservation(
    subscription_id: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Whose invoices bear it.")],
    offer: Annotated[str, typer.Argument(metavar="OFFER", help="An offer of its plan.")],
    quantity: Annotated[str, typer.Argument(metavar="QUANTITY", help="How much can be used at once: 8 vCPUs, 3 machines.")],
    start: Annotated[str | None, typer.Option("--from", help="ISO 8601, or a day; without it: now.")] = None,
    identifier: Annotated[str | None, typer.Option("--id", help="Its id; without it: made up.")] = None,
    as_json: AsJson = False,
) -> None:
    """Reserve a quantity of an offer, at its present prices and for its months.

    \b
    Example:
        tally reservation create sub-acme vcpu-year 8 --from 2026-06-01
    """
    document = {"subscription_id": subscription_id, "offer_id": offer, "quantity": quantity}
    document |= {key: text for key, text in (("start", instant(start)), ("id", identifier)) if text}
    answer = connect().post("/v1/reservations", document)
    print_json(answer) if as_json else print_record(answer, RESERVATION)


@reservations.command("list")
def list_reservations(
    customer: Annotated[str | None, typer.Option(help="Only of this customer.")] = None, limit: Limit = 100, as_json: AsJson = False
) -> None:
    """List reservations, newest first.

    \b
    Example:
        tally reservation list --customer acme
    """
    found = list(connect().pages("/v1/reservations", limit, customer_id=customer))
    print_json(found) if as_json else print_table("reservations", found, RESERVATION, right=("quantity",))


@reservations.command("report")
def report_reservations(
    customer: Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="Whose; without it: everybody's.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="ISO 8601, a day or a month; included; without it: 31 days ago.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="ISO 8601, a day or a month; not included; without it: now.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many customers at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show how much of what is reserved was used, what the rest cost, and how much of the usage was covered, in whole hours.

    \b
    Example:
        tally reservation report acme --from 2026-06 --to 2026-07
    """
    asked = {"customer_id": customer, "from": instant(start), "until": instant(until)}
    reports = list(connect().pages("/v1/reservations/report", limit, **asked))
    if as_json:
        print_json(reports)
        return
    held, covered = [], []
    for report in reports:
        whose = {"customer": report["customer_id"]}
        held += [whose | each for each in report["reservations"]]
        held += [whose | {"id": "in all", "unused_cost": each} for each in report["unused_costs"]]
        covered += [whose | each for each in report["usage"]]
        covered += [whose | each | {"region": "in all"} for each in report["totals"]]
    numbers = {"reserved": "reserved.decimal", "used": "used.decimal", "unit": "per"}
    of = {"customer": "customer", "meter": "meter", "region": "region", "kind": "kind"}
    each = {"customer": "customer", "reservation": "id", **numbers, "used %": "utilization.percent", "cost of the rest": "unused_cost"}
    print_table("reservations", held, each, right=("reserved", "used", "used %", "cost of the rest"))
    beside = {"used": "used.decimal", "covered": "covered.decimal", "unit": "per", "covered %": "coverage.percent"}
    beside |= {"reserved": "reserved.decimal", "reserved used %": "utilization.percent"}
    print_table("usage beside them", covered, of | beside, right=("used", "covered", "covered %", "reserved", "reserved used %"))
    for report in reports:
        if report["hours_waiting"]:
            typer.echo(f"{report['customer_id']}: {report['hours_waiting']} hours wait to be computed: their usage is not in it yet")
