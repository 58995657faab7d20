"""Invoices as PDF/A-3b, by typst: equal input gives equal bytes, on every machine (only the fonts that are shipped are used)."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Literal

import typst

from tallystick.model.billing.invoices import Invoice
from tallystick.render.printed import Printed, printed

STANDARDS: list[Literal["a-3b"]] = ["a-3b"]
LONGEST_WORD = 18
"""A longer word may be broken after each so many letters: ids without a blank would run over their column."""

BREAK = "\u200b"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PROBE = b'#set text(font: "Source Sans 3")\n#sys.inputs.letters'

_turn = threading.Lock()
"""One compiler serves all: it keeps what it compiled, and takes one call at a time."""


def pdf(invoice: Invoice) -> bytes:
    """The invoice as a PDF/A-3b document: A4, 16 ms for a page.

    A letter that no shipped font has (they have Latin, Greek, Cyrillic and Hebrew) is printed as its code: `[U+4F60]`.
    """
    return _compile(invoice, ppi=None)[0]


def pictures(invoice: Invoice, pixels_per_inch: int = 110) -> tuple[bytes, ...]:
    """The pages of the invoice as PNG, as they are printed."""
    return _compile(invoice, ppi=pixels_per_inch)


def _compile(invoice: Invoice, ppi: int | None) -> tuple[bytes, ...]:
    page = printed(invoice)
    document = asdict(page)
    document["issued"] = _calendar(page)
    shown = _displayable(document)
    with _turn:
        template, compiler = _compiler()
        inputs = {"invoice": json.dumps(shown, ensure_ascii=False)}
        if ppi is None:
            made = compiler.compile(template, format="pdf", sys_inputs=inputs, pdf_standards=[*STANDARDS], timestamp=page.issued_seconds)
        else:
            made = compiler.compile(template, format="png", sys_inputs=inputs, ppi=ppi)
    if made is None:
        raise RuntimeError("typst gave no document")
    return (made,) if isinstance(made, bytes) else tuple(made)


@lru_cache(maxsize=1)
def _compiler() -> tuple[bytes, typst.Compiler]:
    """The template and the one compiler. Files are read once; nothing is read from the machine's own fonts."""
    folder = files("tallystick.render")
    with as_file(folder.joinpath("fonts")) as fonts_folder:
        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=[str(fonts_folder)])
        fonts.families()
        return folder.joinpath("invoice.typ").read_bytes(), typst.Compiler(font_paths=fonts)


def _calendar(page: Printed) -> tuple[int, ...]:
    issued = EPOCH + timedelta(seconds=page.issued_seconds)
    return issued.year, issued.month, issued.day, issued.hour, issued.minute, issued.second


def _displayable(value: object) -> object:
    """The same document with letters that cannot be printed as their codes, and long words made breakable."""
    if isinstance(value, str):
        return _breakable("".join(letter if _has_glyph(letter) else f"[U+{ord(letter):04X}]" for letter in value))
    if isinstance(value, dict):
        return {name: _displayable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_displayable(part) for part in value]
    return value


def _breakable(text: str) -> str:
    if len(text) <= LONGEST_WORD:
        return text
    words = (BREAK.join(word[at : at + LONGEST_WORD] for at in range(0, len(word), LONGEST_WORD)) for word in text.split(" "))
    return " ".join(words)


def _has_glyph(letter: str) -> bool:
    return letter.isascii() or _probe(letter)


@lru_cache(maxsize=8192)
def _probe(letter: str) -> bool:
    """Whether a font has the letter: PDF/A refuses what it has not, so a page with only this letter says so."""
    with _turn:
        try:
            _compiler()[1].compile(PROBE, format="pdf", sys_inputs={"letters": letter}, pdf_standards=[*STANDARDS], timestamp=0)
        except typst.TypstError:
            return False
    return True
