"""Reading a YAML (or JSON) document with its line numbers: every mistake is noted, and reading goes on.

Scalars are read from their text: 0.1 is one tenth, never a float. After a mistake a value that is allowed stands in, so
that the rest can be checked; a document with any mistake is not used.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from fractions import Fraction

from tallystick.model.billing.price_book import Mistake
from tallystick.model.instants import parse_iso
from tallystick.rate.books.nodes import MappingNode, Node, ScalarNode, SequenceNode, UnreadableError, compose, shown

DECIMAL = re.compile(r"[+-]?[0-9]{1,24}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?")
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MAX_DECIMALS = 12
LARGEST = 10**15
LONGEST_TEXT = 200
UNREADABLE = "?"
"""What stands for a text that could not be read."""

NAMED = 20
"""How many words a mistake lists that could have been meant: all of 5,000 tell a person nothing."""

FLAGS = {"true": True, "false": False}


@dataclass(slots=True)
class Reader:
    """A document by name, and the mistakes found in it so far."""

    name: str
    mistakes: list[Mistake] = field(default_factory=list)

    def mistake(self, line: int, place: str, found: str, allowed: str) -> None:
        """Note a mistake. Lines are counted from 1."""
        self.mistakes.append(Mistake(file=self.name, line=line, place=place or "document", found=found, allowed=allowed))

    def compose(self, text: str) -> Node | None:
        """The nodes of a document; None after a mistake of YAML itself."""
        try:
            node = compose(text)
        except UnreadableError as error:
            self.mistake(error.line, "", error.found, "a YAML or JSON document")
            return None
        if node is None:
            self.mistake(1, "", "an empty document", "a price book")
        return node

    def fields(self, node: Node, place: str, allowed: Sequence[str]) -> Fields:
        """The keys of a mapping: each once, each known. `allowed` may be read later, when it depends on one of them."""
        found: dict[str, Node] = {}
        if not isinstance(node, MappingNode):
            self.mistake(node.line, place, shown(node), "a mapping with the keys " + ", ".join(allowed))
            return Fields(reader=self, place=place, line=node.line, nodes=found, sound=False)
        for name, line, value in zip(node.keys, node.lines, node.values, strict=True):
            if name in found:
                self.mistake(line, place, f"the key {name!r} twice", "each key once")
            elif name not in allowed:
                self.mistake(line, place, f"the unknown key {name!r}", one_of(name, allowed))
            else:
                found[name] = value
        return Fields(reader=self, place=place, line=node.line, nodes=found)

    def items(self, node: Node, place: str, what: str) -> list[tuple[str, Node]]:
        """The places and nodes of a list."""
        if isinstance(node, SequenceNode):
            return [(f"{place}[{number}]", item) for number, item in enumerate(node.value)]
        self.mistake(node.line, place, shown(node), f"a list of {what}")
        return []

    def text(self, node: Node, place: str, allowed: str = "a text", pattern: re.Pattern[str] | None = None) -> str:
        """A text of at most 200 characters, as written."""
        text = node.value if isinstance(node, ScalarNode) else ""
        if not text or len(text) > LONGEST_TEXT or (pattern is not None and not pattern.fullmatch(text)):
            self.mistake(node.line, place, shown(node), allowed)
            return UNREADABLE
        return text


@dataclass(slots=True, kw_only=True)
class Fields:
    """The keys of one mapping of a document. A key that is missing has the default; one that is wrong is noted.

    `sound` is false when it was no mapping at all: then nothing more is said of what it lacks.
    """

    reader: Reader
    place: str
    line: int
    nodes: dict[str, Node]
    sound: bool = True

    def at(self, key: str) -> str:
        """The place of a key, as mistakes name it: `plans[0].charges[2].per`."""
        return f"{self.place}.{key}" if self.place else key

    def line_of(self, key: str) -> int:
        """The line of a key's value, or of the mapping."""
        return self.nodes[key].line if key in self.nodes else self.line

    def node(self, key: str, allowed: str, *, required: bool) -> Node | None:
        """The node of a key; a mistake if it is required and missing."""
        if key not in self.nodes and required and self.sound:
            self.reader.mistake(self.line, self.at(key), "nothing", allowed)
        return self.nodes.get(key)

    def wrong(self, key: str, found: str, allowed: str) -> None:
        """Note that a key's value cannot be."""
        self.reader.mistake(self.line_of(key), self.at(key), found, allowed)

    def text(self, key: str, *, required: bool = False, default: str = "", allowed: str = "a text of at most 200 characters") -> str:
        """A text."""
        node = self.node(key, allowed, required=required)
        return default if node is None else self.reader.text(node, self.at(key), allowed)

    def identifier(self, key: str) -> str:
        """A required id: letters, digits, `.`, `_`, `-`, at most 64."""
        allowed = "an id of letters, digits, '.', '_' and '-', at most 64 long"
        node = self.node(key, allowed, required=True)
        return UNREADABLE if node is None else self.reader.text(node, self.at(key), allowed, IDENTIFIER)

    def choice(self, key: str, allowed: Collection[str], *, required: bool = False, default: str = "", beside: str = "") -> str:
        """One of some words; the default after a mistake. `beside` tells what else is allowed, and is read elsewhere."""
        node = self.nodes.get(key)
        if isinstance(node, ScalarNode) and node.value in allowed:
            return node.value
        if self.node(key, one_of("", allowed) + beside, required=required) is not None:
            self.wrong(key, shown(self.nodes[key]), one_of(node.value if isinstance(node, ScalarNode) else "", allowed) + beside)
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        node = self.nodes.get(key)
        if node is None:
            return default
        if isinstance(node, ScalarNode) and node.value in FLAGS:
            return FLAGS[node.value]
        self.wrong(key, shown(node), "true or false")
        return default

    def decimal(self, key: str, *, required: bool = False, positive: bool = False) -> Fraction:
        """A decimal of 0 or more (above 0 if `positive`) with at most 12 decimals, exactly as written."""
        allowed = f"a decimal {'above 0' if positive else 'of 0 or more'} with at most {MAX_DECIMALS} decimals, such as 0.01"
        node = self.node(key, allowed, required=required)
        if node is None:
            return Fraction(0)
        if not isinstance(node, ScalarNode) or not DECIMAL.fullmatch(node.value):
            self.wrong(key, shown(node), allowed)
            return Fraction(0)
        value = Fraction(node.value)
        if value < 0 or (positive and not value):
            self.wrong(key, node.value, allowed)
        elif value >= LARGEST:
            self.wrong(key, node.value, "a decimal below 10^15")
        elif 10**MAX_DECIMALS % value.denominator:
            self.wrong(key, f"{node.value} with more decimals", allowed)
        return value

    def whole(self, key: str, *, default: int, least: int = 1, most: int = 10**6) -> int:
        """A whole number."""
        node = self.nodes.get(key)
        if node is None:
            return default
        if isinstance(node, ScalarNode) and re.fullmatch(r"[0-9]{1,9}", node.value) and least <= int(node.value) <= most:
            return int(node.value)
        self.wrong(key, shown(node), f"a whole number from {least} to {most}")
        return default

    def instant(self, key: str, *, required: bool = False) -> int | None:
        """An ISO 8601 instant with an offset, in ns; a date alone is its midnight UTC."""
        allowed = "an instant with an offset such as 2026-03-10T08:00:00Z, or a date, which is its midnight UTC"
        node = self.node(key, allowed, required=required)
        if node is None:
            return None
        text = node.value if isinstance(node, ScalarNode) else ""
        try:
            return parse_iso(f"{text}T00:00:00Z" if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else text)
        except (ValueError, OverflowError):
            self.wrong(key, shown(node), allowed)
            return None

    def items(self, key: str, what: str, *, required: bool = False) -> list[tuple[str, Node]]:
        """The places and nodes of a list under a key."""
        node = self.node(key, f"a list of {what}", required=required)
        return [] if node is None else self.reader.items(node, self.at(key), what)

    def words(self, key: str, what: str) -> tuple[str, ...]:
        """One text or a list of texts, each once."""
        node = self.nodes.get(key)
        if node is None:
            return ()
        nodes = [(self.at(key), node)] if isinstance(node, ScalarNode) else self.reader.items(node, self.at(key), what)
        words = [self.reader.text(item, place, f"a text: {what}") for place, item in nodes]
        if not words and isinstance(node, SequenceNode):
            self.wrong(key, "an empty list", f"at least one of {what}, or no key {key}")
        if len(set(words)) < len(words):
            self.wrong(key, "one value twice", "each value once")
        return tuple(words)

    def labels(self, key: str) -> dict[str, str]:
        """A mapping of label names to the value that each must have."""
        node = self.nodes.get(key)
        if node is None:
            return {}
        if not isinstance(node, MappingNode) or not node.keys:
            self.wrong(key, shown(node), "a mapping of label names to values")
            return {}
        fields = self.reader.fields(node, self.at(key), node.keys)
        return {name: fields.text(name, required=True) for name in sorted(fields.nodes)}


def one_of(found: str, allowed: Collection[str]) -> str:
    """The words that are allowed, the one that was likely meant first."""
    near = get_close_matches(found, allowed, 1)
    others = [each for each in allowed if each not in near]
    further = f" or {len(others) - NAMED} others" if len(others) > NAMED else ""
    hint = f"{near[0]} (did you mean it?)" + (", or " if others else "") if near else ""
    return hint + ", ".join(others[:NAMED]) + further
