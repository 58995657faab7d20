"""Sent batches into batches that can be stored: opened, checked, hashed and folded, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tallystick.ingest.submission import SentBatch
from tallystick.meter import content, fold, planes, validate
from tallystick.meter.samples import Samples
from tallystick.meter.thin import claims
from tallystick.meter.thin.host import Thinned
from tallystick.model.outcomes import Refusal, RefusalCode
from tallystick.model.samples import DIFFERENCES
from tallystick.model.timeline import PayloadForm, StorableBatch

LARGEST_BATCH_BYTES = 16 * 2**20
"""The largest batch as decoded, 8 bytes a value: 233,000 samples of all nine columns, six hours at 100 ms."""
CHUNK_SAMPLES = 24_000
"""So many samples are opened at once: enough for one pass of array arithmetic, few enough for the processor's cache and for memory."""


def prepare(batches: Sequence[SentBatch | Refusal], received_at_ns: Sequence[int]) -> list[StorableBatch | Refusal]:
    """Open, check, hash and fold batches, each received at its instant; a refusal stands in the place of a batch that is refused."""
    result: list[StorableBatch | Refusal] = [each if isinstance(each, Refusal) else _NOT_YET for each in batches]
    chunk: list[tuple[int, SentBatch]] = []
    samples = 0
    for place, each in enumerate(batches):
        if isinstance(each, Refusal):
            continue
        if each.thinned is not None:
            result[place] = _thinned(each, each.thinned, received_at_ns[place])
            continue
        if chunk and samples + each.samples > CHUNK_SAMPLES:
            _prepare_chunk(chunk, received_at_ns, result)
            chunk, samples = [], 0
        chunk.append((place, each))
        samples += each.samples
    _prepare_chunk(chunk, received_at_ns, result)
    return result


_NOT_YET = Refusal(code=RefusalCode.DAMAGED, field="batch")


def _prepare_chunk(sent: Sequence[tuple[int, SentBatch]], received_at_ns: Sequence[int], result: list[StorableBatch | Refusal]) -> None:
    """One pass over all values of these batches for each of: open, check, fold. Those of one length are neighbours."""
    sent = sorted(sent, key=lambda each: each[1].samples)
    opened = _open([each for _, each in sent])
    found = _refusals(sent, opened, received_at_ns)
    good: list[tuple[int, SentBatch, Samples]] = []
    for (place, each), samples, refusal in zip(sent, opened, found, strict=True):
        if refusal is not None:
            result[place] = refusal
        elif isinstance(samples, Samples):
            good.append((place, each, samples))
    folded = fold.fold([samples for _, _, samples in good], [bool(each.identity.boot_id) for _, each, _ in good])
    packed = iter(planes.encode_many([samples for _, each, samples in good if each.planes is None]))
    for (place, each, samples), segments in zip(good, folded, strict=True):
        result[place] = StorableBatch(
            identity=each.identity,
            content_hash=content.content_hash(samples),
            interval_ns=each.interval_ns,
            received_at_ns=received_at_ns[place],
            first_at_ns=segments[0].first_at_ns,
            last_at_ns=segments[-1].last_at_ns,
            samples=samples.count,
            segments=segments,
            payload=each.planes if each.planes is not None else next(packed),
            trace=each.trace,
        )


def _thinned(sent: SentBatch, claim: Thinned, received_at_ns: int) -> StorableBatch | Refusal:
    """A batch that came without its samples: what it says it folds into is checked as far as it can be."""
    found = claims.refusal(claim, sent.interval_ns, received_at_ns, most_samples=LARGEST_BATCH_BYTES // 8)
    if found is not None:
        return found
    segments = claims.segments_of(claim, sent.interval_ns, bool(sent.identity.boot_id))
    return StorableBatch(
        identity=sent.identity,
        content_hash=claim.content_hash,
        interval_ns=sent.interval_ns,
        received_at_ns=received_at_ns,
        first_at_ns=segments[0].first_at_ns,
        last_at_ns=segments[-1].last_at_ns,
        samples=claim.samples,
        segments=segments,
        payload=sent.thinned_body,
        payload_form=PayloadForm.THINNED,
        trace=sent.trace,
    )


def _open(sent: Sequence[SentBatch]) -> list[Samples | Refusal]:
    """The samples of each batch: those of byte planes all together, and those of columns."""
    packed = [each for each in sent if each.planes is not None]
    named = [each for each in sent if each.planes is None]
    decoded = iter(planes.decode_many([each.planes or b"" for each in packed], [each.interval_ns for each in packed], LARGEST_BATCH_BYTES))
    joined = iter(planes.from_columns_many([each.columns or {} for each in named], [each.interval_ns for each in named]))
    return [next(decoded) if each.planes is not None else _marked(each, next(joined)) for each in sent]


def _marked(sent: SentBatch, samples: Samples | Refusal) -> Samples | Refusal:
    if sent.differences and isinstance(samples, Samples):
        return replace(samples, mask=samples.mask | DIFFERENCES)
    return samples


def _refusals(
    sent: Sequence[tuple[int, SentBatch]], opened: Sequence[Samples | Refusal], received_at_ns: Sequence[int]
) -> list[Refusal | None]:
    """Why each batch is refused: all are held against the earliest reception, and what that finds too early against its own."""
    if not sent:
        return []
    identities = [each.identity for _, each in sent]
    found = validate.refusals(identities, opened, min(received_at_ns[place] for place, _ in sent))
    for at, (place, _) in enumerate(sent):
        refusal = found[at]
        if refusal is not None and refusal.code is RefusalCode.FUTURE:
            found[at] = validate.refusal(identities[at], opened[at], received_at_ns[place])
    return found
