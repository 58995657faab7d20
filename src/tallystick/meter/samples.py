"""The samples of one batch as columns: what is decoded, validated, hashed and folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tallystick.model.samples import COLUMNS

Columns = NDArray[np.int64]
"""Shape [9, n]: one row per column of `COLUMNS`, one place per sample; ns, bytes, operations. An absent column is all 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """The decoded samples of one batch.

    `values` has the shape [9, n] with n >= 1; bit i of `mask` tells that column i is present; `interval_ns` is the
    declared sampling interval. Values are as sent: only `validate` tells whether they are in range and in order. `at` is
    the place of its first sample where `values` is a part of an array with many batches side by side.
    """

    values: Columns
    mask: int
    interval_ns: int
    at: int | None = None

    @property
    def count(self) -> int:
        """How many samples there are."""
        return int(self.values.shape[1])


def present(mask: int) -> tuple[int, ...]:
    """The numbers of the columns that a presence mask names, in order."""
    return tuple(column for column in range(len(COLUMNS)) if mask >> column & 1)


def side_by_side(batches: Sequence[Samples]) -> Columns:
    """The values of at least one batch, one after the other, [9, all samples]: no copy is made where they lie so already."""
    whole = batches[0].values.base
    low = 0
    for batch in batches:
        if batch.at != low or batch.values.base is not whole:
            return np.concatenate([batch.values for batch in batches], axis=1) if len(batches) > 1 else batches[0].values
        low += batch.count
    return whole[:, :low] if isinstance(whole, np.ndarray) else batches[0].values
