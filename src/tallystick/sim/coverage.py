"""Which lines of the product a run went through: measured by the interpreter's own tracing, so that nothing need be installed for it."""

from __future__ import annotations

import dis
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
              "store/batches/operations.py", "store/batches/reach.py", "store/batches/timelines.py", "store/batches/told.py",
              "store/batches/usage_records.py", "store/batches/write.py", "store/engine.py", "store/section.py", "store/store.py",
              "store/surrogates.py", "store/turnstile.py", "store/usage/cells.py", "store/usage/hours.py", "store/usage/integrals.py",
              "store/usage/operations.py", "store/watch/absences.py", "store/watch/evidence.py", "store/watch/sequences.py"),
}  # fmt: skip
"""The parts that are simulated, with their modules. What stands in none of them is listed with its reason in docs/simulation.md."""


def executable(path: str) -> set[int]:
    """The lines of functions of a module; those outside of any are run whenever it is imported."""
    module = compile((ROOT / path).read_text(encoding="utf-8"), path, "exec")
    return {line for code in _functions(module) for line in _lines(code)}


def _functions(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & 0x02:  # CO_NEWLOCALS: a function, and no class
                yield constant
            yield from _functions(constant)


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
            wanted = executable(path)
            hit = len(wanted & lines.get(path, set()))
            run, all_lines = run + hit, all_lines + len(wanted)
            modules[path] = _percent(hit, len(wanted))
        told[part] = {"run": run, "lines": all_lines, "percent": _percent(run, all_lines), "modules": modules}
    return told


def _percent(run: int, of: int) -> int:
    return 100 * run // of if of else 100


def missing(lines: Lines, paths: Iterable[str]) -> dict[str, list[int]]:
    """The lines that were not run."""
    return {path: sorted(executable(path) - lines.get(path, set())) for path in paths}
