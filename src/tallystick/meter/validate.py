"""Why a native batch is refused, in the order of metering.md, Samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tallystick.meter.samples import Samples, present, side_by_side
from tallystick.model.outcomes import Refusal, RefusalCode
from tallystick.model.samples import COLUMNS, FUTURE_LIMIT_NS, LARGEST, MEASURED_AT, BatchIdentity


def refusal(
    identity: BatchIdentity, samples: Samples | Refusal, received_at_ns: int, future_limit_ns: int = FUTURE_LIMIT_NS
) -> Refusal | None:
    """Why one batch is refused, or None.

    In this order: an empty resource, or an empty spool with a sequence; what decoding found (columns of unequal length or
    none); an interval that is not positive; then by index, then by column: outside 0 .. 2^63-1 (an instant of 0 too), an
    instant not above the one before, more than `future_limit_ns` above `received_at_ns` (exactly that is taken).
    """
    return refusals([identity], [samples], received_at_ns, future_limit_ns)[0]


def refusals(
    identities: Sequence[BatchIdentity], batches: Sequence[Samples | Refusal], received_at_ns: int, future_limit_ns: int = FUTURE_LIMIT_NS
) -> list[Refusal | None]:
    """As `refusal`, of many batches with one pass over all their values."""
    result = [_identity(identity) or _whole(batch) for identity, batch in zip(identities, batches, strict=True)]
    suspects = [(place, batch) for place, batch in enumerate(batches) if result[place] is None and isinstance(batch, Samples)]
    latest_ns = received_at_ns + future_limit_ns
    if not _all_sound([batch for _, batch in suspects], latest_ns):
        for place, batch in suspects:
            result[place] = _values(batch, latest_ns)
    return result


def _identity(identity: BatchIdentity) -> Refusal | None:
    if not identity.resource_id:
        return Refusal(code=RefusalCode.EMPTY_ID, field="resource_id")
    if identity.sequence and not identity.spool_id:
        return Refusal(code=RefusalCode.EMPTY_ID, field="spool_id")
    if not 0 <= identity.sequence <= LARGEST:
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field="sequence", value=str(identity.sequence))
    return None


def _whole(batch: Samples | Refusal) -> Refusal | None:
    if isinstance(batch, Refusal):
        return batch
    if not 0 < batch.interval_ns <= LARGEST:
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field="interval_ns", value=str(batch.interval_ns))
    return None


def _all_sound(batches: Sequence[Samples], latest_ns: int) -> bool:
    """Whether no value of any batch can be refused: instants rise from above 0 to at most `latest_ns`, nothing is negative."""
    if not batches:
        return True
    values = side_by_side(batches)
    edges = np.cumsum([batch.count for batch in batches])
    rises = values[0, 1:] > values[0, :-1]
    rises[edges[:-1] - 1] = True
    return bool(values.min() >= 0 and rises.all() and values[0].min() > 0 and int(values[0].max()) <= latest_ns)


def _values(batch: Samples, latest_ns: int) -> Refusal | None:
    """The first fault of a batch by index, then range by column, order, future."""
    values, at = batch.values, batch.values[0]
    unordered = np.zeros(batch.count, np.bool_)
    unordered[1:] = at[1:] <= at[:-1]
    outside = (values < 0).any(axis=0) | (at == 0)
    late = at > min(latest_ns, LARGEST)
    faults = np.flatnonzero(outside | unordered | late)
    if not faults.size:
        return None
    index = int(faults[0])
    if outside[index]:
        number = next(number for number in present(batch.mask) if values[number, index] < 0 or (number == 0 and at[index] == 0))
        return Refusal(code=RefusalCode.OUT_OF_RANGE, field=COLUMNS[number], index=index, value=str(int(values[number, index])))
    code = RefusalCode.UNORDERED if unordered[index] else RefusalCode.FUTURE
    return Refusal(code=code, field=MEASURED_AT, index=index, value=str(int(at[index])))
