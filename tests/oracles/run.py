"""Run a folder of oracle cases: a table by topic and kind, what failed, what is skipped and why, and the sum: `make oracles CASES=dir`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.oracles.cases import Case, Unreadable, read_cases
from tests.oracles.judge import Judgement, Outcome, judge
from tests.oracles.registry import ADAPTERS


def run(folder: Path, only: str = "") -> tuple[list[Judgement], list[Unreadable]]:
    """Judge every case of a folder, or those of one topic, or of one `topic/kind`."""
    judged, unreadable = [], []
    for each in read_cases(folder):
        if isinstance(each, Unreadable):
            unreadable.append(each)
        elif only in ("", each.topic, f"{each.topic}/{each.kind}"):
            judged.append(judge(each, ADAPTERS))
    return judged, unreadable


def report(judged: Sequence[Judgement], unreadable: Sequence[Unreadable]) -> Iterator[str]:
    """The lines of the report. What has no adapter yet, or is no case, counts as failed."""
    counted: Counter[tuple[str, str, Outcome]] = Counter((each.case.topic, each.case.kind, each.outcome) for each in judged)
    kinds = sorted({(topic, kind) for topic, kind, _ in counted})
    width = max((len(topic) + len(kind) for topic, kind in kinds), default=0) + 3
    yield "".join([f"{'topic / kind':<{width}}", *(f"{outcome.value:>9}" for outcome in Outcome)])
    for topic, kind in kinds:
        yield "".join([f"{topic + ' / ' + kind:<{width}}", *(f"{counted[topic, kind, outcome] or '-':>9}" for outcome in Outcome)])
    of = {outcome: [each for each in judged if each.outcome is outcome] for outcome in Outcome}
    for each in of[Outcome.FAILED]:
        yield f"\n{each.case.id} failed: {each.case.topic} / {each.case.kind} ({each.case.nature}): {each.case.title}"
        yield f"  expected {each.case.expected}"
        yield f"  got      {each.got}"
    for bad in unreadable:
        yield f"\n{bad.place} {bad.reason}"
    skipped = Counter((_of(each.case), each.reason) for each in of[Outcome.SKIPPED])
    if skipped:
        yield "\nskipped:"
    yield from (f"  {count:>3}  {kind}: {reason}" for (kind, reason), count in sorted(skipped.items()))
    missing = Counter(_of(each.case) for each in of[Outcome.NOT_YET])
    if missing:
        yield f"\nno adapter yet, counted as failed: {missing.total()}"
    yield from (f"  {count:>3}  {kind}" for kind, count in sorted(missing.items()))
    passed, failed = len(of[Outcome.PASSED]), len(of[Outcome.FAILED]) + missing.total() + len(unreadable)
    yield f"\n{passed} passed, {failed} failed, {len(of[Outcome.SKIPPED])} skipped"


def _of(case: Case) -> str:
    return f"{case.topic} / {case.kind}"


def main() -> int:
    """Print the report; 1 when anything failed, 2 when there is nothing to run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="a topic, or topic/kind")
    options = parser.parse_args()
    try:
        judged, unreadable = run(options.folder, options.only)
    except NotADirectoryError as error:
        print(error, file=sys.stderr)
        return 2
    if not judged and not unreadable:
        print(f"{options.folder} holds no cases" + (f" of {options.only}" if options.only else ""), file=sys.stderr)
        return 2
    print("\n".join(report(judged, unreadable)))
    return 0 if all(each.outcome in (Outcome.PASSED, Outcome.SKIPPED) for each in judged) and not unreadable else 1


if __name__ == "__main__":
    sys.exit(main())
