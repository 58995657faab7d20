"""What commands print: tables for people, JSON for programs, errors with the field and the value at fault."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from tallystick.app.cli.client import RefusedError

Json = Any
"""A document as `json` reads it."""

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
"""The option that every command has."""

FAILED = 1
WRONG_USE = 2
NO_ANSWER = 3


def at(document: Json, path: str) -> str:
    """The text at a dotted path of a document: `customer.name`; money with its currency; empty where there is nothing."""
    found = document
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    match found:
        case None:
            return ""
        case True | False:
            return "yes" if found else "no"
        case {"amount": amount, "currency": currency}:
            return f"{amount} {currency}"
        case Mapping():
            return " ".join(f"{name}={value}" for name, value in found.items() if value is not None)
        case list():
            return ", ".join(map(str, found))
        case _:
            return str(found)


def print_json(document: Json) -> None:
    """One JSON document on stdout, keys in the order of the server."""
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_table(title: str, rows: Iterable[Json], columns: Mapping[str, str], right: Sequence[str] = ()) -> None:
    """A table of `rows`: a column per heading, at its dotted path; `right` names the headings of numbers."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for heading in columns:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    count = 0
    for row in rows:
        table.add_row(*(Text(at(row, path)) for path in columns.values()))
        count += 1
    if count == 0:
        typer.echo(f"{title}: none")
        return
    # Into a file or a pipe nothing is cut: there is no edge of a screen there.
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=200)
    console.print(table)


def print_record(record: Json, fields: Mapping[str, str]) -> None:
    """One record, a line per field; what it does not have is left out."""
    width = max(map(len, fields), default=0)
    for heading, path in fields.items():
        text = at(record, path)
        if text:
            typer.echo(f"{heading:<{width}}  {text}")


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say on stderr what is wrong, and end with a code that is not 0."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)


def refused(error: RefusedError, as_json: bool) -> int:
    """Print what the server refused, with the field and the value at fault, and give the exit code."""
    if as_json:
        typer.echo(json.dumps(error.problem, ensure_ascii=False), err=True)
    else:
        for line in error.lines():
            typer.echo(f"error: {line}", err=True)
    return NO_ANSWER if error.status == 0 else FAILED
