"""Whose usage an hour is: split by the customers that its resource belonged to, cell by cell, so that nobody sees another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR
from tallystick.model.resources import UNASSIGNED, Attributes
from tallystick.model.usage import Cells, UsageHour


def owners_of(hour_ns: int, attributes: Sequence[Attributes]) -> tuple[str, ...]:
    """The customer of each of the twelve cells of an hour; empty where nobody was assigned."""
    return tuple(_owner(hour_ns + place * CELL_NS, attributes) for place in range(CELLS_PER_HOUR))


def customer_at(at_ns: int, attributes: Sequence[Attributes]) -> str:
    """The customer that the resource belonged to at an instant."""
    return _owner(at_ns, attributes)


def split_by_owner(hour: UsageHour, attributes: Sequence[Attributes]) -> tuple[tuple[str, UsageHour, bool], ...]:
    """(customer, its part of the hour, whether that is all of it), in the order of the cells.

    Cells of others are 0; meters of which nothing is left but had something stay, as 0 was measured. Of an hour that is
    split, samples and peak are not known per part.
    """
    owners = owners_of(hour.hour_ns, attributes)
    names = tuple(dict.fromkeys(owners))
    if len(names) == 1:
        return ((names[0], hour, True),)
    return tuple((name, _part(hour, tuple(owner == name for owner in owners)), False) for name in names)


def _part(hour: UsageHour, ours: Sequence[bool]) -> UsageHour:
    kept_runs = tuple(run for run in hour.runs if ours[(run - hour.hour_ns) // CELL_NS])
    return replace(hour, cells=_masked(hour.cells, ours), estimated=_masked(hour.estimated, ours), memory_peak_bytes=None, runs=kept_runs)


def _masked(meters: Mapping[str, Cells], ours: Sequence[bool]) -> dict[str, Cells]:
    return {meter: tuple(cell if own else 0 for cell, own in zip(cells, ours, strict=True)) for meter, cells in meters.items()}


def _owner(at_ns: int, attributes: Sequence[Attributes]) -> str:
    return next((each.customer_id for each in attributes if each.from_ns <= at_ns < each.until_ns), UNASSIGNED)
