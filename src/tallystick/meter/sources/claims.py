"""Usage records by cell: the share of each, and what the records of one source say of a meter together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tallystick.meter.chains import Window
from tallystick.model.instants import CELL_NS
from tallystick.model.records import RegisteredRecord, UsageRecord


def shares(record: UsageRecord, window: Window, cell_ns: int = CELL_NS) -> Iterator[tuple[int, int]]:
    """(cell, amount) of every cell of the window that a record touches: differences of the floors of its running share.

    10 units over four equal cells are 2, 3, 2 and 3; a record of an instant lies in the cell that holds it.
    """
    start, end, amount = record.from_ns, record.until_ns, record.amount
    if start == end:
        if window.holds(start):
            yield start - start % cell_ns, amount
        return
    low, until = max(start, window.from_ns), min(end, window.until_ns)
    done = amount * (low - start) // (end - start)
    while low < until:
        cell = low - low % cell_ns
        low = min(cell + cell_ns, end)
        upto = amount * (low - start) // (end - start)
        yield cell, upto - done
        done = upto


@dataclass(slots=True)
class Claim:
    """What the records of one source say of a meter in a cell: the shortest of their windows, ns, and the largest peak told.

    `evenly` is the part of the amount of records that reach out of the cell: nothing tells where in their window it lies.
    """

    source: str
    fineness_ns: int
    amount: int = 0
    evenly: int = 0
    peak: int | None = None


Claims = dict[int, dict[str, dict[int, Claim]]]
"""By cell, meter and number of the source."""


def claims_of(records: Sequence[RegisteredRecord], window: Window, cell_ns: int = CELL_NS) -> Claims:
    """What each source of records says of the cells of a window."""
    found: Claims = {}
    for each in records:
        record, span_ns = each.record, each.record.until_ns - each.record.from_ns
        for cell, amount in shares(record, window, cell_ns):
            by_number = found.setdefault(cell, {}).setdefault(record.meter, {})
            claim = by_number.setdefault(each.source_number, Claim(record.source, span_ns))
            claim.fineness_ns = min(claim.fineness_ns, span_ns)
            claim.amount += amount
            if record.from_ns < cell or record.until_ns > cell + cell_ns:
                claim.evenly += amount
            if record.peak is not None:
                claim.peak = max(claim.peak or 0, record.peak)
    return found
