"""Runs: how long each opening of a resource was up, cell by cell, as far as usage hours tell (billing.md, `minimum` per run)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR
from tallystick.model.usage import UsageHour

NOTHING = (0,) * CELLS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run that was open when usage begins to be told: how long it had been up by then."""

    resource_id: str
    up_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPiece:
    """The part of a run in one cell: `up_ns` of it, after `before_ns` in cells before, or None where nobody knows when it opened.

    The cell in which it opens has one, also where it was not up for any time.
    """

    cell_ns: int
    before_ns: int | None
    up_ns: int


def run_pieces(hours: Iterable[UsageHour], before_ns: int | None) -> Iterator[RunPiece]:
    """The parts of all runs of one resource, in order of time; `before_ns` of the one that is open when the hours begin.

    A cell tells how long it was up in it, and which runs opened in it when. A run is up from its opening to the next, or to the
    end of the cell, as far as there is time; what is left was up before: of 200 s up with an opening after 150 of 300, 150 are of the
    new run and 50 of the one before. So every second belongs to one run, and where several open within five minutes, the last fill first.
    """
    for hour in sorted(hours, key=lambda each: each.hour_ns):
        openings = sorted(hour.runs)
        for place, up in enumerate(hour.cells.get("uptime", NOTHING)):
            cell_ns = hour.hour_ns + place * CELL_NS
            parts: list[int] = []
            left, end_ns = up, cell_ns + CELL_NS
            for opened_ns in reversed([at_ns for at_ns in openings if cell_ns <= at_ns < cell_ns + CELL_NS]):
                parts.append(min(left, end_ns - opened_ns))
                left, end_ns = left - parts[-1], opened_ns
            if left:
                yield RunPiece(cell_ns=cell_ns, before_ns=before_ns, up_ns=left)
                before_ns = None if before_ns is None else before_ns + left
            for part in reversed(parts):
                yield RunPiece(cell_ns=cell_ns, before_ns=0, up_ns=part)
                before_ns = part


def open_after(hours: Iterable[UsageHour], before_ns: int | None) -> int | None:
    """How long the run that is open after some hours of a resource has been up; None: nobody knows when it opened."""
    found = before_ns
    for piece in run_pieces(hours, before_ns):
        found = None if piece.before_ns is None else piece.before_ns + piece.up_ns
    return found
