"""The PDF and the text say what the invoice says: every value, in the words of one function."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
from pypdf import PdfReader

from tallystick.model.billing.invoices import Invoice
from tallystick.render.pdf import pdf
from tallystick.render.printed import money_text, period_text, price_text, quantity_text, share_texts
from tallystick.render.text import text
from tests.unit.render.example import LINES, STATEMENT, ZONE, invoice, statement_row, usage_line


def words_of(made: bytes) -> str:
    """The text of a PDF in reading order, one blank between words, breaks inside words taken out."""
    pages = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(made)).pages)
    return " ".join(pages.replace("\u200b", "").split())


def blocks(one: Invoice) -> Iterator[tuple[str, ...]]:
    """What must stand together, in order: each line with its values, each row of the statement, the totals."""
    for place, line in enumerate(one.lines, start=1):
        period = period_text(line.service_start_ns, line.service_end_ns, ZONE)
        numbers = (quantity_text(line.quantity), line.unit, price_text(line.unit_price, one.currency), money_text(line.amount))
        measured, estimated, unknown = share_texts(line.share)
        coverage = () if measured == "–" else (f"Coverage: measured {measured}, estimated {estimated}, unknown {unknown}",)
        yield (f"{place} {line.description}", period, f"prices {line.book_id} version {line.book_version}", *coverage, " ".join(numbers))
    yield (f"Net {money_text(one.net)}", "Tax tax not computed", f"Total {money_text(one.total)}")
    yield ("Amount due", f"{money_text(one.total)} {one.currency}")
    for row in one.statement:
        quantity = "not measured" if row.quantity is None else quantity_text(row.quantity)
        billed = "billed" if row.billed else "not billed"
        yield (f"{row.resource_name} ({row.resource_id}) {row.meter} {quantity} {row.unit} {billed} " + " ".join(share_texts(row.share)),)


def expect_in_order(words: str, parts: tuple[str, ...], start: int) -> int:
    for part in parts:
        found = words.find(" ".join(part.split()), start)
        assert found >= 0, f"{part!r} is not after {words[start : start + 200]!r}"
        start = found + 1
    return start


def test_the_pdf_says_what_the_invoice_says() -> None:
    one = invoice()
    words = words_of(pdf(one))
    for value in (
        one.number,
        one.seller.name,
        *one.seller.address.lines,
        one.seller.email,
        one.seller.tax_id,
        one.customer.name,
        *one.customer.address.lines,
        one.customer.tax_id,
        "Invoice date 2026-04-01",
        "Service period 2026-03-01 – 2026-03-31",
        "Due date 2026-04-15",
        "Payable within 14 days of the invoice date, by 2026-04-15.",
        one.content_hash,
        one.evidence_hash,
        "Page 1 of 2",
        "Page 2 of 2",
    ):
        assert value is not None
        assert value in words
    at = 0
    for block in blocks(one):
        at = expect_in_order(words, block, at)
    assert "DRAFT" not in words


def test_every_amount_in_the_pdf_is_one_of_the_invoice() -> None:
    """Nothing is printed in the column of amounts that the invoice does not have."""
    one = invoice()
    words = words_of(pdf(one))
    amounts = [money_text(line.amount) for line in one.lines]
    printed = re.findall(r"(?:core-hour|GiB-hour|GiB-month|GiB|month) [\d.,]+ ([\d,]+\.\d\d)(?!\d)", words)
    assert printed == amounts


def test_the_text_says_what_the_pdf_says() -> None:
    one = invoice()
    written = text(one)
    assert max(map(len, written.splitlines())) <= 100
    words = " ".join(written.split())
    for line in one.lines:
        row = (
            f"{line.description} {quantity_text(line.quantity)} {line.unit} {price_text(line.unit_price, 'EUR')} {money_text(line.amount)}"
        )
        assert row in words
    for block in list(blocks(one))[len(one.lines) :]:
        expect_in_order(words, block, 0)
    assert one.content_hash in words


def test_equal_input_gives_equal_bytes() -> None:
    first = pdf(invoice())
    pdf(invoice(state="draft"))
    assert pdf(invoice()) == first
    assert pdf(invoice(statement=())) != first


def test_it_is_pdf_a_3b_with_the_date_of_issue() -> None:
    read = PdfReader(io.BytesIO(pdf(invoice())))
    assert read.xmp_metadata is not None
    packet = read.xmp_metadata.stream.get_data().decode()
    assert "<pdfaid:part>3</pdfaid:part>" in packet
    assert "<pdfaid:conformance>B</pdfaid:conformance>" in packet
    assert read.metadata is not None
    assert read.metadata.title == "Invoice INV-2026-000042"
    assert str(read.metadata.creation_date).startswith("2026-03-31 23:00:00")


@pytest.mark.parametrize(("state", "word"), [("draft", "DRAFT"), ("parked", "PARKED")])
def test_what_is_not_final_says_so_on_each_page(state: str, word: str) -> None:
    one = invoice(state=state)
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf(one))).pages]
    assert all(word in page for page in pages)
    assert f"Invoice number none ({state})" in " ".join(pages[0].split())
    assert word in text(one)
    assert ("unpriced_size vm-7f3a gpu no size" in text(one)) == (state == "parked")


def test_two_hundred_lines_repeat_their_header_on_each_page() -> None:
    lines = tuple(replace(LINES[number % 5], description=f"Charge {number} of many") for number in range(200))
    one = invoice(lines)
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf(one))).pages]
    with_lines = [page for page in pages if "of many" in page]
    assert len(with_lines) > 5
    assert all("AMOUNT EUR" in page for page in with_lines)
    assert len(re.findall(r"Charge \d+ of many", "\n".join(pages))) == 200
    assert money_text(one.total) in "".join(pages)


def test_a_long_statement_repeats_its_header_too() -> None:
    rows = tuple(
        statement_row(f"vm-{number}", f"web-{number}", "cpu.used", Fraction(number, 7), "core-hour", billed=True) for number in range(300)
    )
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(pdf(invoice(statement=rows)))).pages]
    with_rows = [page for page in pages if "(vm-" in page]
    assert len(with_rows) > 4
    assert all("ESTIMATED" in page for page in with_rows)


@pytest.mark.parametrize("name", ['#strong[x] $x$ \\ `a` *b* _c_ <d> @e // "f"', "]#panic()", "a & b = {c}"])
def test_names_are_never_markup(name: str) -> None:
    one = invoice()
    one = replace(one, customer=replace(one.customer, name=name), lines=(replace(LINES[0], description=name),))
    words = words_of(pdf(one))
    assert words.count(name) == 2


def test_names_in_other_alphabets_are_printed_and_what_no_font_has_shows_its_code() -> None:
    one = invoice()
    one = replace(one, customer=replace(one.customer, name="Żółw Ελλάδα Привет"), seller=replace(one.seller, name="北京 ACME 👍"))
    words = words_of(pdf(one))
    assert "Żółw Ελλάδα Привет" in words
    assert "[U+5317][U+4EAC] ACME [U+1F44D]" in words
    assert "北京 ACME 👍" in text(one)


def test_long_names_and_control_characters_stay_on_the_page() -> None:
    name = "x" * 300 + " with\nlines\x00and\x07bells " + "Straße " * 40
    one = invoice()
    one = replace(one, customer=replace(one.customer, name=name), lines=(replace(LINES[0], description=name),))
    words = words_of(pdf(one)).replace(" ", "")
    assert "".join(name.replace("\x00", " ").replace("\x07", " ").split()) in words


@pytest.mark.parametrize(("currency", "price", "shown"), [("JPY", "3", "4,458"), ("KWD", "0.0125", "18.575"), ("CLF", "0.0125", "18.5750")])
def test_currencies_have_their_own_decimals(currency: str, price: str, shown: str) -> None:
    one = invoice(
        (usage_line("vCPU", "cpu.allocated", Fraction(1486), "core-hour", price, currency=currency),), STATEMENT, currency=currency
    )
    for words in (words_of(pdf(one)), " ".join(text(one).split())):
        assert f"{shown} {currency}" in words
        assert f"Net {shown} " in words


def test_an_invoice_without_lines_says_so() -> None:
    one = invoice((), ())
    words = words_of(pdf(one))
    assert "No lines." in words
    assert "0.00 EUR" in words
    assert "Usage statement" not in words
    assert "No lines." in text(one)
