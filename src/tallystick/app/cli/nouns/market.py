"""`tally price market`: what the market asks by the hour, for `spot` charges."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

import typer

from tallystick.app.cli.client import connect
from tallystick.app.cli.nouns.arguments import Limit, instant
from tallystick.app.cli.nouns.prices import read
from tallystick.app.cli.output import AsJson, fail, print_json, print_table

app = typer.Typer(help="What the market asks by the hour.", no_args_is_help=True, rich_markup_mode=None)

COLUMNS = ("region", "kind", "hour", "price", "currency")
AT_ONCE = 1000


@app.command("import")
def import_(
    document: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with region, kind, hour, price, currency; - reads stdin.")],
    as_json: AsJson = False,
) -> None:
    """Tell the market's prices. The same price again changes nothing; another one for an hour that has one is refused.

    \b
    Example:
        tally price market import spot.csv
    """
    rows = csv.DictReader(io.StringIO(read(document)))
    if sorted(rows.fieldnames or ()) != sorted(COLUMNS):
        fail(f"FILE = {str(document)!r}: line 1 names {', '.join(rows.fieldnames or ('nothing',))}, not {', '.join(COLUMNS)}", code=2)
    prices = list(rows)
    short = next((number for number, row in enumerate(prices, start=2) if None in row or None in row.values()), None)
    if short is not None:
        fail(f"FILE = {str(document)!r}: line {short} does not have {len(COLUMNS)} columns", code=2)
    kept = {"stored": 0, "repeated": 0}
    for first in range(0, len(prices), AT_ONCE):
        answer = connect().put("/v1/market-prices", {"prices": prices[first : first + AT_ONCE]})
        kept = {name: count + answer[name] for name, count in kept.items()}
    print_json(kept) if as_json else typer.echo(f"{kept['stored']} prices stored, {kept['repeated']} known before")


@app.command("list")
def list_(
    start: Annotated[str | None, typer.Option("--from", help="ISO 8601, a day or a month; included.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="ISO 8601, a day or a month; not included.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List market prices, the newest hour first.

    \b
    Example:
        tally price market list --from 2026-03-10
    """
    span = {"from": instant(start), "until": instant(until)}
    found = connect().get("/v1/market-prices", limit=min(limit, 200), **span)["items"]
    print_json(found) if as_json else print_table("market prices", found, {name: name for name in COLUMNS}, right=("price",))
