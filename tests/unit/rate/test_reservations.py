"""Reserved capacity: what it covers and costs, what is reported of it, and what cannot be agreed."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.invoice import runs
from tallystick.invoice.assemble import assemble
from tallystick.model.billing.contracts import Contract, Reservation
from tallystick.model.billing.invoices import LineKind, Usage
from tallystick.model.billing.money import decimal_text
from tallystick.model.billing.price_book import PriceBook
from tallystick.model.instants import CELLS_PER_HOUR, HOUR_NS, LATEST_NS, iso, parse_iso
from tallystick.model.resources import SIZES, Attributes
from tallystick.model.usage import UsageHour
from tallystick.rate.attribution import window_of
from tallystick.rate.load import load_book
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.rate import rate
from tallystick.rate.reservations.agreements import reservation_refusals, reserved_from
from tallystick.rate.reservations.matching import Match, matches
from tallystick.rate.reservations.report import matches_between, reservation_report
from tallystick.rate.units import unit_of
from tests.cases.reading import Case, all_cases, books, contract, read, usage, value_of
from tests.unit.rate.worlds import START_NS, World, worlds

EXAMPLES = settings(max_examples=30)


BOOK = """
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: p
    currency: EUR
    charges: [{id: cpu, meter: cpu.allocated, per: vcpu-hour, price: 0.01}]
    fees: [{id: seat, amount: 31, timing: advance}, {id: support, amount: 10}]
    reservations:
      - {id: m4-1y, name: One year of m4, meter: cpu.allocated, per: vcpu-hour, region: eu, kind: m4, upfront: 20, recurring: 0.004}
      - {id: month, meter: disk.allocated, per: GiB-hour, months: 1, recurring: 0.0001}
"""


def book() -> PriceBook:
    """The book of this file."""
    found, mistakes = load_book(BOOK, "b")
    assert found is not None, mistakes
    return found


def bound(text: str) -> Contract:
    """A contract written as in the text cases."""
    return contract(read("case", "A contract.\n\n" + text))


def matched(world: World, usage: Usage | None = None) -> tuple[Match, ...]:
    """What is covered in a world."""
    return matches(usage or world.usage, world.contract, world.books, window_of(world.contract, world.books, world.run))


@st.composite
def reserved(draw: st.DrawFn) -> World:
    """A world in which what is reserved meets what is used: machines of one region, up in the first hours of reservations of their meters.

    In `worlds` itself that is so rare that a law over it says nothing.
    """
    world = draw(worlds())
    attributes = Attributes(from_ns=0, until_ns=LATEST_NS, customer_id="c", region="eu", sizes=SIZES)
    used = tuple(
        UsageHour(
            resource_id=name,
            hour_ns=START_NS + hour * HOUR_NS,
            cells={meter: draw(SMALL) for meter, _ in RESERVABLE},
            estimated={},
            samples=1,
            memory_peak_bytes=None,
        )
        for name in world.usage.attributes
        for hour in draw(st.lists(st.integers(0, 3), min_size=1, unique=True))
    )
    charged = {charge.meter for charge in world.books[0].plans[0].charges}
    offered = [each for each in RESERVABLE if each[0] in charged] or RESERVABLE
    held = []
    for number in range(draw(st.integers(1, 3))):
        meter, per = draw(st.sampled_from(offered))
        start_ns = START_NS + draw(st.sampled_from([-1, 0, 1])) * HOUR_NS // 3
        held.append(
            Reservation(
                id=f"r{number}",
                name="R",
                subscription_id=draw(st.sampled_from(["s", "t"])),
                meter=meter,
                per=per,
                quantity=Fraction(draw(st.integers(1, 400)), 100),
                start_ns=start_ns,
                end_ns=start_ns + draw(st.integers(1, 12)) * HOUR_NS // 2,
                region=draw(st.sampled_from(["eu", "eu", "us"])),
                upfront=Fraction(draw(st.integers(0, 9))),
                recurring=Fraction(draw(st.integers(0, 9)), 7),
            )
        )
    everything = replace(world.contract.subscriptions[0], start_ns=START_NS - HOUR_NS)
    return replace(
        world,
        usage=replace(world.usage, hours=used, attributes=dict.fromkeys(world.usage.attributes, (attributes,))),
        contract=replace(world.contract, subscriptions=(everything, *world.contract.subscriptions[1:]), reservations=tuple(held)),
    )


SMALL = st.tuples(*[st.integers(0, 4 * HOUR_NS // CELLS_PER_HOUR)] * CELLS_PER_HOUR)
RESERVABLE = (("cpu.used", "core-hour"), ("cpu.allocated", "vcpu-hour"), ("uptime", "hour"))


@EXAMPLES
@given(reserved())
def test_what_is_reserved_costs_what_was_declared_and_what_it_covers_nothing_more(world: World) -> None:
    """Without trials, at plain prices: the bill without them is that with them, plus what they cover at its price, less their cost."""
    plan = world.books[0].plans[0]
    plain = tuple(
        replace(
            charge,
            model=UnitModel(price=Fraction(2)),
            free=Fraction(0),
            included=Fraction(0),
            cap=None,
            increment_seconds=0,
            minimum_seconds=0,
        )
        for charge in plan.charges
        if charge.meter and charge.meter != "network.rate"
    )
    books = (replace(world.books[0], plans=(replace(plan, charges=plain, commitments=(), discounts=(), service_levels=()),)),)
    subscriptions = tuple(replace(each, trial_end_ns=None, overrides=(), commitments=()) for each in world.contract.subscriptions)
    with_them = rate(world.usage, replace(world.contract, subscriptions=subscriptions), books, world.run)
    without = rate(world.usage, replace(world.contract, subscriptions=subscriptions, reservations=()), books, world.run)
    costs: dict[str, Fraction] = defaultdict(Fraction)
    for each in world.contract.reservations:
        start_ns, end_ns = world.contract.reserved(each)
        held_ns = max(min(end_ns, world.run.period_end_ns) - max(start_ns, world.run.period_start_ns), 0)
        costs[each.id] = each.quantity * held_ns / HOUR_NS * each.recurring
    said = {line.charge_id: line.derivation.unrounded for line in with_them.lines if line.kind is LineKind.RESERVATION}
    assert said == {name: amount for name, amount in costs.items() if amount}
    used = {line.key: line for line in with_them.lines if line.kind is LineKind.USAGE}
    for line in without.lines:
        if line.kind is LineKind.USAGE:
            covered = sum((step.before - step.after for step in used[line.key].derivation.steps if step.name == "reserved"), Fraction(0))
            assert covered >= 0
            assert used[line.key].derivation.unrounded == line.derivation.unrounded - covered * 2 >= 0


def test_an_hour_covers_no_more_than_was_reserved_or_used() -> None:
    covered = 0

    @EXAMPLES
    @given(reserved())
    def holds(world: World) -> None:
        nonlocal covered
        for match in matched(world):
            taken: dict[str, Fraction] = defaultdict(Fraction)
            for name, amount in (part for parts in match.covered.values() for part in parts):
                taken[name] += amount
            assert all(0 < amount <= match.capacity[name] for name, amount in taken.items())
            assert taken == {name: amount for name, amount in match.taken.items() if amount}
            assert sum(taken.values()) == min(Fraction(match.used), sum(match.capacity.values(), Fraction(0)))
            covered += len(match.covered)

    holds()
    assert covered, "nothing is covered in these worlds: the law says nothing"


@EXAMPLES
@given(reserved(), st.integers(0, 8))
def test_a_report_adds_up_and_does_not_depend_on_how_its_hours_are_read(world: World, hours: int) -> None:
    run = world.run
    cut_ns = min(run.period_start_ns + hours * HOUR_NS, run.period_end_ns)
    spans = (run.period_start_ns, cut_ns), (cut_ns, run.period_end_ns)
    parts = [match for span in spans for match in matches_between(world.usage, world.contract, world.books, *span)]
    report = reservation_report(world.contract, parts)
    whole = matches_between(world.usage, world.contract, world.books, run.period_start_ns, run.period_end_ns)
    assert report == reservation_report(world.contract, reversed(whole))
    assert all(0 <= each.utilization <= 1 and each.unused_cost >= 0 for each in report.reservations)
    assert all(each.coverage is None or 0 <= each.coverage <= 1 for each in (*report.usage, *report.totals))
    for meter in {each.meter for each in report.usage}:
        held = [(each, unit_of(meter, each.reservation.per)) for each in report.reservations if each.reservation.meter == meter]
        beside = [(each, unit_of(meter, each.per)) for each in report.usage if each.meter == meter]
        (total,) = [each for each in report.totals if each.meter == meter]
        base = unit_of(meter, total.per).base
        assert base * total.reserved == sum(unit.base * each.reserved for each, unit in held)
        assert base * total.covered == sum(unit.base * each.used for each, unit in held)
        for name in ("reserved", "used", "covered"):
            assert base * getattr(total, name) == sum(unit.base * getattr(each, name) for each, unit in beside)


REPORTED = [(case, heading) for case in all_cases() for heading in case.rows if heading.startswith("report ")]
ROW = re.compile(
    r"(?P<whose>\S+(?: \S+)?)  +(?P<used>[^=]+) of (?P<of>[^=]+) (?P<unit>\S+) += (?P<percent>\S+) %(?:, the rest (?P<rest>\S+))?"
)


@pytest.mark.parametrize(("case", "heading"), REPORTED, ids=[case.name for case, _ in REPORTED])
def test_the_report_of_a_case(case: Case, heading: str) -> None:
    """A row for each reservation, and one for each region and kind."""
    _, start, _, until = heading.split()
    prices, bound_to = books(case), contract(case)
    found = matches_between(usage(case), bound_to, prices, parse_iso(start), parse_iso(until))
    report = reservation_report(bound_to, found)
    made = [
        (each.reservation.id, each.used, each.reserved, each.reservation.per, each.utilization, decimal_text(each.unused_cost, 2))
        for each in report.reservations
    ]
    made += [(f"{each.region or '-'} {each.kind or '-'}", each.covered, each.used, each.per, each.coverage, None) for each in report.usage]
    said = []
    for row in case.rows[heading]:
        words = ROW.fullmatch(row)
        assert words, f"{row!r} is no row such as: r 2640 of 2880 vcpu-hour = 91.67 %, the rest 1.41"
        said.append((words["whose"], value_of(words["used"]), value_of(words["of"]), words["unit"], words["percent"], words["rest"]))
    assert said == [(*each[:4], decimal_text((each[4] or Fraction(0)) * 100, 2), each[5]) for each in made]


@EXAMPLES
@given(reserved())
def test_late_usage_changes_its_own_hour_only(world: World) -> None:
    if not world.usage.hours:
        return
    late, *known = world.usage.hours
    before = {(match.place, match.hour_ns): match for match in matched(world, replace(world.usage, hours=tuple(known)))}
    after = {(match.place, match.hour_ns): match for match in matched(world)}
    assert before.keys() == after.keys()
    assert all(before[place, hour_ns] == after[place, hour_ns] for place, hour_ns in after if hour_ns != late.hour_ns)


def test_an_upfront_part_in_the_middle_of_a_month_bills_nothing_else() -> None:
    """Its run closes together with another subscription: what both used is billed once, and so are their fees."""
    text = "== subscriptions\ns p 2026-05-01T00:00:00Z .. - covers vm1\nu p 2026-05-01T00:00:00Z .. 2026-06-15T12:00:00Z covers vm2\n"
    text += "== reservations\nr s 1 cpu.allocated vcpu-hour eu m4 at 0.004 2026-06-15T12:00:00Z .. 2027-06-15T12:00:00Z upfront 20\n"
    both, prices = bound(text), [book()]
    found = runs.due(both, prices, parse_iso("2026-07-01T00:00:00Z"), parse_iso("2026-06-01T00:00:00Z"))
    said = {}
    for run in found:
        made = assemble(rate(Usage(hours=(), attributes={}), both, prices, run), both, prices, run, invoice_id="i")
        said[iso(run.closing_ns)[:10]] = [(line.subscription_id, line.charge_id, line.amount.text) for line in made.lines]
    # 372 of 720 hours of July's month are 15.5 days of 24 h: 15.5 x 24 x 0.004.
    assert said == {
        "2026-06-15": [("u", "support", "4.83"), ("s", "r", "20.00")],
        "2026-07-01": [("s", "support", "10.00"), ("s", "seat", "31.00"), ("s", "r", "1.49")],
    }


def test_an_offer_that_is_taken() -> None:
    text = "== subscriptions\ns p 2026-01-01T00:00:00Z .. -\n"
    both = bound(text)
    year, month = book().plans[0].reservations
    found = reserved_from(year, both.subscriptions[0], Fraction(8), parse_iso("2026-01-31T09:00:00Z"), "Europe/Berlin", reservation_id="r")
    assert (iso(found.end_ns), found.upfront, found.recurring, found.region) == ("2027-01-31T09:00:00Z", 160, Fraction("0.004"), "eu")
    assert reservation_refusals(found, both, [book()]) == ()
    short = reserved_from(month, both.subscriptions[0], Fraction(8), parse_iso("2026-01-31T09:00:00Z"), "UTC", reservation_id="q")
    assert iso(short.end_ns) == "2026-02-28T09:00:00Z"


REFUSED = """
quantity=0                        | quantity: 0 is not above 0
recurring=-1                      | recurring: -1 is negative
end_ns=2026-01-01T00:00:00Z       | end: 2026-01-01T00:00:00Z is not after the start 2026-02-01T00:00:00Z
end_ns=2028-01-01T00:00:00Z       | end: 2028-01-01T00:00:00Z is after that of subscription 's', 2027-06-01T00:00:00Z
start_ns=2025-12-01T00:00:00Z     | start: 2025-12-01T00:00:00Z is before that of subscription 's', 2026-01-01T00:00:00Z
per=GiB-hour                      | per: 'GiB-hour' cannot be reserved of 'cpu.allocated'; there are: vcpu-hour
meter=network.tx                  | per: 'vcpu-hour' cannot be reserved of 'network.tx'; there are: none
id=taken                          | id: 'taken' exists
id=cpu                            | id: 'cpu' is the id of what a plan or a coupon of 's' bills
subscription_id=t                 | subscription_id: 't' is no subscription of c
"""


@pytest.mark.parametrize("row", REFUSED.strip().splitlines())
def test_what_cannot_be_agreed(row: str) -> None:
    """One wrong field, and what is said of it."""
    wrong, said = (part.strip() for part in row.split(" | "))
    name, value = wrong.split("=")
    text = "== subscriptions\ns p 2026-01-01T00:00:00Z .. 2027-06-01T00:00:00Z\n"
    text += "== reservations\ntaken s 1 cpu.allocated vcpu-hour eu m4 at 0.004 2026-02-01T00:00:00Z .. 2027-02-01T00:00:00Z\n"
    both = bound(text)
    good: Reservation = replace(both.reservations[0], id="new")
    assert reservation_refusals(good, both, [book()]) == ()
    figure = Fraction(value) if name in ("quantity", "recurring") else parse_iso(value) if name.endswith("_ns") else value
    assert reservation_refusals(replace(good, **{name: figure}), both, [book()]) == (said,)
