"""Byte planes (docs/planes.md) written and read without NumPy: the differences of a whole column are one subtraction of big integers."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate

from backports.zstd import CompressionParameter, ZstdCompressor, ZstdDecompressor

WIDTH = 9
"""Columns of a row: those of `model.samples.COLUMNS`, in their order; what a source has not is 0 and left out of the presence mask."""

VERSION = 1
_HEADER = struct.Struct("<BHI")
_COLUMN = struct.Struct("<qB")
_SIGN = bytes(0 if byte < 128 else 255 for byte in range(256))
_TOP = b"\0\0\0\0\0\0\0\x80"
_ONE = b"\1\0\0\0\0\0\0\0"
_LARGEST = 2**63 - 1
_LEVEL: dict[int, int] = {CompressionParameter.compression_level: 1, CompressionParameter.window_log: 17}
"""A window of 128 KiB is cheaper to set up than the 512 KiB of level 1, and planes compress as well in it."""


class PlanesEncoder:
    """Encodes one batch after the other with one compressor, which is dear to make; it belongs to one thread."""

    def __init__(self) -> None:
        self._compressor = ZstdCompressor(options=_LEVEL)
        self._ramps: dict[int, tuple[int, int, int]] = {}

    def encode(self, rows: array[int], presence: int, interval_ns: int) -> bytes:
        """The planes of row-major samples: `rows` is n rows of nine integers of 0 .. 2^63 - 1, `presence` the columns that are there.

        Raises:
            ValueError: there are no rows, they are not whole, time is absent, or a value lies outside; it is named.

        """
        samples, rest = divmod(len(rows), WIDTH)
        if not samples or rest:
            raise ValueError(f"{len(rows)} integers are not one or more rows of {WIDTH}")
        if not presence & 1 or presence >> WIDTH:
            raise ValueError(f"presence {presence:#x}: the instants of a batch are column 0 of {WIDTH}")
        header = [_HEADER.pack(VERSION, presence, samples)]
        planes: list[bytes] = []
        for column in range(WIDTH):
            if presence >> column & 1:
                values = rows[column::WIDTH]
                if min(values) < 0:
                    raise ValueError(f"column {column} holds {min(values)}: values are 0 .. 2^63 - 1")
                own = self._column_planes(values, interval_ns if column == 0 else None)
                header.append(_COLUMN.pack(values[0], len(own)))
                planes += own
        return b"".join(header) + self._frame(planes)

    def _column_planes(self, values: array[int], interval_ns: int | None) -> Sequence[bytes]:
        """The significant byte planes of a column's residuals: to its straight line if it is time, else to the value before."""
        count = len(values) - 1
        if not count:
            return ()
        raw = values.tobytes()
        if interval_ns is not None and values[0] + count * interval_ns > _LARGEST:
            # Time so near its end that the line leaves 63 bits: one by one, modulo 2^64.
            steps = ((value - values[0] - k * interval_ns) % 2**64 for k, value in enumerate(values[1:], 1))
            residuals = int.from_bytes(array("Q", steps).tobytes(), "little")
        else:
            top, ones, ramp = self._constants(count)
            line = int.from_bytes(raw[:-8], "little") if interval_ns is None else values[0] * ones + interval_ns * ramp
            # Each limb a + 2^63 - b lies in 1 .. 2^64 - 1, so no limb borrows from the next; flipping the top bit takes the bias away.
            residuals = ((int.from_bytes(raw[8:], "little") | top) - line) ^ top
        if not residuals:
            return ()
        limbs = residuals.to_bytes(8 * count, "little")
        planes = [limbs[byte::8] for byte in range(8)]
        while len(planes) > 1 and planes[-2].translate(_SIGN) == planes[-1]:
            planes.pop()
        return planes

    def _constants(self, count: int) -> tuple[int, int, int]:
        """For `count` limbs: 2^63 in each, 1 in each, and 1, 2, 3, ... Kept for the usual batch, made anew for others."""
        known = self._ramps.get(count)
        if known is None:
            ramp = int.from_bytes(array("q", range(1, count + 1)).tobytes(), "little")
            known = (int.from_bytes(_TOP * count, "little"), int.from_bytes(_ONE * count, "little"), ramp)
            if len(self._ramps) >= 8:
                self._ramps.clear()
            self._ramps[count] = known
        return known

    def _frame(self, planes: Sequence[bytes]) -> bytes:
        """One zstd frame with a block boundary after every plane, so that each gets an entropy table of its own."""
        if not planes:
            return b""
        compress = self._compressor.compress
        blocks = [compress(plane, ZstdCompressor.FLUSH_BLOCK) for plane in planes[:-1]]
        blocks.append(compress(planes[-1], ZstdCompressor.FLUSH_FRAME))
        return b"".join(blocks)


def decode(planes: bytes, interval_ns: int) -> dict[int, array[int]]:
    """The columns of a batch that `PlanesEncoder` wrote, by their numbers.

    Raises:
        ValueError, struct.error, ZstdError: it did not.

    """
    version, presence, samples = _HEADER.unpack_from(planes)
    if version != VERSION or not samples:
        raise ValueError(f"planes of version {version} with {samples} samples")
    at, steps = _HEADER.size, samples - 1
    heads = []
    for column in range(WIDTH):
        if presence >> column & 1:
            heads.append((column, *_COLUMN.unpack_from(planes, at)))
            at += _COLUMN.size
    length = steps * sum(width for _, _, width in heads)
    content = ZstdDecompressor().decompress(planes[at:], length + 1) if length else b""
    if len(content) != length:
        raise ValueError(f"planes of {len(content)} bytes, expected {length}")
    columns, low = {}, 0
    for column, first, width in heads:
        own = [content[low + plane * steps : low + (plane + 1) * steps] for plane in range(width)]
        low += width * steps
        try:
            columns[column] = _values(column, first, _residuals(own, steps), interval_ns)
        except OverflowError:
            raise ValueError(f"column {column} leaves 64 bits") from None
    return columns


def _values(column: int, first: int, residuals: array[int], interval_ns: int) -> array[int]:
    """The values of a column; instants are those of a steady tick and a residual each.

    Raises:
        OverflowError: one of them is none of 64 bits.

    """
    if column:
        return array("q", accumulate(residuals, initial=first))
    line = range(first + interval_ns, first + interval_ns * (len(residuals) + 1), interval_ns)
    return array("q", [first, *((value + residual) % 2**64 for value, residual in zip(line, residuals, strict=True))])


def _residuals(planes: Sequence[bytes], steps: int) -> array[int]:
    """The residuals of a column from its significant planes, little end first; no plane: all are 0."""
    limbs = bytearray(8 * steps)
    for place, plane in enumerate(planes):
        limbs[place::8] = plane
    if planes:
        sign = planes[-1].translate(_SIGN)
        for place in range(len(planes), 8):
            limbs[place::8] = sign
    return array("q", bytes(limbs))
