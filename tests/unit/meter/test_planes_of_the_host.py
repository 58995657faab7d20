"""The host's encoder, which has no NumPy, against the reference encoder and the decoder of the server."""

from __future__ import annotations

from array import array

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.meter import planes
from tallystick.meter.samples import Samples, present
from tallystick.spool.planes import WIDTH, PlanesEncoder

STEPS = st.one_of(st.just(0), st.integers(-300, 300), st.integers(-(2**62), 2**62))


@st.composite
def sampled(draw: st.DrawFn) -> Samples:
    """Instants near their ticks, and columns that stand still, walk and leap, all in range."""
    count = draw(st.integers(1, 30))
    interval_ns = draw(st.sampled_from((10**8, 10**9, 300 * 10**9)))
    values = np.zeros((WIDTH, count), np.int64)
    start = draw(st.integers(10**18, 2 * 10**18))
    values[0] = [start + place * interval_ns + draw(st.integers(0, interval_ns // 2)) for place in range(count)]
    for column in range(1, WIDTH):
        value = draw(st.integers(0, 2**63 - 1))
        for place in range(count):
            values[column, place] = value
            value = min(max(value + draw(STEPS), 0), 2**63 - 1)
    mask = draw(st.integers(0, 511)) | 1
    for column in set(range(WIDTH)) - set(present(mask)):
        values[column] = 0
    return Samples(values=values, mask=mask, interval_ns=interval_ns)


@settings(max_examples=40)
@given(sampled())
def test_the_host_writes_the_same_bytes(batch: Samples) -> None:
    rows = array("q", batch.values.T.reshape(-1).tolist())
    written = PlanesEncoder().encode(rows, batch.mask, batch.interval_ns)
    assert written == planes.encode(batch)
    read = planes.decode(written, batch.interval_ns, 1 << 20)
    assert isinstance(read, Samples)
    assert np.array_equal(read.values, batch.values)
