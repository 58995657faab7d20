"""Several sources of one resource: of each meter and cell one bills (metering.md, Two sources for one thing).

In order of precedence: samples of our protocol, samples of rows, then records, the finer window first, then the source that was
registered first. What a source is left out for is the finding `second_source`, one for each hour.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tallystick.meter.ledger import ALLOCATED, ESTIMATED, MEASURED, UPTIME, Ledger
from tallystick.meter.links import Meter
from tallystick.meter.sources.claims import Claim, Claims, claims_of
from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, HOUR_NS, LATEST_NS, cell_start, hour_start
from tallystick.model.resources import Fact
from tallystick.model.samples import SampleSource
from tallystick.model.timeline import Timeline
from tallystick.model.usage import STORED_METERS, Gap, UsageHour

MEMORY_USED, DISK_ALLOCATED = "memory.used", "disk.allocated"
_COLUMN = {meter: column for meter, _, column in MEASURED}
PLACE = {**{meter: place for meter, place, _ in MEASURED}, "uptime": UPTIME, **dict(ALLOCATED)}
ESTIMATED_PLACE = dict(ESTIMATED)
_SIZE = {"cpu.allocated": "vcpus", "memory.allocated": "memory_bytes", "gpu.allocated": "gpus", DISK_ALLOCATED: "disk_bytes"}
_NAMES = {SampleSource.NATIVE: "samples of an agent", SampleSource.ROWS: "samples of rows"}
_MOST_NAMES = 3


def by_source(timeline: Timeline) -> list[Timeline]:
    """The timeline as each source of samples knows it, the one that bills first; one alone is the timeline itself."""
    present = sorted({boot.source for boot in timeline.boots})
    if len(present) < 2:
        return [timeline]
    return [
        replace(
            timeline,
            boots=tuple(boot for boot in timeline.boots if boot.source is source),
            segments=tuple(stored for stored in timeline.segments if stored.source is source),
        )
        for source in present
    ]


@dataclass(frozen=True, slots=True)
class Sampled:
    """What one source of samples says; `named` tells from when on a fact names a size: only of the first source also the disk."""

    name: str
    ledger: Ledger
    named: Mapping[str, int]

    def knows(self, cell: int) -> bool:
        """Whether it tells that the resource was up in a cell: a sample lies there, or time that is counted."""
        row = self.ledger.rows.get(cell)
        return cell in self.ledger.samples or (row is not None and row[UPTIME] > 0)

    def covers(self, cell: int, meter: str) -> bool:
        """Whether it measured a meter in a cell.

        A counter: a sample with it lies there, or a rise between two is spread over it, be it 0. Memory and uptime: also
        time that is counted; in a silence that nothing fills they are not measured. A size: it is declared, and the resource up.
        """
        if meter in _SIZE:
            return self.named.get(meter, LATEST_NS) < cell + self.ledger.cell_ns and (meter == DISK_ALLOCATED or self.knows(cell))
        if meter == "uptime":
            return self.knows(cell)
        has_column = meter in _COLUMN and bool(self.ledger.masks.get(cell, 0) >> _COLUMN[meter] & 1)
        return has_column and (meter != MEMORY_USED or self.knows(cell))

    def amount(self, cell: int, place: int | None) -> int:
        """What it counted, in a place of the ledger's rows."""
        row = self.ledger.rows.get(cell)
        return 0 if row is None or place is None else row[place]


@dataclass(slots=True)
class _Hour:
    """One hour while it is put together."""

    cells: dict[str, list[int]] = field(default_factory=dict)
    estimated: dict[str, list[int]] = field(default_factory=dict)
    peaks: list[int] = field(default_factory=list)
    recorded: bool = False
    second: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, None] = field(default_factory=dict)


def combined(timeline: Timeline, meters: Sequence[Meter]) -> tuple[list[UsageHour], list[Gap], list[Finding]]:
    """Hours, gaps and findings of a resource, given what each source of samples says by cell, the one that bills first.

    A gap, a finding or an opening of a source counts unless one before it knows of the cell in which that lies.
    """
    sources = sampled(timeline, meters)
    claims = claims_of(timeline.records, meters[0].window)
    gaps = [gap for place, meter in enumerate(meters) for gap in meter.gaps if not known(sources[:place], gap.from_ns)]
    findings: dict[tuple[FindingCode, str, int | None], Finding] = {}
    for place, meter in enumerate(meters):
        for one in meter.findings:
            if not known(sources[:place], one.at_ns or 0):
                findings.setdefault((one.code, one.boot_id, one.at_ns), one)
    touched = {hour_start(at) for each in sources for at in (*each.ledger.rows, *each.ledger.samples, *each.ledger.runs)}
    hours, noticed = [], list(findings.values())
    for hour_ns in sorted(touched | {hour_start(cell) for cell in claims}):
        found = _put_together(hour_ns, sources, claims)
        usage = _usage_hour(timeline.resource_id, hour_ns, sources, found)
        if usage is not None:
            hours.append(usage)
        if found.second:
            noticed.append(_second_source(timeline.resource_id, found))
    return hours, gaps, noticed


def sampled(timeline: Timeline, meters: Sequence[Meter]) -> list[Sampled]:
    """What each source of samples says, the one that bills first."""
    named = _named(timeline.facts)
    present = sorted({boot.source for boot in timeline.boots}) or [SampleSource.NATIVE]
    return [
        Sampled(_NAMES[source], meter.ledger, named if place == 0 else {name: at for name, at in named.items() if name != DISK_ALLOCATED})
        for place, (source, meter) in enumerate(zip(present, meters, strict=True))
    ]


def _named(facts: Sequence[Fact]) -> dict[str, int]:
    """From when on the size of each allocated meter is named."""
    found: dict[str, int] = {}
    for fact in facts:
        for meter, size in _SIZE.items():
            if getattr(fact, size) is not None:
                found[meter] = min(found.get(meter, fact.at_ns), fact.at_ns)
    return found


def known(better: Sequence[Sampled], at_ns: int) -> bool:
    """Whether one of these sources, told by cells, knows of the cell that holds an instant."""
    return any(each.knows(cell_start(at_ns)) for each in better)


def _put_together(hour_ns: int, sources: Sequence[Sampled], claims: Claims) -> _Hour:
    """Of each meter and cell of an hour the amount of the source that bills."""
    found = _Hour()
    for place in range(CELLS_PER_HOUR):
        cell = hour_ns + place * CELL_NS
        claimed = claims.get(cell, {})
        for meter in STORED_METERS:
            of_records = claimed.get(meter, {})
            covering, ranked = ranks(cell, meter, sources, of_records)
            if not covering and not ranked:
                continue
            if covering:
                first = covering[0]
                amount, peak = first.amount(cell, PLACE[meter]), first.ledger.peaks.get(cell)
                guessed = first.amount(cell, ESTIMATED_PLACE.get(meter))
                if guessed:
                    found.estimated.setdefault(meter, [0] * CELLS_PER_HOUR)[place] = guessed
            else:
                claim = of_records[ranked[0]]
                amount, peak, found.recorded = claim.amount, claim.peak, True
            found.cells.setdefault(meter, [0] * CELLS_PER_HOUR)[place] = amount
            if meter == MEMORY_USED and peak is not None:
                found.peaks.append(peak)
            if len(covering) + len(ranked) > 1:
                found.second.setdefault(meter, cell)
                names = [each.name for each in covering] + [f"records of {of_records[number].source!r}" for number in ranked]
                found.left_out.update(dict.fromkeys(names[1:]))
    return found


def ranks(cell: int, meter: str, sources: Sequence[Sampled], of_records: Mapping[int, Claim]) -> tuple[list[Sampled], list[int]]:
    """Who measured a meter in a cell, the one that bills first: sources of samples, then the numbers of those of records."""
    covering = [each for each in sources if each.covers(cell, meter)]
    return covering, sorted(of_records, key=lambda number: (of_records[number].fineness_ns, number))


def _usage_hour(resource_id: str, hour_ns: int, sources: Sequence[Sampled], found: _Hour) -> UsageHour | None:
    """The hour as it is kept; None: nothing was."""
    span = range(hour_ns, hour_ns + HOUR_NS, CELL_NS)
    samples = 0
    for cell in span:
        knowing = next((each for each in sources if each.knows(cell)), None)
        samples += knowing.ledger.samples.get(cell, 0) if knowing else 0
    opened = ((place, at) for place, each in enumerate(sources) for at in each.ledger.runs.get(hour_ns, ()))
    runs = [at for place, at in opened if not known(sources[:place], at)]
    if not (samples or runs or found.recorded or any(map(any, found.cells.values()))):
        return None
    mask = 0
    for each in sources:
        for cell in span:
            mask |= each.ledger.masks.get(cell, 0)
    here = {meter for meter, column in _COLUMN.items() if mask >> column & 1}
    here |= {"uptime"} if mask else set()
    here |= set(_SIZE) if sources[0].ledger.levels else set()
    nothing = [0] * CELLS_PER_HOUR
    return UsageHour(
        resource_id=resource_id,
        hour_ns=hour_ns,
        cells={meter: tuple(found.cells.get(meter, nothing)) for meter in STORED_METERS if meter in here or meter in found.cells},
        estimated={meter: tuple(found.estimated[meter]) for meter, _ in ESTIMATED if meter in found.estimated},
        samples=samples,
        memory_peak_bytes=max(found.peaks, default=None),
        runs=tuple(sorted(runs)),
    )


def _second_source(resource_id: str, found: _Hour) -> Finding:
    """One for an hour: the meters of which a source was left out, at the first cell in which one was."""
    names = list(found.left_out)
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return Finding(
        code=FindingCode.SECOND_SOURCE,
        severity=Severity.NOTE,
        resource_id=resource_id,
        at_ns=min(found.second.values()),
        counters=tuple(meter for meter in STORED_METERS if meter in found.second),
        detail=f"left out: {', '.join(names[:_MOST_NAMES])}{more}",
    )
