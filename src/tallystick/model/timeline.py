"""Everything that is known of one resource around a span of hours: what the meter makes usage hours of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, overload

from tallystick.model.instants import cell_start
from tallystick.model.records import RegisteredRecord
from tallystick.model.resources import Fact
from tallystick.model.samples import BatchIdentity, LifecycleEvent, SampleSource


class Segment(NamedTuple):
    """What one batch folds into in one cell: first and last sample, and the sums in between.

    A named tuple, since a usage hour is made of 84 of them: they are made four times faster. `block` is the fixed layout of
    `meter/segments.py`; the fields beside it are its key, for stores.
    """

    cell_ns: int
    first_at_ns: int
    last_at_ns: int
    samples: int
    interval_ns: int
    block: bytes


def last_point(block: bytes) -> bytes:
    """The block of a segment of one sample, the last of another's (layout: `meter/segments.py`)."""
    mask, last = block[0:2], block[72:136]
    return mask + bytes(6) + last + last + last[0:8] + bytes(16)


class StoredSegment(NamedTuple):
    """A segment with the batch that it came in: `batch_key` opens its samples, `received_at_ns` decides conflicts."""

    boot_id: str
    batch_key: int
    received_at_ns: int
    segment: Segment
    source: SampleSource = SampleSource.NATIVE


SegmentRow = tuple[int, int, int, int, int, int, int, int, bytes]
"""As a store reads it: resource_key, boot_key, batch_key, received_at_ns, first_at_ns, last_at_ns, samples, interval_ns, block."""


class LoadedSegments(Sequence[StoredSegment]):
    """The rows of a resource's segments, each made a `StoredSegment` only where it is looked at: of ordinary hours none is.

    `boots` tells id and source of each boot by its number.
    """

    __slots__ = ("boots", "rows")

    def __init__(self, rows: Sequence[SegmentRow], boots: Mapping[int, tuple[str, SampleSource]]) -> None:
        self.rows = rows
        self.boots = boots

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> StoredSegment: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[StoredSegment]: ...
    def __getitem__(self, place: int | slice) -> StoredSegment | Sequence[StoredSegment]:
        if isinstance(place, slice):
            return LoadedSegments(self.rows[place], self.boots)
        return self._made(self.rows[place])

    def __iter__(self) -> Iterator[StoredSegment]:
        return map(self._made, self.rows)

    def _made(self, row: SegmentRow) -> StoredSegment:
        _, boot_key, batch_key, received_at_ns, first_at_ns, *_ = row
        boot_id, source = self.boots[boot_key]
        return StoredSegment(boot_id, batch_key, received_at_ns, Segment(cell_start(first_at_ns), *row[4:]), source)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootExtent:
    """The first and last stored sample of one boot of a resource, over all that is stored, with the intervals declared there.

    `complete` are the spans of cells [from, until) in which every stored segment of this boot was loaded, besides those of
    the timeline: a boot that measures seldom has its neighbours farther away than another that lives at the same time.
    """

    boot_id: str
    first_at_ns: int
    last_at_ns: int
    first_interval_ns: int
    last_interval_ns: int
    complete: tuple[tuple[int, int], ...] = ()
    source: SampleSource = SampleSource.NATIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One resource around the hours [from, until) that are computed.

    `boots` are the extents of every boot ever stored. `segments` are those that were loaded; `complete` are the spans of
    cells [from, until) in which every stored segment of every boot was loaded: two neighbours are a real link only inside
    one of them, or inside one of their boot. `events` and `facts` are all that is known of the resource, in order of
    instant, then of reception. `records` are the usage records that touch the window.

    To be loaded, each with the spans that prove it: every segment of the cells in the window; of each boot the nearest
    cell with a segment before the window and the nearest at or after its end (however far), with nothing of that boot
    missing in between; and of the boot without an id, around each of its starts and stops, the cell that holds the
    instant, the nearest before and the nearest after, in the same way.
    """

    resource_id: str
    boots: tuple[BootExtent, ...]
    segments: Sequence[StoredSegment]
    complete: tuple[tuple[int, int], ...]
    events: tuple[LifecycleEvent, ...]
    facts: tuple[Fact, ...]
    records: tuple[RegisteredRecord, ...] = ()


class PayloadForm(StrEnum):
    """How the samples of a stored batch are kept; those of a thinned one are not."""

    PLANES = "planes"
    THINNED = "thinned"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorableBatch:
    """A batch that was checked and folded: all that the store keeps of it, in one transaction.

    `trace` is the W3C trace context in which it is stored (empty: not traced), which the hours it marks are computed in.
    `payload` are the samples as they came (or encoded by the server, where they came as columns). `first_at_ns` and
    `last_at_ns` are its first and last `measured_at`, `segments` one per cell in order of time. Of a thinned batch the payload is
    what was sent in the place of samples, kept only beside another content of its identity; `content_hash` is of the samples.
    """

    identity: BatchIdentity
    content_hash: bytes
    interval_ns: int
    received_at_ns: int
    first_at_ns: int
    last_at_ns: int
    samples: int
    segments: tuple[Segment, ...]
    payload: bytes
    payload_form: PayloadForm = PayloadForm.PLANES
    trace: str = ""
