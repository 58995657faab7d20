"""Periods are closed once, when their usage is whole, on every database, and `tally check` finds nothing amiss."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from itertools import count

import pytest

from tallystick.app.accounts import read_account
from tallystick.app.answers.explaining import explain_line
from tallystick.app.answers.previews import preview
from tallystick.app.check import check_store
from tallystick.app.jobs import closing
from tallystick.app.jobs.closing import close_due
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Coupon, CouponOffer, Customer, Subscription
from tallystick.model.billing.invoices import DocumentState, Invoice, LineKind
from tallystick.model.billing.money import Money
from tallystick.model.instants import HOUR_NS, LATEST_NS, SECOND_NS, parse_iso
from tallystick.model.resources import Fact, Origin
from tallystick.rate.load import load_book
from tallystick.serve.services import Depth
from tallystick.store.engine import Tx
from tallystick.store.records import Clash
from tallystick.store.registry import Agent
from tallystick.store.store import Store
from tests.contract.conftest import StandingClock
from tests.contract.rows import batch, write

PLACE = Place()
START = parse_iso("2026-03-10T08:58:00Z")
END = parse_iso("2026-03-10T09:02:30Z")
BOOK = """
book: lab
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: lab
    name: Lab
    currency: EUR
    cycle: monthly
    fees:
      - {id: seat, name: Seat, amount: 743000}
    charges:
      - {id: cpu, name: CPU time, meter: cpu.used, per: core-hour, price: 3600000000}
      - {id: up, name: Time up, meter: uptime, per: hour, price: 12}
"""

BY_RUNS = """
book: lab
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: lab
    currency: EUR
    cycle: hourly
    charges:
      - {id: up, meter: uptime, per: hour, price: 6, increment: 60, minimum: 600}
      - id: life
        meter: uptime
        per: hour
        also: true
        model: graduated
        lifetime: true
        tiers: [{up_to: 0.05, price: 36}, {price: 72}]
"""


class NumberedIds:
    """Ids in order."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def new_id(self) -> str:
        return f"id-{next(self._numbers)}"

    def new_key(self) -> str:
        return "tsk_x"


class Bench(StandingClock):
    """A clock that also counts."""

    def monotonic_ns(self) -> int:
        return self.at_ns


@pytest.fixture
def clock() -> Bench:
    """The clock of the store and of the jobs."""
    found = Bench()
    found.at_ns = START
    return found


@pytest.fixture
def lab(store: Store) -> Store:
    """A customer with one machine on a plan that ends in the middle of the month, and two minutes of samples on each side of an hour."""
    return set_up(store, BOOK)


def set_up(store: Store, text: str) -> Store:
    """The customer on the plan of a book."""
    book, mistakes = load_book(text, "lab.yaml")
    assert book is not None, mistakes
    store.registry.create_customer(PLACE, Customer(id="acme", name="Acme", currency="EUR", time_zone="Europe/Berlin"), actor="test")
    store.contracts.add_book(PLACE, book, text, actor="test")
    store.contracts.activate_book(PLACE, "lab", 1, actor="test")
    subscription = Subscription(id="sub", customer_id="acme", plan_id="lab", start_ns=START, end_ns=END)
    store.contracts.create_subscription(PLACE, subscription, actor="test")
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, [Fact(resource_id="vm-1", at_ns=START, received_at_ns=START, customer_id="acme", vcpus=2)])
    write(store, batch("vm-1", 1, START, 120), batch("vm-1", 2, START + 120 * SECOND_NS, 120))
    return store


def heartbeat(store: Store, reported_until_ns: int, at_ns: int) -> None:
    agent = Agent(instance_id="host", at_ns=at_ns, received_at_ns=at_ns, reported_until_ns=reported_until_ns, active_resources=("vm-1",))
    with store.write() as tx:
        store.registry.heartbeat(tx, PLACE, agent)


def close(store: Store, clock: Bench, owner: str = "worker") -> int:
    return close_due(store, clock, NumberedIds(), owner)


def roll(store: Store, clock: Bench) -> int:
    return roll_up(store, DiskHorizon.CLOCK, clock.now_ns())


def test_a_period_is_closed_once_and_follows_from_its_evidence(lab: Store, clock: Bench) -> None:
    heartbeat(lab, END + 1, END + 1)
    clock.at_ns = END + 2 * HOUR_NS
    assert roll(lab, clock) == 2
    assert (close(lab, clock), close(lab, clock, "another")) == (1, 0)
    (kept,) = lab.invoices.list(PLACE)
    invoice = kept.invoice
    assert (invoice.number, invoice.state, invoice.currency) == ("INV-2026-000001", DocumentState.FINALIZED, "EUR")
    # 743,000.00 a month of 743 h (the clock changes in March) for 270 s; the counter rises by 1,000 ns a sample and falls back
    # once: (119 + 119) x 1,000 ns at 3,600,000,000.00 an hour, which is 0.001 a nanosecond; 239 s at 12.00 an hour.
    assert [line.amount.text for line in invoice.lines] == ["75.00", "238.00", "0.80"]
    told = explain_line(lab, PLACE, invoice, 2, Depth.SAMPLES, verify=True)
    assert told.verification is not None
    assert told.verification.equal, told.verification.differences
    assert len(told.samples) == 240
    _tampered(lab, invoice)
    checked = check_store(lab, DiskHorizon.CLOCK, clock.now_ns())
    assert checked.differences == ()
    assert (checked.compared["hours"], checked.compared["invoices"]) == (2, 1)
    actions = [entry.action for entry in lab.audit.entries(PLACE, subject=invoice.id)]
    assert actions == ["invoice.finalize"]


def test_what_earlier_periods_charged_of_a_run_and_filled_of_tiers_counts(store: Store, clock: Bench) -> None:
    """Two hourly bills of one run of 120 + 119 s: its minimum of ten minutes is on the first, and the tiers go on at 120 of 180 s."""
    lab = set_up(store, BY_RUNS)
    heartbeat(lab, END + 1, END + 1)
    clock.at_ns = END + 2 * HOUR_NS
    assert roll(lab, clock) == 2
    ids = NumberedIds()
    (draft,) = preview(lab, PLACE, "acme", END - 1, ids)
    # The second waits for the first, which fills tiers.
    assert [close_due(lab, clock, ids, "worker") for _ in range(3)] == [1, 1, 0]
    made = [kept.invoice for kept in reversed(lab.invoices.list(PLACE))]
    said = [[(line.charge_id, line.quantity * 3600, line.amount.text) for line in invoice.lines] for invoice in made]
    assert said == [
        [("up", 600, "1.00"), ("life", 120, "1.20")],
        [("up", 0, "0.00"), ("life", 60, "0.60"), ("life", 59, "1.18")],
    ]
    assert [(line.key, line.amount) for line in draft.lines] == [(line.key, line.amount) for line in made[1].lines], (
        "before the first closed"
    )
    verified = [explain_line(lab, PLACE, made[1], number, Depth.HOURS, verify=True).verification for number in (1, 2, 3)]
    assert all(each is not None and each.equal for each in verified)


@pytest.mark.parametrize(
    ("charges", "trial", "said", "redeemed"), [(("up",), None, ["-0.08"], 1), (("up",), END, [], 0), (("seat",), None, [], 0)]
)
def test_a_coupon_of_which_nothing_came_can_be_redeemed_again(
    lab: Store, clock: Bench, charges: tuple[str, ...], trial: int | None, said: list[str], redeemed: int
) -> None:
    """A tenth off 0.80 for 239 s is used; in a trial nothing is to be paid, and off fees nothing is taken: those are given back."""
    offer = CouponOffer(id="tenth", name="A tenth", percent=Fraction(10), charges=charges, limit=1)
    coupon = Coupon(id="tenth", name="A tenth", percent=Fraction(10), charges=charges, from_ns=0, until_ns=None)
    bound = Subscription(
        id="sub", customer_id="acme", plan_id="lab", start_ns=START, end_ns=END, coupons=(coupon,), trial_end_ns=trial, cancelled_ns=START
    )

    def agree(tx: Tx) -> None:
        lab.coupons.create(PLACE, offer, actor="test", tx=tx)
        lab.coupons.redeem(tx, PLACE, offer, customer_id="acme", subscription_id="sub", actor="test")
        lab.contracts.change_subscription(PLACE, bound, actor="test", action="subscription.redeem", tx=tx)

    lab.transact(agree)
    clock.at_ns = END + 2 * HOUR_NS
    assert roll(lab, clock)
    assert close(lab, clock) == 1
    (kept,) = lab.invoices.list(PLACE)
    assert [line.amount.text for line in kept.invoice.lines if line.kind is LineKind.COUPON] == said
    found = lab.coupons.coupon(PLACE, "tenth")
    assert found is not None
    assert found.redeemed == redeemed
    assert [each.subject for each in lab.audit.entries(PLACE) if each.action == "coupon.give_back"] == ["tenth"] * (1 - redeemed)
    with lab.write() as tx, nullcontext() if not redeemed else pytest.raises(Clash, match="as often as it may be"):
        lab.coupons.redeem(tx, PLACE, offer, customer_id="acme", subscription_id="other", actor="test")


def test_a_coupon_of_a_subscription_without_usage_can_be_redeemed_again(store: Store, clock: Bench) -> None:
    """Of two hours that have nothing to bill, it is the second that ends it."""
    lab = set_up(store, BY_RUNS)
    lab.registry.create_customer(PLACE, Customer(id="bolt", name="B", currency="EUR", time_zone="UTC"), actor="test")
    offer = CouponOffer(id="tenth", name="A tenth", percent=Fraction(10))
    coupon = Coupon(id="tenth", name="A tenth", percent=Fraction(10), from_ns=0, until_ns=None)
    bound = Subscription(id="none", customer_id="bolt", plan_id="lab", start_ns=START, end_ns=END, coupons=(coupon,))
    lab.coupons.create(PLACE, offer, actor="test")
    with lab.write() as tx:
        lab.contracts.create_subscription(PLACE, bound, actor="test", tx=tx)
        lab.coupons.redeem(tx, PLACE, offer, customer_id="bolt", subscription_id="none", actor="test")
    counts = []
    for clock.at_ns in (END, END + 2 * HOUR_NS, END + 2 * HOUR_NS):
        close(lab, clock)
        counts += [each.redeemed for each in lab.coupons.coupons(PLACE)]
    assert counts == [1, 1, 0]


def _tampered(lab: Store, invoice: Invoice) -> None:
    """A line that says something else is found by explaining it, whether it was changed in its row, in the document, or in the evidence."""
    cheaper = replace(invoice.lines[1], amount=Money(minor=1, currency="EUR"))
    changed = replace(invoice, lines=(invoice.lines[0], cheaper, invoice.lines[2]))
    told = explain_line(lab, PLACE, changed, 2, Depth.HOURS, verify=True)
    assert told.verification is not None
    assert not told.verification.equal
    assert any("step rounding ends: says 238, recomputed 0.01" in each for each in told.verification.differences)
    assert "NOT VERIFIED" in told.text
    for damage, undo, found in (
        (
            "UPDATE invoice_line SET amount_minor = amount_minor + 1",
            "UPDATE invoice_line SET amount_minor = amount_minor - 1",
            "line 2: amount_",
        ),
        ("UPDATE evidence SET body = substr(body, 1, 99)", "", "evidence: evidence of 99 bytes is damaged"),
    ):
        with lab.write() as tx:
            kept = tx.rows("SELECT evidence_hash, body FROM evidence")
            tx.run(damage)
        (verified,) = [explain_line(lab, PLACE, invoice, 2, Depth.HOURS, verify=True).verification]
        assert verified is not None
        assert any(found in each for each in verified.differences), verified
        with lab.write() as tx:
            if undo:
                tx.run(undo)
            tx.many("UPDATE evidence SET body = ? WHERE evidence_hash = ?", [(row[1], row[0]) for row in kept])


def test_it_waits_for_the_grace_the_agents_and_the_hours(lab: Store, clock: Bench) -> None:
    clock.at_ns = END + HOUR_NS - 1
    roll(lab, clock)
    assert close(lab, clock) == 0, "the grace of an hour is not over"
    clock.at_ns = END + 3 * HOUR_NS
    heartbeat(lab, END - 1, END + HOUR_NS)
    assert close(lab, clock) == 0, "the agent has not reported past the end"
    heartbeat(lab, END, END + HOUR_NS + 1)
    write(lab, batch("vm-1", 3, START + 240 * SECOND_NS, 10))
    assert close(lab, clock) == 0, "an hour waits to be computed"
    roll(lab, clock)
    assert close(lab, clock) == 1


def test_an_agent_that_never_comes_back_is_waited_for_at_most_72_hours(lab: Store, clock: Bench) -> None:
    heartbeat(lab, END - 1, END - 1)
    clock.at_ns = END + 72 * HOUR_NS - 1
    roll(lab, clock)
    assert close(lab, clock) == 0
    clock.at_ns = END + 72 * HOUR_NS
    assert close(lab, clock) == 1


def test_many_workers_close_it_once(lab: Store, clock: Bench) -> None:
    clock.at_ns = END + 2 * HOUR_NS
    roll(lab, clock)
    closed: list[int] = []
    threads = [threading.Thread(target=lambda name=name: closed.append(close(lab, clock, name))) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(closed) == 1
    assert [each.invoice.number for each in lab.invoices.list(PLACE)] == ["INV-2026-000001"]


def test_what_cannot_be_priced_is_parked_and_takes_no_number(lab: Store, clock: Bench) -> None:
    lab.registry.create_customer(PLACE, Customer(id="nobody", name="Nobody", currency="USD"), actor="test")
    subscription = Subscription(id="other", customer_id="nobody", plan_id="lab", start_ns=START, end_ns=END)
    lab.contracts.create_subscription(PLACE, subscription, actor="test")
    clock.at_ns = END + 2 * HOUR_NS
    roll(lab, clock)
    assert close(lab, clock) == 2
    states = {each.invoice.customer.id: (each.invoice.state, each.invoice.number) for each in lab.invoices.list(PLACE)}
    assert states["nobody"] == (DocumentState.PARKED, None)
    assert states["acme"] == (DocumentState.FINALIZED, "INV-2026-000001")


def test_late_data_changes_its_hours_and_never_the_invoice(lab: Store, clock: Bench) -> None:
    clock.at_ns = END + 2 * HOUR_NS
    roll(lab, clock)
    close(lab, clock)
    before = lab.invoices.list(PLACE)[0].invoice
    write(lab, batch("vm-1", 4, START - 60 * SECOND_NS, 30, level=5))
    assert roll(lab, clock) > 0
    assert close(lab, clock) == 0
    assert lab.invoices.list(PLACE)[0].invoice == before
    assert check_store(lab, DiskHorizon.CLOCK, clock.now_ns()).differences == ()


def test_a_preview_is_the_invoice_to_come_and_is_not_stored(lab: Store, clock: Bench) -> None:
    roll(lab, clock)
    (draft,) = preview(lab, PLACE, "acme", END - 1, NumberedIds())
    assert lab.invoices.list(PLACE) == []
    clock.at_ns = END + 2 * HOUR_NS
    close(lab, clock)
    final = lab.invoices.list(PLACE)[0].invoice
    assert [(line.key, line.amount) for line in draft.lines] == [(line.key, line.amount) for line in final.lines]


def test_a_resource_of_another_scope_is_billed_beside_its_namesake(lab: Store, clock: Bench) -> None:
    other = Place(scope_id="edge")
    lab.registry.add_place(other)
    with lab.write() as tx:
        lab.batches.write_facts(tx, other, [Fact(resource_id="vm-1", at_ns=START, received_at_ns=START, customer_id="acme")])
    write(lab, batch("vm-1", 1, START, 61), place=other)
    roll(lab, clock)
    account = read_account(lab, PLACE, "acme", START - START % HOUR_NS, END + HOUR_NS)
    uptime = {
        name: sum(hour.total("uptime") or 0 for hour in account.usage.hours if hour.resource_id == name)
        for name in account.usage.attributes
    }
    assert uptime == {"vm-1": 239 * SECOND_NS, "edge/vm-1": 60 * SECOND_NS}


def test_a_resource_that_is_assigned_later_has_its_days_with_its_customer(lab: Store, clock: Bench) -> None:
    write(lab, batch("vm-9", 1, START, 60))
    roll(lab, clock)
    assert owners_of_days(lab, "vm-9") == {("", "UTC", 59 * SECOND_NS)}
    assign(lab, "vm-9", "acme", START + HOUR_NS)
    roll(lab, clock)
    assert owners_of_days(lab, "vm-9") == {("acme", "Europe/Berlin", 59 * SECOND_NS)}


def test_a_day_that_two_customers_share_is_whole_for_both_whatever_is_computed_again(lab: Store, clock: Bench) -> None:
    lab.registry.create_customer(PLACE, Customer(id="next", name="Next", currency="EUR", time_zone="Asia/Kolkata"), actor="test")
    assign(lab, "vm-1", "next", parse_iso("2026-03-10T09:00:00Z"))
    shared = {("acme", "Europe/Berlin", 120 * SECOND_NS), ("next", "Asia/Kolkata", 119 * SECOND_NS)}
    roll(lab, clock)
    assert owners_of_days(lab, "vm-1") == shared
    write(lab, batch("vm-1", 1, START, 5, spool="again"))
    roll(lab, clock)
    assert owners_of_days(lab, "vm-1") == shared
    assert check_store(lab, DiskHorizon.CLOCK, clock.now_ns()).differences == ()


def assign(store: Store, resource_id: str, customer_id: str, at_ns: int) -> None:
    fact = Fact(resource_id=resource_id, at_ns=at_ns, received_at_ns=at_ns, customer_id=customer_id, origin=Origin.PERSON)
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, [fact])


def owners_of_days(store: Store, resource_id: str) -> set[tuple[str, str, int]]:
    """(customer, zone, uptime) of every usage day, which its month repeats."""
    found = {}
    for kind in ("day", "month"):
        periods = [each for _, each in store.usage.periods(PLACE, kind, 0, LATEST_NS) if each.resource_id == resource_id]
        found[kind] = {(each.customer_id, each.zone, each.totals["uptime"]) for each in periods}
    assert found["day"] == found["month"]
    return found["day"]


def test_what_is_wrong_with_one_customer_stops_no_other(lab: Store, clock: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.registry.create_customer(PLACE, Customer(id="aaa", name="First", currency="EUR"), actor="test")
    real = closing.read_contract

    def read_contract(store: Store, place: Place, customer_id: str, at_ns: int, tx: Tx) -> object:
        if customer_id == "aaa":
            raise ValueError("a contract that cannot be read")
        return real(store, place, customer_id, at_ns, tx)

    monkeypatch.setattr(closing, "read_contract", read_contract)
    clock.at_ns = END + 2 * HOUR_NS
    roll(lab, clock)
    assert close(lab, clock) == 1


def test_a_run_that_waits_is_not_written_each_time(lab: Store, clock: Bench) -> None:
    clock.at_ns = END + 2 * HOUR_NS
    for _ in range(3):
        assert close(lab, clock) == 0, "hours wait to be computed"
    assert lab.jobs.list() == []
    roll(lab, clock)
    assert close(lab, clock) == 1


def test_who_asks_for_the_runs_of_one_customer_is_told_of_those(store: Store) -> None:
    for scope in ("acme", "cask"):
        fence = store.jobs.claim("close", scope, "2026-01", "worker", 60)
        assert fence is not None
        with store.write() as tx:
            store.jobs.done(tx, fence)
    assert store.jobs.due("close", [("acme", "2026-01"), ("acme", "2026-02"), ("dell", "2026-01")]) == [
        ("acme", "2026-02"),
        ("dell", "2026-01"),
    ]
