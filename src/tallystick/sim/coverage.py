"""Which lines of the product a run went through: measured by the interpreter's own tracing, so that nothing need be installed for it."""

from __future__ import annotations

import ast
import dis
import inspect
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Lines = dict[str, set[int]]
"""Lines by the path of a module below `tallystick`."""

FOUR: dict[str, tuple[str, ...]] = {
    "spool": ("spool/backlog.py", "spool/entries.py", "spool/files.py", "spool/planes.py", "spool/quarantine.py", "spool/records.py",
              "spool/recovery.py", "spool/spool.py", "spool/tails.py", "spool/thinning/forms.py", "spool/thinning/thinner.py"),
    "sender": ("spool/sender.py", "spool/connection.py", "spool/retry.py"),
    "ingest": ("ingest/callers.py", "ingest/codecs.py", "ingest/daemon.py", "ingest/differences.py", "ingest/native.py",
               "ingest/notices.py", "ingest/preparing.py", "ingest/rows.py", "ingest/rpc.py", "ingest/sources/assignments.py",
               "ingest/sources/collector.py", "ingest/sources/profiles.py", "ingest/sources/readings.py", "ingest/sources/replies.py",
               "ingest/sources/windows.py", "ingest/sources/wire_columns.py", "ingest/storing.py", "ingest/submission.py",
               "ingest/writer.py"),
    "store": ("store/batches/identities.py", "store/batches/known.py", "store/batches/marks.py", "store/batches/notices.py",
              "store/batches/operations.py", "store/batches/reach.py", "store/batches/timelines.py",
              "store/batches/usage_records.py", "store/batches/write.py", "store/engine.py", "store/section.py", "store/store.py",
              "store/surrogates.py", "store/turnstile.py", "store/usage/cells.py", "store/usage/hours.py", "store/usage/integrals.py",
              "store/usage/operations.py", "store/watch/evidence.py"),
}  # fmt: skip
"""The parts that are simulated, with their modules. What stands in none of them is listed with its reason in docs/simulation.md."""


POSTGRESQL = {
    "store/batches/identities.py": {"_insert_arrays"},
    "store/engine.py": {"_percent_style", "integers", "octet_strings", "__init__", "pack", "copy"},
}
"""Functions that only PostgreSQL needs: of `store/engine.py` those of `CopyRow`, and the `copy` of a transaction."""


def executable(path: str) -> tuple[set[int], set[int]]:
    """The lines of a module that can be run: outside of functions, which importing it runs, and inside.

    Left out are bodies of `...`, which say what another has, and what only PostgreSQL needs.
    """
    text = (ROOT / path).read_text(encoding="utf-8")
    left_out = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            last = node.body[-1]
            is_stub = isinstance(last, ast.Expr) and isinstance(last.value, ast.Constant) and last.value.value is Ellipsis
            if is_stub or (node.name in POSTGRESQL.get(path, ()) and not (node.name == "__init__" and "url" in ast.dump(node.args))):
                left_out.add(min([node.lineno, *(each.lineno for each in node.decorator_list)]))
    module = compile(text, path, "exec")
    inside = {line for code in _functions(module) if code.co_firstlineno not in left_out for line in _lines(code)}
    return {line for code in _bodies(module) for line in _lines(code)} - inside, inside


def _functions(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & inspect.CO_NEWLOCALS:
                yield constant
            yield from _functions(constant)


def _bodies(code: CodeType) -> Iterator[CodeType]:
    """The module and its classes."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType) and not constant.co_flags & inspect.CO_OPTIMIZED:
            yield from _bodies(constant)


def _lines(code: CodeType) -> set[int]:
    return {line for _, line in dis.findlinestarts(code) if line and line != code.co_firstlineno}


@contextmanager
def traced(lines: Lines) -> Iterator[None]:
    """Note every line of these parts that is run in the block, in any thread that begins in it."""
    wanted = {str(ROOT / path): lines.setdefault(path, set()) for paths in FOUR.values() for path in paths}
    left: dict[CodeType, set[int]] = {}

    def call(frame: FrameType, _event: str, _argument: Any) -> Any:  # noqa: ANN401 (as the interpreter calls it)
        code = frame.f_code
        seen = wanted.get(code.co_filename)
        if seen is None:
            return None
        missing = left.get(code)
        if missing is None:
            missing = left[code] = _lines(code) - seen
        if not missing:
            return None

        def line(frame: FrameType, event: str, _argument: Any) -> Any:  # noqa: ANN401 (as the interpreter calls it)
            if event == "line":
                seen.add(frame.f_lineno)
                missing.discard(frame.f_lineno)
            return line

        return line

    threading.settrace(call)
    sys.settrace(call)
    try:
        yield
    finally:
        sys.settrace(None)
        threading.settrace(None)


def report(lines: Lines) -> dict[str, dict[str, object]]:
    """By part: how many of its lines were run, of how many, in percent; and of each module that ran the same."""
    told: dict[str, dict[str, object]] = {}
    for part, paths in FOUR.items():
        modules, run, all_lines = {}, 0, 0
        for path in paths:
            outside, inside = executable(path)
            hit = len(outside) + len(inside & lines.get(path, set()))
            run, all_lines = run + hit, all_lines + len(outside | inside)
            modules[path] = _percent(hit, len(outside | inside))
        told[part] = {"run": run, "lines": all_lines, "percent": _percent(run, all_lines), "modules": modules}
    return told


def _percent(run: int, of: int) -> int:
    return 100 * run // of if of else 100


def missing(lines: Lines, paths: Iterable[str]) -> dict[str, list[int]]:
    """The lines that were not run."""
    return {path: sorted(executable(path)[1] - lines.get(path, set())) for path in paths}
