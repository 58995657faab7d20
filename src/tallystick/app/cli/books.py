"""`tally price new`, `lint`, `diff` and `activate`: price books in files, and what a version changes, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tallystick.app.cli.client import Json, RefusedError, connect, segment
from tallystick.app.cli.nouns.prices import Book, Document, read
from tallystick.app.cli.output import FAILED, AsJson, fail, print_json, print_table

if TYPE_CHECKING:
    from tallystick.model.billing.price_book import Mistake, PriceBook

STARTER = "starter"
FILE_ENDINGS = (".yaml", ".yml", ".json")
SHOWN = 5
"""How many customers of a plan are named."""


def new(
    document: Annotated[Path | None, typer.Argument(metavar="FILE", help="The file to write; without it, stdout.")] = None,
    example: Annotated[str, typer.Option(help="Which of the examples to begin with.")] = STARTER,
    list_: Annotated[bool, typer.Option("--list", help="List the examples.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a price book to begin with: valid, and with a comment where something is to be decided.

    \b
    Example:
        tally price new book.yaml --example gpu-cloud
    """
    known = examples()
    if list_:
        rows = [{"example": name, "what": summary(text)} for name, text in known.items()]
        print_json(rows) if as_json else print_table("examples", rows, {"example": "example", "what": "what"})
        return
    if example not in known:
        fail(f"--example = {example!r}: there are: {', '.join(known)}", code=2)
    text = known[example]
    if document is None:
        print_json({"example": example, "text": text}) if as_json else typer.echo(text, nl=False)
        return
    try:
        with document.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        fail(f"FILE = {str(document)!r}: {error.strerror}", code=2)
    print_json({"example": example, "file": str(document)}) if as_json else typer.echo(f"{document}: the example {example}")


def lint(document: Document, as_json: AsJson = False) -> None:
    """Check a price book, without a server: every mistake at once, by line.

    \b
    Example:
        tally price lint book.yaml
    """
    _, mistakes = load(str(document), read(document))
    if as_json:
        shown = [{"line": each.line, "field": each.place, "found": each.found, "allowed": each.allowed} for each in mistakes]
        print_json({"mistakes": shown})
    else:
        tell(mistakes)
        typer.echo(f"{document}: {_number(len(mistakes), 'mistake') if mistakes else 'a price book without mistakes'}")
    if mistakes:
        raise typer.Exit(FAILED)


def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A file, or BOOK@VERSION of the server, or BOOK: its last in force.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The same. Without it: BEFORE, against the version it would follow.")] = "",
    whom: Annotated[bool, typer.Option("--whom", help="Ask the server whom it concerns, for two files too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say in words what a version of a price book changes, and for whom. Two files need no server.

    \b
    Example:
        tally price diff default@1 book.yaml
    """
    named = [name for name in (before, after) if name]
    if len(named) == 2 and all(map(is_file, named)) and not whom:
        compared = _compared_here(*named)
    else:
        chosen = [_choice(name) for name in named]
        document = {"after": chosen[-1]} | ({"before": chosen[0]} if len(chosen) == 2 else {})
        compared = connect().post("/v1/price-books/diff", document)
    if as_json:
        print_json(compared)
        return
    for line in told(compared):
        typer.echo(line)


def activate(
    book: Book,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1)],
    as_json: AsJson = False,
) -> None:
    """Put a draft in force from its `effective_from`, and say first what it changes. An active version never changes.

    \b
    Example:
        tally price activate default 2
    """
    client = connect()
    try:
        compared = client.post("/v1/price-books/diff", {"after": {"book": book, "version": version}})
    except RefusedError as error:
        if error.problem.get("field") != "before":
            raise
        compared = None
    if not as_json:
        for line in told(compared) if compared else (f"{book} version {version} follows none that is in force",):
            typer.echo(line)
    answer = client.post(f"/v1/price-books/{segment(book)}/versions/{version}/activate")
    print_json(answer | {"diff": compared}) if as_json else typer.echo(f"{answer['id']} version {answer['version']}: {answer['state']}")


def examples() -> dict[str, str]:
    """The price books that ship, by name: the starter first."""
    from importlib.resources import files

    folder = files("tallystick.rate.books") / "examples"
    found = {file.name.removesuffix(".yaml"): file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".yaml")}
    return {name: found[name] for name in sorted(found, key=lambda name: (name != STARTER, name))}


def summary(text: str) -> str:
    """The first sentence of the comment that a price book begins with."""
    head = " ".join(line.removeprefix("#").strip() for line in text.partition("\n\n")[0].splitlines())
    return head.partition(". ")[0].removesuffix(".")


def is_file(name: str) -> bool:
    """Whether a name is that of a file: `-`, what ends as one, or what is there."""
    return name == "-" or name.endswith(FILE_ENDINGS) or Path(name).exists()


def load(name: str, text: str) -> tuple[PriceBook | None, tuple[Mistake, ...]]:
    """A price book of a file, or every mistake in it: the validation is the server's."""
    from tallystick.rate.load import load_book

    return load_book(text, name)


def tell(mistakes: Iterable[Mistake]) -> None:
    """Each mistake on stderr, by file and line."""
    for mistake in mistakes:
        typer.echo(mistake.sentence(), err=True)


def told(compared: Json) -> Iterator[str]:
    """A comparison for a person: the versions, what changes of the book, then plan by plan with whom it concerns."""
    yield f"{_title(compared['before'])} -> {_title(compared['after'])}"
    if not compared["changes"]:
        yield "nothing changes"
    yield from (change["text"] for change in compared["changes"] if not change["plan_id"])
    whom = {plan["plan_id"]: plan for plan in compared["plans"] or ()}
    for name in dict.fromkeys(change["plan_id"] for change in compared["changes"] if change["plan_id"]):
        changes = [change for change in compared["changes"] if change["plan_id"] == name]
        whole = changes[0]["kind"] != "changed" and not changes[0]["part"]
        yield (changes[0]["text"] if whole else f"plan {name}") + _whom(whom.get(name))
        yield from (f"  {change['text']}" for change in changes[whole:])


def _title(book: Json) -> str:
    version = f" version {book['version']}" if book["version"] else ""
    return f"{book['id']}{version}, in force from {book['effective_from']}"


def _whom(plan: Json | None) -> str:
    if plan is None:
        return ""
    names = ", ".join(plan["customer_ids"][:SHOWN]) + (", ..." if plan["customers"] > SHOWN else "")
    bound = f"{_number(plan['subscriptions'], 'subscription')} of {_number(plan['customers'], 'customer')} ({names})"
    return f": {bound if names else 'no subscription'}" + (", and what no subscription covers" if plan["default"] else "")


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _choice(name: str) -> Json:
    if is_file(name):
        return {"text": read(Path(name))}
    book, _, version = name.partition("@")
    if version and not version.isdigit():
        fail(f"{name!r} is no file, and no BOOK@VERSION such as default@1", code=2)
    return {"book": book, "version": int(version)} if version else {"book": book}


def _compared_here(before: str, after: str) -> Json:
    """Two files compared, as the server would answer but for whom it concerns, which it alone knows."""
    from tallystick.model.billing.money import decimal_text
    from tallystick.model.instants import iso
    from tallystick.rate.books.difference import differences

    loaded = [load(name, read(Path(name))) for name in (before, after)]
    books = [book for book, _ in loaded if book is not None]
    if len(books) < 2:
        tell(mistake for _, mistakes in loaded for mistake in mistakes)
        raise typer.Exit(FAILED)
    shown = [{"id": book.id, "version": book.version, "effective_from": iso(book.effective_from_ns)} for book in books]
    changes = [
        {
            "plan_id": each.plan_id,
            "part": each.part,
            "id": each.id,
            "key": each.key,
            "kind": each.kind.value,
            "before": each.before,
            "after": each.after,
            "percent": None if each.percent is None else decimal_text(each.percent, 2),
            "text": each.text,
        }
        for each in differences(*books)
    ]
    return {"before": shown[0], "after": shown[1], "changes": changes, "plans": None}
