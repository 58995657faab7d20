"""What a batch that came too late would change in sealed hours (metering.md, Retention).

The hours were made of segments that are gone. What is kept, the first and last sample of each boot, is enough to tell what lies
outside of what a boot was seen doing: usage with the batch, less usage without it. Inside of it nothing changes: between two samples
of one boot its counters and its time are counted already, as measured or as an estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tallystick.meter.hours import usage_hours
from tallystick.meter.samples import Samples
from tallystick.model.instants import CELLS_PER_HOUR, hour_start
from tallystick.model.samples import START_TOO_OLD_NS, LifecycleKind, boot_name
from tallystick.model.timeline import BootExtent, StoredSegment, Timeline
from tallystick.model.usage import Cells, UsageHour

Span = tuple[int, int]
_NOTHING = (0,) * CELLS_PER_HOUR


def change_span(timeline: Timeline, sealed: Mapping[str, Span], late: Sequence[StoredSegment], sealed_until_ns: int) -> Span:
    """The hours in which a late batch may change something: from the last point before it that is counted, to the end of what is sealed."""
    boot_id, first_ns = late[0].boot_id, late[0].segment.first_at_ns
    ends = [min(end, first_ns) for start, end in sealed.values() if start <= first_ns]
    starts = [
        event.at_ns
        for event in timeline.events
        if event.kind is LifecycleKind.STARTED and event.boot_id == boot_id and first_ns - START_TOO_OLD_NS <= event.at_ns <= first_ns
    ]
    return hour_start(min([first_ns, *starts, *([max(ends)] if ends else [])])), sealed_until_ns


def late_change(
    timeline: Timeline, sealed: Mapping[str, Span], late: Sequence[StoredSegment], span: Span, samples: Mapping[int, Samples]
) -> tuple[UsageHour, ...]:
    """The difference that a late batch makes, hour by hour: its cells are differences, and may be negative.

    `timeline` is that of the hours of `span`, `sealed` by name the first and last sample that is kept of each boot there, `late` are
    the segments of the batch in sealed hours, in order.
    """
    base = _counted(timeline, sealed, span[1])
    mine = sealed.get(boot_name(late[0].boot_id, late[0].source))
    outside = [each for each in late if mine is None or each.segment.first_at_ns > mine[1] or each.segment.last_at_ns < mine[0]]
    if not outside:
        return ()
    more = _with(base, outside)
    gone = frozenset(each.batch_key for each in more.segments) - samples.keys()
    before, after = ({hour.hour_ns: hour for hour in usage_hours(each, *span, span[1], samples, gone=gone).hours} for each in (base, more))
    found = [_less(after.get(hour_ns), before.get(hour_ns)) for hour_ns in sorted(before.keys() | after.keys())]
    return tuple(hour for hour in found if hour is not None)


def _counted(timeline: Timeline, sealed: Mapping[str, Span], until_ns: int) -> Timeline:
    """The timeline with only what the sealed hours were made of."""
    segments = [
        each
        for each in timeline.segments
        if each.segment.cell_ns >= until_ns or _inside(each.segment.first_at_ns, sealed.get(boot_name(each.boot_id, each.source)))
    ]
    boots = []
    for boot in timeline.boots:
        mine = [each.segment for each in segments if (each.boot_id, each.source) == (boot.boot_id, boot.source)]
        if mine:
            first = min(mine, key=lambda each: each.first_at_ns)
            last = max(mine, key=lambda each: each.last_at_ns)
            goes_on = boot.last_at_ns >= until_ns
            boots.append(
                BootExtent(
                    boot_id=boot.boot_id,
                    first_at_ns=first.first_at_ns,
                    last_at_ns=boot.last_at_ns if goes_on else last.last_at_ns,
                    first_interval_ns=first.interval_ns,
                    last_interval_ns=boot.last_interval_ns if goes_on else last.interval_ns,
                    complete=boot.complete,
                    source=boot.source,
                )
            )
    return replace(timeline, boots=tuple(boots), segments=tuple(segments), complete=((0, 1 << 63),))


def _inside(at_ns: int, span: Span | None) -> bool:
    return span is not None and span[0] <= at_ns <= span[1]


def _with(base: Timeline, late: Sequence[StoredSegment]) -> Timeline:
    """The same with a late batch."""
    boot_id, source, first, last = late[0].boot_id, late[0].source, late[0].segment, late[-1].segment
    known = next((boot for boot in base.boots if (boot.boot_id, boot.source) == (boot_id, source)), None)
    others = tuple(boot for boot in base.boots if boot is not known)
    earlier = known is None or first.first_at_ns < known.first_at_ns
    later = known is None or last.last_at_ns > known.last_at_ns
    boot = BootExtent(
        boot_id=boot_id,
        first_at_ns=first.first_at_ns if known is None or earlier else known.first_at_ns,
        last_at_ns=last.last_at_ns if known is None or later else known.last_at_ns,
        first_interval_ns=first.interval_ns if known is None or earlier else known.first_interval_ns,
        last_interval_ns=last.interval_ns if known is None or later else known.last_interval_ns,
        source=source,
    )
    segments = sorted((*base.segments, *late), key=lambda each: (each.segment.first_at_ns, each.batch_key))
    boots = sorted((*others, boot), key=lambda each: (each.first_at_ns, each.boot_id))
    return replace(base, boots=tuple(boots), segments=tuple(segments))


def _less(after: UsageHour | None, before: UsageHour | None) -> UsageHour | None:
    """An hour less another; None if they are the same."""
    if after == before:
        return None
    some = after or before
    if some is None:
        return None
    return UsageHour(
        resource_id=some.resource_id,
        hour_ns=some.hour_ns,
        cells=_differences(after.cells if after else {}, before.cells if before else {}),
        estimated=_differences(after.estimated if after else {}, before.estimated if before else {}),
        samples=(after.samples if after else 0) - (before.samples if before else 0),
        memory_peak_bytes=after.memory_peak_bytes if after else None,
        runs=tuple(sorted(set(after.runs if after else ()) - set(before.runs if before else ()))),
    )


def _differences(after: Mapping[str, Cells], before: Mapping[str, Cells]) -> dict[str, Cells]:
    found = {
        meter: tuple(one - other for one, other in zip(after.get(meter, _NOTHING), before.get(meter, _NOTHING), strict=True))
        for meter in sorted(after.keys() | before.keys())
    }
    return {meter: cells for meter, cells in found.items() if any(cells) or meter not in before}
