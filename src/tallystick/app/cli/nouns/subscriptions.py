"""`tally subscription`: which plan a customer is on, from when, and what becomes of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tallystick.app.cli.client import Json, connect, segment
from tallystick.app.cli.nouns.arguments import Limit, instant, labels_of
from tallystick.app.cli.output import AsJson, print_json, print_record, print_table

app = typer.Typer(help="Subscriptions: which plan a customer is on, and from when.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = {
    "id": "id",
    "customer": "customer_id",
    "plan": "current_plan_id",
    "state": "state",
    "start": "start",
    "end": "end",
    "resources": "covers.resources",
    "labels": "covers.labels",
}
WHOLE = COLUMNS | {
    "trial until": "trial_end",
    "plans": "plans",
    "pauses": "paused",
    "overrides": "agreed",
    "minimums": "committed",
    "coupons": "redeemed",
}

Subscription = Annotated[str, typer.Argument(metavar="ID", help="The subscription.")]
At = Annotated[str | None, typer.Option("--at", help="ISO 8601, or a day; without it: now.")]


@app.command()
def create(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Who is billed.")],
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A plan of the price book.")],
    start: Annotated[str | None, typer.Option("--from", help="ISO 8601, or a day; without it: now.")] = None,
    end: Annotated[str | None, typer.Option("--until", help="When it ends; without it: open.")] = None,
    identifier: Annotated[str | None, typer.Option("--id", help="Its id; without it: made up.")] = None,
    anchor: Annotated[str | None, typer.Option(help="Where anniversaries count from; without it: the start.")] = None,
    resource: Annotated[list[str] | None, typer.Option(help="Covers this resource only; more than once for more.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Covers resources with this label: NAME=VALUE.")] = None,
    trial_days: Annotated[int, typer.Option(min=0, help="So many days cost nothing.")] = 0,
    price: Annotated[list[str] | None, typer.Option(help="Another price: CHARGE=0.01.")] = None,
    tiers: Annotated[list[str] | None, typer.Option(help="Other tiers: CHARGE=100:0.02,-:0.01 (- is the last).")] = None,
    included: Annotated[list[str] | None, typer.Option(help="Units that are included: CHARGE=100.")] = None,
    discount: Annotated[list[str] | None, typer.Option(help="Percent off: CHARGE=10.")] = None,
    minimum: Annotated[list[str] | None, typer.Option(help="A minimum of its own: NAME=100.00, or NAME=100.00:CHARGE,CHARGE.")] = None,
    coupon: Annotated[list[str] | None, typer.Option(help="A coupon to redeem; more than once for more.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put a customer on a plan. Without a resource or label it covers all of the customer.

    \b
    Example:
        tally subscription create acme standard --from 2026-03-01 --trial-days 14 --price vcpu=0.008
    """
    document: dict[str, Any] = {"customer_id": customer, "plan_id": plan, "trial_days": trial_days, "coupons": coupon or []}
    times = (("start", instant(start)), ("end", instant(end)), ("anchor", instant(anchor)), ("id", identifier))
    document |= {key: text for key, text in times if text}
    document["covers"] = {"resources": resource or [], "labels": labels_of(label or [])}
    document["overrides"] = overrides_of(price or [], tiers or [], included or [], discount or [])
    document["commitments"] = [commitment_of(text) for text in minimum or []]
    show_whole(connect().post("/v1/subscriptions", document), as_json)


def overrides_of(price: list[str], tiers: list[str], included: list[str], discount: list[str]) -> list[Json]:
    """What is agreed for each charge, as the server reads it."""
    found: dict[str, Json] = {}
    for key, pairs in (("price", price), ("tiers", tiers), ("included", included), ("discount", discount)):
        for charge, value in labels_of(pairs, f"CHARGE={key.upper()}").items():
            found.setdefault(charge, {"charge": charge})[key] = tiers_of(value) if key == "tiers" else value
    return list(found.values())


def tiers_of(text: str) -> list[Json]:
    """`100:0.02,-:0.01` as tiers."""
    bounds = [part.partition(":") for part in text.split(",")]
    return [{"price": price} | ({} if bound == "-" else {"up_to": bound}) for bound, _, price in bounds]


def commitment_of(text: str) -> Json:
    """`least=100.00:cpu,disk` as a commitment."""
    ((name, value),) = labels_of([text], "NAME=AMOUNT, or NAME=AMOUNT:CHARGE,CHARGE").items()
    amount, _, charges = value.partition(":")
    return {"id": name, "minimum": amount, "charges": [charge for charge in charges.split(",") if charge]}


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
def show(subscription_id: Subscription, as_json: AsJson = False) -> None:
    """Show a subscription with everything that was agreed.

    \b
    Example:
        tally subscription show sub-acme
    """
    show_whole(connect().get(f"/v1/subscriptions/{segment(subscription_id)}"), as_json)


@app.command()
def change(
    subscription_id: Subscription, plan: Annotated[str, typer.Argument(metavar="PLAN")], at: At = None, as_json: AsJson = False
) -> None:
    """Put a subscription on another plan: each plan is billed for its part, the unused part of a fee in advance comes back.

    \b
    Example:
        tally subscription change sub-acme premium --at 2026-06-17T13:37:00Z
    """
    _amend(subscription_id, "change", {"plan_id": plan, "at": instant(at)}, as_json)


@app.command()
def pause(
    subscription_id: Subscription,
    at: At = None,
    until: Annotated[str | None, typer.Option("--until", help="Without it: until it is resumed.")] = None,
    as_json: AsJson = False,
) -> None:
    """Pause a subscription: no usage is charged and no fee is due.

    \b
    Example:
        tally subscription pause sub-acme --at 2026-06-10 --until 2026-06-20
    """
    _amend(subscription_id, "pause", {"at": instant(at), "until": instant(until)}, as_json)


@app.command()
def resume(subscription_id: Subscription, at: At = None, as_json: AsJson = False) -> None:
    """End the pause of a subscription.

    \b
    Example:
        tally subscription resume sub-acme
    """
    _amend(subscription_id, "resume", {"at": instant(at)}, as_json)


@app.command()
def cancel(
    subscription_id: Subscription,
    at: At = None,
    at_period_end: Annotated[bool, typer.Option("--at-period-end", help="At the end of the present billing period.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cancel a subscription: its last invoice is made once everything up to that instant is known.

    \b
    Example:
        tally subscription cancel sub-acme --at-period-end
    """
    _amend(subscription_id, "cancel", {"at": instant(at), "at_period_end": at_period_end}, as_json)


@app.command()
def redeem(subscription_id: Subscription, coupon: Annotated[str, typer.Argument(metavar="COUPON")], as_json: AsJson = False) -> None:
    """Redeem a coupon with a subscription, from the present billing period on.

    \b
    Example:
        tally subscription redeem sub-acme WELCOME
    """
    _amend(subscription_id, "redeem", {"coupon": coupon}, as_json)


@app.command()
def periods(
    subscription_id: Subscription,
    count: Annotated[int, typer.Option(min=1, max=120, help="How many.")] = 12,
    after: Annotated[str | None, typer.Option(help="Those that close after this; without it: now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the billing periods that come, with the fees that are due when each closes.

    \b
    Example:
        tally subscription periods sub-acme --count 3
    """
    answer = connect().get(f"/v1/subscriptions/{segment(subscription_id)}/periods", count=count, after=instant(after))
    if as_json:
        print_json(answer)
        return
    rows = [{**each, "names": [f"{fee['fee_id']} {fee['amount']['amount']}" for fee in each["fees"]]} for each in answer["items"]]
    columns = {"start": "start", "end": "end", "closing": "closing", "in force": "share.decimal", "plans": "plan_ids"}
    print_table("periods", rows, columns | {"fees": "names", "due": "due"}, right=("in force", "due"))


def show_whole(answer: Json, as_json: bool) -> None:
    """A subscription with everything that was agreed."""
    if as_json:
        print_json(answer)
        return
    told = {
        "plans": [answer["plan_id"], *(f"{each['plan_id']} from {each['at']}" for each in answer["changes"])],
        "paused": [f"{each['start']} until {each['end'] or 'resumed'}" for each in answer["pauses"]],
        "agreed": [_agreed(each) for each in answer["overrides"]],
        "committed": [f"{each['id']} {each['minimum']}" for each in answer["commitments"]],
        "redeemed": [f"{each['id']} until {each['end'] or 'for ever'}" for each in answer["coupons"]],
    }
    print_record(answer | told, WHOLE)


def _agreed(override: Json) -> str:
    tiers = ",".join(f"{tier['up_to'] or '-'}:{tier['price']}" for tier in override["tiers"])
    told = {"price": override["price"], "tiers": tiers, "included": override["included"], "discount": override["discount"]}
    return " ".join([override["charge"], *(f"{name} {value}" for name, value in told.items() if value)])


def _amend(subscription_id: str, kind: str, document: Json, as_json: bool) -> None:
    asked = {name: value for name, value in document.items() if value}
    show_whole(connect().post(f"/v1/subscriptions/{segment(subscription_id)}/{kind}", asked), as_json)
