"""The content hash of a batch: what makes two copies the same (metering.md, Identity)."""

from __future__ import annotations

from hashlib import sha256
from struct import Struct

from tallystick.meter.samples import Samples, present
from tallystick.model.samples import COLUMNS

_MASK = Struct("<H")
_INTERVAL = Struct("<q")


def content_hash(samples: Samples) -> bytes:
    """SHA-256 (32 bytes) over the presence mask, the present columns as little-endian int64 in order, and the interval."""
    numbers = present(samples.mask)
    values = samples.values if len(numbers) == len(COLUMNS) else samples.values[list(numbers)]
    digest = sha256(_MASK.pack(samples.mask))
    digest.update(values.astype("<i8", copy=False).tobytes())
    digest.update(_INTERVAL.pack(samples.interval_ns))
    return digest.digest()
