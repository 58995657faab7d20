"""Byte planes (docs/planes.md) and packed columns into samples, and the reference encoder of planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from struct import Struct

import numpy as np
from backports.zstd import CompressionParameter, DecompressionParameter, ZstdCompressor, ZstdDecompressor, ZstdError
from numpy.typing import NDArray

from tallystick.meter.samples import Samples, present, side_by_side
from tallystick.model.outcomes import Refusal, RefusalCode
from tallystick.model.samples import ALL_COLUMNS_MASK, COLUMNS, DIFFERENCES, MEASURED_AT

Column = Sequence[int] | NDArray[np.int64]
"""The values of a column."""
VERSION = 1
_HEAD = Struct("<BHI")
_COLUMN = Struct("<qB")
_TOLD = [Struct("<" + "qB" * columns) for columns in range(len(COLUMNS) + 1)]
_VALUE_BYTES = 8
_BEYOND = 1 << np.arange(7, 63, 8)
"""The least value that needs two planes, three, and so on."""
_LEVEL: dict[int, int] = {CompressionParameter.compression_level: 1, CompressionParameter.window_log: 17}
"""Of frames as the host writes them: planes are compressed each by itself, and a window of 128 KiB is cheaper to set up."""
_WINDOW: dict[int, int] = {DecompressionParameter.window_log_max: 23}
"""A frame may ask for no more than 8 MiB of memory: level 1 by itself asks for 512 KiB."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What stands before the frame: samples, mask, the first value and the planes of all nine columns, and where the frame begins."""

    count: int
    mask: int
    firsts: tuple[int, ...]
    widths: tuple[int, ...]
    frame_at: int


def decode(planes: bytes, interval_ns: int, max_bytes: int) -> Samples | Refusal:
    """The samples of one batch, or why it cannot be read: `damaged`, `unsupported`, `too_large`, `wrong_length` (none)."""
    return decode_many([planes], [interval_ns], max_bytes)[0]


def decode_many(planes: Sequence[bytes], intervals_ns: Sequence[int], max_bytes: int) -> list[Samples | Refusal]:
    """The samples of many batches side by side in one array, a refusal in the place of those that cannot be read.

    `max_bytes` limits each batch as decoded: 8 bytes a value of a present column. Neighbours with the same number of samples
    are decoded together.
    """
    result: list[Samples | Refusal] = []
    read: list[tuple[int, _Header, bytes]] = []
    for place, batch in enumerate(planes):
        header = _header(batch, max_bytes)
        frame = header if isinstance(header, Refusal) else _frame(batch, header)
        if isinstance(header, Refusal):
            result.append(header)
        elif isinstance(frame, Refusal):
            result.append(frame)
        else:
            read.append((place, header, frame))
            result.append(_EMPTY)
    values = np.zeros((len(COLUMNS), sum([header.count for _, header, _ in read])), np.int64)
    low = 0
    for count, neighbours in groupby(read, key=lambda each: each[1].count):
        group = list(neighbours)
        end = low + count * len(group)
        intervals = np.array([intervals_ns[place] for place, _, _ in group], np.int64)
        _fill(values[:, low:end].reshape(len(COLUMNS), -1, count), [each[1] for each in group], [each[2] for each in group], intervals)
        for place, header, _ in group:
            view = values[:, low : low + count]
            result[place] = Samples(values=view, mask=header.mask, interval_ns=intervals_ns[place], at=low)
            low += count
    return result


_EMPTY = Refusal(code=RefusalCode.DAMAGED, field="planes")


def _header(batch: bytes, max_bytes: int) -> _Header | Refusal:
    if len(batch) < _HEAD.size:
        return _damaged(f"{len(batch)} bytes")
    version, mask, count = _HEAD.unpack_from(batch)
    if version != VERSION:
        return Refusal(code=RefusalCode.UNSUPPORTED, field="planes", value=f"version {version}")
    if mask & ~(ALL_COLUMNS_MASK | DIFFERENCES) or not mask & 1:
        return _damaged(f"presence {mask:#x}")
    if count == 0:
        return Refusal(code=RefusalCode.WRONG_LENGTH, field=MEASURED_AT, value="0 samples")
    columns = (mask & ALL_COLUMNS_MASK).bit_count()
    if count * columns * _VALUE_BYTES > max_bytes:
        return Refusal(code=RefusalCode.TOO_LARGE, field="planes", value=f"{count} samples")
    told = _TOLD[columns]
    frame_at = _HEAD.size + told.size
    if len(batch) < frame_at:
        return _damaged(f"{len(batch)} bytes")
    found = told.unpack_from(batch, _HEAD.size)
    firsts, widths = found[0::2], found[1::2]
    if max(widths) > _VALUE_BYTES:
        return _damaged("more than 8 planes")
    if count == 1:  # planes of no bytes, however many are told
        widths = (0,) * columns
    if columns != len(COLUMNS):
        firsts, widths = _spread(firsts, mask), _spread(widths, mask)
    return _Header(count, mask, firsts, widths, frame_at)


def _spread(told: Sequence[int], mask: int) -> tuple[int, ...]:
    """What is told of the present columns, with 0 in the place of the absent ones."""
    rest = iter(told)
    return tuple([next(rest) if mask >> column & 1 else 0 for column in range(len(COLUMNS))])


def _frame(batch: bytes, header: _Header) -> bytes | Refusal:
    """The planes of a batch, decompressed with their exact length as the limit."""
    length = (header.count - 1) * sum(header.widths)
    packed = memoryview(batch)[header.frame_at :]
    if not length:
        return b"" if not packed else _damaged(f"{len(packed)} bytes after the header")
    reader = ZstdDecompressor(options=_WINDOW)
    try:
        content = reader.decompress(packed, max_length=length + 1)
    except ZstdError as error:
        return _damaged(str(error))
    if len(content) != length or not reader.eof or reader.unused_data:
        return _damaged(f"frame of {len(content)} bytes, expected {length}")
    return content


def _damaged(value: str) -> Refusal:
    return Refusal(code=RefusalCode.DAMAGED, field="planes", value=value)


def _fill(view: NDArray[np.int64], headers: Sequence[_Header], frames: Sequence[bytes], intervals: NDArray[np.int64]) -> None:
    """Write the samples of batches of one length into `view`, [9, batches, n] of zeros.

    The planes of a column go into its highest bytes; one arithmetic shift then puts them down and extends the sign.
    """
    steps = view.shape[2] - 1
    content = np.frombuffer(b"".join(frames), np.uint8).reshape(-1, max(steps, 1))
    widths = np.array([header.widths for header in headers], np.intp)
    ends = np.cumsum(widths).reshape(widths.shape)
    for column, (width, end) in enumerate(zip(widths.T, ends.T, strict=True)):
        octets = view[column].view(np.uint8)
        narrow = int(width.min())
        for below in range(1, int(width.max()) + 1):
            if below <= narrow:
                octets[:, 2 * _VALUE_BYTES - below :: _VALUE_BYTES] = content[end - below]
            else:
                having = np.flatnonzero(width >= below)
                octets[having, 2 * _VALUE_BYTES - below :: _VALUE_BYTES] = content[end[having] - below]
    np.right_shift(view, 8 * (_VALUE_BYTES - np.maximum(widths, 1)).T[:, :, None], out=view)
    view[:, :, 0] = np.array([header.firsts for header in headers], np.int64).T
    view[0, :, 1:] += intervals[:, None] * np.arange(1, steps + 1) + view[0, :, :1]
    np.add.accumulate(view[1:], axis=2, out=view[1:])


def encode(samples: Samples) -> bytes:
    """The reference encoder: the planes of a batch, as docs/planes.md says."""
    return encode_many([samples])[0]


def encode_many(batches: Sequence[Samples]) -> list[bytes]:
    """The planes of each batch; neighbours with the same number of samples are taken apart together."""
    result: list[bytes] = []
    for count, neighbours in groupby(batches, key=lambda each: each.count):
        group = list(neighbours)
        values = side_by_side(group).reshape(len(COLUMNS), -1, count)
        residuals = np.subtract(values[:, :, 1:], values[:, :, :-1], order="C")
        intervals = np.array([each.interval_ns for each in group], np.int64)
        np.subtract(values[0, :, 1:], intervals[:, None] * np.arange(1, count) + values[0, :, :1], out=residuals[0])
        result += _packed(group, values[:, :, 0], residuals)
    return result


def _packed(group: Sequence[Samples], firsts: NDArray[np.int64], residuals: NDArray[np.int64]) -> list[bytes]:
    """The bytes of batches of one length: their first values, [9, batches], and residuals, [9, batches, n - 1]."""
    widths = _planes_needed(residuals)
    octets = residuals.view(np.uint8).reshape(*residuals.shape, _VALUE_BYTES)
    planes = [
        [np.ascontiguousarray(octets[column, :, :, plane]) for plane in range(most)] for column, most in enumerate(widths.max(axis=1))
    ]
    writer = ZstdCompressor(options=_LEVEL)
    found: list[bytes] = []
    for place, (batch, first, width) in enumerate(zip(group, firsts.T.tolist(), widths.T.tolist(), strict=True)):
        numbers = present(batch.mask)
        head = [_HEAD.pack(VERSION, batch.mask, batch.count), *(_COLUMN.pack(first[number], width[number]) for number in numbers)]
        own = [planes[number][plane][place] for number in numbers for plane in range(width[number])]
        blocks = [writer.compress(plane, mode=ZstdCompressor.FLUSH_BLOCK) for plane in own[:-1]]
        found.append(b"".join([*head, *blocks, *(writer.compress(plane, mode=ZstdCompressor.FLUSH_FRAME) for plane in own[-1:])]))
    return found


def _planes_needed(residuals: NDArray[np.int64]) -> NDArray[np.intp]:
    """The least number of bytes from which all residuals of a column of a batch follow by sign extension; 0 if all are 0."""
    if not residuals.shape[2]:
        return np.zeros(residuals.shape[:2], np.intp)
    widest = np.max(residuals ^ (residuals >> 63), axis=2)
    return np.asarray((np.searchsorted(_BEYOND, widest, side="right") + 1) * residuals.any(axis=2), np.intp)


def decode_columns(columns: Mapping[str, Sequence[int]], interval_ns: int) -> Samples | Refusal:
    """Packed columns as they are on the wire: each a first value, then differences modulo 2^64; an empty one is absent.

    Refused as `wrong_length`: no instants, or a column of another length.
    """
    arrays = {name: np.array(columns.get(name, ()), np.int64) for name in COLUMNS}
    return from_columns({name: np.cumsum(array, dtype=np.int64) for name, array in arrays.items()}, interval_ns)


def from_columns(columns: Mapping[str, Column], interval_ns: int) -> Samples | Refusal:
    """Columns of absolute values; one that is missing or empty is absent.

    Refused as `wrong_length`: no instants, or a column of another length; as `out_of_range`: a value beyond 64 bits.
    """
    return from_columns_many([columns], [interval_ns])[0]


def from_columns_many(batches: Sequence[Mapping[str, Column]], intervals_ns: Sequence[int]) -> list[Samples | Refusal]:
    """The samples of many batches of columns side by side in one array, a refusal in the place of those that cannot be read."""
    masks = [_mask(columns) for columns in batches]
    counts = [0 if isinstance(mask, Refusal) else len(columns[MEASURED_AT]) for columns, mask in zip(batches, masks, strict=True)]
    values = np.zeros((len(COLUMNS), sum(counts)), np.int64)
    result: list[Samples | Refusal] = []
    low = 0
    for columns, mask, count, interval_ns in zip(batches, masks, counts, intervals_ns, strict=True):
        if isinstance(mask, Refusal):
            result.append(mask)
            continue
        view = values[:, low : low + count]
        for number in present(mask):
            column = columns[COLUMNS[number]]
            view[number] = column if isinstance(column, np.ndarray) else [_clamped(value) for value in column]
        result.append(Samples(values=view, mask=mask, interval_ns=interval_ns, at=low))
        low += count
    return result


def _mask(columns: Mapping[str, Column]) -> int | Refusal:
    """Which columns are there, or the first whose length is not that of the instants."""
    count = len(columns.get(MEASURED_AT, ()))
    mask = 0
    for number, name in enumerate(COLUMNS):
        length = len(columns.get(name, ()))
        if count == 0 or length not in (0, count):
            return Refusal(code=RefusalCode.WRONG_LENGTH, field=name, value=f"{length} values")
        mask |= (length > 0) << number
    return mask


def _clamped(value: int) -> int:
    """The value, or -1 for one that 64 bits cannot hold: out of range in any case."""
    return value if -(2**63) <= value < 2**63 else -1
