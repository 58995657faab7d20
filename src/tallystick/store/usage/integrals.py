"""Exact totals of meters as columns: NUMERIC(39,0) on PostgreSQL, two limbs on SQLite; never summed as anything but integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.model.usage import ESTIMATED_METERS
from tallystick.store.engine import Tx
from tallystick.store.tables.columns import LIMB_BITS, METERS, integral_names

LIMB = (1 << LIMB_BITS) - 1
PLACES = (*((meter, False) for meter in METERS), *((meter, True) for meter in ESTIMATED_METERS))
"""Meter, and whether it is the estimated part, of each exact column in order."""
_NOT_ESTIMATED = (None,) * len(ESTIMATED_METERS)


def columns(tx: Tx) -> tuple[str, ...]:
    """The names of the exact columns in this database."""
    names = integral_names()
    return tuple(f"{name}{limb}" for name in names for limb in ("_hi", "_lo")) if tx.is_sqlite else names


def written(tx: Tx, totals: Mapping[str, int], estimated: Mapping[str, int]) -> tuple[Any, ...]:
    """The values of the exact columns; None for what was not measured."""
    values = [*map(totals.get, METERS), *(map(estimated.get, ESTIMATED_METERS) if estimated else _NOT_ESTIMATED)]
    if not tx.is_sqlite:
        return tuple(values)
    limbs: list[int | None] = []
    for value in values:
        limbs += (None, None) if value is None else (value >> LIMB_BITS, value & LIMB)
    return tuple(limbs)


def read(tx: Tx, row: Sequence[Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Totals and estimated parts by meter from the values of the exact columns."""
    if tx.is_sqlite:
        values = [None if row[at] is None else (row[at] << LIMB_BITS) + row[at + 1] for at in range(0, 2 * len(PLACES), 2)]
    else:
        values = [None if value is None else int(value) for value in row[: len(PLACES)]]
    found: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for (meter, is_estimated), value in zip(PLACES, values, strict=True):
        if value is not None:
            found[is_estimated][meter] = value
    return found


def summed(tx: Tx) -> str:
    """What selects the exact sums of the exact columns, for `read_sums`. On SQLite limbs are summed in halves: 2^31 rows fit."""
    names = integral_names()
    if not tx.is_sqlite:
        return ", ".join(f"SUM({name})" for name in names)
    half = "SUM({0}_hi >> 32), SUM({0}_hi & 4294967295), SUM({0}_lo >> 32), SUM({0}_lo & 4294967295)"
    return ", ".join(half.format(name) for name in names)


def read_sums(tx: Tx, row: Sequence[Any]) -> tuple[dict[str, int], dict[str, int]]:
    """Totals and estimated parts by meter from what `summed` selected; a meter that no row measured is absent."""
    if not tx.is_sqlite:
        return read(tx, row)
    found: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for number, (meter, is_estimated) in enumerate(PLACES):
        parts = row[4 * number : 4 * number + 4]
        if parts[0] is not None:
            high = (parts[0] << 32) + parts[1]
            found[is_estimated][meter] = (high << LIMB_BITS) + (parts[2] << 32) + parts[3]
    return found
