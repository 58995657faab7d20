"""Runs count in whole increments, and each for a least time (billing.md, `increment` and `minimum` per run)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from tallystick.model.billing.invoices import Step, Usage, UsagePart
from tallystick.model.billing.price_book import Charge
from tallystick.model.billing.runs import RunPiece, run_pieces
from tallystick.model.instants import CELL_NS, SECOND_NS
from tallystick.model.usage import UsageHour
from tallystick.rate.quotes.durations import run_ns
from tallystick.rate.slices import RunTimes, Slice, Terms

NAME = "run_rules"


def adjust(slices: tuple[Slice, ...], terms: Terms) -> tuple[Slice, ...]:
    """Runs of 20 s and 70 s in increments of 60 s are 60 s and 120 s; with a minimum of 3600 s an hour each.

    A begun increment counts where it was begun, and the minimum where a run begins: what comes after it in another cell, version or
    period counts only beyond what has been charged. A machine of 4 vCPUs that counts twice its time counts 4 x twice its time.
    """
    return tuple(_counted(piece, terms.runs) if has_rules(piece.charge) else piece for piece in slices)


def has_rules(charge: Charge) -> bool:
    """Whether runs matter to a charge."""
    return bool(charge.increment_seconds or charge.minimum_seconds)


def run_times(usage: Usage) -> RunTimes:
    """The parts of runs in each cell of each resource."""
    rows: dict[str, list[UsageHour]] = defaultdict(list)
    for hour in usage.hours:
        rows[hour.resource_id].append(hour)
    for sums in usage.sums:
        rows[sums.resource_id] += sums.hours()
    known = {each.resource_id: each.up_ns for each in usage.open_runs}
    found: dict[tuple[str, int], list[RunPiece]] = defaultdict(list)
    for resource_id, hours in rows.items():
        for piece in run_pieces(hours, known.get(resource_id)):
            found[resource_id, piece.cell_ns].append(piece)
    return found


def _counted(piece: Slice, runs: RunTimes) -> Slice:
    charge = piece.charge
    after = sum((_units(part, runs, charge) for part in piece.parts), Fraction(0))
    increment = f"in whole {charge.increment_seconds} s" if charge.increment_seconds else ""
    least = f"at least {charge.minimum_seconds} s" if charge.minimum_seconds else ""
    text = f"each run {', '.join(filter(None, (increment, least)))}: {_begun(piece, runs)} began here"
    step = Step(name=NAME, text=text, before=piece.quantity, after=after, unit=charge.per)
    return replace(piece, quantity=after, steps=(*piece.steps, step))


def _units(part: UsagePart, runs: RunTimes, charge: Charge) -> Fraction:
    """What the cells of a part count: each as much as its time up does; one of which nobody knows the time as it is."""
    counted = Fraction(0)
    for hour_ns, cells in part.hours:
        for place, amount in enumerate(cells):
            pieces = runs.get((part.resource_id, hour_ns + place * CELL_NS), ()) if amount else ()
            up_ns = sum(piece.up_ns for piece in pieces)
            counted += amount * Fraction(sum(charged_ns(each, charge) for each in pieces), up_ns) if up_ns else amount
    return counted / part.divisor


def charged_ns(piece: RunPiece, charge: Charge) -> int:
    """What a part of a run adds to what was charged of it before. Of a run that nobody saw begin, the time as it is."""
    if piece.before_ns is None:
        return piece.up_ns
    increment_ns, minimum_ns = max(charge.increment_seconds * SECOND_NS, 1), charge.minimum_seconds * SECOND_NS
    before, after = ((0, piece.before_ns), (0, piece.before_ns + piece.up_ns))
    return run_ns(after, increment_ns, minimum_ns) - run_ns(before, increment_ns, minimum_ns)


def _begun(piece: Slice, runs: Mapping[tuple[str, int], Sequence[RunPiece]]) -> int:
    """How many runs began in the cells of a slice, and were up at all."""
    cells = {(part.resource_id, hour_ns + place * CELL_NS) for part in piece.parts for hour_ns, own in part.hours for place in _used(own)}
    return sum(each.before_ns == 0 and each.up_ns > 0 for cell in cells for each in runs.get(cell, ()))


def _used(cells: Sequence[int]) -> list[int]:
    return [place for place, amount in enumerate(cells) if amount]
