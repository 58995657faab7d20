"""Declared outages are stored once, credited with the usage, frozen with the bill, and withdrawn without changing it, on every database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tallystick.app.accounts import Account, read_account
from tallystick.app.answers.previews import preview
from tallystick.app.answers.together import read_together
from tallystick.app.clock import RandomIds
from tallystick.app.jobs.rollup import DiskHorizon, roll_up
from tallystick.invoice.evidence import evidence_of, freeze, thaw
from tallystick.invoice.runs import due
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Customer, Run, Subscription
from tallystick.model.billing.invoices import LineKind, OutageCause
from tallystick.model.billing.outages import DeclaredOutage
from tallystick.model.calendar import month_of
from tallystick.model.instants import DAY_NS, HOUR_NS
from tallystick.model.resources import Fact
from tallystick.rate.load import load_book
from tallystick.rate.rate import rate
from tallystick.store.records import NotFound
from tallystick.store.store import Store
from tests.contract.rows import PLACE, T, batch, write

FAR = Place(scope_id="far")
START, END = month_of(T, "UTC")
BOOK = """
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: p
    currency: EUR
    charges: [{id: up, meter: uptime, per: hour, price: 3600, group_by: [resource]}]
    service_levels: [{id: sla, credits: [{below: 99.9, percent: 10}, {below: 99, percent: 25}]}]
"""
POWER = DeclaredOutage(id="power", from_ns=START, until_ns=START + 8 * HOUR_NS, reason="no power", resources=("vm-1",))
EAST = DeclaredOutage(id="east", from_ns=START + 4 * HOUR_NS, until_ns=START + 9 * HOUR_NS, reason="flood", region="east")


def fact(name: str, at_ns: int = START, customer_id: str | None = "acme", **words: object) -> Fact:
    return Fact(resource_id=name, at_ns=at_ns, received_at_ns=at_ns, customer_id=customer_id, **words)


def filled(store: Store) -> None:
    """Machines that cost 90.00 each: in the east, moved there, moved to another customer, deleted, and of another scope."""
    book, mistakes = load_book(BOOK, "b.yaml")
    assert book is not None, mistakes
    store.contracts.add_book(PLACE, book, BOOK, actor="test")
    store.contracts.activate_book(PLACE, "b", 1, actor="test")
    store.registry.add_place(FAR)
    for name in ("acme", "delta"):
        store.registry.create_customer(PLACE, Customer(id=name, name="C", currency="EUR", time_zone="UTC"), actor="test")
        bound = Subscription(id=f"s-{name}", customer_id=name, plan_id="p", start_ns=START)
        store.contracts.create_subscription(PLACE, bound, actor="test")
    facts = [
        fact("vm-1", region="east", labels={"tier": "gold"}),
        fact("came", region="west"),
        fact("came", START + 6 * HOUR_NS, None, region="east"),
        fact("sold", region="east"),
        fact("sold", START + 8 * HOUR_NS, "delta"),
        fact("gone", region="east"),
        fact("gone", START + 5 * HOUR_NS, None, deleted=True),
    ]
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, facts)
        store.batches.write_facts(tx, FAR, [fact("vm-1", region="east")])
    for place, name in ((PLACE, "vm-1"), (PLACE, "came"), (PLACE, "sold"), (PLACE, "gone"), (FAR, "vm-1")):
        write(store, batch(name, 1, START, 91), place=place)
    while roll_up(store, DiskHorizon.CLOCK, END):
        pass


def down(store: Store, customer_id: str = "acme") -> dict[tuple[str, str], int]:
    """Hours by outage and resource, the same whoever reads."""
    account = read_account(store, PLACE, customer_id, START, END)
    ((_, _, usage),) = read_together(store, PLACE, [customer_id], (START, END), at_ns=END)
    assert set(usage.outages) == set(account.usage.outages)
    return {(each.outage_id, each.resource_id): (each.until_ns - each.from_ns) // HOUR_NS for each in usage.outages}


def closing(account: Account) -> Run:
    (run,) = [each for each in due(account.contract, account.books, END, START) if each.period_end_ns == END]
    return run


def test_what_was_declared_once_never_changes(store: Store) -> None:
    store.registry.add_place(FAR)
    assert (store.outages.declare(PLACE, POWER, actor="k"), store.outages.declare(PLACE, POWER, actor="k")) == (True, False)
    assert not store.outages.declare(PLACE, replace(EAST, id="power"), actor="k")
    assert store.outages.declare(FAR, replace(POWER, labels={"a": "b"}), actor="k"), "ids are of a scope"
    assert store.outages.declare(PLACE, EAST, actor="k")
    assert [each.outage for each in store.outages.outages(PLACE)] == [EAST, POWER]
    assert store.outages.counted(PLACE, POWER.until_ns, END) == [EAST]
    assert store.outages.counted(PLACE, START, EAST.from_ns) == [POWER]
    gone = store.outages.withdraw(PLACE, "power", actor="k", reason="another host")
    assert (gone.withdrawal, gone == store.outages.withdraw(PLACE, "power", actor="k", reason="again")) == ("another host", True)
    assert store.outages.counted(PLACE, START, END) == [EAST]
    with pytest.raises(NotFound, match="'none'"):
        store.outages.withdraw(PLACE, "none", actor="k", reason="x")
    told = [(each.action, each.subject) for each in store.audit.entries(PLACE) if each.action.startswith("outage")]
    assert told == [("outage.declare", name) for name in ("power", "power", "east")] + [("outage.withdraw", "power")]


def test_an_outage_takes_time_of_what_it_names_while_it_was_there(store: Store) -> None:
    """Of a region's five hours: all of what was there, three of what came later, four of what was sold, one of what was deleted."""
    filled(store)
    store.outages.declare(PLACE, EAST, actor="k")
    assert down(store) == {("east", "vm-1"): 5, ("east", "came"): 3, ("east", "sold"): 4, ("east", "gone"): 1}
    assert down(store, "delta") == {("east", "sold"): 1}
    store.outages.declare(FAR, replace(EAST, id="far"), actor="k")
    store.outages.declare(PLACE, replace(EAST, id="gold", region="", labels={"tier": "gold"}), actor="k")
    assert {name: hours for name, hours in down(store).items() if name[0] != "east"} == {("far", "far/vm-1"): 5, ("gold", "vm-1"): 5}
    back = fact("gone", START + 7 * HOUR_NS, None, kind="vm")
    with store.write() as tx:
        store.batches.write_facts(tx, PLACE, [back])
    gone = [each for each in read_account(store, PLACE, "acme", START, END).usage.outages if each.resource_id == "gone"]
    assert [(each.until_ns - each.from_ns) // HOUR_NS for each in gone] == [1, 2], "what came back counts again"


def test_it_is_credited_frozen_and_withdrawn(store: Store) -> None:
    """Of 672 hours nine are down by two outages that overlap, 98.66 %: a quarter of 90.00. Of four hours, 99.4 %, it is a tenth."""
    filled(store)
    store.outages.declare(PLACE, EAST, actor="k")
    store.outages.declare(PLACE, replace(POWER, cause=OutageCause.UNPLANNED_STOP), actor="k")
    account = read_account(store, PLACE, "acme", START, END)
    run = closing(account)
    evidence = evidence_of(account.usage, account.contract, account.books, run)
    rated = rate(evidence.usage, evidence.contract, evidence.books, run)
    (line,) = [line for line in rated.lines if line.kind is LineKind.SERVICE_LEVEL]
    told = line.derivation.steps[0].text.split("; ")
    assert told[-1] == "vm-1, 9 of 672 h down (power, east), 98.6607 % available: 25 % of 90 EUR"
    assert [each.partition(" h down")[0] for each in told] == ["came, 3 of 672", "gone, 1 of 672", "sold, 4 of 672", "vm-1, 9 of 672"]
    assert line.amount.text == "-49.50", "22.50 of vm-1, 9.00 of each of the others"
    frozen = freeze(evidence)
    store.outages.withdraw(PLACE, "power", actor="k", reason="another host")
    thawed = thaw(frozen.blob, frozen.hash)
    assert rate(thawed.usage, thawed.contract, thawed.books, run) == rated, "what is invoiced stays as it is"
    assert ("power", "vm-1") not in down(store)


def test_a_preview_knows_what_was_down_until_then(store: Store) -> None:
    filled(store)
    store.outages.declare(PLACE, replace(POWER, until_ns=START + 2 * DAY_NS), actor="k")

    def credit(at_ns: int) -> list[str]:
        (draft,) = preview(store, PLACE, "acme", at_ns, RandomIds())
        return [line.derivation.steps[0].text for line in draft.lines if line.kind is LineKind.SERVICE_LEVEL]

    assert credit(START) == []
    (early,), (late,) = credit(START + HOUR_NS), credit(END - 1)
    assert early.startswith("vm-1, 1 of 672 h down (power), 99.8512 % available: 10 %")
    assert late.startswith("vm-1, 48 of 672 h down (power), 92.8571 % available: 25 %")
