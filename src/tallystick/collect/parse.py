"""The kernel's small texts as integers: pure functions of the bytes that were read (grammar and units: cgroup v1 and v2, proc(5))."""

from __future__ import annotations

Disk = tuple[int, int, int, int]
"""Bytes read, bytes written, reads, writes."""

NO_LIMIT = 2**62
"""v1 shows `no limit` as a number near 2^63."""


def cpu_stat_nanos(raw: bytes) -> int:
    """`usage_usec` of a v2 `cpu.stat`, in nanoseconds: the kernel counts whole microseconds there."""
    if raw.startswith(b"usage_usec "):
        return int(raw[11 : raw.index(b"\n")]) * 1000
    return _keyed(raw, b"usage_usec") * 1000


def inactive_file_bytes(raw: bytes, *, v1: bool) -> int:
    """Page cache that can be given back at once, of `memory.stat`: hierarchical (`total_`) on v1."""
    return _keyed(raw, b"total_inactive_file" if v1 else b"inactive_file")


def _keyed(raw: bytes, key: bytes) -> int:
    _, found, rest = (b"\n" + raw).partition(b"\n" + key + b" ")
    if not found:
        raise ValueError(f"{key.decode()} is not in {raw[:60]!r}")
    return int(rest.partition(b"\n")[0])


def io_stat(raw: bytes) -> Disk:
    """The sum over the devices of a v2 `io.stat`. A device without numbers, and keys that are not known, count nothing."""
    totals = {b"rbytes": 0, b"wbytes": 0, b"rios": 0, b"wios": 0}
    for line in raw.splitlines():
        for word in line.split()[1:]:
            key, equals, value = word.partition(b"=")
            if equals and key in totals:
                totals[key] += int(value)
    return totals[b"rbytes"], totals[b"wbytes"], totals[b"rios"], totals[b"wios"]


def blkio_sums(raw: bytes) -> tuple[int, int]:
    """Read and written of a v1 `blkio` file, over all devices; Sync, Async, Discard and Total say the same again."""
    words = raw.split(None, 6)
    if len(words) == 7 and words[1] == b"Read" and words[4] == b"Write" and raw.count(b"Read") == 1:
        return int(words[2]), int(words[5])  # one device, as nearly every host has: a third of the time
    read = written = 0
    for line in raw.splitlines():
        words = line.split()
        if len(words) == 3:
            if words[1] == b"Read":
                read += int(words[2])
            elif words[1] == b"Write":
                written += int(words[2])
    return read, written


def blkio_has_devices(raw: bytes) -> bool:
    """Whether a v1 `blkio` file names any device. A root group without one tells that this kernel does not count yet."""
    return any(len(line.split()) == 3 for line in raw.splitlines())


def interfaces(raw: bytes) -> dict[str, tuple[int, int]]:
    """Bytes received and sent by interface of a `/proc/PID/net/dev`, without loopback. Names may stick to their number."""
    found = {}
    for line in raw.splitlines()[2:]:
        name, colon, numbers = line.partition(b":")
        words = numbers.split()
        if colon and len(words) >= 9 and name.strip() != b"lo":
            found[name.strip().decode()] = (int(words[0]), int(words[8]))
    return found


def populated(raw: bytes) -> bool:
    """Whether a v2 `cgroup.events` says that a process is in the group, or below it."""
    return b"populated 1" in raw


def cpu_max_vcpus(raw: bytes) -> int | None:
    """Whole CPUs of a v2 `cpu.max` (`quota period` in microseconds); None: no limit, or not a whole number of them."""
    quota, period = raw.split()[:2]
    return None if quota == b"max" else whole_vcpus(int(quota), int(period))


def whole_vcpus(quota: int, period: int) -> int | None:
    """Whole CPUs of a quota in a period; None: no limit (v1: -1), or not whole. A size is never guessed up or down."""
    return quota // period if quota > 0 and period > 0 and quota % period == 0 else None


def limit_bytes(raw: bytes) -> int | None:
    """Bytes of a v2 `memory.max` or a v1 `memory.limit_in_bytes`; None: no limit."""
    text = raw.strip()
    if text == b"max" or int(text) >= NO_LIMIT:
        return None
    return int(text)


def proc_cgroup_paths(raw: bytes) -> dict[str, str]:
    """Group of a process by controller, from `/proc/PID/cgroup`; the v2 line under the name "". Paths have no slash around them."""
    paths = {}
    for line in raw.decode("utf-8", "surrogateescape").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path.strip("/")
    return paths


class ProcStat:
    """What is needed of `/proc/PID/stat`."""

    __slots__ = ("command", "cpu_ticks", "is_kernel_thread", "is_zombie", "start_ticks")

    def __init__(self, raw: bytes) -> None:
        """The command may hold blanks and brackets: fields are counted from the last closing one.

        Raises:
            ValueError, IndexError: it is no such line.

        """
        head, _, tail = raw.rpartition(b")")
        words = tail.split()
        self.command = head.partition(b"(")[2].decode("utf-8", "replace")
        self.is_zombie = words[0] in (b"Z", b"X")
        self.is_kernel_thread = bool(int(words[6]) & 0x00200000)
        self.cpu_ticks = int(words[11]) + int(words[12])
        self.start_ticks = int(words[19])


def proc_io_bytes(raw: bytes) -> tuple[int, int]:
    """Bytes that a process caused to be read from and written to disks, from `/proc/PID/io`."""
    return _keyed(raw, b"read_bytes:"), _keyed(raw, b"write_bytes:")
