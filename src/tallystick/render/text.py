"""Invoices as plain text of a fixed width, with the same words and numbers as the PDF."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from textwrap import wrap

from tallystick.model.billing.invoices import Invoice
from tallystick.render.printed import Party, Printed, PrintedLine, printed

WIDTH = 100
HALF = WIDTH // 2
RULE = "-" * WIDTH
LEAST_DESCRIPTION = 24
MOST_RESOURCE = 36


def text(invoice: Invoice) -> str:
    """The invoice as text: 100 columns where its numbers fit into them, lines ended by a newline."""
    page = printed(invoice)
    parts = (_head(page), _parties(page), _facts(page), _lines(page), _totals(page), _statement(page), _hashes(page))
    return "\n".join(line.rstrip() for part in parts for line in part) + "\n"


def _head(page: Printed) -> Iterator[str]:
    yield _both(page.title.upper(), page.number, WIDTH)
    if page.watermark:
        yield f"*** {page.watermark} ***".center(WIDTH)
    yield ""


def _parties(page: Printed) -> Iterator[str]:
    left, right = _party("Seller", page.seller), _party("Bill to", page.buyer)
    for place in range(max(len(left), len(right))):
        first = left[place] if place < len(left) else ""
        second = right[place] if place < len(right) else ""
        yield _left(first, HALF) + second
    yield ""


def _party(title: str, party: Party) -> list[str]:
    return [title, *(part for line in (party.name, *party.lines) for part in _wrapped(line, HALF - 2))]


def _facts(page: Printed) -> Iterator[str]:
    for name, value in page.facts:
        yield f"{name:<18}{value}"
    yield ""


def _lines(page: Printed) -> Iterator[str]:
    """Number, description over as many rows as it needs, then the columns of numbers in their own widths."""
    heads = ("Quantity", "Unit", f"Price {page.currency}", f"Amount {page.currency}")
    rows = [(line.quantity, line.unit, line.unit_price, line.amount) for line in page.lines]
    widths = _widths((heads, *rows))
    first = max(WIDTH - sum(widths) - 2 * len(widths) - 5, LEAST_DESCRIPTION)
    yield f"{'No.':>3}  {_left('Description', first)}  {_numbers(heads, widths)}"
    yield RULE
    for line, row in zip(page.lines, rows, strict=True):
        yield from _line(line, row, widths, first)
    if not page.lines:
        yield "     No lines."
    yield RULE


def _line(line: PrintedLine, row: Sequence[str], widths: Sequence[int], first: int) -> Iterator[str]:
    head, *rest = _wrapped(line.description, first)
    yield f"{line.number:>3}  {_left(head, first)}  {_numbers(row, widths)}"
    for words in (*rest, *(part for detail in line.details for part in _wrapped(detail, WIDTH - 7))):
        yield f"     {words}"


def _numbers(row: Sequence[str], widths: Sequence[int]) -> str:
    quantity, unit, price, amount = row
    return f"{quantity:>{widths[0]}}  {_left(unit, widths[1])}  {price:>{widths[2]}}  {amount:>{widths[3]}}"


def _totals(page: Printed) -> Iterator[str]:
    for name, value in (*page.totals, page.due):
        yield " " * HALF + _both(name, value, HALF)
    yield ""
    for words in (*page.terms, *page.notes):
        yield from _wrapped(words, WIDTH)
    yield ""


def _statement(page: Printed) -> Iterator[str]:
    if not page.statement:
        return
    heads = ("Resource", "Meter", "Quantity", "Unit", "Billed", "Measured", "Estimated", "Unknown")
    rows = [
        (row.resource, row.meter, row.quantity, row.unit, row.billed, row.measured, row.estimated, row.unknown) for row in page.statement
    ]
    widths = list(_widths((heads, *rows)))
    widths[0] = min(widths[0], MOST_RESOURCE)
    yield "Usage statement"
    yield _row(heads, widths)
    yield "-" * (sum(widths) + 2 * len(widths) - 2)
    for row in rows:
        head, *rest = _wrapped(row[0], widths[0])
        yield _row((head, *row[1:]), widths)
        yield from rest
    yield ""


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (2, 5, 6, 7)
    cells = (
        f"{cell:>{width}}" if place in numbers else _left(cell, width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells)


def _hashes(page: Printed) -> Iterator[str]:
    for name, value in page.hashes:
        yield f"{name:<18}{value}"


def _widths(rows: Sequence[Sequence[str]]) -> tuple[int, ...]:
    return tuple(max(map(_columns, column)) for column in zip(*rows, strict=True))


def _columns(words: str) -> int:
    """How many columns of a terminal the text takes: East Asian wide letters take two, combining marks none."""
    return sum(0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF") for letter in words)


def _left(words: str, width: int) -> str:
    return words + " " * (width - _columns(words))


def _both(left: str, right: str, width: int) -> str:
    return left + " " * max(width - _columns(left) - _columns(right), 1) + right


def _wrapped(words: str, width: int) -> list[str]:
    return wrap(words, width, break_on_hyphens=False) or [""]
