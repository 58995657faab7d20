"""Rows of a protobuf message that are all alike, as columns in one pass over all their varints.

Rows that have the same fields, and texts of the same lengths, have as many varints each as the first, if each byte of an ASCII text
counts as one. Where all tags and lengths agree with that, the values are known by their place. Others are left to `wire_columns`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tallystick.ingest.sources.wire_columns import (
    KEPT_BYTES,
    LARGEST_INT32,
    LENGTH,
    MOST_ROWS,
    SHORT_BYTES,
    VARINT,
    Kind,
    Left,
    Places,
    Reader,
    Stamps,
    Table,
    TooManyRows,
    Words,
    joined,
)

MOST_BYTES = 2**20
"""A longer message has rows enough to be read field by field: the places of all its varints would take 16 times as much memory."""
LARGEST_BYTE = 255
NINTH = np.uint64(7 * SHORT_BYTES)


def read_alike(body: bytes, row_field: int, fields: Sequence[tuple[int, str, Kind]], most: int = MOST_ROWS) -> Table | None:
    """As `wire_columns.read_rows`, if all rows have the fields of the first; None: they are not alike.

    Raises:
        TooManyRows: there are more than `most`.

    """
    if not 0 < len(body) <= MOST_BYTES:
        return None
    try:
        table = _table(body, _shape(body, row_field, fields), fields)
    except (Left, IndexError):
        return None
    if table.starts.size > most:
        raise TooManyRows
    return table


@dataclass(slots=True)
class _Shape:
    """The varints of the first row by their place in it: its tag is 0, its length 1. `at` is how far its bytes have been read.

    By place: `tags`, the same in all rows that are alike, and `lengths`, with the place of the last varint that they cover. `values` are
    places by name; `texts` are the place of the first byte, where that is in the bytes of the row, and how many there are.
    """

    body: bytes
    at: int = 0
    count: int = 0
    tags: dict[int, int] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)
    texts: list[tuple[int, int, int]] = field(default_factory=list)

    def tag(self, number: int, wire_type: int) -> bool:
        """Whether this tag is next; then it goes on behind it."""
        tag = number << 3 | wire_type
        encoded, size = (tag, 1) if tag < 128 else (tag & 127 | 128 | tag >> 7 << 8, 2)
        if int.from_bytes(self.body[self.at : self.at + size], "little") != encoded:
            return False
        self.tags[self.count] = encoded
        self.count += 1
        self.at += size
        return True

    def varint(self) -> int:
        """The place of the varint that is next."""
        while self.body[self.at] > 127:
            self.at += 1
        self.at += 1
        self.count += 1
        return self.count - 1

    def text(self, row: int) -> None:
        """A short text behind its length, which is as constant as a tag."""
        length = self.body[self.at]
        if length > 127:
            raise Left
        self.tags[self.count] = length
        self.texts.append((self.count + 1, self.at + 1 - row, length))
        self.count += 1 + length
        self.at += 1 + length

    def stamp(self, name: str) -> None:
        """A timestamp."""
        length = self.varint()
        for number, part in enumerate(("seconds", "nanos"), 1):
            if self.tag(number, VARINT):
                self.values[f"{name}.{part}"] = self.varint()
        self.lengths[length] = self.count - 1


def _shape(body: bytes, row_field: int, fields: Sequence[tuple[int, str, Kind]]) -> _Shape:
    """That of the first row.

    Raises:
        Left: it has a double, or is no such row.

    """
    shape = _Shape(body)
    if not shape.tag(row_field, LENGTH):
        raise Left
    length = shape.varint()
    row = shape.at
    end = row + (body[1] if row == 2 else body[1] & 127 | body[2] << 7)  # a longer one than two bytes can say is none of these
    for number, name, kind in fields:
        if shape.at >= end or not shape.tag(number, kind.value & 7):
            if kind is Kind.TEXT:
                shape.texts.append((0, 0, 0))
            continue
        match kind:
            case Kind.TEXT:
                shape.text(row)
            case Kind.STAMP:
                shape.stamp(name)
            case Kind.INTEGER:
                shape.values[name] = shape.varint()
            case Kind.DOUBLE:
                raise Left
    shape.lengths[length] = shape.count - 1
    return shape


def _table(body: bytes, shape: _Shape, fields: Sequence[tuple[int, str, Kind]]) -> Table:
    """All rows, each with the shape of the first.

    Raises:
        Left: one has not.

    """
    ends = np.flatnonzero(np.frombuffer(body, np.uint8) < 128)
    if not ends.size or ends.size % shape.count or int(ends[-1]) != len(body) - 1:
        raise Left
    begins = np.zeros_like(ends)
    np.add(ends[:-1], 1, out=begins[1:])
    firsts, lasts = (each.reshape(-1, shape.count).T for each in (begins, ends))
    reader = Reader(body, lasts[1] + 1, lasts[-1] + 1)
    _check_tags(reader, shape.tags, firsts)
    places = [*shape.lengths, *shape.values.values()]
    values = _values(reader, firsts[places], lasts[places])
    for told, (place, last) in zip(values.view(np.int64), shape.lengths.items(), strict=False):
        if (told != lasts[last] - lasts[place]).any():
            raise Left
    for place, _, length in shape.texts:
        if length and (lasts[place + length - 1] - firsts[place] >= length).any():
            raise Left  # a byte of it is not ASCII
    return _named(reader, shape, fields, dict(zip(shape.values, values[len(shape.lengths) :], strict=True)))


def _check_tags(reader: Reader, tags: Mapping[int, int], firsts: Places) -> None:
    """Hold the tags of all rows against those of the first: a byte below 128 is a whole one, others have two bytes."""
    for behind, wanted in ((0, tags), (1, {place: tag >> 8 for place, tag in tags.items() if tag > LARGEST_BYTE})):
        octets = np.array([tag & LARGEST_BYTE for tag in wanted.values()], np.uint8)
        if (reader.octets.take(firsts[list(wanted)] + behind) != octets[:, None]).any():
            raise Left


def _values(reader: Reader, firsts: Places, lasts: Places) -> Words:
    """The varints between these places.

    Raises:
        Left: one has ten bytes, as negative ones and those from 2^63 on.

    """
    sizes = lasts - firsts + 1
    if sizes.max() > SHORT_BYTES + 1:
        raise Left
    values = joined(reader.words[firsts] & KEPT_BYTES[np.minimum(sizes, SHORT_BYTES)])
    nine = sizes > SHORT_BYTES
    if nine.any():
        values[nine] |= reader.octets[lasts[nine]].astype(np.uint64) << NINTH
    return values


def _named(reader: Reader, shape: _Shape, fields: Sequence[tuple[int, str, Kind]], values: dict[str, Words]) -> Table:
    """The table of values by name; 0 where the rows have none."""
    none = np.zeros(reader.starts.size, np.uint64)
    stamps: dict[str, Stamps] = {}
    for name in (name for _, name, kind in fields if kind is Kind.STAMP):
        seconds, nanos = (values.get(f"{name}.{part}", none) for part in ("seconds", "nanos"))
        if (nanos > LARGEST_INT32).any():
            raise Left
        stamps[name] = Stamps(seconds.view(np.int64), nanos.view(np.int64))
    integers = {name: values.get(name, none) for _, name, kind in fields if kind is Kind.INTEGER}
    spans = [(np.full(none.size, begin), np.full(none.size, length)) for _, begin, length in shape.texts]
    prefix = reader.starts + max((begin + length for _, begin, length in shape.texts), default=0)
    names, owners = reader.owners(prefix, spans)
    return Table(reader.body, reader.starts, reader.ends, integers, stamps, names, owners)
