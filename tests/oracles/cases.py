"""Oracle cases as they are written: a folder of JSON files, one for each topic, with cases whose results come from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case. `nature` is its class: arithmetic (any correct product agrees), policy (products differ) or data (a table's value)."""

    id: str
    topic: str
    kind: str
    nature: str
    title: str
    inputs: Mapping[str, Any]
    policy: Mapping[str, Any]
    expected: Mapping[str, Any]
    rounding: str
    tolerance: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """What is no case, and why: a file, or a place in it."""

    place: str
    reason: str


def read_cases(folder: Path) -> Iterator[Case | Unreadable]:
    """Every case of a folder, in the order of its files, and whatever in them is none.

    Raises:
        NotADirectoryError: there is no such folder.

    """
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder of cases")
    places: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            written = list(json.loads(path.read_text(encoding="utf-8"), parse_float=str)["cases"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            yield Unreadable(place=path.name, reason=f"is no file of cases: {type(error).__name__} {error}")
            continue
        for index, each in enumerate(written):
            place = f"{path.name} cases[{index}]"
            try:
                case = read_case(each)
            except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
                yield Unreadable(place=place, reason=f"is no case: {type(error).__name__} {error}")
                continue
            if case.id in places:
                yield Unreadable(place=place, reason=f"has the id {case.id} of {places[case.id]}")
                continue
            places[case.id] = place
            yield case


def read_case(written: Mapping[str, Any]) -> Case:
    """One case of a file.

    Raises:
        KeyError: a name is missing.
        TypeError: it is no case at all.
        ValueError: a value is of another kind.

    """
    for name in ("inputs", "expected"):
        if not isinstance(written[name], dict):
            raise TypeError(f"{name} is {written[name]!r}")
    policy = written.get("policy") or {}
    return Case(
        id=str(written["id"]),
        topic=str(written["topic"]),
        kind=str(written["kind"]),
        nature=str(written["class"]),
        title=str(written.get("title", "")),
        inputs=written["inputs"],
        policy=policy if isinstance(policy, dict) else {"": policy},
        expected=written["expected"],
        rounding=str(written.get("rounding", "")),
        tolerance=Fraction(str(written.get("tolerance") or "0")),
    )
