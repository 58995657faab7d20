"""The rules of tools/tidy.py, each on lines that it must take and lines that it must refuse."""

from __future__ import annotations

import pytest

from tools import tidy

WORDS = "TO" + "DO"

REFUSED = [
    ("no_floats", "src/tallystick/rate/a.py", "A = 1e3"),
    ("no_floats", "src/tallystick/rate/a.py", "A = 1j"),
    ("no_floats", "src/tallystick/meter/a.py", "A = np.float32(1)"),
    ("no_floats", "src/tallystick/meter/a.py", "A = np.array([1], dtype='<f8')"),
    ("no_floats", "src/tallystick/meter/a.py", "A = moment.timestamp()"),
    ("no_floats", "src/tallystick/meter/a.py", "import math"),
    ("empty_names", "src/tallystick/serve/a.py", "def f(info): ..."),
    ("empty_names", "src/tallystick/serve/a.py", "self.data = 1"),
    ("empty_names", "src/tallystick/serve/a.py", "import x as data"),
    ("module_names", "src/tallystick/serve/common.py", ""),
    ("module_names", "src/tallystick/job_manager/a.py", ""),
    ("folder_docstring", "src/tallystick/serve/__init__.py", '"""No full stop"""'),
    ("frozen_values", "src/tallystick/model/a.py", "@dataclass\nclass A: ..."),
    ("no_skips", "tests/unit/test_a.py", "from pytest import skip"),
    ("no_skips", "tests/unit/test_a.py", "self.skipTest('x')"),
    ("no_skips", "tests/unit/test_a.py", "numpy = pytest.importorskip('numpy')"),
    ("reference_alone", "tests/reference/a.py", "import tallystick.meter.hours"),
    ("reference_alone", "tests/reference/a.py", "from tallystick import meter"),
    ("witness_alone", "tools/bill/pricing.py", "from tallystick.model.billing import money"),
    ("locks_without_address", "requirements/run.lock", "--extra-index-url x"),
    ("locks_with_hashes", "requirements/run.lock", "a==1"),
    ("gates_can_fail", ".ci/run", "make check || true"),
    ("finished", "docs/a.md", f"{WORDS}: more"),
    ("reasoned_exceptions", "src/tallystick/a.py", "a = 1  # no" + "qa"),
    ("reasoned_exceptions", "src/tallystick/a.py", "a = 1  # type: " + "ignore[arg-type]"),
]
TAKEN = [
    ("no_floats", "src/tallystick/serve/a.py", "A = 0.5"),
    ("no_floats", "src/tallystick/rate/a.py", "from math import gcd\nA = Fraction(1, 2) / 3"),
    ("no_floats", "src/tallystick/meter/a.py", "A = np.zeros(3, dtype=np.int64).astype('<i8')"),
    ("empty_names", "src/tallystick/serve/a.py", "A = response.data"),
    ("folder_docstring", "src/tallystick/serve/__init__.py", '"""One sentence, with a file.name in it."""'),
    ("frozen_values", "src/tallystick/model/a.py", "@dataclass(frozen=True, slots=True, kw_only=True)\nclass A: ..."),
    ("no_skips", "tests/unit/test_a.py", "rows = cursor.skip(3)"),
    ("reference_alone", "tests/reference/a.py", "from tallystick.model import usage"),
    ("witness_alone", "tools/bill/pricing.py", "from tools.bill.book import Charge"),
    ("locks_with_hashes", "requirements/run.lock", "a==1 \\\n    --hash=sha256:0"),
    ("gates_can_fail", "Makefile", "\ttest -x a || exit 1"),
    ("reasoned_exceptions", "src/tallystick/a.py", "a = 1  # no" + "qa: F401 - it is the interface"),
]


def found(rule: str, path: str, text: str) -> list[tidy.Violation]:
    check = next(each for each in (*tidy.PYTHON, *tidy.TEXT) if each.__name__ == rule)
    return list(check(tidy.Source(path=path, text=text)))


@pytest.mark.parametrize(("rule", "path", "text"), REFUSED)
def test_refused(rule: str, path: str, text: str) -> None:
    assert found(rule, path, text)


@pytest.mark.parametrize(("rule", "path", "text"), TAKEN)
def test_taken(rule: str, path: str, text: str) -> None:
    assert not found(rule, path, text)


def test_lengths_are_counted_to_the_line() -> None:
    assert not found("module_length", "a.py", "a = 1\n" * 500)
    assert found("module_length", "a.py", "a = 1\n" * 501)
    assert not found("function_length", "a.py", "def f():\n" + "    a = 1\n" * 69)
    assert found("function_length", "a.py", "def f():\n" + "    a = 1\n" * 70)


def test_folders_are_counted_without_their_own_sentence() -> None:
    names = ["src/tallystick/a/__init__.py", *(f"src/tallystick/a/m{number}.py" for number in range(12))]
    assert not list(tidy.folder_size(names))
    assert list(tidy.folder_size([*names, "src/tallystick/a/one_more.py"]))
