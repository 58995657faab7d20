"""How far in time something new reaches: which hours of its resource it may change (metering.md, Late data and Incarnations).

Usage is a matter of neighbours: a sample changes what lies between the sample of its boot before it and the one after it. Where it
changes the order or the opening of incarnations, or is no sample, everything from the last point before it on may change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tallystick.model.samples import LifecycleKind, SampleSource


@dataclass(slots=True)
class Extent:
    """The first and last stored sample of a boot; None: it has none yet."""

    boot_key: int
    boot_id: str
    first_at_ns: int | None
    last_at_ns: int | None
    first_interval_ns: int | None
    last_interval_ns: int | None
    source: SampleSource = SampleSource.NATIVE


@dataclass(frozen=True, slots=True)
class Notice:
    """A start or a stop that is stored."""

    boot_id: str
    kind: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored of a resource by one source of samples: the extents of its boots; and the starts, stops and instants of sizes.

    `last_before(boot_key, at_ns)` is an instant in the hour of the last sample before `at_ns` of a boot (None: of any), or None;
    `usage_until_ns` the last hour with stored usage.
    """

    boots: Sequence[Extent]
    notices: Sequence[Notice]
    facts: Sequence[int]
    usage_until_ns: int
    last_before: Callable[[int | None, int], int | None]

    def end_ns(self) -> int:
        """The last point that anything is known of."""
        lasts = [boot.last_at_ns for boot in self.boots if boot.last_at_ns is not None]
        return max([*lasts, *(notice.at_ns for notice in self.notices), *self.facts, self.usage_until_ns], default=0)


def reach_of_first_sample(known: Known, boot_id: str, at_ns: int) -> tuple[int, int]:
    """How far the first sample of a boot reaches, be the boot new or the sample earlier than its first so far.

    Backwards to the last sample of any boot before it, and to the starts that may now be its own: with its boot id, or with none
    and after the last opening before it. Forwards to the end of all that is known, since later incarnations may be ordered anew.
    """
    before = known.last_before(None, at_ns)
    openings = [
        boot.first_at_ns for boot in known.boots if boot.boot_id != boot_id and boot.first_at_ns is not None and boot.first_at_ns < at_ns
    ]
    last_opening = max(openings, default=0)
    starts = [
        notice.at_ns
        for notice in known.notices
        if notice.at_ns <= at_ns and (notice.boot_id == boot_id or (not notice.boot_id and notice.at_ns >= last_opening))
    ]
    points = [before] if before is not None else [each for each in (*known.facts, *(n.at_ns for n in known.notices)) if each < at_ns]
    return min([at_ns, *starts, *([max(points)] if points else [])]), max(at_ns, known.end_ns())


def reach_of_notice(known: Known, notice: Notice) -> tuple[int, int]:
    """How far a start or a stop reaches: from the last sample before it of each boot that it may concern, to the end."""
    found = [known.last_before(None, notice.at_ns)]
    opened = [boot for boot in known.boots if boot.first_at_ns is not None and boot.first_at_ns <= notice.at_ns]
    concerned = {boot.boot_key for boot in opened if boot.boot_id == notice.boot_id}
    if not notice.boot_id and opened:
        concerned.add(max(opened, key=lambda boot: (boot.first_at_ns or 0, boot.boot_id)).boot_key)
    found.extend(known.last_before(boot_key, notice.at_ns) for boot_key in sorted(concerned))
    # Told of the same boot since its last sample: a start or a stop may take the place of an earlier one, or end what that began.
    own = max((known.last_before(boot.boot_key, notice.at_ns) or 0 for boot in opened if boot.boot_id == notice.boot_id), default=0)
    told = [each.at_ns for each in known.notices if each.boot_id == notice.boot_id and own <= each.at_ns < notice.at_ns]
    earliest = min([notice.at_ns, *told, *(each for each in found if each is not None)])
    return earliest, max(notice.at_ns, known.end_ns())


def reach_of_size(known: Known, at_ns: int, *, first: bool, completed_ns: int) -> tuple[int, int]:
    """How far a size reaches: from the last point before it, or if it is the `first` of the resource from the first point of all.

    Forwards to the end of all that is known, and to `completed_ns`, the start of the clock's current hour: disk is held, up or not.
    """
    points = [
        *(each for boot in known.boots for each in (boot.first_at_ns, boot.last_at_ns) if each is not None),
        *(notice.at_ns for notice in known.notices),
        *known.facts,
    ]
    before = known.last_before(None, at_ns)
    earlier = [each for each in points if each < at_ns] + ([] if before is None else [before])
    earliest = (min(earlier, default=at_ns) if first else max(earlier, default=at_ns)) if earlier else at_ns
    return min(earliest, at_ns), max(at_ns, known.end_ns(), completed_ns - 1)


STRUCTURAL = (LifecycleKind.STARTED.value, LifecycleKind.STOPPED.value)
"""The kinds of notices that may change usage: `BOUNDARIES`, in the order of statements."""
