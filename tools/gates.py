"""`make gates`: break each rule of `make check` on purpose, in a copy of the repository, and see that it is caught and named.

A rule without a broken example, and an example that is not caught, are failures: a gate that cannot fail is none.
"""

from __future__ import annotations

import argparse
import configparser
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools import docs, tidy
from tools.breaks import Break, every_break
from tools.check import STEPS, step
from tools.tree import ROOT, tracked


@contextmanager
def copy_of(root: Path) -> Iterator[Path]:
    """A copy of the repository in a folder of its own, with one commit, as the check of old clients compares with it."""
    with tempfile.TemporaryDirectory(prefix="gates-") as folder:
        copy = Path(folder)
        for path in tracked(root):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, copy / path)
        who = (
            "-c",
            "user.name=gates",
            "-c",
            "user.email=gates@example.com",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "core.hooksPath=/dev/null",
        )
        for words in (("init", "-q", "-b", "gates"), ("add", "-A"), ("commit", "-q", "-m", "A copy to break")):
            subprocess.run(["git", *who, *words], cwd=copy, check=True)
        yield copy


@contextmanager
def broken(root: Path, example: Break) -> Iterator[None]:
    """The repository with the example's edits, and as it was afterwards."""
    before = {path: (root / path).read_text(encoding="utf-8") if (root / path).exists() else None for path, _ in example.edits}
    made = [folder for path in before for folder in (root / path).parents if not folder.exists()]
    try:
        for path, edit in example.edits:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(edit(before[path] or ""), encoding="utf-8")
        yield
    finally:
        for path, text in before.items():
            if text is None:
                (root / path).unlink(missing_ok=True)
            else:
                (root / path).write_text(text, encoding="utf-8")
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)


def verdict(root: Path, example: Break, before: tuple[int, str]) -> str:
    """Why the example does not count as caught; empty if it was: the step failed, and named the rule, as it did not before."""
    code, said = before
    if code and naming(said, example):
        return "the repository itself breaks this rule already"
    with broken(root, example):
        code, said = step(root, example.step)
    if code == 0:
        return "NOT CAUGHT: the step passes"
    if not naming(said, example):
        return f"NOT CAUGHT: the step fails without naming it:\n{said[-1500:]}"
    return ""


def naming(said: str, example: Break) -> list[str]:
    """The lines in which a step names what is broken."""
    lines = said.splitlines()
    if example.step == "imports":
        return [line for line in lines if example.shown in line and ("BROKEN" in line or ": " not in example.shown)]
    return [line for line in lines if example.shown in line]


def rules_without_example(root: Path, examples: tuple[Break, ...]) -> Iterator[str]:
    """Rules that nobody has seen failing: tidy's, the docs', the import contracts, and whole steps."""
    shown = {example.rule for example in examples}
    yield from sorted({*tidy.RULES, *(rule.__name__ for rule in docs.RULES)} - shown)
    contracts = configparser.ConfigParser()
    contracts.read(root / ".importlinter")
    names = [contracts[section]["name"].partition(":")[0] for section in contracts.sections() if ":contract:" in section]
    yield from (f"contract {name}" for name in names if not any(rule.startswith(f"{name}:") for rule in shown))
    yield from (f"step {name}" for name in STEPS if not any(example.step == name for example in examples))


def main() -> int:
    """Break every rule and print how each was caught; 1 if one was not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", choices=STEPS, action="append", help="only the rules of this step (more than once: of these)")
    options = parser.parse_args()
    examples = every_break(ROOT)
    failures = [f"{rule}: no broken example" for rule in rules_without_example(ROOT, examples)]
    chosen = [example for example in examples if options.step is None or example.step in options.step]
    with copy_of(ROOT) as copy:
        before = {name: step(copy, name) for name in dict.fromkeys(example.step for example in chosen)}
        for example in chosen:
            wrong = verdict(copy, example, before[example.step])
            print(f"{'caught' if not wrong else 'FAILED'}  {example.step:<13} {example.rule}", flush=True)
            if wrong:
                failures.append(f"{example.step} {example.rule}: {wrong}")
    for failure in failures:
        print(failure)
    print(f"{len(chosen) - sum(1 for failure in failures if 'no broken example' not in failure)} gates seen failing")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
