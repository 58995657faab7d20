"""Who may send how much at once, and how fast: asked before a body is read, so that memory is bounded whoever comes.

It is called by the event loop only, and counts for its own process: each of several servers admits by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tallystick.model.access import Busy, BusyReason, Grant, RateLimit

SECOND_NS = 10**9
BURST_NS = 10 * SECOND_NS
"""So much of its rate a key may use at once, when it used less before."""
PATIENCE_NS = SECOND_NS
"""So long a request waits at the door before it is told to come again."""
SHORTEST_NS = 10**6
"""Between two places in a line, however small the requests are."""
LONGEST_NS = 60 * SECOND_NS
"""The longest time that a client is told to wait: an agent is called away soon after it."""
FIRST_DRAIN_BYTES = 16 * 2**20
"""Bytes that are stored in a second, until it was measured."""
MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of this process: bytes and requests under way at once, and the rate of a key that has none of its own."""

    queue_bytes: int
    queue_requests: int
    key_rate: RateLimit


@dataclass(slots=True, eq=False)
class _Key:
    """What a key has under way; until when its rate is used up; and when the last of those that were told to wait may come."""

    key_id: str
    held_bytes: int = 0
    held_requests: int = 0
    used_until_ns: int = 0
    line_until_ns: int = 0


class Ticket:
    """A request that was let in, until it leaves. It takes the room of its body, on the wire or opened, whichever is larger."""

    __slots__ = ("_admission", "_key", "size_bytes")

    def __init__(self, admission: Admission, key: _Key, size_bytes: int) -> None:
        self._admission = admission
        self._key = key
        self.size_bytes = size_bytes

    def grow(self, size_bytes: int) -> None:
        """It takes so much room, more than was known at the door.

        Raises:
            Busy: there is no room for it.

        """
        more = size_bytes - self.size_bytes
        if more > 0:
            self._admission.grow(self._key, more)
            self.size_bytes = size_bytes

    def leave(self) -> None:
        """It was answered."""
        self._admission.release(self._key, self.size_bytes)


@dataclass(frozen=True, slots=True)
class Wait:
    """There is no room, or not for this key; there should be after this time."""

    reason: BusyReason
    wait_ns: int


class Admission:
    """The door.

    A key may hold as much as is free beside it: one alone gets half of the room, two get a third each, and some is always left for
    the next. Whoever finds no room is given a place in a line: it waits, or comes again, at the time at which what came before it
    will have gone through, so that not all come back at once, nor before there is room.
    """

    def __init__(self, limits: Limits, monotonic_ns: Callable[[], int], refused: Callable[[str, str], object]) -> None:
        """`refused` is told the id of the key and the reason of each refusal."""
        self._limits = limits
        self._now_ns = monotonic_ns
        self._refused = refused
        self._keys: dict[str, _Key] = {}
        self._all = _Key("")
        self._holders = 0
        self.held_bytes = 0
        self.held_requests = 0
        self._drain_bytes = FIRST_DRAIN_BYTES
        self._measured_from_ns = 0
        self._measured_bytes = 0

    async def enter(self, grant: Grant, size_bytes: int) -> Ticket:
        """Let a request of this size in; it may have to wait a moment before its body is read.

        Raises:
            Busy: it must come again later.

        """
        waited_ns = 0
        while isinstance(found := self.admit(grant, size_bytes), Wait):
            waited_ns += found.wait_ns
            if waited_ns > PATIENCE_NS:
                raise self._busy(grant.key_id, found)
            await asyncio.sleep(found.wait_ns / SECOND_NS)
        return found

    def admit(self, grant: Grant, size_bytes: int) -> Ticket | Wait:
        """Let a request of this size in, or give it a place in the line."""
        now_ns = self._now_ns()
        key = self._keys.get(grant.key_id) or self._new_key(grant.key_id, now_ns)
        cost_ns = _cost_ns(grant.rate_limit or self._limits.key_rate, size_bytes)
        if cost_ns and key.used_until_ns > now_ns + BURST_NS:
            return _in_line(key, BusyReason.KEY_RATE, cost_ns, now_ns, from_ns=key.used_until_ns - BURST_NS)
        reason = self._no_room(key, size_bytes, 1)
        if reason is not None:
            return self._wait(key, reason, size_bytes, now_ns)
        key.used_until_ns = max(key.used_until_ns, now_ns) + cost_ns
        self._holders += not key.held_requests
        self._hold(key, size_bytes, 1)
        return Ticket(self, key, size_bytes)

    def grow(self, key: _Key, size_bytes: int) -> None:
        """More room for a request that is in.

        Raises:
            Busy: there is none.

        """
        reason = self._no_room(key, size_bytes, 0)
        if reason is not None:
            raise self._busy(key.key_id, self._wait(key, reason, size_bytes, self._now_ns()))
        self._hold(key, size_bytes, 0)

    def release(self, key: _Key, size_bytes: int) -> None:
        """The room of a request that was answered."""
        if 4 * self.held_bytes >= self._limits.queue_bytes:
            self._measure(size_bytes)
        else:  # it goes as fast as it comes, which does not tell how fast it could go
            self._measured_from_ns = 0
        self._hold(key, -size_bytes, -1)
        self._holders -= not key.held_requests

    def _hold(self, key: _Key, size_bytes: int, requests: int) -> None:
        self.held_bytes += size_bytes
        self.held_requests += requests
        key.held_bytes += size_bytes
        key.held_requests += requests

    def _no_room(self, key: _Key, size_bytes: int, requests: int) -> BusyReason | None:
        """Why there is no room for so much more; None: there is. What is alone finds room however large it is."""
        free_bytes = self._limits.queue_bytes - self.held_bytes
        free_requests = self._limits.queue_requests - self.held_requests
        if (self.held_bytes and size_bytes > free_bytes) or requests > free_requests:
            return BusyReason.SERVER_FULL
        if (key.held_bytes and key.held_bytes + size_bytes > free_bytes) or (requests and key.held_requests + requests > free_requests):
            return BusyReason.KEY_SHARE
        return None

    def _wait(self, key: _Key, reason: BusyReason, size_bytes: int, now_ns: int) -> Wait:
        """One line for all where there is no room at all; a key that has its share waits in one of its own, which moves at its share.

        The lines move twice as fast as bytes are stored: one that comes too early is asked to wait again, which costs less than a
        server that has nothing to do.
        """
        cost_ns = max(1, size_bytes) * SECOND_NS // (2 * self._drain_bytes)
        if reason is BusyReason.SERVER_FULL:
            return _in_line(self._all, reason, cost_ns, now_ns)
        return _in_line(key, reason, cost_ns * self._holders, now_ns)

    def _busy(self, key_id: str, wait: Wait) -> Busy:
        self._refused(key_id, wait.reason.value)
        return Busy(wait.reason, -(-wait.wait_ns // SECOND_NS))

    def _measure(self, size_bytes: int) -> None:
        now_ns = self._now_ns()
        if not self._measured_from_ns:
            self._measured_from_ns, self._measured_bytes = now_ns, 0
            return
        self._measured_bytes += size_bytes
        took_ns = now_ns - self._measured_from_ns
        if took_ns >= SECOND_NS:
            self._drain_bytes = max(1, (self._drain_bytes + self._measured_bytes * SECOND_NS // took_ns) // 2)
            self._measured_from_ns, self._measured_bytes = now_ns, 0

    def _new_key(self, key_id: str, now_ns: int) -> _Key:
        if len(self._keys) >= MOST_KEYS:
            self._keys = {name: key for name, key in self._keys.items() if key.held_requests or key.used_until_ns > now_ns}
        return self._keys.setdefault(key_id, _Key(key_id))


def _in_line(line: _Key, reason: BusyReason, cost_ns: int, now_ns: int, *, from_ns: int = 0) -> Wait:
    """A place at the end of a line."""
    line.line_until_ns = max(line.line_until_ns, from_ns, now_ns) + max(SHORTEST_NS, cost_ns)
    wait_ns = line.line_until_ns - now_ns
    if wait_ns > LONGEST_NS:  # those beyond are spread over the later half, again and again
        wait_ns = LONGEST_NS // 2 + wait_ns % (LONGEST_NS // 2)
        line.line_until_ns = now_ns + wait_ns
    return Wait(reason, wait_ns)


def _cost_ns(rate: RateLimit, size_bytes: int) -> int:
    """The time of a request by the rate of its key: that of its bytes or that of one request, whichever is longer."""
    of_bytes = size_bytes * SECOND_NS // rate.bytes_per_second if rate.bytes_per_second else 0
    of_request = SECOND_NS // rate.requests_per_second if rate.requests_per_second else 0
    return max(of_bytes, of_request)
