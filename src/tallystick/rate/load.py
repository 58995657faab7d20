"""A price book from its text: the book, or every mistake in it at once (billing.md, Price book)."""

from __future__ import annotations

import re
from dataclasses import replace

from tallystick.model.billing.price_book import Mistake, PriceBook
from tallystick.rate.books.consistency import conflicts_inside
from tallystick.rate.books.document import digest_of
from tallystick.rate.books.nodes import MappingNode, Node, SequenceNode
from tallystick.rate.books.reader import Reader
from tallystick.rate.books.schema import read_book

LONGEST_BOOK = 8 * 2**20


def load_book(text: str, name: str) -> tuple[PriceBook | None, tuple[Mistake, ...]]:
    """One version of a price book from YAML or JSON; `name` is the file that mistakes name.

    Its version is 0 where the text gives none: who stores it numbers it. With any mistake there is no book, and all
    mistakes are told, in order of lines.
    """
    reader = Reader(name=name)
    if len(text) > LONGEST_BOOK:
        reader.mistake(1, "", f"{len(text)} characters", f"at most {LONGEST_BOOK}")
        return None, tuple(reader.mistakes)
    node = reader.compose(text)
    if node is None:
        return None, tuple(reader.mistakes)
    book = read_book(reader, node)
    if not any(mistake.place == "document" for mistake in reader.mistakes):
        for place, found, allowed in conflicts_inside(book):
            reader.mistake(_line(node, place), place, found, allowed)
    if reader.mistakes:
        return None, tuple(sorted(reader.mistakes, key=lambda mistake: mistake.line))
    return replace(book, digest=digest_of(book)), ()


def _line(node: Node, place: str) -> int:
    """The line of a place such as `plans[1].charges[0].id`; of what holds it, where it is not written."""
    for step in re.findall(r"[a-z_]+|\d+", place):
        if isinstance(node, SequenceNode) and step.isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
        elif isinstance(node, MappingNode):
            node = node.get(step) or node
    return node.line
