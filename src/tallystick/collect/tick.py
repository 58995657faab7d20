"""The drift-free tick and the anchored clock: when samples are taken, and which instant each carries."""

from __future__ import annotations


class Tick:
    """Sample k is taken at start + k x interval. A late one is skipped and counted, never taken close before the next."""

    __slots__ = ("_interval", "_next", "_start", "missed")

    def __init__(self, start_ns: int, interval_ns: int) -> None:
        """The first tick is at `start_ns`; all by one clock that never goes back."""
        self._start = start_ns
        self._interval = interval_ns
        self._next = 0
        self.missed = 0

    @property
    def next_at_ns(self) -> int:
        """When the next sample is due."""
        return self._start + self._next * self._interval

    def is_due(self, now_ns: int) -> bool:
        """Whether a sample is to be taken now: at most half an interval after its instant. What is later is skipped and counted.

        At 100 ms, asked at 1,030 ms for the sample of 1,000 ms: yes. Asked at 1,270 ms: no, those of 1,000, 1,100 and 1,200 ms are missed.
        """
        late = now_ns - self.next_at_ns
        if late < 0:
            return False
        skipped = (late + (self._interval - 1) // 2) // self._interval
        self.missed += skipped
        self._next += skipped
        if skipped and self.next_at_ns > now_ns:
            return False
        self._next += 1
        return True


class Anchor:
    """Wall time as an anchor plus the host's monotonic clock. The anchor moves only forward, so no instant comes twice."""

    __slots__ = ("_wall_offset", "ns")

    TOLERANCE_NS = 5 * 10**6
    """Reading two clocks one after the other is this wrong at most; less is no step of the wall clock."""
    STEP_NS = 100 * 10**6
    """What is slewed, at 0.5 ms a second, stays below; a clock that was set is told of from here on."""

    def __init__(self, wall_ns: int, boottime_ns: int, *, earlier_anchor_ns: int = 0, last_instant_ns: int = 0) -> None:
        """`earlier_anchor_ns` is that of an earlier run in this host boot; `last_instant_ns` the last instant that was ever used."""
        self._wall_offset = wall_ns - boottime_ns
        self.ns = max(wall_ns - boottime_ns, earlier_anchor_ns, last_instant_ns + 1 - boottime_ns if last_instant_ns else 0)

    def follow(self, wall_ns: int, boottime_ns: int) -> int:
        """Move forward if the wall clock was set forward; by how many nanoseconds. A step back is not followed."""
        ahead = wall_ns - boottime_ns - self.ns
        if ahead <= self.TOLERANCE_NS:
            return 0
        self.ns += ahead
        return ahead

    def step(self, wall_ns: int, boottime_ns: int) -> int:
        """By how much the wall clock was set against the monotonic one since the last call, ns, in either direction; 0: it was not."""
        offset = wall_ns - boottime_ns
        moved, self._wall_offset = offset - self._wall_offset, offset
        return moved if abs(moved) >= self.STEP_NS else 0
