"""Usage by minute: the same fold on a finer grid, so that minutes add up to their five-minute cell, to the unit.

A minute is told from the samples of the batches that its boundaries cut; a batch that lies whole inside a minute need not be opened.
Of a batch whose samples are gone the segment is there: what it counted is placed evenly over its time, and said to be. Which source
bills is decided by cells (metering.md, Two sources for one thing), so its minutes are those of the source that bills the cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tallystick.meter.chains import Strand, Window, chains, strands
from tallystick.meter.hours import Prepared, metered
from tallystick.meter.samples import Samples
from tallystick.meter.sources.claims import Claim, Claims, claims_of
from tallystick.meter.sources.combined import DISK_ALLOCATED, ESTIMATED_PLACE, MEMORY_USED, PLACE, Sampled, by_source, known, ranks, sampled
from tallystick.model.instants import CELL_NS, MINUTE_NS, cell_start, hour_start
from tallystick.model.samples import GAP_AFTER_INTERVALS
from tallystick.model.timeline import Timeline
from tallystick.model.usage import STORED_METERS, UsageMinute


def prepare_minutes(timeline: Timeline, from_ns: int, until_ns: int) -> Prepared:
    """Put a timeline in order for the minutes in [from_ns, until_ns); its `needs` are those of the hours.

    Raises:
        ValueError: the bounds are no whole five-minute cells.

    """
    if from_ns % CELL_NS or until_ns % CELL_NS or from_ns > until_ns:
        raise ValueError(f"[{from_ns}, {until_ns}) is not made of whole cells")
    window = Window(from_ns=from_ns, until_ns=until_ns)
    return Prepared(timeline=timeline, window=window, parts=[(part, strands(part, window)) for part in by_source(timeline)])


def parted_batches(prepared: Prepared) -> frozenset[int]:
    """The batches that a minute's boundary cuts: with their samples minutes are exact, without them placed evenly over a batch."""
    return frozenset(key for _, found in prepared.parts for strand in found for _, key in _parted(strand, prepared.window))


def _parted(strand: Strand, window: Window) -> Iterator[tuple[int, int]]:
    """(cluster, its only batch) of what is not opened for the hours and lies in more than one minute."""
    for cluster, (first, last) in enumerate(zip(strand.first_at, strand.last_at, strict=True)):
        if cluster not in strand.opened and window.holds(first) and first // MINUTE_NS != last // MINUTE_NS:
            yield cluster, strand.segments[strand.edges[cluster]].batch_key


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What all sources say of a window by minute; and by cell, where several must be told apart (empty: one is alone)."""

    minutes: Sequence[Sampled]
    cells: Sequence[Sampled]
    claims: Claims
    minute_claims: Claims
    disk_until_ns: int

    def instants(self) -> list[int]:
        """The minutes that anything was told of, the last first."""
        found = set(self.minute_claims)
        for each in self.minutes:
            found.update(each.ledger.rows, each.ledger.samples, each.ledger.masks)
            found.update(at - at % MINUTE_NS for openings in each.ledger.runs.values() for at in openings)
        return sorted(found, reverse=True)

    def biller(self, minute_ns: int, meter: str) -> tuple[Sampled | None, Claim | None]:
        """The source that bills a meter in a minute, if it says anything of that minute: samples, or the claim of records."""
        if meter == DISK_ALLOCATED and minute_ns >= self.disk_until_ns:
            return None, None
        if not self.cells:
            return (self.minutes[0] if self.minutes[0].covers(minute_ns, meter) else None), None
        cell = cell_start(minute_ns)
        covering, ranked = ranks(cell, meter, self.cells, self.claims.get(cell, {}).get(meter, {}))
        if covering:
            source = self.minutes[self.cells.index(covering[0])]
            return (source if source.covers(minute_ns, meter) else None), None
        return None, self.minute_claims.get(minute_ns, {}).get(meter, {}).get(ranked[0]) if ranked else None

    def samples(self, minute_ns: int) -> int:
        """How many samples were measured in a minute, by the source that knows of its cell."""
        cell = cell_start(minute_ns)
        place = next((place for place, each in enumerate(self.cells) if each.knows(cell)), 0)
        return self.minutes[place].ledger.samples.get(minute_ns, 0)

    def runs(self, minute_ns: int) -> list[int]:
        """The openings in a minute of those sources before which none knows of its cell."""
        found = [(at, place) for place, each in enumerate(self.minutes) for at in each.ledger.runs.get(hour_start(minute_ns), ())]
        return sorted(at for at, place in found if minute_ns <= at < minute_ns + MINUTE_NS and not known(self.cells[:place], at))


def usage_minutes(
    prepared: Prepared, disk_until_ns: int, samples: Mapping[int, Samples], *, gap_after_intervals: int = GAP_AFTER_INTERVALS
) -> list[UsageMinute]:
    """The minutes of a timeline that is put in order, the last first; those of which nothing was told are left out.

    `samples` are those that are kept of `prepared.needs()` and of `parted_batches(prepared)`, by batch key.

    Raises:
        ValueError: the timeline lacks what the minutes need.

    """
    timeline, window = prepared.timeline, prepared.window
    several = len(prepared.parts) > 1 or bool(timeline.records)
    gone = prepared.needs() - samples.keys()
    fine, coarse = [], []
    for part, found in prepared.parts:
        for strand in found:
            strand.opened.update([cluster for cluster, key in _parted(strand, window) if key in samples])
        made = chains(part, found, samples, gap_after_intervals, gone, MINUTE_NS)
        fine.append(metered(part, window, made, gap_after_intervals, MINUTE_NS, MINUTE_NS))
        coarse += [metered(part, window, made, gap_after_intervals, CELL_NS)] if several else []
    for meters in (fine, coarse):
        for meter in meters[:1]:
            meter.ledger.disk(disk_until_ns)
    told = _Told(
        minutes=sampled(timeline, fine),
        cells=sampled(timeline, coarse) if several else (),
        claims=claims_of(timeline.records, window),
        minute_claims=claims_of(timeline.records, window, MINUTE_NS),
        disk_until_ns=disk_until_ns,
    )
    every = (_minute(timeline.resource_id, minute_ns, told) for minute_ns in told.instants())
    return [minute for minute in every if minute is not None]


def _minute(resource_id: str, minute_ns: int, told: _Told) -> UsageMinute | None:
    """The minute; None: nothing was."""
    amounts, estimated, evenly = {}, {}, {}
    peak, is_recorded = None, False
    for meter in STORED_METERS:
        source, claim = told.biller(minute_ns, meter)
        if source is not None:
            amounts[meter] = source.amount(minute_ns, PLACE[meter])
            estimated[meter] = source.amount(minute_ns, ESTIMATED_PLACE.get(meter))
            evenly[meter] = source.ledger.evenly[minute_ns][PLACE[meter]] if minute_ns in source.ledger.evenly else 0
            peak = source.ledger.peaks.get(minute_ns) if meter == MEMORY_USED else peak
        elif claim is not None:
            amounts[meter], evenly[meter], is_recorded = claim.amount, claim.evenly, True
            peak = claim.peak if meter == MEMORY_USED else peak
    samples = told.samples(minute_ns)
    runs = tuple(told.runs(minute_ns))
    if not (samples or runs or is_recorded or any(amounts.values())):
        return None
    return UsageMinute(
        resource_id=resource_id,
        minute_ns=minute_ns,
        amounts=amounts,
        estimated={meter: amount for meter, amount in estimated.items() if amount},
        evenly={meter: amount for meter, amount in evenly.items() if amount},
        samples=samples,
        memory_peak_bytes=peak,
        runs=runs,
    )
