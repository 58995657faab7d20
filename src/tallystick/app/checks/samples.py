"""Raw samples, while they are kept: each batch can be read, and its content is what its identity says; then its segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tallystick.app.checks import segments
from tallystick.app.checks.subjects import CheckedResource, CheckedWindow
from tallystick.app.jobs.rollup import LARGEST_BATCH_BYTES
from tallystick.meter.content import content_hash
from tallystick.meter.planes import decode
from tallystick.meter.samples import Samples
from tallystick.model.instants import iso
from tallystick.model.outcomes import Refusal

BATCHES_AT_ONCE = 256


def check_window(window: CheckedWindow) -> None:
    """The batches with a segment in the window, a few at a time: their content hash, and the segments that they fold into."""
    mine = [each for each in window.timeline.segments if window.from_ns <= each.segment.cell_ns < window.until_ns]
    window.of.report.count("segments", len(mine))
    keys = sorted({each.batch_key for each in mine})
    for start in range(0, len(keys), BATCHES_AT_ONCE):
        some = keys[start : start + BATCHES_AT_ONCE]
        opened = dict(_opened(window.of, some))
        chosen = set(some)
        segments.compare(window, [each for each in mine if each.batch_key in chosen], opened)


def check_resource(of: CheckedResource) -> None:
    """Batches whose samples are kept have segments."""
    for batch in of.store.stored_usage.without_segments(of.place, of.key, of.tx):
        if of.wanted.touches(batch.received_at_ns, batch.received_at_ns + 1):
            of.report.differ(
                f"segment {of.id} {iso(batch.received_at_ns)} batch {batch.batch_key}: its samples are kept, it has no segment"
            )


def _opened(of: CheckedResource, batch_keys: list[int]) -> Iterator[tuple[int, Samples]]:
    known: Mapping[int, object] = of.store.stored_usage.batches(batch_keys, of.tx)
    payloads = of.store.batches.payloads(batch_keys, tx=of.tx)
    hashes = {key: row.content_hash for key, row in of.store.stored_usage.batches(batch_keys, of.tx).items()}
    for key in batch_keys:
        if key not in known:
            of.report.differ(f"batch {of.id} {key}: has segments and no identity")
        if key not in payloads:
            continue
        of.report.count("batches")
        samples = decode(payloads[key].body, payloads[key].interval_ns, LARGEST_BATCH_BYTES)
        if isinstance(samples, Refusal):
            of.report.differ(f"samples {of.id} batch {key}: cannot be read: {samples.sentence()}")
            continue
        if content_hash(samples) != hashes[key]:
            of.report.differ(f"samples {of.id} batch {key}: have the hash {content_hash(samples).hex()}, the batch {hashes[key].hex()}")
        yield key, samples
