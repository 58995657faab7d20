"""The usage hours of one resource: exact, the same whether hours are computed one at a time or all at once (metering.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tallystick.meter.chains import Chain, Strand, Window, chains, strands
from tallystick.meter.incarnations import incarnations
from tallystick.meter.ledger import Ledger, levels
from tallystick.meter.links import Meter, count
from tallystick.meter.samples import Samples
from tallystick.meter.silence.causes import caused
from tallystick.meter.sources.combined import by_source, combined
from tallystick.model.findings import FindingCode
from tallystick.model.instants import CELL_NS, HOUR_NS
from tallystick.model.samples import GAP_AFTER_INTERVALS, LifecycleKind
from tallystick.model.timeline import Timeline
from tallystick.model.usage import HoursResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A timeline put in order for the hours of a window: what must be opened is known, and it need not be done again.

    `parts` are the timelines of its sources of samples, the one that bills first, each with its strands.
    """

    timeline: Timeline
    window: Window
    parts: Sequence[tuple[Timeline, Sequence[Strand]]]

    def needs(self) -> frozenset[int]:
        """The batches whose samples must be opened to compute the hours; none in the ordinary case."""
        return frozenset(key for _, found in self.parts for strand in found for key in strand.batch_keys())


def prepare(timeline: Timeline, from_ns: int, until_ns: int) -> Prepared:
    """Put a timeline in order for the hours in [from_ns, until_ns).

    Raises:
        ValueError: the bounds are no whole hours.

    """
    window = _window(from_ns, until_ns)
    return Prepared(timeline=timeline, window=window, parts=[(part, strands(part, window)) for part in by_source(timeline)])


def needs_samples(timeline: Timeline, from_ns: int, until_ns: int) -> frozenset[int]:
    """The batches whose samples must be opened to compute the hours in [from_ns, until_ns); none in the ordinary case.

    Raises:
        ValueError: the bounds are no whole hours.

    """
    return prepare(timeline, from_ns, until_ns).needs()


def usage_hours(
    timeline: Timeline,
    from_ns: int,
    until_ns: int,
    disk_until_ns: int,
    samples: Mapping[int, Samples],
    *,
    gone: Collection[int] = frozenset(),
    gap_after_intervals: int = GAP_AFTER_INTERVALS,
) -> HoursResult:
    """The usage hours in [from_ns, until_ns), with the gaps that begin and the findings that lie in them.

    `disk_until_ns` is the horizon of `disk.allocated`; `samples` holds what `needs_samples` names, by batch key, but for the
    batches whose samples are `gone`: their segments stay whole, and what else would have counted inside them is ignored.
    Hours without anything are left out. Worked: a level of 5 bytes held for 1 s is 5 * 10^9 byte·ns of `memory.used`.

    Raises:
        ValueError: the bounds are no whole hours, or the timeline lacks what the hours need.
        KeyError: samples that are needed were not given.

    """
    prepared = prepare(timeline, from_ns, until_ns)
    return hours_of(prepared, disk_until_ns, samples, gone=gone, gap_after_intervals=gap_after_intervals)


def hours_of(
    prepared: Prepared,
    disk_until_ns: int,
    samples: Mapping[int, Samples],
    *,
    gone: Collection[int] = frozenset(),
    gap_after_intervals: int = GAP_AFTER_INTERVALS,
) -> HoursResult:
    """The usage hours of a timeline that is put in order: what `usage_hours` says."""
    timeline, window = prepared.timeline, prepared.window
    several = len(prepared.parts) > 1 or bool(timeline.records)
    meters = []
    for part, found in prepared.parts:
        made = chains(part, found, samples, gap_after_intervals, gone)
        meters.append(metered(part, window, made, gap_after_intervals, CELL_NS if several else HOUR_NS))
    meter = meters[0]
    meter.ledger.disk(disk_until_ns)
    if several:
        hours, gaps, findings = combined(timeline, meters)
    else:
        hours, gaps, findings = list(meter.ledger.hours(timeline.resource_id)), meter.gaps, meter.findings
    return HoursResult(
        hours=tuple(hours),
        gaps=tuple(sorted(caused(gaps, timeline), key=lambda gap: (gap.from_ns, gap.until_ns, gap.filled))),
        findings=tuple(sorted(findings, key=lambda one: (one.at_ns or 0, one.code, one.boot_id))),
    )


def metered(
    timeline: Timeline, window: Window, found: Sequence[Chain], gap_after_intervals: int, grain_ns: int, cell_ns: int = CELL_NS
) -> Meter:
    """What the chains of one source tell of a window."""
    meter = Meter(
        resource_id=timeline.resource_id,
        window=window,
        ledger=Ledger(window, levels(timeline.facts), grain_ns, cell_ns),
        gap_after_intervals=gap_after_intervals,
    )
    for chain in found:
        for at in chain.conflicts:
            meter.finding(FindingCode.CONFLICTING_SAMPLE, at, chain.boot_id)
        for at in sorted(set(chain.ignored)):
            meter.finding(FindingCode.SAMPLES_GONE, at, chain.boot_id)
    ordered, told = incarnations(found)
    for code, at, boot_id in told:
        meter.finding(code, at, boot_id)
    for event in timeline.events:
        if event.kind is LifecycleKind.CLOCK_STEPPED:
            meter.finding(FindingCode.CLOCK_STEPPED, event.at_ns, event.boot_id)
    count(meter, ordered)
    return meter


def _window(from_ns: int, until_ns: int) -> Window:
    if from_ns % HOUR_NS or until_ns % HOUR_NS or from_ns > until_ns:
        raise ValueError(f"[{from_ns}, {until_ns}) is not made of whole hours")
    return Window(from_ns=from_ns, until_ns=until_ns)
