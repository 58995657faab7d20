"""A deliberately broken example for every rule of `make check`: what is changed, and the rule that must be named then."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD = '"""Broken on purpose."""\n\nfrom __future__ import annotations\n\n'
Edit = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """One broken example: `step` of `make check` must fail and name `rule` once `edits` are made, and not before.

    `edits` are the new texts of files, by their paths, as functions of the old text (empty: the file is new).
    """

    rule: str
    step: str
    shown: str
    edits: tuple[tuple[str, Edit], ...]


def added(path: str, text: str) -> tuple[tuple[str, Edit], ...]:
    """A new file, or another text in an old one."""
    return ((path, lambda _: text),)


def appended(path: str, text: str) -> tuple[tuple[str, Edit], ...]:
    """A file with more at its end."""
    return ((path, lambda old: old + text),)


def replaced(path: str, old: str, new: str) -> tuple[tuple[str, Edit], ...]:
    """A file with something else in its place.

    Raises:
        ValueError: the file does not hold it, so the example would break nothing.

    """

    def edit(text: str) -> str:
        if old not in text:
            raise ValueError(f"{path} does not hold {old!r}")
        return text.replace(old, new, 1)

    return ((path, edit),)


def module(folder: str, body: str, head: str = HEAD) -> tuple[tuple[str, Edit], ...]:
    """A new module in a folder of the product."""
    return added(f"src/tallystick/{folder}/broken.py", head + body)


def ruff_breaks(root: Path) -> Iterator[Break]:
    """Every banned call of pyproject.toml, in a pure folder, and the rules of style that are the house's own."""
    banned = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    for name in banned:
        package, _, called = name.rpartition(".")
        line = f"from {package} import {called}\n" if package else f"import {name}\n"
        yield Break(
            rule=f"TID251 {name}", step="ruff", shown=f"TID251 `{name}`", edits=module("model", line + f"\n__all__ = [{called!r}]\n")
        )
    calls = "import time\n\n\ndef now() -> int:\n" + '    """The time."""\n    return time.time_ns()\n'
    yield Break(rule="TID251 in app, outside its clock", step="ruff", shown="TID251", edits=module("app", calls))
    for rule, body in {
        "D103": "def price() -> int:\n    return 1\n",
        "D101": "class Price:\n    pass\n",
        "ANN001": 'def price(of) -> int:\n    """A price."""\n    return 1\n',
        "S101": 'def price(of: int) -> int:\n    """A price."""\n    assert of\n    return 1\n',
        "S307": 'def price(of: str) -> object:\n    """A price."""\n    return eval(of)\n',
        "S110": 'def price() -> None:\n    """A price."""\n    try:\n        int("x")\n    except Exception:\n        pass\n',
        "T201": 'def price() -> None:\n    """A price."""\n    print(1)\n',
        "E501": f"A = '{'x' * 140}'\n",
        "F401": "import math\n",
    }.items():
        yield Break(rule=rule, step="ruff", shown=rule, edits=module("rate", body))
    yield Break(rule="I002", step="ruff", shown="I002", edits=module("rate", "A = 1\n", head='"""Broken."""\n\n'))
    yield Break(rule="format", step="format", shown="broken.py", edits=module("rate", "A = [1,2]\n"))


def type_breaks() -> Iterator[Break]:
    """Wrong types, and missing ones."""
    wrong = 'def price() -> int:\n    """A price."""\n    return "1"\n'
    missing = "def price(of):\n    return of\n"
    loose = 'def price(of: list) -> int:\n    """A price."""\n    return len(of)\n'
    yield Break(rule="mypy return-value", step="mypy", shown="[return-value]", edits=module("rate", wrong))
    yield Break(rule="mypy no-untyped-def", step="mypy", shown="[no-untyped-def]", edits=module("rate", missing))
    yield Break(rule="mypy type-arg", step="mypy", shown="[type-arg]", edits=module("rate", loose))


IMPORTS: tuple[tuple[str, str, str], ...] = (
    ("layers", "store", "import tallystick.serve"),
    ("layers", "render", "import tallystick.ingest"),
    ("layers", "collect", "import tallystick.spool"),
    ("layers", "rate", "import tallystick.app"),
    ("pure-apart", "meter", "import tallystick.rate"),
    ("pure-apart", "rate", "import tallystick.invoice"),
    ("model-alone", "model", "import tallystick.meter"),
    ("model-alone", "model", "import tallystick.proto"),
    ("pure-no-io", "meter", "import time"),
    ("pure-no-io", "rate", "from pathlib import Path"),
    ("pure-no-io", "invoice", "import socket"),
    ("pure-no-io", "model", "import sqlalchemy"),
    ("host-alone", "spool", "import tallystick.meter"),
    ("host-alone", "spool", "import tallystick.meter.thin.host"),
    ("host-alone", "spool/thinning", "import tallystick.meter.fold"),
    ("host-alone", "collect", "import tallystick.store"),
    ("host-light", "collect", "import numpy"),
    ("host-light", "spool", "import pydantic"),
    ("host-light", "spool", "import sqlalchemy"),
    ("store-no-rules", "store", "import tallystick.rate"),
    ("store-no-rules", "store", "import tallystick.meter"),
    ("sql-in-store", "serve", "import sqlalchemy"),
    ("sql-in-store", "app", "import sqlite3"),
    ("ingest-no-money", "ingest", "import tallystick.invoice"),
    ("ingest-no-money", "ingest", "import tallystick.rate"),
    ("serve-no-money", "serve", "import tallystick.rate"),
    ("serve-no-money", "serve", "import tallystick.app"),
    ("render-values", "render", "import tallystick.store"),
    ("cli-over-rest", "app/cli/nouns", "import tallystick.store"),
    ("no-simulation", "app", "import tallystick.sim"),
    ("no-simulation", "spool", "import tallystick.sim.machine.disk"),
    ("auditor-apart", "sim/audit", "import tallystick.meter.hours"),
    ("no-tests", "app", "import tests"),
    ("no-tests", "ingest", "import pytest"),
)
"""A contract, a folder, and an import that the folder must not have."""


def import_breaks() -> Iterator[Break]:
    """Every direction that must never exist, and a folder that nobody decided on."""
    for contract, folder, line in IMPORTS:
        name = f"{contract}: {folder} -> {line.split()[1]}"
        yield Break(rule=name, step="imports", shown=f"{contract}: ", edits=module(folder, f"{line}\n"))
    novelty = added("src/tallystick/novelty/__init__.py", '"""A folder that nobody decided on."""\n')
    yield Break(rule="layers: a new top-level folder", step="imports", shown="novelty", edits=novelty)
    inside = module("spool", "def late() -> None:\n    import numpy\n")
    yield Break(rule="host-light: an import inside a function", step="imports", shown="host-light: ", edits=inside)
    heavy = appended("src/tallystick/meter/thin/host.py", "\n\ndef late() -> None:\n    import numpy\n")
    yield Break(rule="host-light: NumPy in the fold of the host", step="imports", shown="host-light: ", edits=heavy)


def wire_breaks() -> Iterator[Break]:
    """The wire messages: style, a change that old clients notice, generated code that is old."""
    proto = "proto/tallystick/v1/ingest.proto"
    yield Break(
        rule="buf lint", step="buf-lint", shown="ingest.proto", edits=appended(proto, "\nmessage badly_named {\n  string Value = 1;\n}\n")
    )
    numbers = replaced(proto, " = 1;", " = 1001;")
    yield Break(rule="buf breaking: a field's number", step="buf-breaking", shown="ingest.proto", edits=numbers)
    more = appended(proto, "\n// A message that was not generated.\nmessage Unborn {\n  string value = 1;\n}\n")
    yield Break(rule="generated: a message without its code", step="generated", shown="ingest_pb2.py", edits=more)
    touched = appended("src/tallystick/proto/tallystick/v1/ingest_pb2.py", "\nEDITED = True\n")
    yield Break(rule="generated: code edited by hand", step="generated", shown="ingest_pb2.py", edits=touched)


FLOATS: tuple[tuple[str, str], ...] = (
    ("model", "RATE = 0.1\n"),
    ("meter", 'def used(of: float) -> int:\n    """Use."""\n    return 1\n'),
    ("rate", 'def price(of: str) -> object:\n    """A price."""\n    return float(of)\n'),
    ("meter", "import numpy as np\n\nA = np.zeros(3, dtype=np.float64)\n"),
    ("meter", "import numpy as np\n\nA = np.zeros(3, dtype='f8')\n"),
    ("meter", "import numpy as np\n\nA = np.zeros(3).astype('float32')\n"),
    ("meter", "import numpy as np\n\nA = np.zeros(3, dtype=np.int64).mean()\n"),
    ("invoice", "import datetime\n\nA = datetime.timedelta(1).total_seconds()\n"),
    ("rate", "from math import sqrt\n\nA = sqrt(2)\n"),
)


def tidy_breaks() -> Iterator[Break]:
    """Every rule of tools/tidy.py."""
    yield tidied("readable", module("model", "def\n"))
    yield tidied("module_length", module("model", "# a line\n" * 500))
    yield tidied("function_length", module("model", "def long() -> None:\n" + '    """Long."""\n' + "    int(1)\n" * 70))
    yield tidied("module_names", added("src/tallystick/model/utils.py", HEAD))
    yield tidied("module_names", added("tools/bill/load_helpers.py", HEAD))
    yield tidied("empty_names", module("model", 'def f(data: int) -> int:\n    """F."""\n    return data\n'))
    yield tidied("empty_names", module("serve", 'def handle() -> None:\n    """F."""\n'))
    for folder, body in FLOATS:
        yield tidied("no_floats", module(folder, body))
    yield tidied("folder_docstring", added("src/tallystick/meter/__init__.py", '"""One sentence. And another."""\n'))
    yield tidied(
        "folder_docstring", added("src/tallystick/meter/__init__.py", '"""One sentence."""\n\nfrom tallystick.meter import fold\n')
    )
    yield tidied("folder_docstring", added("src/tallystick/meter/__init__.py", ""))
    loose = "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass A:\n" + '    """A."""\n'
    yield tidied("frozen_values", module("model", loose))
    yield tidied("reference_alone", added("tests/reference/broken.py", HEAD + "from tallystick.meter import fold\n"))
    for line in ("from tallystick.rate import units", "import tallystick.meter.fold", "from tools.bill import check"):
        yield tidied("witness_alone", appended("tools/bill/pricing.py", f"\n{line}\n"))
    yield tidied("witness_there", replaced("tools/tidy.py", "tools/bill/witness.py", "tools/bill/moved.py"))
    for line in ("@pytest.mark." + "skip", "@pytest.mark." + "skipif(True)", "@pytest.mark." + "xfail"):
        yield tidied("no_skips", added("tests/unit/test_broken.py", HEAD + f"import pytest\n\n\n{line}\ndef test_it() -> None: ...\n"))
    inside = "import pytest\n\n\ndef test_it() -> None:\n    pytest." + "skip('later')\n"
    yield tidied("no_skips", added("tests/unit/test_broken.py", HEAD + inside))
    for line in (
        "A = [1][True]",
        "def f(a: int) -> int:\n    return a * a",
        "def f(a: int) -> int:\n    a += True\n    return a",
        "def f(a: int) -> int:\n    return -a",
        "def f(a: int) -> bool:\n    return a > True",
        "def f(a: list[int]) -> int:\n    return sum(a)",
        "import operator",
        "from functools import reduce",
        'A = "12.50"',
        'A = "2024-01-31T00:00:00Z"',
    ):
        yield tidied("adapters_convert", added("tests/oracles/adapters/broken.py", HEAD + line + "\n"))
    yield tidied("locks_without_address", appended("requirements/run.lock", "--index-url https" + "://example.com/simple\n"))
    yield tidied("locks_with_hashes", appended("requirements/run.lock", "left-pad==1.0\n"))
    yield tidied("finished", module("model", "# TO" + "DO: the rest\n"))
    yield tidied("finished", appended("README.md", "\nFIX" + "ME\n"))
    yield tidied("gates_can_fail", appended("Makefile", "\nlint:\n\truff check . |" + "| true\n"))
    yield tidied("gates_can_fail", appended("Makefile", "\nlint:\n\t-ruff check .\n"))
    yield tidied("reasoned_exceptions", module("model", "A = 1  # no" + "qa: F401\n"))
    yield tidied("reasoned_exceptions", replaced("pyproject.toml", '"D100", #', '"D100",\n    #'))
    yield tidied("no_bare_machines", module("model", 'HERE = "/wo' + 'rk/main"\n'))
    yield tidied("folder_size", tuple((f"src/tallystick/model/broken_{n}.py", lambda _: HEAD) for n in range(13)))
    yield tidied("folder_described", added("src/tallystick/model/below/broken.py", HEAD))


def tidied(rule: str, edits: tuple[tuple[str, Edit], ...]) -> Break:
    """An example that tools/tidy.py must name a rule of."""
    return Break(rule=rule, step="tidy", shown=f" {rule}: ", edits=edits)


def docs_breaks() -> Iterator[Break]:
    """Every rule of tools/docs.py."""
    for rule, edits in (
        ("commands_exist", appended("README.md", "\n`tally frobnicate`\n")),
        ("commands_exist", appended("README.md", "\n```\ntally invoice frobnicate x\n```\n")),
        ("commands_exist", appended("README.md", "\n`tally usage --frobnicate`\n")),
        ("commands_described", appended("docs/commands.md", "\nMore.\n")),
        ("commands_have_examples", replaced("src/tallystick/app/cli/nouns/keys.py", "Example:", "Such as:")),
        ("commands_have_examples", replaced("src/tallystick/app/cli/output.py", '"--json"', '"--as-json"')),
        ("settings_exist", appended("README.md", "\nTALLY_FROBNICATION\n")),
        ("settings_described", replaced("docs/settings.md", "`TALLY_LISTEN`", "that")),
        ("targets_exist", appended("README.md", "\n`make frobnication`\n")),
        ("links_lead_somewhere", appended("README.md", "\n[there](docs/nowhere.md)\n")),
        ("dependencies_declared", module("serve", "import anyio\n")),
        ("dependencies_reasoned", replaced("docs/dependencies.md", "| `typst` |", "| `typeset` |")),
    ):
        yield Break(rule=rule, step="docs", shown=f"{rule}: ", edits=edits)


def every_break(root: Path) -> tuple[Break, ...]:
    """All broken examples for the repository at `root`."""
    return (*ruff_breaks(root), *type_breaks(), *import_breaks(), *wire_breaks(), *tidy_breaks(), *docs_breaks())
