"""`make oracles`: our copy of a few cases of each kind passes, all of them where they are there, and what is no case is told of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED
from tests.oracles import run as oracles
from tests.oracles.cases import Case, Unreadable, read_cases
from tests.oracles.judge import Judgement, Outcome, agrees, as_rounded, judge
from tests.oracles.registry import ADAPTERS
from tests.oracles.skips import LATER, NO_SUCH_FEATURE, POLICIES, reason_of

EXAMPLES = Path(oracles.__file__).parent / "examples"
CASE: dict[str, Any] = {
    "id": "A",
    "topic": "rounding",
    "kind": "is_rounded",
    "class": "arithmetic",
    "inputs": {"amount": "1.225", "currency": "USD"},
    "expected": {"rounded": False},
}


def of(folder: Path) -> tuple[list[Judgement], list[Unreadable]]:
    return oracles.run(folder)


def failed(judged: Sequence[Judgement]) -> list[str]:
    return [f"{each.case.id}: expected {each.case.expected}, got {each.got}" for each in judged if each.outcome is Outcome.FAILED]


def test_our_copy_passes() -> None:
    judged, unreadable = of(EXAMPLES)
    assert not unreadable
    assert failed(judged) == []
    assert not [each.case.id for each in judged if each.outcome is Outcome.NOT_YET]


def test_our_copy_has_every_kind_and_every_skip() -> None:
    cases = [each for each in read_cases(EXAMPLES) if isinstance(each, Case)]
    assert set(ADAPTERS) <= {(case.topic, case.kind) for case in cases if not reason_of(case)}
    reasons = {reason_of(case) for case in cases}
    assert {skip.reason for skip in POLICIES} <= reasons


def test_no_kind_is_both_run_and_unknown() -> None:
    assert not set(NO_SUCH_FEATURE) & set(ADAPTERS)
    assert not {topic for topic, _ in ADAPTERS} & set(LATER)


@pytest.mark.shared
def test_all_cases_pass() -> None:
    judged, unreadable = of(SHARED / "oracles")
    assert not unreadable
    assert failed(judged) == []
    assert not [each.case.id for each in judged if each.outcome is Outcome.NOT_YET]
    skipped = [each.case for each in judged if each.outcome is Outcome.SKIPPED]
    assert not [case.id for case in skipped if case.nature != "policy" and case.topic not in LATER]


def written(folder: Path, *cases: object) -> Path:
    (folder / "cases.json").write_text(json.dumps({"topic": "rounding", "schema_version": 1, "cases": cases}))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "1 passed, 0 failed, 0 skipped"),
        ({"expected": {"rounded": True}}, "0 passed, 1 failed, 0 skipped"),
        ({"kind": "of_the_moon"}, "0 passed, 1 failed, 0 skipped"),
        ({"topic": "vat_rate"}, "0 passed, 0 failed, 1 skipped"),
        ({"topic": "proration", "kind": "plan_change_deduct"}, "0 passed, 1 failed, 0 skipped"),
        ({"topic": "proration", "kind": "plan_change_deduct", "class": "policy"}, "0 passed, 0 failed, 1 skipped"),
        ({"inputs": {}}, "0 passed, 1 failed, 0 skipped"),
        ({"inputs": {"amount": 1.5, "currency": 3}}, "0 passed, 1 failed, 0 skipped"),
        ({"inputs": {"amount": True, "currency": "USD"}, "expected": {"error": True}}, "1 passed, 0 failed, 0 skipped"),
    ],
)
def test_one_case(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    judged, unreadable = of(written(tmp_path, {**CASE, **change}))
    assert not unreadable
    assert list(oracles.report(judged, unreadable))[-1].strip() == said


def test_a_failed_case_is_shown_with_both_results(tmp_path: Path) -> None:
    lines = "\n".join(oracles.report(*of(written(tmp_path, {**CASE, "expected": {"rounded": True}}))))
    assert "A failed: rounding / is_rounded (arithmetic)" in lines
    assert "expected {'rounded': True}\n  got      {rounded: False}" in lines


def test_what_is_no_case_is_told_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "number.json").write_text('{"cases": 5}')
    bad = [{"id": "B"}, 7, {**CASE, "id": "C", "inputs": []}, {**CASE, "id": "D", "tolerance": "1/0"}, CASE]
    judged, unreadable = of(written(tmp_path, CASE, *bad))
    assert [each.outcome for each in judged] == [Outcome.PASSED]
    places = [f"cases.json cases[{n}]" for n in (1, 2, 3, 4, 5)]
    assert [each.place for each in unreadable] == ["broken.json", *places, "empty.json", "folder.json", "number.json"]
    lines = list(oracles.report(judged, unreadable))
    assert "cases.json cases[5] has the id A of cases.json cases[0]" in "\n".join(lines)
    assert lines[-1].strip() == "1 passed, 9 failed, 0 skipped"


@pytest.mark.parametrize(("folder", "code"), [("good", 0), ("bad", 1), ("empty", 2), ("nowhere", 2)])
def test_its_exit_code(folder: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, cases in (("good", [CASE]), ("bad", [{**CASE, "kind": "of_the_moon"}])):
        (tmp_path / name).mkdir()
        written(tmp_path / name, *cases)
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr("sys.argv", ["oracles", str(tmp_path / folder)])
    assert oracles.main() == code


def test_values_are_compared_as_numbers_within_the_tolerance() -> None:
    case = Case(id="", topic="", kind="", nature="", title="", inputs={}, policy={}, expected={}, rounding="", tolerance=Fraction(1, 100))
    assert agrees({"a": ["5.00", "1/3"]}, {"a": [Fraction(5), Fraction(34, 100)], "more": 1}, case)
    assert not agrees({"a": "5"}, {"a": Fraction(502, 100)}, case)
    assert not agrees({"a": True}, {"a": 1}, case)
    assert not agrees({"a": 0}, {"a": None}, case)
    assert not agrees({"a": [1]}, {"a": [1, 2]}, case)
    assert not agrees({"a": 1}, {}, case)
    assert agrees("2012-01-18", "2012-01-18", case)


def test_a_result_that_its_source_rounded_is_compared_at_its_decimals() -> None:
    case = Case(
        id="",
        topic="",
        kind="",
        nature="",
        title="",
        inputs={},
        policy={},
        expected={},
        rounding="ceil at 2 decimals",
        tolerance=Fraction(0),
    )
    assert agrees("0.34", Fraction(1, 3), case)
    assert agrees("1/3", Fraction(1, 3), case)
    assert not agrees("0.33", Fraction(1, 3), case)
    assert as_rounded(Fraction(1, 3), "source has noise; values rounded to 4 decimals here") == Fraction("0.3333")
    assert as_rounded(Fraction(1, 3), "exact, no rounding") == Fraction(1, 3)
    assert as_rounded(Fraction(1, 3), "half up to cents") == Fraction("0.33")


def test_an_adapter_that_breaks_fails_its_case_only() -> None:
    def broken(inputs: object, policy: object) -> dict[str, object]:
        raise ZeroDivisionError("by nothing")

    case = next(each for each in read_cases(EXAMPLES) if isinstance(each, Case) and each.topic == "rounding")
    judgement = judge(case, {("rounding", case.kind): broken})
    assert (judgement.outcome, judgement.got) == (Outcome.FAILED, "ZeroDivisionError: by nothing")
