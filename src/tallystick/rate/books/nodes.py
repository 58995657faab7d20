"""A YAML or JSON document as nodes with their lines, as written: libyaml finds them, nothing is made of their texts.

A document cannot be made to cost more than its length says: it is at most so deep, and what aliases repeat counts each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from yaml import (  # type: ignore[import-untyped] # it has no types; only this module knows it
    AliasEvent,
    CSafeLoader,
    DocumentStartEvent,
    MappingStartEvent,
    MarkedYAMLError,
    NodeEvent,
    ScalarEvent,
    StreamEndEvent,
    YAMLError,
)

DEEPEST = 50
MOST_VALUES = 2 * 10**6
SURROGATES = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL)
"""Two escapes that JSON writes for one character above U+FFFF, which YAML has no such way to write; or any other escape."""


class UnreadableError(Exception):
    """A text is no YAML document: the line, from 1, and what was found there."""

    def __init__(self, line: int, found: str) -> None:
        """Keep both."""
        super().__init__(f"line {line}: {found}")
        self.line = line
        self.found = found


@dataclass(slots=True)
class Node:
    """A value of a document, and the line on which it begins, from 1."""

    line: int


@dataclass(slots=True)
class ScalarNode(Node):
    """A text, a number, a word: as it was written, without quotes."""

    value: str


@dataclass(slots=True)
class SequenceNode(Node):
    """A list."""

    value: list[Node]


@dataclass(slots=True)
class MappingNode(Node):
    """Keys with their lines and values, in the order of writing; a key may be there twice.

    Keys are no nodes, as half of a book are its keys: the garbage collector looks at each node, and not at tuples of texts.
    """

    keys: tuple[str, ...]
    lines: tuple[int, ...]
    values: list[Node]

    def get(self, key: str) -> Node | None:
        """The first value of a key."""
        return self.values[self.keys.index(key)] if key in self.keys else None


def shown(node: Node) -> str:
    """A node as mistakes show it: the text of a scalar, shortened, or what it is."""
    if isinstance(node, ScalarNode):
        text = node.value
        return repr(text if len(text) <= 60 else text[:57] + "...") if text else "nothing"
    return "a mapping" if isinstance(node, MappingNode) else "a list"


def compose(text: str) -> Node | None:
    """The one document of a text; None if there is nothing in it.

    Raises:
        UnreadableError: it is no YAML, more than one document, too deep, or too much.

    """
    try:
        loader = CSafeLoader(SURROGATES.sub(_one_escape, text))
        try:
            return _Composer(loader.get_event).document()
        finally:
            loader.dispose()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UnreadableError(mark.line + 1 if mark else 1, _told(str(error.problem or error.context))) from None
    except (YAMLError, ValueError) as error:
        raise UnreadableError(1, str(error).splitlines()[0] if str(error) else type(error).__name__) from None


def _one_escape(found: re.Match[str]) -> str:
    high, low = found.groups()
    if high is None:
        return found[0]
    return f"\\U{0x10000 + (int(high, 16) - 0xD800) * 0x400 + int(low, 16) - 0xDC00:08x}"


def _told(problem: str) -> str:
    """What libyaml says, as the end of a sentence: "did not find expected ',' or ']'" becomes "no ',' or ']'"."""
    return re.sub(r"^(did|could) not find (expected )?", "no ", problem).removeprefix("found ")


class _Composer:
    """Events of libyaml into nodes; an alias is the node that its anchor named."""

    def __init__(self, get_event: Callable[[], NodeEvent]) -> None:
        self._event = get_event
        self._anchored: dict[str, tuple[Node, int]] = {}
        self._values = 0

    def document(self) -> Node | None:
        self._event()  # the start of the stream
        if isinstance(self._event(), StreamEndEvent):
            return None
        node = self._node(self._event(), 0)
        self._event()  # the end of the document
        following = self._event()
        if isinstance(following, DocumentStartEvent):
            raise UnreadableError(following.start_mark.line + 1, "a second document")
        return node

    def _node(self, event: NodeEvent, depth: int) -> Node:
        before, line = self._values, event.start_mark.line + 1
        node: Node
        if isinstance(event, ScalarEvent):
            node = ScalarNode(line, event.value)
        elif isinstance(event, AliasEvent):
            return self._alias(event.anchor, line)
        else:
            items = self._items(depth + 1, line)
            node = _mapping(line, items) if isinstance(event, MappingStartEvent) else SequenceNode(line, items)
        self._count(1, line)
        if event.anchor is not None:
            self._anchored[event.anchor] = (node, self._values - before)
        return node

    def _items(self, depth: int, line: int) -> list[Node]:
        """Nodes up to the end of a list or mapping."""
        if depth > DEEPEST:
            raise UnreadableError(line, f"more than {DEEPEST} levels")
        found: list[Node] = []
        plain = 0
        # Most of a book are its scalars, and few of them have anchors: they are made right here.
        while isinstance(event := self._event(), NodeEvent):
            if type(event) is ScalarEvent and event.anchor is None:
                found.append(ScalarNode(event.start_mark.line + 1, event.value))
                plain += 1
            else:
                found.append(self._node(event, depth))
        self._count(plain, line)
        return found

    def _alias(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchored:
            raise UnreadableError(line, f"the alias {anchor!r} of nothing before it")
        node, values = self._anchored[anchor]
        self._count(values, line)
        return node

    def _count(self, values: int, line: int) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            raise UnreadableError(line, f"more than {MOST_VALUES} values")


def _mapping(line: int, items: list[Node]) -> MappingNode:
    names, lines = [], []
    for key in items[::2]:
        if not isinstance(key, ScalarNode):
            raise UnreadableError(key.line, f"{shown(key)} as a key")
        names.append(key.value)
        lines.append(key.line)
    return MappingNode(line, tuple(names), tuple(lines), items[1::2])
