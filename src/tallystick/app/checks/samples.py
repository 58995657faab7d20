"""Raw samples, while they are kept: each batch can be read, and its content is what its identity says; then its segments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tallystick.app.checks import segments
from tallystick.app.checks.subjects import CheckedResource, CheckedWindow
from tallystick.app.jobs.retention.archive import ArchiveUnavailable
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
    archived = _archived(window)
    for start in range(0, len(keys), BATCHES_AT_ONCE):
        some = keys[start : start + BATCHES_AT_ONCE]
        opened = dict(_opened(window.of, some, archived))
        chosen = set(some)
        segments.compare(window, [each for each in mine if each.batch_key in chosen], opened)


def check_resource(of: CheckedResource) -> None:
    """Batches whose samples are kept have segments."""
    for batch in of.store.stored_usage.without_segments(of.place, of.key, of.tx):
        if of.wanted.touches(batch.received_at_ns, batch.received_at_ns + 1):
            of.report.differ(
                f"segment {of.id} {iso(batch.received_at_ns)} batch {batch.batch_key}: its samples are kept, it has no segment"
            )


def _archived(window: CheckedWindow) -> Mapping[int, Samples]:
    """What files hold of the window, by batch: of one that reaches over its ends, the part inside."""
    of = window.of
    if of.archive is None:
        return {}
    try:
        return {each.batch_key: each.samples for each in of.archive.read(of.place, of.id, window.from_ns, window.until_ns)}
    except ArchiveUnavailable as error:
        of.report.differ(f"samples {of.id}: {error}")
        return {}


def _opened(of: CheckedResource, batch_keys: list[int], archived: Mapping[int, Samples]) -> Iterator[tuple[int, Samples]]:
    deleted_until_ns = of.store.retention.payloads_gone_until(of.tx)
    known = of.store.stored_usage.batches(batch_keys, of.tx)
    payloads = of.store.batches.payloads(batch_keys, tx=of.tx)
    hashes = {key: row.content_hash for key, row in known.items()}
    for key in batch_keys:
        if key not in known:
            of.report.differ(f"batch {of.id} {key}: has segments and no identity")
        if key not in payloads:
            if key in archived:
                of.report.count("batches_archived")
                yield key, archived[key]
            elif key in known and not known[key].may_lack_samples(deleted_until_ns):
                of.report.differ(f"samples {of.id} batch {key}: are missing, and nothing deleted them")
            else:
                of.report.count("batches_without_samples")
            continue
        of.report.count("batches")
        samples = decode(payloads[key].body, payloads[key].interval_ns, LARGEST_BATCH_BYTES)
        if isinstance(samples, Refusal):
            of.report.differ(f"samples {of.id} batch {key}: cannot be read: {samples.sentence()}")
            continue
        if content_hash(samples) != hashes[key]:
            of.report.differ(f"samples {of.id} batch {key}: have the hash {content_hash(samples).hex()}, the batch {hashes[key].hex()}")
        yield key, samples
