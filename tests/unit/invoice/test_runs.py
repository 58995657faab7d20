"""Which runs are due when, what they bill together, and when they may be closed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tallystick.invoice import runs
from tallystick.invoice.assemble import assemble
from tallystick.model.billing.contracts import Contract, Run
from tallystick.model.billing.invoices import Usage
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.instants import HOUR_NS, iso, parse_iso
from tallystick.rate.agreements import refusals, with_default
from tallystick.rate.load import load_book
from tallystick.rate.rate import rate
from tests.cases.reading import contract, read

BOOK = """
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - {id: monthly, currency: USD, default: true, charges: [{id: h, meter: uptime, per: hour, price: 1}]}
  - {id: euro, currency: EUR, charges: [{id: h, meter: uptime, per: hour, price: 1}]}
  - {id: daily, currency: USD, cycle: daily, charges: [{id: h, meter: uptime, per: hour, price: 1}]}
  - {id: anchored, currency: USD, cycle: {unit: month, anniversary: true}, charges: [{id: h, meter: uptime, per: hour, price: 1}]}
  - {id: advance, currency: USD, fees: [{id: seat, amount: 30, timing: advance}]}
"""

DUE = Path(__file__).with_name("runs_due.txt").read_text()


def book() -> PriceBook:
    """The book of this file."""
    found, mistakes = load_book(BOOK, "b")
    assert found is not None, mistakes
    return found


def bound(text: str) -> Contract:
    """Subscriptions written as in the text cases, separated by semicolons."""
    return contract(read("case", "A contract.\n\n== subscriptions\n" + text.replace("; ", "\n")))


@pytest.mark.parametrize("row", DUE.strip().splitlines()[1:])
def test_due(row: str) -> None:
    """The runs that close after one instant and not after another: the closing day and the subscriptions of each."""
    written, after, now, said = (part.strip() for part in row.split("|"))
    found = runs.due(bound(written), [book()], parse_iso(now), parse_iso(f"{after}T00:00:00Z"))
    assert (", ".join(f"{iso(run.closing_ns)[:10]} {'+'.join(run.subscription_ids)}" for run in found) or "-") == said
    assert len({(run.key, run.currency) for run in found}) == len(found)
    assert all(run.period_start_ns <= run.closing_ns <= run.period_end_ns for run in found)


def test_a_later_look_finds_the_same_runs() -> None:
    both = bound("s monthly 2026-01-15T00:00:00Z .. 2026-03-05T00:00:00Z; t advance 2026-01-15T00:00:00Z .. -")
    whole = runs.due(both, [book()], parse_iso("2026-06-01T00:00:00Z"))
    days = [parse_iso(f"2026-0{month}-{day:02d}T00:00:00Z") for month in range(1, 6) for day in range(1, 29)]
    pieces = [run for before, after in pairwise(days) for run in runs.due(both, [book()], after, before)]
    assert tuple(pieces) == whole[: len(pieces)]
    assert len(whole) - len(pieces) == 1


def test_a_run_that_ends_one_and_begins_another_bills_usage_of_the_first_only() -> None:
    both = bound("s monthly 2025-12-01T00:00:00Z .. 2026-01-15T00:02:00Z; t advance 2026-01-15T00:02:00Z .. -")
    run = runs.due(both, [book()], parse_iso("2026-01-16T00:00:00Z"), parse_iso("2026-01-02T00:00:00Z"))[0]
    made = assemble(rate(Usage(hours=(), attributes={}), both, [book()], run), both, [book()], run, invoice_id="i")
    assert [(line.charge_id, line.amount.text) for line in made.lines] == [("seat", "16.45")]
    assert iso(run.period_start_ns) == "2026-01-01T00:00:00Z"


def test_current_runs_are_those_of_the_running_periods() -> None:
    short = "t monthly 2026-01-15T00:00:00Z .. 2026-01-20T00:00:00Z"
    both = bound(f"s monthly 2026-01-15T00:00:00Z .. -; {short}; u daily 2026-02-01T00:00:00Z .. -")
    found = runs.current(both, [book()], parse_iso("2026-01-16T00:00:00Z"))
    assert [(iso(run.closing_ns)[:10], run.subscription_ids) for run in found] == [("2026-01-20", ("t",)), ("2026-02-01", ("s",))]
    found = runs.current(both, [book()], parse_iso("2026-02-01T00:00:00Z"))
    assert [(iso(run.closing_ns)[:10], run.subscription_ids) for run in found] == [("2026-02-02", ("u",)), ("2026-03-01", ("s",))]


def test_the_hours_of_a_run() -> None:
    run = runs.due(bound("s monthly 2026-01-15T00:00:00Z .. 2026-01-20T10:02:00Z"), [book()], parse_iso("2026-02-01T00:00:00Z"))[0]
    assert [iso(at_ns) for at_ns in runs.usage_window(run)] == ["2026-01-01T00:00:00Z", "2026-01-20T11:00:00Z"]


def closing(hours: int) -> Run:
    """A run that closed so many hours before 2026-02-10."""
    run = runs.due(bound("s monthly 2026-01-15T00:00:00Z .. -"), [book()], parse_iso("2026-02-01T00:00:00Z"))[0]
    return replace(run, closing_ns=parse_iso("2026-02-10T00:00:00Z") - hours * HOUR_NS)


READY = """
closed hours ago | reported until    | ready
0                | all               | no
1                | all               | yes
1                | nobody            | yes
1                | not all           | no
71               | not all           | no
72               | not all           | yes
"""


@pytest.mark.parametrize("row", READY.strip().splitlines()[1:])
def test_ready(row: str) -> None:
    """The grace of an hour, at most 72, whatever the agents say."""
    hours, reported, said = (part.strip() for part in row.split("|"))
    run = closing(int(hours))
    until = {"all": run.closing_ns, "nobody": None, "not all": run.closing_ns - 1}[reported]
    seller = bound("s monthly 2026-01-15T00:00:00Z .. -").seller
    assert runs.ready(run, seller, parse_iso("2026-02-10T00:00:00Z"), until) is (said == "yes")
    assert runs.ready(run, replace(seller, grace_ns=0), parse_iso("2026-02-10T00:00:00Z"), run.closing_ns)


REFUSED = Path(__file__).with_name("subscriptions_refused.txt").read_text()


@pytest.mark.parametrize("row", REFUSED.strip().splitlines()[1:])
def test_what_is_refused_when_a_subscription_is_created(row: str) -> None:
    """The new one, the one that is there, and the sentence that refuses it."""
    new, beside, said = (part.strip() for part in row.split("|"))
    others = () if beside == "-" else bound(beside).subscriptions
    found = refusals(bound(new).subscriptions[0], others, [book()])
    assert (not found) if said == "-" else any(sentence.startswith(said) for sentence in found), found


def test_the_default_plan_has_a_subscription_of_its_own() -> None:
    agreed = bound("s monthly 2026-01-15T00:00:00Z .. -")
    at_ns = parse_iso("2026-02-01T00:00:00Z")
    assert with_default(agreed, [book()], None, at_ns) == agreed
    implicit = with_default(agreed, [book()], at_ns, at_ns).subscriptions[-1]
    assert (implicit.id, implicit.plan_id, implicit.start_ns, implicit.implicit) == ("default", "monthly", at_ns, True)
    assert with_default(agreed, [], at_ns, at_ns).subscriptions[-1].plan_id == ""
    assert refusals(agreed.subscriptions[0], [implicit], [book()]) == ()
