"""Documents as nodes: what JSON says is read as it is, lines are those of the text, and no text costs more than its length."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.rate.books.nodes import DEEPEST, MOST_VALUES, MappingNode, Node, ScalarNode, SequenceNode, UnreadableError, compose

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
documents = st.recursive(texts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20)


def plain(node: Node | None) -> Any:
    """Texts, lists and mappings again."""
    match node:
        case ScalarNode():
            return node.value
        case SequenceNode():
            return [plain(item) for item in node.value]
        case MappingNode():
            return {key: plain(value) for key, value in zip(node.keys, node.values, strict=True)}
    raise AssertionError(node)


@given(documents)
def test_json_is_read_as_it_is(document: Any) -> None:
    assert plain(compose(json.dumps(document))) == document
    assert plain(compose(json.dumps(document, indent=1))) == document


def test_lines_are_counted_from_one() -> None:
    node = compose("# a comment\n\na: 1\nb:\n  - x\n  -\n    c: 3\n")
    assert isinstance(node, MappingNode)
    assert (node.line, node.lines) == (3, (3, 4))
    inner = node.values[1]
    assert isinstance(inner, SequenceNode)
    assert [item.line for item in inner.value] == [5, 7]


def test_an_alias_is_what_its_anchor_named() -> None:
    assert plain(compose("a: &x [1, 2]\nb: *x\nc: &x 3\nd: *x")) == {"a": ["1", "2"], "b": ["1", "2"], "c": "3", "d": "3"}


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a: 1\nb: *nothing", 2, "the alias 'nothing' of nothing before it"),
        ("a: &a [*a]", 1, "the alias 'a' of nothing before it"),
        ("a: 1\n---\nb: 1", 2, "a second document"),
        ("a: 1\nprice: {{ price }}", 2, "a mapping as a key"),
        ("a: 1\nb: [1", 3, "no ',' or ']'"),
        ("a: 1\n\tb: 2", 2, "a tab character that violates indentation"),
        ('a: "\\ud83d"', 1, "invalid Unicode character escape code"),
        ("a: 1\nb: c: d", 2, "mapping values are not allowed in this context"),
        ("[" * 900, 1, f"more than {DEEPEST} levels"),
        ("[" * 100_000, 1, "exceeded maximum nesting depth"),
        ("- " * 100_000, 1, f"more than {DEEPEST} levels"),
        ("\n".join(" " * depth + "a:" for depth in range(1_000)), DEEPEST + 1, f"more than {DEEPEST} levels"),
        (BOMB, 7, f"more than {MOST_VALUES} values"),
        ("a: \ud800", 1, "'utf-8' codec can't encode"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, line: int, found: str) -> None:
    with pytest.raises(UnreadableError) as told:
        compose(text)
    assert (told.value.line, told.value.found[: len(found)]) == (line, found)


def test_nothing_is_no_document() -> None:
    assert compose("") is None
    assert compose("# only a comment\n") is None
