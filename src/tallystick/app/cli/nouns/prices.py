"""`tally price`: the price book, checked before it is stored, in versions."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from tallystick.app.cli.client import Json, RefusedError, connect, segment
from tallystick.app.cli.nouns.arguments import Limit, instant
from tallystick.app.cli.output import FAILED, AsJson, fail, print_json, print_table

app = typer.Typer(help="The price book, in versions.", no_args_is_help=True, rich_markup_mode=None)

MEDIA_TYPE = "application/yaml"
DEFAULT_BOOK = "default"

Document = Annotated[Path, typer.Argument(metavar="FILE", help="A price book in YAML; - reads stdin.")]
Book = Annotated[str, typer.Argument(metavar="BOOK", help="The id of the book.")]


def read(path: Path) -> str:
    """The text of a price book; `-` is stdin."""
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"FILE = {str(path)!r}: {getattr(error, 'strerror', None) or error}", code=2)


@app.command()
def add(document: Document, as_json: AsJson = False) -> None:
    """Store a price book as the next draft of its id. `tally price activate` puts it in force.

    \b
    Example:
        tally price add book.yaml
    """
    try:
        answer = connect().post_text("/v1/price-books", read(document), MEDIA_TYPE)
    except RefusedError as error:
        if as_json or not error.problem.get("mistakes"):
            raise
        for each in error.problem["mistakes"]:
            typer.echo(f"{document}:{each['line']}: {each['field']}: found {each['found']}, allowed: {each['allowed']}", err=True)
        raise typer.Exit(FAILED) from None
    print_json(answer) if as_json else typer.echo(f"{answer['id']} version {answer['version']}: {answer['state']}")


@app.command("list")
def list_(limit: Limit = 100, as_json: AsJson = False) -> None:
    """List the versions of all price books, newest first.

    \b
    Example:
        tally price list
    """
    books = list(connect().pages("/v1/price-books", limit))
    columns = {"book": "id", "version": "version", "state": "state", "from": "effective_from", "until": "effective_until"}
    print_json(books) if as_json else print_table("price books", books, columns, right=("version",))


@app.command()
def show(
    book: Book = DEFAULT_BOOK,
    version: Annotated[int | None, typer.Argument(metavar="VERSION", help="Without it: the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a version of a price book, as it was written.

    \b
    Example:
        tally price show default 1
    """
    client = connect()
    if version is None:
        version = newest(list(client.pages("/v1/price-books", 1000)), book)
    answer = client.get(f"/v1/price-books/{segment(book)}/versions/{version}")
    if as_json:
        print_json(answer)
        return
    typer.echo(f"# {answer['id']} version {answer['version']}: {answer['state']}")
    typer.echo((answer["text"] or "").rstrip())


def newest(books: list[Json], book: str) -> int:
    """The highest version of a book among those listed."""
    versions = [int(each["version"]) for each in books if each["id"] == book]
    if not versions:
        fail(f"BOOK = {book!r}: there is no such price book")
    return max(versions)


market = typer.Typer(help="What the market asks by the hour, for `spot` charges.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(market, name="market")

MARKET_COLUMNS = ("region", "kind", "hour", "price", "currency")
PRICES_AT_ONCE = 1000


@market.command("import")
def import_market(
    document: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with region, kind, hour, price, currency; - reads stdin.")],
    as_json: AsJson = False,
) -> None:
    """Tell the market's prices. The same price again changes nothing; another one for an hour that has one is refused.

    \b
    Example:
        tally price market import spot.csv
    """
    rows = csv.DictReader(io.StringIO(read(document)))
    names = ", ".join(rows.fieldnames or ("nothing",))
    if sorted(rows.fieldnames or ()) != sorted(MARKET_COLUMNS):
        fail(f"FILE = {str(document)!r}: line 1 names {names}, not {', '.join(MARKET_COLUMNS)}", code=2)
    prices = list(rows)
    short = next((number for number, row in enumerate(prices, start=2) if None in row or None in row.values()), None)
    if short is not None:
        fail(f"FILE = {str(document)!r}: line {short} does not have {len(MARKET_COLUMNS)} columns", code=2)
    kept = {"stored": 0, "repeated": 0}
    for first in range(0, len(prices), PRICES_AT_ONCE):
        answer = connect().put("/v1/market-prices", {"prices": prices[first : first + PRICES_AT_ONCE]})
        kept = {name: count + answer[name] for name, count in kept.items()}
    print_json(kept) if as_json else typer.echo(f"{kept['stored']} prices stored, {kept['repeated']} known before")


@market.command("list")
def list_market(
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
    print_json(found) if as_json else print_table("market prices", found, {name: name for name in MARKET_COLUMNS}, right=("price",))
