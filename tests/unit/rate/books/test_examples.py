"""The price books that ship: each is without a mistake, begins with what it is, can be in force beside the others, and makes a bill.

The bills are tests/cases/example-*.txt.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tallystick.rate import books
from tallystick.rate.books.consistency import conflicts_between
from tallystick.rate.load import load_book
from tests.cases.reading import CASES

EXAMPLES = sorted((Path(books.__file__).parent / "examples").glob("*.yaml"))
LOADED = {path: load_book(path.read_text(), path.name) for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example(path: Path) -> None:
    book, mistakes = LOADED[path]
    assert mistakes == ()
    assert book is not None
    assert path.read_text().startswith("# A ") or path.stem == "default"
    assert f"== example {path.stem}\n" in (CASES / f"example-{path.stem}.txt").read_text()
    others = [other for each, (other, _) in LOADED.items() if other is not None and each != path]
    assert conflicts_between(book, others) == ()


def test_the_examples_are_those_that_are_promised() -> None:
    assert [path.stem for path in EXAMPLES] == ["bandwidth", "default", "gpu-cloud", "pod-host", "public-cloud", "starter"]
    cloud, _ = LOADED[next(path for path in EXAMPLES if path.stem == "public-cloud")]
    assert cloud is not None
    filters = [charge.filters for charge in cloud.plans[0].charges if charge.filters.kind]
    assert len({each.kind for each in filters}) == 40
    assert len({each.region for each in filters}) == 3
    assert len(filters) == 120
