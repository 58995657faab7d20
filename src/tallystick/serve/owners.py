"""Whose usage it is: hours, gaps and findings by the customers that their resource belonged to, so that nobody sees another's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR
from tallystick.model.resources import UNASSIGNED, Attributes
from tallystick.model.silence import ListedGap
from tallystick.model.usage import Cells, Gap, UsageHour

AnyGap = TypeVar("AnyGap", Gap, ListedGap)


def customer_at(at_ns: int, attributes: Sequence[Attributes]) -> str:
    """The customer that the resource belonged to at an instant; empty: nobody."""
    return next((each.customer_id for each in attributes if each.from_ns <= at_ns < each.until_ns), UNASSIGNED)


def hour_parts(hour: UsageHour, attributes: Sequence[Attributes]) -> Iterator[tuple[str, UsageHour, bool]]:
    """(customer, its part of the hour, whether that is all of it), in the order of the cells.

    Cells of others are 0. Of an hour that is split, samples and memory peak are not known per part.
    """
    owners = [customer_at(hour.hour_ns + place * CELL_NS, attributes) for place in range(CELLS_PER_HOUR)]
    names = tuple(dict.fromkeys(owners))
    if len(names) == 1:
        yield names[0], hour, True
        return
    for name in names:
        ours = [owner == name for owner in owners]
        runs = tuple(run for run in hour.runs if ours[(run - hour.hour_ns) // CELL_NS])
        part = replace(hour, cells=_masked(hour.cells, ours), estimated=_masked(hour.estimated, ours), runs=runs)
        yield name, part, False


def gap_parts(gap: AnyGap, attributes: Sequence[Attributes]) -> Iterator[tuple[str, AnyGap]]:
    """(customer, the part of the gap that is its own), in order of time."""
    at_ns, owner = gap.from_ns, customer_at(gap.from_ns, attributes)
    for span in attributes:
        if gap.from_ns < span.from_ns < gap.until_ns and span.customer_id != owner:
            yield owner, replace(gap, from_ns=at_ns, until_ns=span.from_ns)
            at_ns, owner = span.from_ns, span.customer_id
    yield owner, replace(gap, from_ns=at_ns)


def _masked(meters: Mapping[str, Cells], ours: Sequence[bool]) -> dict[str, Cells]:
    return {meter: tuple(cell if own else 0 for cell, own in zip(cells, ours, strict=True)) for meter, cells in meters.items()}
