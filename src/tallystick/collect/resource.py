"""What is metered: a resource as a source found it, its reader, and its samples as they gather."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tallystick.model.samples import COLUMNS

WIDTH = len(COLUMNS)
Row = tuple[int, int, int, int, int, int, int, int, int]
"""One sample in the order of `COLUMNS`; what is absent is 0 and not in the reader's presence."""

MEASURED_AT = 1
MEMORY = 1 << COLUMNS.index("memory_bytes_used")
CPU = 1 << COLUMNS.index("cpu_time_nanos")
DISK_BYTES = 1 << COLUMNS.index("disk_read_bytes") | 1 << COLUMNS.index("disk_write_bytes")
DISK_OPS = 1 << COLUMNS.index("disk_read_ops") | 1 << COLUMNS.index("disk_write_ops")
NETWORK = 1 << COLUMNS.index("network_rx_bytes") | 1 << COLUMNS.index("network_tx_bytes")


class GoneError(Exception):
    """The resource is no more: there is nothing left to read of it. The last sample stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What the resource holds, as its limits say; None: no limit, or none that is whole."""

    vcpus: int | None = None
    memory_bytes: int | None = None


class Reader(Protocol):
    """Reads one resource; what it needs stays open. `presence` has bit i for column i."""

    presence: int

    def read(self, at_ns: int) -> Row:
        """A sample by itself, with `at_ns` as its instant.

        Raises:
            GoneError: the resource is no more.

        """

    def take(self, rows: array[int], at_ns: int) -> None:
        """Put a sample to others, row by row: what each tick does.

        Raises:
            GoneError: the resource is no more.

        """

    def refresh(self) -> bool:
        """Once a second: what need not be read at each tick. Whether `presence` has changed."""

    def is_empty(self) -> bool:
        """Whether nothing runs in it any more."""

    def watch(self) -> tuple[int, int] | None:
        """A descriptor and the epoll events that tell of a change before the next look; None: there is none."""

    def sizes(self) -> Sizes:
        """Its limits now."""

    def close(self) -> None:
        """Close what is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A resource that a look saw.

    `local` is its name on this host (`system.slice/web.service`, `python3:4711`), `boot_id` its incarnation (metering.md, Samples).
    """

    source: str
    local: str
    boot_id: str
    pid: int
    kind: str
    key: str = field(init=False, default="")
    """What stands for this incarnation in the spool's memory: `boot_id`, a blank, `local`."""

    def __post_init__(self) -> None:
        """Put the key together, once: each look compares it."""
        object.__setattr__(self, "key", f"{self.boot_id} {self.local}")


class Source(Protocol):
    """Where resources come from."""

    name: str

    def look(self, running: Mapping[str, Found], ended_away: frozenset[str]) -> tuple[list[Found], list[str]]:
        """Everything that is there now: what is to be metered, and keys of what is there without being metered.

        `running` is what is metered now, by key. `ended_away` are keys of what was metered when the agent ended: if it is
        still there, it is found even if nothing runs in it, so that its last counters are read.
        """

    def open(self, found: Found) -> Reader:
        """Open what is needed to read it.

        Raises:
            GoneError: it is no more.

        """


class Sampled:
    """A resource while it is metered, and the samples of its open batch: one row-major array (nine arrays cost twice as much)."""

    __slots__ = (
        "boot_id",
        "ending",
        "facts",
        "found",
        "is_watched",
        "last_at_ns",
        "limit",
        "presence",
        "reader",
        "resource_id",
        "rows",
        "since_ns",
        "tailed",
        "token",
    )

    def __init__(self, found: Found, resource_id: str, reader: Reader, token: int, since_ns: int) -> None:
        """`since_ns` is the instant from which its usage is not handed over: its start, or the last sample that was."""
        self.since_ns = since_ns
        self.found = found
        self.resource_id = resource_id
        self.boot_id = found.boot_id
        self.reader = reader
        self.presence = reader.presence
        self.token = token
        self.rows = array("q")
        self.tailed = 0
        self.limit = 0
        self.last_at_ns = 0
        self.facts = 0
        self.ending = False
        self.is_watched = False
