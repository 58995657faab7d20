"""Many customers read together, from sums where they tell enough, are rated as each is from its hours, on every database."""

from __future__ import annotations

import pytest

from tallystick.app.accounts import read_account, read_agreed, usage_until
from tallystick.app.answers.previews import cost_by_resource, preview
from tallystick.app.answers.status import USUAL_LIMITS, StatusBoard
from tallystick.app.answers.together import read_together, read_usage
from tallystick.app.clock import RandomIds
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.invoice.runs import current, due
from tallystick.meter.planes import from_columns
from tallystick.meter.samples import Samples
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Customer, Subscription
from tallystick.model.calendar import month_of
from tallystick.model.instants import HOUR_NS
from tallystick.model.records import UsageRecord
from tallystick.model.resources import Fact
from tallystick.model.samples import MEMORY, BatchIdentity
from tallystick.model.timeline import StorableBatch
from tallystick.rate.load import load_book
from tallystick.rate.rate import rate
from tallystick.store.store import Store
from tests.contract.rows import PLACE, SECOND, T, batch, storable, write
from tests.contract.test_closing import Bench, NumberedIds

FAR = Place(scope_id="far")
START, END = month_of(T, "UTC")
BOOK = """
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: p
    currency: EUR
    default: true
    charges:
      - {id: cpu, meter: cpu.used, per: core-hour, model: graduated, tiers: [{up_to: 1, price: 3600000}, {price: 7200000}]}
      - {id: disk, meter: disk.allocated, per: GiB-month, price: 0.1}
      - id: up
        meter: uptime
        per: hour
        model: volume
        tiers: [{up_to: 0.01, price: 5}, {price: 4}]
        group_by: [resource]
        increment: 60
        minimum: 100
"""
SIZES = {"vcpus": 2, "memory_bytes": 2**30, "disk_bytes": 2**33}


def fact(name: str, at_ns: int = START, customer_id: str | None = "acme", **sizes: int) -> Fact:
    return Fact(resource_id=name, at_ns=at_ns, received_at_ns=at_ns, customer_id=customer_id, **sizes)


def without_cpu(name: str, at_ns: int) -> StorableBatch:
    """A batch of another source, which measures memory only."""
    samples = from_columns({"measured_at": [at_ns, at_ns + SECOND], MEMORY: [1, 1]}, SECOND)
    assert isinstance(samples, Samples)
    return storable(samples, BatchIdentity(resource_id=name, boot_id="other", spool_id="s", sequence=1), at_ns + 2 * SECOND)


def filled(store: Store, now_ns: int = END) -> None:
    """Machines whose sums say all, and such that only their hours do: a size that came later, another owner, requests, another scope."""
    book, mistakes = load_book(BOOK, "b.yaml")
    assert book is not None, mistakes
    store.contracts.add_book(PLACE, book, BOOK, actor="test")
    store.contracts.activate_book(PLACE, "b", 1, actor="test")
    store.registry.add_place(FAR)
    for customer_id, zone in (("acme", "UTC"), ("delta", "UTC"), ("nepal", "Asia/Kathmandu")):
        store.registry.create_customer(PLACE, Customer(id=customer_id, name="C", currency="EUR", time_zone=zone), actor="test")
    store.contracts.create_subscription(PLACE, Subscription(id="s", customer_id="acme", plan_id="p", start_ns=START), actor="test")
    facts = [
        *[fact(name, **SIZES) for name in ("even", "grown", "moved", "asked")],
        fact("bare"),
        fact("grown", T + HOUR_NS, None, disk_bytes=2**34),
        fact("half"),
        fact("moved", T + HOUR_NS, "delta"),
        fact("high", customer_id="nepal", **SIZES),
    ]
    record = UsageRecord(
        source="x",
        record_id="1",
        resource_id="asked",
        meter="http.requests",
        from_ns=T,
        until_ns=T + HOUR_NS,
        amount=9,
        received_at_ns=T + HOUR_NS,
        content_hash=b"x" * 32,
    )
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, facts)
        store.batches.write_facts(tx, FAR, [fact("even", **SIZES)])
        store.batches.write_records(tx, PLACE, [record])
    for name in sorted({each.resource_id for each in facts}):
        write(store, *(batch(name, number + 1, T + number * HOUR_NS, 90) for number in range(3)))
    write(store, without_cpu("half", T + 4 * HOUR_NS))
    write(store, batch("even", 1, T, 30), place=FAR)
    while roll_up(store, DiskHorizon.CLOCK, now_ns):
        pass


def test_customers_read_together_are_rated_as_each_by_its_hours(store: Store) -> None:
    filled(store)
    names = ["delta", "acme", "nobody", "nepal"]
    found = list(read_together(store, PLACE, names, (START, END), at_ns=END))
    assert [contract.customer.id for contract, _, _ in found] == ["delta", "acme", "nepal"]
    for contract, books, usage in found:
        account = read_account(store, PLACE, contract.customer.id, START, END)
        assert (contract, books) == (account.contract, account.books)
        runs = [run for run in due(contract, books, END, START) if run.period_end_ns <= END]
        for run in runs:
            assert rate(usage, contract, books, run) == rate(account.usage, contract, books, run)
            assert rate(usage, contract, books, run).lines
    (acme,) = [usage for contract, _, usage in found if contract.customer.id == "acme"]
    assert [each.resource_id for each in acme.sums] == ["bare", "even", "grown", "far/even"]
    assert {each.resource_id: each.held_ns for each in acme.sums}["grown"] is None
    assert {hour.resource_id for hour in acme.hours} == {"asked", "half", "moved"}


def test_a_preview_of_an_earlier_instant_has_nothing_of_what_came_after_it(store: Store) -> None:
    """The sums of a month hold all of it: where the month went on, the hours before the instant are read."""
    filled(store)
    account = read_account(store, PLACE, "acme", START, END)
    for at_ns in (T, T + 1, T + HOUR_NS, T + 2 * HOUR_NS + 1, END - 1):
        (draft,) = preview(store, PLACE, "acme", at_ns, RandomIds())
        expected = rate(usage_until(account.usage, at_ns), account.contract, account.books, draft.run)
        assert [(line.key, line.amount) for line in draft.lines] == [(line.key, line.amount) for line in expected.lines]
        unknown = {each.resource_id: each.share.unknown_ns // HOUR_NS for each in draft.statement if each.share.unknown_ns}
        assert unknown == ({"half": 1} if at_ns > T + 3 * HOUR_NS else {}), "a silence that came later is not known of"


@pytest.mark.parametrize("until_ns", [T, T + 2 * HOUR_NS, T + 5 * HOUR_NS + 7 * 60 * SECOND])
def test_a_month_that_runs_is_rated_as_by_its_hours_until_then(store: Store, until_ns: int) -> None:
    """Its disks were held on a part of the day; where usage goes on after the instant, sums hold that too and hours are read."""
    now_ns = T + 5 * HOUR_NS + 7 * 60 * SECOND
    filled(store, now_ns)
    account = read_account(store, PLACE, "acme", START, END, at_ns=until_ns)
    with store.read() as tx:
        agreed = read_agreed(store, PLACE, ("acme",), until_ns, tx)
        usage = read_usage(tx, store, PLACE, agreed, (START, END), known_until_ns=until_ns)["acme"]
    assert (agreed.contract("acme"), agreed.books) == (account.contract, account.books)
    (run,) = [each for each in current(account.contract, account.books, until_ns) if each.subscription_ids != ("default",)]
    assert rate(usage, account.contract, account.books, run) == rate(
        usage_until(account.usage, until_ns), account.contract, account.books, run
    )
    held = {each.resource_id: each.held_ns for each in usage.sums}
    assert 0 < (held.get("even") or 0) < END - START if until_ns == now_ns else "even" not in held


def test_the_live_table_tells_machines_of_one_id_in_two_scopes_apart(store: Store) -> None:
    now_ns = T + 5 * HOUR_NS
    filled(store, now_ns)
    clock = Bench()
    clock.at_ns = now_ns
    costs = cost_by_resource(preview(store, PLACE, "acme", now_ns, NumberedIds()))
    status = StatusBoard(store, clock, NumberedIds(), USUAL_LIMITS).status(PLACE, frozenset({"acme"}))
    shown = {row.resource_id: row.cost_micros for row in status.resources}
    assert costs["even"] != costs["far/even"]
    assert shown["even"] == int(costs["even"][0] * 10**6)
