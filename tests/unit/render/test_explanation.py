"""A line opened as a tree: decimals where they are finite, and what stands beside quantity times price."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from tallystick.render.explanation import explanation
from tallystick.render.printed import printed
from tests.cases.reading import Case, all_cases
from tests.unit.rate.test_rate_cases import closed

NAMES = ["trial", "percentage", "graduated", "cap-plan-change", "month-p95"]


@pytest.mark.parametrize("case", [each for each in all_cases() if each.name in NAMES], ids=lambda each: each.name)
def test_each_line_adds_up(case: Case) -> None:
    for wanted in case.invoices:
        invoice, _, _ = closed(case, wanted)
        for line, shown in zip(invoice.lines, printed(invoice).lines, strict=True):
            told = explanation(invoice, line)
            assert line.quantity * line.unit_price + line.fixed == line.derivation.unrounded
            assert bool(line.fixed) == ("  fixed  " in told) == any("beside quantity x price" in each for each in shown.details)
            assert not re.search(r"^  price .*[0-9]/[0-9]* [A-Z]{3} per", told, re.MULTILINE) or line.unit_price.denominator % 3 == 0


def test_events_have_the_amounts_that_they_brought() -> None:
    case = next(each for each in all_cases() if each.name == "percentage")
    invoice, _, _ = closed(case, case.invoices[0])
    line = next(each for each in invoice.lines if each.meter.startswith("events."))
    rows = re.findall(r"^    [0-9-]+T[0-9:]+Z  (\S+) ", explanation(invoice, line), re.MULTILINE)
    assert sum(map(Fraction, rows)) == line.quantity
