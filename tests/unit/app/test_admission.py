"""The door: what is under way is bounded, no key starves another, a rate holds, and those told to wait find room when they come."""

from __future__ import annotations

import heapq
from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.app.serving.admission import BURST_NS, LONGEST_NS, PATIENCE_NS, SECOND_NS, Admission, Limits, Ticket, Wait
from tallystick.model.access import Busy, BusyReason, Grant, Place, RateLimit, Role

MIB = 2**20
NO_RATE = RateLimit()


class Door:
    """An admission with a clock that is moved by hand."""

    def __init__(self, queue_bytes: int = 64 * MIB, queue_requests: int = 4000, rate: RateLimit = NO_RATE) -> None:
        self.now_ns = SECOND_NS
        self.told: Counter[tuple[str, str]] = Counter()
        self.limits = Limits(queue_bytes=queue_bytes, queue_requests=queue_requests, key_rate=rate)
        self.admission = Admission(self.limits, lambda: self.now_ns, self._refused)

    def _refused(self, key_id: str, reason: str) -> None:
        self.told[key_id, reason] += 1

    def enter(self, key: str, size_bytes: int, rate: RateLimit | None = None) -> Ticket | Wait:
        return self.admission.admit(Grant(key_id=key, role=Role.AGENT, place=Place(), rate_limit=rate), size_bytes)

    def fill(self, key: str, size_bytes: int) -> list[Ticket]:
        """Requests of a key, until it is refused."""
        found = []
        while isinstance(entered := self.enter(key, size_bytes), Ticket):
            found.append(entered)
        return found


def told_ns(wait: Wait) -> int:
    """How long one waits: at the door for a moment, else whole seconds elsewhere."""
    return wait.wait_ns if wait.wait_ns <= PATIENCE_NS else -(-wait.wait_ns // SECOND_NS) * SECOND_NS


def test_one_key_gets_half_two_a_third_each_and_the_next_always_finds_room() -> None:
    door = Door(queue_bytes=60 * MIB)
    assert len(door.fill("first", MIB)) == 30
    second = door.fill("second", MIB)
    assert len(second) == 15
    for ticket in second:
        ticket.leave()
    assert len(door.fill("third", 4 * MIB)) >= 1


def test_a_key_that_floods_takes_no_more_than_its_share_while_others_come_and_go() -> None:
    door = Door(queue_bytes=60 * MIB)
    flood = door.fill("flood", MIB)
    assert flood
    for number in range(200):
        honest = door.enter(f"honest-{number % 7}", MIB)
        assert isinstance(honest, Ticket)
        flood.pop().leave()
        flood += door.fill("flood", MIB)
        honest.leave()


def test_requests_are_bounded_too() -> None:
    door = Door(queue_requests=10)
    assert len(door.fill("first", 0)) == 5
    assert len(door.fill("second", 0)) == 3


def test_one_that_is_larger_than_all_room_is_taken_when_nothing_is_under_way() -> None:
    door = Door(queue_bytes=MIB)
    whole = door.enter("a", 2 * MIB)
    assert isinstance(whole, Ticket)
    refused = door.enter("b", 1)
    assert isinstance(refused, Wait)
    assert refused.reason is BusyReason.SERVER_FULL
    whole.leave()
    assert isinstance(door.enter("b", 1), Ticket)


def test_what_a_body_opens_to_is_counted() -> None:
    door = Door(queue_bytes=8 * MIB)
    small = [door.enter(key, 1000) for key in "abcd"]
    grown = 0
    for each in small:
        assert isinstance(each, Ticket)
        try:
            each.grow(3 * MIB)
            grown += 1
        except Busy:
            each.leave()
    assert grown == 2
    assert door.admission.held_bytes == 2 * 3 * MIB


def test_a_key_may_have_a_rate_of_its_own() -> None:
    door = Door(rate=RateLimit(bytes_per_second=MIB))
    assert len(door.fill("usual", MIB)) == 11, "ten seconds at once, and the one with which that is used up"
    own = RateLimit(requests_per_second=1)
    taken = sum(isinstance(door.enter("own", 0, own), Ticket) for _ in range(100))
    assert taken == 11
    unlimited = [door.enter("unlimited", MIB, NO_RATE) for _ in range(20)]
    assert all(isinstance(each, Ticket) for each in unlimited)


@example(1, 1, [(0, 4), *[(0, 0)] * 8])
@given(
    st.integers(1, 10**9),
    st.integers(1, 10**4),
    st.lists(st.tuples(st.integers(0, 2 * SECOND_NS), st.integers(0, 4 * MIB)), min_size=1, max_size=60),
)
def test_no_more_than_its_rate_goes_through(bytes_per_second: int, requests_per_second: int, arrivals: list[tuple[int, int]]) -> None:
    """Over any time: at most what the rate allows in it, a burst, and one request."""
    door = Door(
        queue_bytes=2**60, queue_requests=2**60, rate=RateLimit(bytes_per_second=bytes_per_second, requests_per_second=requests_per_second)
    )
    began_ns, sent_bytes, sent = door.now_ns, 0, 0
    for pause_ns, size_bytes in arrivals:
        door.now_ns += pause_ns
        entered = door.enter("a", size_bytes)
        span_ns = door.now_ns - began_ns + BURST_NS
        if isinstance(entered, Ticket):
            assert sent_bytes * SECOND_NS <= bytes_per_second * span_ns + sent * SECOND_NS
            assert sent * SECOND_NS <= requests_per_second * span_ns + sent
            sent_bytes, sent = sent_bytes + size_bytes, sent + 1
        else:
            assert 0 < entered.wait_ns <= LONGEST_NS
            used = sent_bytes * SECOND_NS * requests_per_second + sent * SECOND_NS * bytes_per_second
            assert used > BURST_NS * bytes_per_second * requests_per_second, "what was sent before takes more than a burst"


@given(st.integers(1, 60), st.integers(10_000, 4 * MIB), st.integers(1, 5), st.sampled_from([4, 16, 64]))
def test_those_who_come_again_when_they_were_told_to_are_all_let_in(agents: int, size_bytes: int, keys: int, mib_per_second: int) -> None:
    """Agents that return at the same second, a server that stores so much a second: all go through in about the time that takes."""
    door = Door()
    waiting = [(door.now_ns, number) for number in range(agents)]
    serving: list[tuple[int, int, Ticket]] = []
    free_at_ns = last_ns = door.now_ns
    while waiting or serving:
        if not waiting or (serving and serving[0][0] <= waiting[0][0]):
            door.now_ns, _, ticket = heapq.heappop(serving)
            last_ns = door.now_ns
            ticket.leave()
            continue
        door.now_ns, number = heapq.heappop(waiting)
        entered = door.enter(f"key-{number % keys}", size_bytes)
        if isinstance(entered, Ticket):
            free_at_ns = max(free_at_ns, door.now_ns) + size_bytes * SECOND_NS // (mib_per_second * MIB)
            heapq.heappush(serving, (free_at_ns, number, entered))
        else:
            heapq.heappush(waiting, (door.now_ns + told_ns(entered), number))
        assert door.admission.held_bytes <= door.limits.queue_bytes
    needed_ns = agents * size_bytes * SECOND_NS // (min(mib_per_second, 16) * MIB)
    assert last_ns - SECOND_NS <= 3 * needed_ns + 4 * SECOND_NS
    assert door.admission.held_bytes == door.admission.held_requests == 0
