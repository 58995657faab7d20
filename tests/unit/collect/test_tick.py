from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tallystick.collect.tick import Anchor, Tick

MS = 10**6


def test_a_late_tick_is_skipped_and_counted() -> None:
    tick = Tick(1000 * MS, 100 * MS)
    assert not tick.is_due(999 * MS)
    assert tick.is_due(1030 * MS)
    assert tick.next_at_ns == 1100 * MS
    assert not tick.is_due(1270 * MS), "three were missed, the next is at 1300"
    assert (tick.missed, tick.next_at_ns) == (2, 1300 * MS)
    assert tick.is_due(1300 * MS)


@given(st.lists(st.integers(0, 10**9), max_size=60), st.integers(10 * MS, 10**9))
def test_samples_stay_on_the_grid_and_never_bunch(pauses: list[int], interval_ns: int) -> None:
    tick, now, taken, last = Tick(5, interval_ns), 5, 0, None
    for pause in pauses:
        now = max(now + pause, now if pause % 2 else tick.next_at_ns)
        if tick.is_due(now):
            taken += 1
            assert (tick.next_at_ns - 5) % interval_ns == 0
            assert 0 <= now - (tick.next_at_ns - interval_ns) <= (interval_ns + 1) // 2
            assert last is None or now - last >= interval_ns // 2 - 1
            last = now
        assert taken + tick.missed == (tick.next_at_ns - 5) // interval_ns, "every tick is taken or counted"


def test_the_anchor_moves_only_forward() -> None:
    anchor = Anchor(1_000_000 * MS, 10 * MS)
    assert anchor.ns == 999_990 * MS
    assert anchor.follow(1_000_010 * MS, 20 * MS) == 0
    assert anchor.follow(900_000 * MS, 30 * MS) == 0, "the wall clock was set back"
    assert anchor.ns == 999_990 * MS
    assert anchor.follow(1_000_100 * MS, 40 * MS) == 70 * MS
    assert anchor.ns + 40 * MS == 1_000_100 * MS


def test_also_over_a_restart_of_the_agent_and_of_the_host() -> None:
    again = Anchor(500 * MS, 10 * MS, earlier_anchor_ns=990 * MS, last_instant_ns=995 * MS)
    assert again.ns == 990 * MS, "the same boot: its anchor goes on"
    rebooted = Anchor(500 * MS, 1 * MS, last_instant_ns=995 * MS)
    assert rebooted.ns + 1 * MS == 995 * MS + 1, "another boot: after the last instant that was used"
