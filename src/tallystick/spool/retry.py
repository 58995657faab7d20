"""When to try again: exponential back-off with full jitter, what the server asks for, and a circuit breaker."""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 60.0
LONGEST_ASKED_SECONDS = 3600.0
OPEN_AFTER_FAILURES = 5
OPEN_SECONDS = 30.0


class Retry:
    """The waiting of one sender, by a monotonic clock in seconds given with each call.

    After `OPEN_AFTER_FAILURES` failures in a row the breaker is open: nothing is tried for `OPEN_SECONDS`, then one request is a probe;
    if that fails it is open again. A failure with a Retry-After counts, but what it asks for is waited, not the breaker's time.
    (`purgatory` does as much, but it costs the agent 3 MiB.)
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        """`jitter` gives a number of [0, 1), evenly."""
        self._jitter = jitter
        self._until = 0.0
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open."""
        return self.failures >= OPEN_AFTER_FAILURES

    def waiting_seconds(self, now: float) -> float:
        """How long nothing may be tried; 0: now."""
        return max(0.0, self._until - now)

    def succeeded(self) -> None:
        """A request was answered: everything is as at the start."""
        self.failures = 0
        self._until = 0.0

    def hold(self, now: float, seconds: float) -> None:
        """Nothing has failed, but trying again sooner would tell nothing new."""
        self._until = now + seconds

    def failed(self, now: float, asked_seconds: float | None = None) -> None:
        """A request failed; `asked_seconds` is the server's Retry-After, which is obeyed up to an hour.

        Jitter comes on top of it, else a thousand agents that a proxy has told the same number would all be back in the same second.
        """
        self.failures += 1
        longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self.failures, 20))
        jitter = self._jitter()
        if asked_seconds is not None:
            # A server that says when to come is alive: the breaker is for one that does not.
            asked = min(asked_seconds, LONGEST_ASKED_SECONDS)
            wait = asked + jitter * min(longest, max(1.0, asked))
        else:
            wait = jitter * longest + (OPEN_SECONDS if self.is_open else 0.0)
        self._until = now + wait
