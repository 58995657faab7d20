"""One case through its adapter: passed, failed, skipped for a reason, or without an adapter yet."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from tallystick.model.billing.money import Rounding, decimal_text, minor_digits, rounded
from tests.oracles.cases import Case
from tests.oracles.skips import reason_of
from tests.oracles.values import UNNAMED_CURRENCY, plain

Adapter = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, object]]
"""From the inputs and the policy of a case to the names of its result: it renames and converts, and calls the product."""

ROUNDED = re.compile(r"(?P<mode>half up|half even|ceil|floor)?[^0-9]*\b((?P<digits>[0-9]+) decimals|to cents\b)")
ROUNDINGS = {"half up": Rounding.HALF_UP, "half even": Rounding.HALF_EVEN, "ceil": Rounding.CEILING, "floor": Rounding.FLOOR}


class Outcome(StrEnum):
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_YET = "not yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The outcome of a case; of a failed one what the product answered, of a skipped one why."""

    case: Case
    outcome: Outcome
    got: str = ""
    reason: str = ""


def judge(case: Case, adapters: Mapping[tuple[str, str], Adapter]) -> Judgement:
    """Run a case."""
    if reason := reason_of(case):
        return Judgement(case=case, outcome=Outcome.SKIPPED, reason=reason)
    adapter = adapters.get((case.topic, case.kind))
    if adapter is None:
        return Judgement(case=case, outcome=Outcome.NOT_YET)
    try:
        got = plain(dict(adapter(case.inputs, case.policy)))
    except ValueError as error:
        got = {"error": True, "said": str(error)}
    except Exception as error:  # whatever a case brings: the others are run all the same
        return Judgement(case=case, outcome=Outcome.FAILED, got=f"{type(error).__name__}: {error}")
    right = agrees(case.expected, got, case)
    return Judgement(case=case, outcome=Outcome.PASSED if right else Outcome.FAILED, got=shown(got))


def agrees(expected: object, got: object, case: Case) -> bool:
    """Whether an answer is the expected one: only what is named is compared, numbers as numbers, within the tolerance."""
    match expected, got:
        case dict(), dict():
            return all(name in got and agrees(each, got[name], case) for name, each in expected.items())
        case list(), list():
            return len(expected) == len(got) and all(agrees(a, b, case) for a, b in zip(expected, got, strict=True))
        case (bool() | None, _) | (_, bool() | None):
            return expected is got
    wanted, found = as_number(expected), as_number(got)
    if wanted is None or found is None:
        return expected == got
    return any(abs(each - wanted) <= case.tolerance for each in (found, as_rounded(found, case.rounding)))


def as_number(value: object) -> Fraction | None:
    """The number that a value is, or None."""
    try:
        return Fraction(value) if isinstance(value, int | str | Fraction) else None
    except (ValueError, ZeroDivisionError):
        return None


def as_rounded(value: Fraction, rounding: str) -> Fraction:
    """An exact value at the decimals at which the case's source was rounded, where it says so."""
    named = ROUNDED.search(rounding)
    if named is None:
        return value
    digits = minor_digits(UNNAMED_CURRENCY) if named["digits"] is None else int(named["digits"])
    return rounded(value, digits, ROUNDINGS.get(named["mode"], Rounding.HALF_UP))


def shown(value: object) -> str:
    """An answer on one line; what is no finite decimal as it is, with its decimals beside it."""
    match value:
        case Fraction():
            return str(value) if value.denominator == 1 else f"{value} ({decimal_text(value)})"
        case dict():
            return "{" + ", ".join(f"{name}: {shown(each)}" for name, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(shown(each) for each in value) + "]"
        case _:
            return str(value)
