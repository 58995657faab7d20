"""The laws of rating, in random worlds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tallystick.invoice import assemble, codec, evidence, explain
from tallystick.invoice.fees import fee_lines
from tallystick.model.billing.contracts import Change, Contract, Pause, Subscription
from tallystick.model.billing.invoices import Line, LineKind, RatingResult, Usage
from tallystick.model.billing.money import Money, round_minor
from tallystick.model.billing.phases import plan_at, plan_spans
from tallystick.model.billing.price_book import Fee, FeeTiming, PriceBook
from tallystick.model.instants import CELL_NS, CELLS_PER_HOUR, DAY_NS, HOUR_NS, cell_end
from tallystick.model.usage import Cells, UsageHour
from tallystick.rate.models.graduated import GraduatedModel
from tallystick.rate.models.registry import model_of
from tallystick.rate.models.tiers import Tier
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.rate import rate
from tests.unit.rate.worlds import END_NS, START_NS, World, instants, ladders, prices, slots_that_nobody_measured, worlds

EXAMPLES = settings(max_examples=50)


def rated(world: World, usage: Usage | None = None, books: tuple[PriceBook, ...] | None = None) -> RatingResult:
    """The lines of a world, or of it with other usage or prices."""
    return rate(usage or world.usage, world.contract, books or world.books, world.run)


def plain(subscription: Subscription) -> Subscription:
    """A subscription on the plan of its start, and nothing agreed beside it."""
    return replace(subscription, coupons=(), changes=(), pauses=(), trial_end_ns=None, overrides=(), commitments=())


def everywhere(world: World, **changed: object) -> World:
    """A world with something else in all charges that have allowances: no rate, no share of others, no price of an event."""
    books = tuple(
        replace(
            book,
            plans=tuple(
                replace(
                    plan,
                    charges=tuple(
                        replace(each, **changed) if each.meter and model_of(each.model).ALLOWANCES else each for each in plan.charges
                    ),
                )
                for plan in book.plans
            ),
        )
        for book in world.books
    )
    return replace(world, books=books)


def by_key(results: Iterable[RatingResult]) -> dict[str, tuple[Fraction, Fraction]]:
    """The sum of quantities and unrounded amounts of lines of one key."""
    sums: dict[str, tuple[Fraction, Fraction]] = defaultdict(lambda: (Fraction(0), Fraction(0)))
    for result in results:
        for line in result.lines:
            quantity, amount = sums[line.key]
            sums[line.key] = (quantity + line.quantity, amount + line.derivation.unrounded)
    return sums


def totals(lines: Iterable[Line]) -> dict[tuple[str, str], Money]:
    """The amount of each charge."""
    found: dict[tuple[str, str], Money] = {}
    for line in lines:
        place = line.subscription_id, line.charge_id
        found[place] = found[place] + line.amount if place in found else line.amount
    return found


@EXAMPLES
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(world: World, random: object) -> None:
    hours, gaps, events, books = list(world.usage.hours), list(world.usage.gaps), list(world.usage.events), list(world.books)
    for rows in (hours, gaps, events, books):
        random.shuffle(rows)
    shuffled = replace(
        world.usage,
        hours=tuple(hours),
        attributes=dict(reversed(world.usage.attributes.items())),
        gaps=tuple(gaps),
        events=tuple(events),
        outages=world.usage.outages[::-1],
        tier_fills=world.usage.tier_fills[::-1],
        open_runs=world.usage.open_runs[::-1],
    )
    assert rated(world, shuffled, tuple(books)) == rated(world)


@EXAMPLES
@given(worlds(free=False))
def test_usage_split_by_resource_adds_to_the_same_lines(world: World) -> None:
    names = {hour.resource_id for hour in world.usage.hours}
    parts = [replace(world.usage, hours=tuple(hour for hour in world.usage.hours if hour.resource_id == name), gaps=()) for name in names]
    assert by_key(rated(world, part) for part in parts) == by_key([rated(world)])


@EXAMPLES
@given(worlds(free=False), st.integers(START_NS, END_NS))
def test_usage_split_by_hour_adds_to_the_same_lines(world: World, at_ns: int) -> None:
    early = tuple(hour for hour in world.usage.hours if hour.hour_ns < at_ns)
    late = tuple(hour for hour in world.usage.hours if hour.hour_ns >= at_ns)
    parts = [replace(world.usage, hours=hours, gaps=()) for hours in (early, late)]
    assert by_key(rated(world, part) for part in parts) == by_key([rated(world)])


@EXAMPLES
@given(worlds())
def test_the_lines_of_a_charge_add_up_to_its_one_rounding(world: World) -> None:
    result = rated(world)
    exact: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    lines = [line for line in result.lines if line.kind in explain.CHARGED]
    for line in lines:
        exact[line.subscription_id, line.charge_id] += line.derivation.unrounded
        assert abs(line.amount.exact - line.derivation.unrounded) < Money(minor=1, currency=line.amount.currency).exact
    rounding = world.books[-1].plans[0].rounding
    assert totals(lines) == {place: round_minor(amount, world.run.currency, rounding) for place, amount in exact.items()}


@EXAMPLES
@given(worlds(versions=1), ladders(), st.booleans(), st.data())
def test_a_version_without_a_change_changes_no_amount(world: World, tiers: tuple[Tier, ...], tiered: bool, choice: st.DataObject) -> None:
    """Tiers go on where they were, open packages stay open, what is due once is due once."""
    world = everywhere(world, model=GraduatedModel(tiers=tiers), group_by=()) if tiered else world
    at_ns = choice.draw(st.sampled_from([hour.hour_ns for hour in world.usage.hours])) + choice.draw(st.integers(0, HOUR_NS))
    same = replace(world.books[0], version=2, effective_from_ns=at_ns)
    assert totals(rated(world, books=(*world.books, same)).lines) == totals(rated(world).lines)


@EXAMPLES
@given(worlds(versions=1), st.integers(START_NS, END_NS))
def test_a_correction_is_as_if_it_had_always_been(world: World, from_ns: int) -> None:
    wrong = world.books[0]
    plan = wrong.plans[0]
    dearer = replace(plan, charges=tuple(replace(each, model=UnitModel(price=Fraction(3))) for each in plan.charges))
    right = replace(wrong, version=2, corrects=1, plans=(dearer,))
    corrected, always = rated(world, books=(wrong, right)), rated(world, books=(right,))
    assert [(line.key, line.amount) for line in corrected.lines] == [(line.key, line.amount) for line in always.lines]
    short = replace(right, effective_from_ns=from_ns, effective_until_ns=from_ns + DAY_NS)
    assert {line.book_version for line in rated(world, books=(wrong, short)).lines} <= {1, 2}


def cut_at(world: World, at_ns: int, **changed: str) -> Usage:
    """The usage of a world with every timeline cut at an instant, perhaps with something else from there on."""
    cut = {
        name: tuple(
            piece
            for each in timeline
            for piece in (replace(each, until_ns=min(each.until_ns, at_ns)), replace(each, from_ns=max(each.from_ns, at_ns), **changed))
            if piece.from_ns < piece.until_ns
        )
        for name, timeline in world.usage.attributes.items()
    }
    return replace(world.usage, attributes=cut)


@EXAMPLES
@given(worlds())
@example(slots_that_nobody_measured())
def test_attributes_cut_without_a_change_change_nothing(world: World) -> None:
    middle = START_NS + 15 * DAY_NS + 1234
    assert rated(world, cut_at(world, middle)) == rated(world)
    assert rated(world, cut_at(world, middle, name="of no matter")).lines == rated(world).lines


@EXAMPLES
@given(worlds())
def test_what_is_not_the_customers_changes_nothing(world: World) -> None:
    strange = tuple(replace(hour, resource_id="of nobody") for hour in world.usage.hours[:1])
    others = replace(world.usage, hours=world.usage.hours + strange)
    assert rated(world, others) == rated(world)


@EXAMPLES
@given(worlds())
def test_an_invoice_is_made_again_byte_by_byte_of_its_evidence(world: World) -> None:
    kept = evidence.evidence_of(world.usage, world.contract, world.books, world.run)
    frozen = evidence.freeze(kept)
    assert evidence.freeze(kept) == frozen
    thawed = evidence.thaw(frozen.blob, frozen.hash)
    assert thawed == kept
    assert rate(kept.usage, kept.contract, kept.books, kept.run) == rated(world)
    made = assemble.assemble(rated(world), kept.contract, kept.books, kept.run, invoice_id="i", evidence_hash=frozen.hash)
    again = assemble.assemble(
        rate(thawed.usage, thawed.contract, thawed.books, thawed.run),
        thawed.contract,
        thawed.books,
        thawed.run,
        invoice_id="i",
        evidence_hash=frozen.hash,
    )
    assert codec.to_json(again) == codec.to_json(made)
    assert codec.from_json(codec.to_json(made)) == made
    assert explain.verify_invoice(made, thawed, frozen.hash, rate) == ()


@EXAMPLES
@given(worlds())
def test_no_line_without_derivation_and_nothing_inexact(world: World) -> None:
    result = rated(world)
    assert not list(inexact(result))
    keys = [line.key for line in result.lines]
    assert len(set(keys)) == len(keys)
    for line in result.lines:
        assert line.derivation.parts or line.kind is not LineKind.USAGE
        assert explain.verify_line(line) == ()
        for hour, cells in [row for part in line.derivation.parts for row in part.hours]:
            used = [hour + place * CELL_NS for place, cell in enumerate(cells) if cell]
            assert all(line.service_start_ns <= at_ns < line.service_end_ns for at_ns in used)
    billed = {line.meter for line in result.lines}
    paused = any(subscription.pauses for subscription in world.contract.subscriptions)
    assert paused or all(row.billed for row in result.statement if row.meter in billed and row.quantity)


@EXAMPLES
@given(worlds(), st.data())
def test_a_changed_figure_is_found(world: World, choice: st.DataObject) -> None:
    kept = evidence.evidence_of(world.usage, world.contract, world.books, world.run)
    frozen = evidence.freeze(kept)
    made = assemble.assemble(rated(world), kept.contract, kept.books, kept.run, invoice_id="i", evidence_hash=frozen.hash)
    if not made.lines:
        return
    number = choice.draw(st.integers(0, len(made.lines) - 1))
    line = made.lines[number]
    if line.kind is not LineKind.USAGE:
        return
    part = line.derivation.parts[0]
    more = replace(part, hours=((part.hours[0][0], (part.hours[0][1][0] + 1, *part.hours[0][1][1:])), *part.hours[1:]))
    changed = choice.draw(
        st.sampled_from(
            [
                replace(line, amount=line.amount + Money(minor=1, currency=line.amount.currency)),
                replace(line, quantity=line.quantity + 1),
                replace(line, derivation=replace(line.derivation, parts=(more, *line.derivation.parts[1:]))),
                replace(line, description="another"),
            ]
        )
    )
    forged = replace(made, lines=(*made.lines[:number], changed, *made.lines[number + 1 :]))
    assert explain.verify_invoice(forged, kept, frozen.hash, rate)


def inexact(value: object) -> Iterable[object]:
    """Every float inside a value."""
    if isinstance(value, float):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from inexact(getattr(value, each.name))
    elif isinstance(value, tuple | list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from inexact(item)


@EXAMPLES
@given(worlds(versions=1), prices, st.data())
def test_a_cap_is_never_passed_and_no_subscription_is_below_zero(world: World, cap: Fraction, choice: st.DataObject) -> None:
    world = everywhere(world, cap=cap, group_by=())
    at_ns = choice.draw(st.sampled_from([hour.hour_ns for hour in world.usage.hours]))
    world = replace(world, books=(*world.books, replace(world.books[-1], version=2, effective_from_ns=at_ns)))
    result = rated(world)
    last = {each.id: plan_spans(each, world.books, START_NS, END_NS)[-1].plan for each in world.contract.subscriptions}
    for resource_id in {hour.resource_id for hour in world.usage.hours}:
        alone = replace(
            world.usage,
            hours=tuple(hour for hour in world.usage.hours if hour.resource_id == resource_id),
            events=tuple(event for event in world.usage.events if event.resource_id == resource_id),
            gaps=(),
        )
        exact: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for line in (line for line in rated(world, alone).lines if line.kind in explain.CHARGED):
            exact[line.subscription_id, line.charge_id] += line.derivation.unrounded
        for (name, charge_id), amount in exact.items():
            most = next((charge.cap for charge in last[name].charges if charge.id == charge_id), None)
            assert most is None or amount <= most
    for subscription in world.contract.subscriptions:
        own = [line.amount.minor for line in result.lines if line.subscription_id == subscription.id]
        assert sum(own) >= 0


@EXAMPLES
@given(worlds())
def test_what_was_agreed_is_kept(world: World) -> None:
    """Without discounts and coupons the sum of a commitment's charges lies within its bounds."""
    bound = replace(world.contract, subscriptions=tuple(map(plain, world.contract.subscriptions)))
    books = tuple(replace(book, plans=(replace(book.plans[0], discounts=()),)) for book in world.books)
    result = rate(world.usage, bound, books, world.run)
    for commitment in books[-1].plans[0].commitments:
        named = commitment.charges or tuple(charge.id for charge in books[-1].plans[0].charges)
        own = [line for line in result.lines if line.subscription_id == "t" and line.charge_id in (*named, commitment.id)]
        total = sum((line.amount.exact for line in own), Fraction(0))
        cent = Money(minor=1, currency=world.run.currency).exact
        assert commitment.minimum is None or total >= commitment.minimum - cent
        assert commitment.maximum is None or total <= commitment.maximum + cent


@EXAMPLES
@given(worlds(), st.lists(instants, min_size=1, max_size=2), instants)
def test_a_change_and_back_at_one_instant_and_a_pause_of_none_change_nothing(world: World, moments: list[int], made_ns: int) -> None:
    """Whatever else was agreed: before an instant and after it nothing is other than it was, neither in usage nor in fees.

    They are made after all else: back to the plan that another change was later made to would not be back, when a fee was billed before.
    """
    fees = (Fee(id="ahead", name="A", amount=Fraction(31), timing=FeeTiming.ADVANCE), Fee(id="after", name="B", amount=Fraction(7)))
    books = tuple(replace(book, plans=tuple(replace(plan, fees=fees) for plan in book.plans)) for book in world.books)

    def otherwise(subscription: Subscription) -> Subscription:
        last_ns = max([made_ns, *(change.made_ns for change in subscription.changes)])
        for at_ns in moments:
            back = plan_at(subscription, at_ns)
            there = tuple(Change(at_ns=at_ns, plan_id=plan_id, made_ns=last_ns) for plan_id in ("p", "q", back))
            nothing = Pause(from_ns=at_ns, until_ns=at_ns, made_ns=last_ns, resumed_ns=last_ns)
            subscription = replace(subscription, changes=(*subscription.changes, *there), pauses=(*subscription.pauses, nothing))
        return subscription

    bound = replace(world.contract, subscriptions=tuple(map(otherwise, world.contract.subscriptions)))
    assert rate(world.usage, bound, books, world.run) == rate(world.usage, world.contract, books, world.run)
    assert fee_lines(bound, books, world.run) == fee_lines(world.contract, books, world.run)


@EXAMPLES
@given(worlds(free=False, versions=1), instants)
def test_both_sides_of_a_plan_change_are_billed_for_their_part(world: World, at_ns: int) -> None:
    """Usage up to the cell that holds the instant by the plan before, from there on by the one after."""
    whole = [replace(plain(each), start_ns=START_NS - DAY_NS) for each in world.contract.subscriptions]
    cell_ns = cell_end(at_ns)

    def billed(subscriptions: Iterable[Subscription], hours: Iterable[UsageHour]) -> dict[tuple[str, str, str], Fraction]:
        bound: Contract = replace(world.contract, subscriptions=tuple(subscriptions))
        found: dict[tuple[str, str, str], Fraction] = defaultdict(Fraction)
        for line in rate(replace(world.usage, hours=tuple(hours)), bound, world.books, world.run).lines:
            found[line.subscription_id, line.charge_id, line.plan_id] += line.derivation.unrounded
        return {place: amount for place, amount in found.items() if amount}

    before = [replace(hour, cells=cut(hour, lambda at: at < cell_ns)) for hour in world.usage.hours]
    after = [replace(hour, cells=cut(hour, lambda at: at >= cell_ns)) for hour in world.usage.hours]
    change = Change(at_ns=at_ns, plan_id="q", made_ns=at_ns)
    changed = billed((replace(each, changes=(change,)) for each in whole), world.usage.hours)
    assert changed == billed(whole, before) | billed((replace(each, plan_id="q") for each in whole), after)


def cut(hour: UsageHour, holds: Callable[[int], bool]) -> dict[str, Cells]:
    """The cells of an hour that begin at certain instants, the others 0."""
    starts = [hour.hour_ns + place * CELL_NS for place in range(CELLS_PER_HOUR)]
    return {meter: tuple(cell if holds(at) else 0 for at, cell in zip(starts, cells, strict=True)) for meter, cells in hour.cells.items()}
