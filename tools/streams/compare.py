"""What the product told of a stream beside truth.json: outcomes, gaps, findings (`generate.py --check` covers hours and days)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
SHOWN = 20


def outcome_differences(truth: Row, outcomes: Sequence[Row], resent: Collection[int] = ()) -> list[str]:
    """One line per delivery whose outcome, code, field or index is not the true one. `outcomes` are in order of delivery.

    One of the lines `resent`, whose answer was lost, may be told to be `repeated` where it was stored the first time.
    """
    expected: dict[int, Row] = {row["line"]: row for row in truth["outcomes_not_stored"]}
    found = []
    outcomes = list(outcomes)
    for line, outcome in enumerate(outcomes):
        want = {name: value for name, value in expected.get(line, {"outcome": "stored"}).items() if name != "line"}
        if line in resent and want == {"outcome": "stored"} and dict(outcome) == {"outcome": "repeated"}:
            outcomes[line] = want
        elif want != dict(outcome):
            found.append(f"delivery {line}: expected {_told(want)}, found {_told(outcome)}")
    counts = dict(sorted(Counter(outcome["outcome"] for outcome in outcomes).items()))
    if counts != truth["outcome_counts"]:
        found.append(f"outcomes: expected {truth['outcome_counts']}, found {counts}")
    return found


def gap_differences(truth: Row, gaps: Iterable[Row]) -> list[str]:
    """One line per gap that is missing or extra: resource, from, until and how it was filled."""
    return _set_differences("gap", (_gap(row) for row in truth["gaps"]), (_gap(row) for row in gaps))


def finding_differences(truth: Row, findings: Iterable[Row]) -> list[str]:
    """One line per finding that is missing or extra: resource, boot, instant, code and counters."""
    return _set_differences("finding", (_finding(row) for row in truth["findings"]), (_finding(row) for row in findings))


def missing_differences(truth: Row, missing: Iterable[Row]) -> list[str]:
    """One line per sequence number that is missing in one of the two only: resource, boot, spool and number."""
    return _set_differences("missing sequence", map(_missing, truth["missing_sequences"]), map(_missing, missing))


def _missing(row: Row) -> tuple[Any, ...]:
    return (row["resource_id"], row["boot_id"], row["spool"], int(row["sequence"]))


def _gap(row: Row) -> tuple[Any, ...]:
    return (row["resource_id"], int(row["from_ns"]), int(row["until_ns"]), row["filled"])


def _finding(row: Row) -> tuple[Any, ...]:
    return (row["resource_id"], row["boot_id"], int(row["at_ns"]), row["code"], tuple(sorted(row.get("counters") or ())))


def _set_differences(noun: str, expected: Iterable[tuple[Any, ...]], found: Iterable[tuple[Any, ...]]) -> list[str]:
    want, have = Counter(expected), Counter(found)
    missing = [f"{noun} missing: {_told_tuple(row)}" for row in sorted((want - have).elements())]
    return missing + [f"{noun} extra: {_told_tuple(row)}" for row in sorted((have - want).elements())]


def _told(outcome: Row) -> str:
    return " ".join(str(value) for value in outcome.values())


def _told_tuple(row: tuple[Any, ...]) -> str:
    return " ".join(str(value) for value in row)


def shortened(lines: Sequence[str]) -> list[str]:
    """The first lines, and how many more there are."""
    return [*lines[:SHOWN], *([f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])]
