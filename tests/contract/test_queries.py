"""The answers of the query service on every database: the same from months, days and hours, also after a customer has moved."""

from __future__ import annotations

from dataclasses import replace

from tallystick.app.answers.queries.live import LiveAnswers
from tallystick.app.answers.queries.usage import UsageAnswers
from tallystick.app.answers.queries.windows import WindowAnswers
from tallystick.app.clock import RandomIds
from tallystick.app.jobs.presence import Watch
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.billing.contracts import Customer
from tallystick.model.calendar import month_of
from tallystick.model.instants import DAY_NS, HOUR_NS, LATEST_NS
from tallystick.model.resources import Fact
from tallystick.model.silence import WatchRules
from tallystick.serve.queries.answers import LiveQuestion, UsageQuestion, WindowState
from tallystick.store.registry import Agent
from tallystick.store.store import Store
from tests.contract.conftest import NOW_NS, StandingClock
from tests.contract.rows import PLACE, SECOND, T, batch, write

ACME = Customer(id="acme", name="Acme", currency="EUR", time_zone="UTC")


def filled(store: Store) -> None:
    store.registry.create_customer(PLACE, ACME, actor="test")
    with store.write() as tx:
        for name in ("vm-1", "vm-2"):
            store.batches.write_facts(tx, PLACE, [Fact(resource_id=name, at_ns=T, received_at_ns=T, customer_id="acme")])
    for name in ("vm-1", "vm-2"):
        write(store, *(batch(name, number + 1, T + number * 11 * HOUR_NS, boot=f"b{number}", level=2**40) for number in range(4)))
    roll_up(store, DiskHorizon.CLOCK, T + 3 * DAY_NS)


def test_a_month_is_the_same_from_months_days_and_hours(store: Store) -> None:
    filled(store)
    ask = UsageAnswers(store, StandingClock(), RandomIds())
    start_ns, end_ns = month_of(T, "UTC")
    spans = [(start_ns, end_ns), (start_ns, end_ns - DAY_NS), (T - T % HOUR_NS, T + 3 * DAY_NS + HOUR_NS)]
    found = [ask(PLACE, UsageQuestion(customer_id="acme", from_ns=low, until_ns=high, per_resource=True)) for low, high in spans]
    assert found[0].amounts
    assert len({each.amounts for each in found}) == 1
    assert len({each.resources for each in found}) == 1
    assert len({each.known for each in found}) == 1
    assert found[0].known.unknown_ns > 60 * HOUR_NS
    store.registry.change_customer(PLACE, replace(ACME, time_zone="Asia/Kathmandu"), actor="test")
    moved = ask(PLACE, UsageQuestion(customer_id="acme", from_ns=start_ns, until_ns=end_ns, per_resource=True))
    assert (moved.amounts, moved.resources, moved.known) == (found[0].amounts, found[0].resources, found[0].known)


def test_windows_and_live_hours(store: Store) -> None:
    filled(store)
    (window,) = WindowAnswers(store, StandingClock())(PLACE, "acme", T).windows
    assert window.state is (WindowState.OPEN if window.closing_ns > NOW_NS else WindowState.WAITING)
    assert len(window.gaps) == 6
    live = LiveAnswers(store, StandingClock())
    found = live(PLACE, LiveQuestion(customer_id="acme", resource_ids=frozenset({"vm-2"}), after_ns=0))
    assert {hour.resource_id for _, hour in found.hours} <= {"vm-2"}
    assert live(PLACE, LiveQuestion(customer_id="acme", resource_ids=frozenset(), after_ns=NOW_NS)).hours == ()


def test_a_silence_that_goes_on_is_not_known_and_not_no_usage(store: Store) -> None:
    store.registry.create_customer(PLACE, ACME, actor="test")
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, [Fact(resource_id="vm-1", at_ns=T, received_at_ns=T, customer_id="acme")])
        host = Agent(instance_id="host", at_ns=T, received_at_ns=T, reported_until_ns=T, active_resources=("vm-1",))
        store.registry.heartbeat(tx, PLACE, host)
    write(store, batch(count=60, at_ns=T))
    roll_up(store, DiskHorizon.CLOCK, T + HOUR_NS)
    watch = Watch(store, WatchRules(agent_after_ns=75 * SECOND, resource_after_ns=10 * SECOND, unsaid_after_ns=90 * SECOND), since_ns=0)
    watch.look(T + SECOND)
    assert watch.look(T + 80 * SECOND) == 2
    since_ns = T + 59 * SECOND
    ask = UsageAnswers(store, StandingClock(), RandomIds())
    start_ns = T - T % HOUR_NS
    end_ns = start_ns + 2 * HOUR_NS
    found = ask(PLACE, UsageQuestion(customer_id="acme", from_ns=start_ns, until_ns=end_ns, per_resource=True))
    unknown_ns = min(end_ns, NOW_NS) - since_ns
    assert unknown_ns > 0
    assert (found.known.measured_ns, found.known.unknown_ns) == (59 * SECOND, unknown_ns)
    assert [each.known.unknown_ns for each in found.resources] == [unknown_ns]
    (window,) = WindowAnswers(store, StandingClock())(PLACE, "acme", T).windows
    assert [(gap.resource_id, gap.from_ns, gap.until_ns, gap.filled) for gap in window.gaps] == [("vm-1", since_ns, LATEST_NS, None)]
    assert window.known.unknown_ns == min(NOW_NS, window.end_ns) - since_ns
