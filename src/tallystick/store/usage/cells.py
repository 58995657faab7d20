"""The twelve cells of every meter of a usage hour as one compressed block (metering.md, Kept in a usage hour).

A byte for the version; then one zstd frame with the number of runs (2 bytes) and their instants (8 each), and for each meter: its
number (1 byte), of which the highest bit tells the estimated part; the width w of its cells (1 byte); twelve integers of w bytes,
signed, little-endian.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from struct import Struct

from backports import zstd

from tallystick.model.instants import CELLS_PER_HOUR
from tallystick.model.usage import Cells
from tallystick.store.tables.columns import METERS

VERSION = 1
ESTIMATED = 0x80
NUMBERS = {meter: number for number, meter in enumerate(METERS)}
VERSION_BYTE = bytes((VERSION,))


class _Compressor(threading.local):
    """A compressor for each thread: to make one costs more than to compress an hour."""

    def __init__(self) -> None:
        self.kept = zstd.ZstdCompressor(level=3)


_compressor = _Compressor()


class DamagedCells(ValueError):  # noqa: N818 (it is a state of the world, not a fault)
    """A stored block of cells cannot be read."""


def write_cells(cells: Mapping[str, Cells], estimated: Mapping[str, Cells], runs: tuple[int, ...]) -> bytes:
    """The block of an hour's cells, their estimated parts and its runs; equal for equal content."""
    parts = [len(runs).to_bytes(2, "little"), *(run.to_bytes(8, "little") for run in runs)]
    for flag, meters in ((0, cells), (ESTIMATED, estimated)):
        parts.extend(_written(NUMBERS[meter] | flag, meters[meter]) for meter in METERS if meter in meters)
    unknown = (set(cells) | set(estimated)) - NUMBERS.keys()
    if unknown:
        raise ValueError(f"no column keeps the meters {sorted(unknown)}")
    plain = b"".join(parts)
    _compressor.kept.set_pledged_input_size(len(plain))
    return VERSION_BYTE + _compressor.kept.compress(plain, zstd.ZstdCompressor.FLUSH_FRAME)


def _written(number: int, values: Cells) -> bytes:
    if len(values) != CELLS_PER_HOUR:
        raise ValueError(f"an hour has {CELLS_PER_HOUR} cells, not {len(values)}")
    low, high = min(values), max(values)
    width = max(low.bit_length(), high.bit_length()) // 8 + 1
    if low == high:  # of what is declared, and of time without a gap
        written = low.to_bytes(width, "little", signed=True) * CELLS_PER_HOUR
    else:
        written = b"".join([value.to_bytes(width, "little", signed=True) for value in values])
    return bytes((number, width)) + written


def read_cells(block: bytes) -> tuple[dict[str, Cells], dict[str, Cells], tuple[int, ...]]:
    """Cells, estimated parts and runs of a block.

    Raises:
        DamagedCells: it is no such block.

    """
    if not block or block[0] != VERSION:
        raise DamagedCells(f"cells of version {block[:1].hex() or 'none'}")
    try:
        plain = zstd.decompress(block[1:])
    except zstd.ZstdError as error:
        raise DamagedCells(f"cells: {error}") from None
    count = int.from_bytes(plain[:2], "little")
    place = 2 + 8 * count
    runs = tuple(int.from_bytes(plain[at : at + 8], "little") for at in range(2, place, 8))
    found: tuple[dict[str, Cells], dict[str, Cells]] = ({}, {})
    while place < len(plain):
        number, width = plain[place], plain[place + 1]
        end = place + 2 + width * CELLS_PER_HOUR
        found[number >= ESTIMATED][METERS[number & ~ESTIMATED]] = _read(plain[place + 2 : end], width)
        place = end
    return found[0], found[1], runs


_LOW = {
    1: (0, "b"),
    2: (0, "h"),
    3: (2, "Hb"),
    4: (0, "i"),
    5: (4, "Ib"),
    6: (4, "Ih"),
    8: (0, "q"),
    9: (8, "Qb"),
    10: (8, "Qh"),
    12: (8, "Qi"),
}
_FORMS = {width: (8 * low, Struct("<" + form * CELLS_PER_HOUR)) for width, (low, form) in _LOW.items()}
"""How twelve cells of a width are read at once: as they are, or as their low bytes and the signed rest above so many bits."""


def _read(written: bytes, width: int) -> Cells:
    if written == written[:width] * CELLS_PER_HOUR:  # most meters of most hours: what is declared, and time without a gap
        return (int.from_bytes(written[:width], "little", signed=True),) * CELLS_PER_HOUR
    if width not in _FORMS:
        return tuple([int.from_bytes(written[at : at + width], "little", signed=True) for at in range(0, len(written), width)])
    above, form = _FORMS[width]
    values: Cells = form.unpack(written)
    return tuple([low | high << above for low, high in zip(values[::2], values[1::2], strict=True)]) if above else values
