"""The house rules are seen failing: a quick part of `make gates`, which breaks every rule of `make check`."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tomllib
from pathlib import Path

from tools.breaks import every_break
from tools.gates import rules_without_example

ROOT = Path(__file__).resolve().parents[2]


def test_every_rule_has_a_broken_example() -> None:
    assert list(rules_without_example(ROOT, every_break(ROOT))) == []


def test_every_house_rule_is_seen_failing() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tools.gates", "--step", "tidy"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert ran.stdout.splitlines()[-1].endswith("gates seen failing")


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
    assert names == {"backports.zstd", "protobuf", "rich", "typer"}
