"""`tally invoice`, `estimate` and `explain`: what is billed, what would be, and why."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from tallystick.app.cli.client import Json, connect, segment
from tallystick.app.cli.nouns.arguments import Limit, instant
from tallystick.app.cli.nouns.prices import read
from tallystick.app.cli.output import FAILED, AsJson, fail, print_json, print_record, print_table

app = typer.Typer(help="Invoices.", no_args_is_help=True, rich_markup_mode=None)

Invoice = Annotated[str, typer.Argument(metavar="INVOICE", help="Its number or its id.")]

HEAD = {
    "number": "number",
    "id": "id",
    "state": "state",
    "customer": "customer.id",
    "name": "customer.name",
    "from": "run.period_start",
    "until": "run.closing",
    "total": "total",
    "tax": "tax_rule",
}
LINE = {
    "line": "description",
    "from": "service_start",
    "until": "service_end",
    "quantity": "quantity",
    "unit": "unit",
    "price": "unit_price",
    "fixed": "fixed",
    "amount": "amount",
}


FINDING = {"finding": "code", "severity": "severity", "resource": "resource_id", "record": "record", "detail": "detail"}


def print_invoice(invoice: Json) -> None:
    """An invoice: its head, its lines, and what was noticed while it was made."""
    print_record(invoice, HEAD)
    exact = ("quantity", "unit_price", "fixed")
    rows = [{**line, **{name: decimal(line[name]) for name in exact if name in line}} for line in invoice["lines"]]
    print_lines("lines", rows, LINE)
    if invoice["findings"]:
        print_table("findings", invoice["findings"], FINDING)


def print_lines(title: str, lines: list[Json], columns: dict[str, str]) -> None:
    """A table of lines: what is due beside quantity x price (a flat fee, what a trial or a cap takes off) where any has it."""
    fixed = any(line.get("fixed", "0") != "0" for line in lines)
    columns = {name: path for name, path in columns.items() if name != "fixed" or fixed}
    print_table(title, lines, columns, right=("quantity", "price", "fixed", "amount"))


def decimal(exact: str) -> str:
    """An exact rational for people: `1/4` is 0.25; what is no finite decimal of six places is cut there, and says so."""
    numerator, _, denominator = exact.partition("/")
    millionths, rest = divmod(abs(int(numerator)) * 10**6, int(denominator or 1))
    digits = f"{millionths // 10**6}.{millionths % 10**6:06d}"
    sign = "-" if numerator.startswith("-") else ""
    return sign + (f"{digits}…" if rest else digits.rstrip("0").rstrip("."))


@app.command("list")
def list_(
    customer: Annotated[str | None, typer.Option(help="Only of this customer.")] = None,
    state: Annotated[str | None, typer.Option(help="draft, parked or finalized.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List invoices, newest first.

    \b
    Example:
        tally invoice list --customer acme --state finalized
    """
    invoices = list(connect().pages("/v1/invoices", limit, customer_id=customer, state=state))
    columns = {"number": "number", "state": "state", "customer": "customer_id", "from": "period_start", "until": "closing"}
    columns |= {"total": "total", "issued": "issued_at", "id": "id"}
    print_json(invoices) if as_json else print_table("invoices", invoices, columns, right=("total",))


@app.command()
def show(invoice_id: Invoice, as_json: AsJson = False) -> None:
    """Show an invoice with its lines.

    \b
    Example:
        tally invoice show INV-2026-000001
    """
    invoice = connect().get(f"/v1/invoices/{segment(invoice_id)}")
    print_json(invoice) if as_json else print_invoice(invoice)


@app.command()
def preview(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER")],
    moment: Annotated[str | None, typer.Option("--at", help="As of this instant; without it: now.")] = None,
    book: Annotated[str | None, typer.Option(help="As if these prices were in force: FILE, BOOK@VERSION, or BOOK.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the running period would cost if it ended now. Nothing is stored.

    \b
    Example:
        tally invoice preview acme --book default@2
    """
    document: dict[str, Any] = {"customer_id": customer} | ({"at": instant(moment)} if moment else {})
    if book is not None:
        document["prices"] = chosen_book(book)
    answer = connect().post("/v1/invoices/preview", document)
    if as_json:
        print_json(answer)
        return
    if not answer["items"]:
        typer.echo("no period of this customer is open then")
    for draft in answer["items"]:
        print_invoice(draft)


def chosen_book(named: str) -> Json:
    """A version of prices as the server reads it: the text of a file, or a stored book, perhaps with its version."""
    if named == "-" or Path(named).is_file():
        return {"text": read(Path(named))}
    book, _, version = named.rpartition("@")
    return {"book": book, "version": int(version)} if book and version.isdigit() else {"book": named}


@app.command()
def pdf(
    invoice_id: Invoice,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write; without it: INVOICE.pdf.")] = None,
    as_json: AsJson = False,
) -> None:
    """Get an invoice as PDF.

    \b
    Example:
        tally invoice pdf INV-2026-000001 -o march.pdf
    """
    written = connect().fetch("GET", f"/v1/invoices/{segment(invoice_id)}/pdf", accept="application/pdf")
    path = out or Path(f"{invoice_id.replace('/', '-')}.pdf")
    try:
        path.write_bytes(written)
    except OSError as error:
        fail(f"--out = {str(path)!r}: {error}", code=2)
    print_json({"file": str(path), "bytes": len(written)}) if as_json else typer.echo(str(path))


def estimate(
    vcpus: Annotated[str, typer.Option(help="vCPUs.")],
    memory: Annotated[str, typer.Option(help="Memory in GiB.")],
    disk: Annotated[str, typer.Option(help="Disk in GiB.")] = "0",
    network_out: Annotated[str, typer.Option(help="Network out in GiB.")] = "0",
    gpus: Annotated[str, typer.Option(help="GPUs.")] = "0",
    hours: Annotated[str, typer.Option(help="Hours up.")] = "730",
    region: Annotated[str, typer.Option(help="Its region, where prices differ by it.")] = "",
    kind: Annotated[str, typer.Option(help="Its kind, where prices differ by it.")] = "",
    plan: Annotated[str | None, typer.Option(help="A plan; without it: the default plan.")] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate what a machine costs, by the formula that bills it.

    \b
    Example:
        tally estimate --vcpus 2 --memory 4 --disk 50
    """
    document = {"vcpus": vcpus, "memory_gib": memory, "disk_gib": disk, "network_out_gib": network_out, "hours": hours}
    document |= {"gpus": gpus, "region": region, "kind": kind}
    answer = connect().post("/v1/estimate", document | ({"plan": plan} if plan else {}))
    if as_json:
        print_json(answer)
        return
    print_lines("estimate", answer["lines"], {name: path for name, path in LINE.items() if name not in ("from", "until")})
    for sentence in answer["unpriced"]:
        typer.echo(f"unpriced, and not in the total: {sentence}")
    print_record(answer, {"total": "total"})


class Depth(StrEnum):
    """How far a line is opened."""

    HOURS = "hours"
    CELLS = "cells"
    SAMPLES = "samples"


def explain(
    invoice_id: Annotated[str, typer.Argument(metavar="INVOICE", help="Its number or its id; with --preview, a customer.")],
    line: Annotated[int, typer.Argument(metavar="LINE", min=1, help="The number of the line; 1 is the first.")] = 1,
    depth: Annotated[Depth, typer.Option(help="How far to open it.")] = Depth.HOURS,
    verify: Annotated[bool, typer.Option("--verify", help="Compute it again from its evidence; a difference is an error.")] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Of what the running period would cost if it ended now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Open a line of an invoice, or of a preview, down to the hours, cells or raw samples behind it.

    \b
    Example:
        tally explain INV-2026-000001 1 --depth cells --verify
        tally explain acme 2 --preview
    """
    asked = {"depth": depth.value, "verify": verify}
    if preview:
        answer = connect().post("/v1/invoices/preview/explain", {"customer_id": invoice_id, "line": line, **asked})
    else:
        answer = connect().get(f"/v1/invoices/{segment(invoice_id)}/lines/{line}/explain", **asked)
    verification = answer["verification"] or {}
    if as_json:
        print_json(answer)
    else:
        typer.echo(answer["text"].rstrip())
    if verify and not verification.get("equal"):
        raise typer.Exit(FAILED)
