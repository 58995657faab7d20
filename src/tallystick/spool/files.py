"""The files of a spool: numbered, each with a header that names its format and spool, written at the end only and removed whole."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

FORMAT_VERSION = 1
_MAGIC = b"TALLYSPL"
_HEADER = struct.Struct("<8sH16s")
_CHECKSUM = struct.Struct("<I")
FILE_HEADER_BYTES = _HEADER.size + _CHECKSUM.size
RESERVE_BYTES = 128 * 2**10
"""A tail without samples of a thousand resources has a fourth of it."""
_NAME = re.compile(r"(batches|tail)-(\d{10})\.spool")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileHeader:
    """What stands at the beginning of a file: its format, and the spool whose sequences its tails go on with."""

    version: int
    spool_id: str


def pack_header(spool_id: str) -> bytes:
    """The header of a new file. `spool_id` is 32 hexadecimal digits."""
    head = _HEADER.pack(_MAGIC, FORMAT_VERSION, bytes.fromhex(spool_id))
    return head + _CHECKSUM.pack(crc32(head))


def read_header(content: bytes) -> FileHeader | None:
    """The header of a file; None if it is none, or damaged. A newer version is told as it is."""
    if len(content) < FILE_HEADER_BYTES:
        return None
    magic, version, spool_id = _HEADER.unpack_from(content)
    (checksum,) = _CHECKSUM.unpack_from(content, _HEADER.size)
    if magic != _MAGIC or crc32(content[: _HEADER.size]) != checksum:
        return None
    return FileHeader(version=version, spool_id=spool_id.hex())


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Numbered:
    """A file of the spool, by its number."""

    number: int
    stem: str
    path: Path


def listed(directory: Path) -> list[Numbered]:
    """All files of a spool in the order of their numbers; what has another name is none of ours."""
    found = []
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match:
            found.append(Numbered(number=int(match[2]), stem=match[1], path=path))
    return sorted(found)


def lock(directory: Path) -> int:
    """Hold a directory for this process, until the descriptor is closed.

    Raises:
        BlockingIOError: another holds it.

    """
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise
    return fd


def sync_directory(directory: Path) -> None:
    """Make names and removals in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Appender:
    """One file that is written at its end."""

    def __init__(self, directory: Path, stem: str, number: int, spool_id: str) -> None:
        """Make it, with its header, durable together with its name.

        Raises:
            OSError: it is there already, or the disk does not take it.

        """
        self.number = number
        self.path = directory / f"{stem}-{number:010d}.spool"
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.size = self._durable_size = 0
        self.dirty = False
        try:
            self.append(pack_header(spool_id))
            sync_directory(directory)
        except OSError:  # a full disk is tried each second: nothing is left behind each time
            os.close(self.fd)
            self.path.unlink(missing_ok=True)
            raise

    def append(self, content: bytes) -> int:
        """Write at the end; the offset at which it stands. It is durable after `sync`."""
        at = self.size
        self.dirty = True
        view = memoryview(content)
        while view:
            view = view[os.write(self.fd, view) :]
        self.size += len(content)
        return at

    def sync(self) -> None:
        """Make durable what was appended.

        Raises:
            OSError: the disk does not take it, or somebody has removed the file.

        """
        if self.dirty:
            os.fdatasync(self.fd)
            if not os.fstat(self.fd).st_nlink:
                raise FileNotFoundError(errno.ENOENT, "it was removed while it was written", str(self.path))
            self.dirty = False
            self._durable_size = self.size

    def cut(self) -> None:
        """Take back what was appended since it was last made durable: it will be written again, to another file."""
        with suppress(OSError):  # then a restart finds it, whole or torn: equal content under one identity changes nothing
            os.ftruncate(self.fd, self._durable_size)

    def close(self) -> None:
        """Close it; it stays."""
        os.close(self.fd)


class Reserve:
    """Room on the disk that is given up when the disk is full: to remove what was acknowledged, a tail must be written first."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "reserve"
        self.take()

    def take(self) -> None:
        """Hold it, if the disk has so much."""
        with suppress(OSError):
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
            except OSError:
                os.ftruncate(fd, 0)
            finally:
                os.close(fd)

    def give_up(self) -> None:
        """Let it go, for the moment of a write."""
        self._path.unlink(missing_ok=True)
