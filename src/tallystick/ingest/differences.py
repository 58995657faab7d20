"""Columns as they are sent: the first value absolute, then differences, modulo 2^64 (wire.md 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def running(differences: Sequence[int]) -> npt.NDArray[np.int64]:
    """The values of a column, as int64 modulo 2^64: [5, 1, -2] becomes [5, 6, 4]. A value outside 0 .. 2^63-1 shows as negative."""
    values = np.array(differences, dtype=np.int64)
    return np.add.accumulate(values, out=values)
