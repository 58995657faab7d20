"""The house rules are seen failing: a quick part of `make gates`, which breaks every rule of `make check`."""

from __future__ import annotations

import configparser
import tomllib
from pathlib import Path

import pytest

from tools import tidy
from tools.breaks import Break, every_break, tidy_breaks
from tools.gates import rules_without_example
from tools.tree import tracked

ROOT = Path(__file__).resolve().parents[2]


def test_every_rule_has_a_broken_example() -> None:
    assert list(rules_without_example(ROOT, every_break(ROOT))) == []


@pytest.mark.parametrize("example", tuple(tidy_breaks()), ids=lambda example: example.rule)
def test_a_house_rule_is_seen_failing(example: Break) -> None:
    """On the broken files alone, in memory; `make gates` breaks a copy of the whole repository."""
    texts = {path: edit((ROOT / path).read_text() if (ROOT / path).exists() else "") for path, edit in example.edits}
    sources = [tidy.Source(path=path, text=text) for path, text in texts.items()]
    checks = [check for check in (*tidy.PYTHON, *tidy.TEXT) if check.__name__ == example.rule]
    found = [violation for source in sources for check in checks for violation in check(source)]
    there = {*tracked(ROOT), *texts} - ({tidy.WITNESS[0]} if example.rule == "witness_there" else set())
    found += [violation for rule in tidy.TREE if rule.__name__ == example.rule for violation in rule(sorted(there))]
    assert found


def test_every_folder_of_the_product_has_a_layer() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:layers"]
    named = set(layers["layers"].replace("|", " ").split())
    folders = {path.parent.name for path in (ROOT / "src" / "tallystick").glob("*/__init__.py")}
    assert layers["exhaustive"] == "True"
    assert folders | {"__main__"} == named


def test_what_the_host_installs_is_small() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {each.split(">")[0] for each in project["dependencies"]}
    assert names == {"backports.zstd", "protobuf", "pyyaml", "rich", "typer"}
