"""The numbers of docs/subscriptions.md are those of the worked months that it names, which are computed by themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cases.reading import CASES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "subscriptions.md").read_text()
PARAGRAPHS = [" ".join(paragraph.split()) for paragraph in PAGE.split("\n\n") if re.search(r"\(`[a-z-]+`\)", paragraph)]


@pytest.mark.parametrize("paragraph", PARAGRAPHS)
def test_every_amount_is_in_the_case_that_is_named_after_it(paragraph: str) -> None:
    """Amounts with two decimals, quantities and prices up to the name of a case stand in that case."""
    begin = 0
    for named in re.finditer(r"\(`([a-z-]+)`\)", paragraph):
        case = (CASES / f"{named[1]}.txt").read_text()
        for amount in re.findall(r"\d[\d,]*\.\d{2}\b", paragraph[begin : named.start()]):
            assert re.search(rf"(?<![\d.]){re.escape(amount)}?0?\b", case), f"{amount} is not in {named[1]}"
        begin = named.end()


def test_every_case_that_is_named_is_there() -> None:
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)*)`", PAGE)) & {path.stem for path in CASES.glob("*.txt")}
    assert {"plan-change", "plan-change-known", "cap-plan-change", "two-plans", "pause", "cancel", "trial", "overrides"} <= named
