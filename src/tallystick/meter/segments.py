"""The layout of a segment's block: what a batch folds into in one cell, as bytes that a store keeps and only the meter reads.

A block is one fixed record and, only where something unusual happened inside, a tail.

| record | |
|---|---|
| mask u2 | presence of the columns, as in a batch |
| flags u2 | bit 0: a tail follows |
| first, last 8 x i8 | memory and the counters in the first and in the last sample |
| peak i8 | the largest memory of a sample |
| area 2 x u8 | low and high half of the memory integral between the first and the last sample, byte·ns |

The rise of a counter inside the segment is last - first, plus its `extra` in the tail.

| tail | |
|---|---|
| counts 2 x u4 | gaps, findings |
| estimated 16 bytes | the part of the area that lies inside gaps |
| extra 7 x 16 bytes, signed | what falls of a counter add to last - first |
| gaps | from, until: 2 x i8 each |
| findings | instant i8, reset u2, fell u2: bit i is counter i |

All integers are little-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from tallystick.model.samples import COUNTERS

LEVELS = 1 + len(COUNTERS)
"""Columns of a point: memory, then the counters."""

RECORD = np.dtype(
    [
        ("mask", "<u2"),
        ("flags", "<u2"),
        ("pad", "<u4"),
        ("first", "<i8", LEVELS),
        ("last", "<i8", LEVELS),
        ("peak", "<i8"),
        ("area", "<u8", 2),
    ]
)
HAS_TAIL = 1
_HALF = 2**64 - 1
_COUNTS = Struct("<II")
_GAP = Struct("<qq")
_FALL = Struct("<qHH")
_WIDE = 16


@dataclass(frozen=True, slots=True)
class Fall:
    """Counters that fell between two samples, by the instant of the later: bit i of a mask is counter i of `COUNTERS`."""

    at_ns: int
    reset: int
    fell: int


@dataclass(frozen=True, slots=True)
class Tail:
    """The unusual inside a segment: gaps [from, until), falls, the estimated part of its area, what falls add to each rise."""

    gaps: tuple[tuple[int, int], ...]
    falls: tuple[Fall, ...]
    estimated: int
    extra: tuple[int, ...]


NO_TAIL = Tail((), (), 0, (0,) * len(COUNTERS))


def pack_tail(tail: Tail) -> bytes:
    """The bytes that follow a record whose flag says so."""
    return b"".join(
        [
            _COUNTS.pack(len(tail.gaps), len(tail.falls)),
            tail.estimated.to_bytes(_WIDE, "little"),
            *(amount.to_bytes(_WIDE, "little", signed=True) for amount in tail.extra),
            *(_GAP.pack(*gap) for gap in tail.gaps),
            *(_FALL.pack(fall.at_ns, fall.reset, fall.fell) for fall in tail.falls),
        ]
    )


def unpack_tail(block: bytes) -> Tail:
    """The tail of a block whose flag says that it has one.

    Raises:
        ValueError: the block is not as long as it says.

    """
    at = RECORD.itemsize
    gaps, falls = _COUNTS.unpack_from(block, at)
    at += _COUNTS.size
    wide = [block[place : place + _WIDE] for place in range(at, at + _WIDE * (1 + len(COUNTERS)), _WIDE)]
    at += _WIDE * len(wide)
    middle, end = at + gaps * _GAP.size, at + gaps * _GAP.size + falls * _FALL.size
    if len(block) != end:
        raise ValueError(f"segment block of {len(block)} bytes, expected {end}")
    return Tail(
        gaps=tuple(_GAP.iter_unpack(block[at:middle])),
        falls=tuple(Fall(*fall) for fall in _FALL.iter_unpack(block[middle:end])),
        estimated=int.from_bytes(wide[0], "little"),
        extra=tuple(int.from_bytes(one, "little", signed=True) for one in wide[1:]),
    )


def read_blocks(blocks: Sequence[bytes]) -> tuple[NDArray[np.void], dict[int, Tail]]:
    """The records of many blocks as one structured array, and the tails of those that have one, by place.

    Raises:
        ValueError: a block is not as long as it says.

    """
    size = RECORD.itemsize
    joined = b"".join(blocks)
    if len(joined) == size * len(blocks):
        return np.frombuffer(joined, RECORD), {}
    records = np.frombuffer(b"".join([block[:size] for block in blocks]), RECORD)
    tails = {place: unpack_tail(blocks[place]) for place in np.flatnonzero(records["flags"] & HAS_TAIL).tolist()}
    if any(len(block) != size and place not in tails for place, block in enumerate(blocks)):
        raise ValueError("a segment block without a tail is longer than its record")
    return records, tails


def halves(amount: int) -> tuple[int, int]:
    """An area as two unsigned halves, the low one first."""
    return amount & _HALF, amount >> 64
