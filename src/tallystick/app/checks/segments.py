"""Segments: each is what the samples of its batch fold into, none is missing and none is too many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tallystick.app.checks.subjects import CheckedWindow
from tallystick.meter.fold import fold
from tallystick.meter.samples import Samples
from tallystick.model.instants import iso
from tallystick.model.timeline import Segment, StoredSegment


def compare(window: CheckedWindow, stored: Sequence[StoredSegment], opened: Mapping[int, Samples]) -> None:
    """The stored segments of some batches in the window beside those that their samples fold into."""
    known = {each.batch_key: bool(each.boot_id) for each in stored}
    keys = sorted(opened)
    folded = fold([opened[key] for key in keys], [known[key] for key in keys]) if keys else []
    again: dict[tuple[int, int], Segment] = {
        (key, segment.cell_ns): segment
        for key, segments in zip(keys, folded, strict=True)
        for segment in segments
        if window.from_ns <= segment.cell_ns < window.until_ns
    }
    there = {(each.batch_key, each.segment.cell_ns): each.segment for each in stored if each.batch_key in opened}
    for key, cell_ns in sorted(again.keys() | there.keys()):
        one, other = there.get((key, cell_ns)), again.get((key, cell_ns))
        if one == other:
            continue
        place = f"segment {window.of.id} {iso(cell_ns)} batch {key}"
        if one is None or other is None:
            window.of.report.differ(f"{place}: {'stored' if one else 'not stored'}, its samples make {'one' if other else 'none'}")
        else:
            window.of.report.differ(f"{place}: is not what its samples fold into")
