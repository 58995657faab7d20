"""Price books: every mistake at once with its line, what is canonical, what the shipped book says, and versions side by side."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given

from tallystick.model.billing.price_book import PriceBook, PriceModel, price_spans
from tallystick.model.instants import parse_iso
from tallystick.rate import models
from tallystick.rate.books.consistency import conflicts_between, default_plan
from tallystick.rate.books.document import digest_of, document, to_json
from tallystick.rate.books.offers import OFFER_KEYS
from tallystick.rate.books.rules import CREDIT_KEYS, SERVICE_LEVEL_KEYS
from tallystick.rate.books.schema import (
    BOOK_KEYS,
    CHARGE_KEYS,
    COMMITMENT_KEYS,
    CYCLE_KEYS,
    CYCLES,
    DISCOUNT_KEYS,
    FEE_KEYS,
    FILTER_KEYS,
    LIFETIME_KEY,
    PLAN_KEYS,
)
from tallystick.rate.load import LONGEST_BOOK, load_book
from tallystick.rate.models.registry import MODELS, model_of
from tallystick.rate.models.tiers import KEYS as TIER_KEYS
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.units import METER_UNITS
from tests.unit.rate.worlds import World, worlds

GOOD = """\
book: b
version: 2
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: p
    name: Plan
    currency: EUR
    cycle: monthly
    fees:
      - {id: seat, amount: 9.99, timing: advance, proration: daily}
    charges:
      - id: cpu
        meter: cpu.used
        per: core-hour
        price: 0.000000000001
        filters: {region: [eu, ch], kind: vm, labels: {team: a}}
        group_by: [region, labels.team, resource]
        free: 2.5
      - id: disk
        meter: disk.allocated
        per: GiB-month
        price: 1
        month_hours: 730
    reservations:
      - {id: year, meter: uptime, per: hour, region: eu, upfront: 20, recurring: 0.03}
"""

MISTAKES = [row for row in Path(__file__).with_name("price_book_mistakes.txt").read_text().splitlines() if " | " in row and row[0] != "#"]


def book(text: str = GOOD) -> PriceBook:
    """The book of a text without mistakes."""
    found, mistakes = load_book(text, "b.yaml")
    assert found is not None, [mistake.sentence() for mistake in mistakes]
    return found


@pytest.mark.parametrize("row", MISTAKES)
def test_one_mistake(row: str) -> None:
    """A good line, the bad one in its place, and the beginning of what is said."""
    good, bad, said = (part.strip() for part in row.split(" | "))
    assert GOOD.count(good) >= 1
    found, mistakes = load_book(GOOD.replace(good, bad.replace("\\n", "\n"), 1), "b.yaml")
    assert found is None
    sentences = [mistake.sentence() for mistake in mistakes]
    assert any(sentence.startswith(f"b.yaml:{said}") for sentence in sentences), sentences


def test_every_mistake_at_once_in_order_of_lines() -> None:
    bad = GOOD.replace("EUR", "euro").replace("core-hour", "hour").replace("price: 1\n", "price: free\n").replace("free: 2.5", "gift: 2")
    _, mistakes = load_book(bad, "b.yaml")
    assert [mistake.line for mistake in mistakes] == [7, 14, 18, 22]


def test_what_only_the_whole_shows() -> None:
    twice = GOOD + GOOD[GOOD.index("  - id: p") :]
    _, mistakes = load_book(twice.replace("    cycle: monthly", "    default: true"), "b.yaml")
    assert [mistake.sentence() for mistake in mistakes] == [
        "b.yaml:26: plans[1].id: found 'p' again, allowed: each plan id once",
        "b.yaml:29: plans[1].default: found a second default plan, allowed: at most one default plan of a seller",
    ]
    _, mistakes = load_book("book: b\neffective_from: 2026-01-01\nplans: []", "b.yaml")
    assert [mistake.sentence() for mistake in mistakes] == ["b.yaml:3: plans: found no plan, allowed: at least one plan"]
    _, mistakes = load_book("book: b\neffective_from: 2026-01-01\nplans:\n  - {id: p, currency: USD}", "b.yaml")
    assert mistakes[0].sentence() == "b.yaml:4: plans[0].charges: found neither a charge nor a fee, allowed: at least one"


OVERLAPS = """
{}                                    | {}                            | overlap
{region: eu}                          | {}                            | overlap
{region: [eu, us]}                    | {region: [us, ch]}            | overlap
{region: eu}                          | {region: us}                  | apart
{region: eu, kind: vm}                | {region: eu, kind: pod}       | apart
{region: eu}                          | {kind: vm}                    | overlap
{labels: {a: x}}                      | {labels: {b: y}}              | overlap
{labels: {a: x}}                      | {labels: {a: y, b: y}}        | apart
{labels: {a: x}, region: eu}          | {labels: {a: x, b: y}}        | overlap
"""


@pytest.mark.parametrize("row", OVERLAPS.strip().splitlines())
def test_charges_that_overlap(row: str) -> None:
    """Two charges of one meter: whether one resource could match both, which needs `also`."""
    one, other, said = (part.strip() for part in row.split(" | "))
    text = "book: b\neffective_from: 2026-01-01\nplans:\n  - id: p\n    currency: USD\n    charges:\n"
    charge = "      - {{id: {}, meter: uptime, per: hour, price: 1, filters: {}{}}}\n"
    found, mistakes = load_book(text + charge.format("x", one, "") + charge.format("y", other, ""), "b.yaml")
    assert (found is None) is (said == "overlap")
    if said == "overlap":
        assert "'y', which overlaps 'x' on uptime" in mistakes[0].sentence()
        assert mistakes[0].line == 8
    assert load_book(text + charge.format("x", one, "") + charge.format("y", other, ", also: true"), "b.yaml")[0]


@pytest.mark.parametrize(
    "text", ["", "- 1", "just text", "\x00", "a: &a [*a]", "? [1]\n: 2", "{" * 1000, "a: !!python/object:os.system x", "\t"]
)
def test_no_book_at_all(text: str) -> None:
    """Anything is answered with mistakes, never with an exception."""
    found, mistakes = load_book(text, "b.yaml")
    assert found is None
    assert mistakes


def test_a_text_too_long_is_refused() -> None:
    found, mistakes = load_book(GOOD + "#" * LONGEST_BOOK, "b.yaml")
    assert found is None
    assert mistakes[0].allowed == f"at most {LONGEST_BOOK}"


def test_prices_are_exact_as_written() -> None:
    charge = book().plans[0].charges[0]
    assert charge.model == UnitModel(price=Fraction(1, 10**12))
    assert charge.free == Fraction(5, 2)
    assert book(GOOD.replace("price: 1\n", "price: 1.5e-3\n")).plans[0].charges[1].model == UnitModel(price=Fraction(3, 2000))
    with pytest.raises(TypeError, match="needs a Fraction"):
        UnitModel(price=0.1)


def test_yaml_and_json_are_one_format() -> None:
    first = book()
    assert book(to_json(first)) == first
    assert book(json.dumps(document(first))) == first
    listed = book("regions: [eu, ch]\n" + GOOD)
    assert book(to_json(listed)) == listed != first
    named = replace(first, plans=(replace(first.plans[0], name="Plan \U0001f409"),), digest="")
    assert book(json.dumps(document(named))).plans == named.plans


def test_the_digest_is_of_the_content() -> None:
    assert book().digest == digest_of(book())
    assert book("# a comment\n" + GOOD.replace("name: Plan", 'name: "Plan"')).digest == book().digest
    assert book(GOOD.replace("version: 2", "version: 7")).digest == book().digest
    assert book(GOOD.replace("price: 1\n", "price: 1.00\n")).digest == book().digest
    assert book(GOOD.replace("price: 1\n", "price: 1.01\n")).digest != book().digest


@given(worlds(versions=1))
def test_any_book_is_read_as_it_is_written(world: World) -> None:
    written = to_json(world.books[0])
    found = book(written)
    assert to_json(found) == written
    assert replace(found, digest="") == world.books[0]


def test_the_shipped_book() -> None:
    """P3's tiers with one default, and what was really used."""
    text = files("tallystick.rate").joinpath("books/examples/default.yaml").read_text(encoding="utf-8")
    shipped = book(text)
    assert [plan.id for plan in shipped.plans] == ["standard", "premium", "enterprise", "measured"]
    assert [plan.id for plan in shipped.plans if plan.default] == ["standard"]
    prices = {charge.id: charge.model.price for charge in shipped.plans[0].charges}
    assert prices == {"vcpu": Fraction("0.01"), "memory": Fraction("0.005"), "disk": Fraction("0.10"), "traffic-out": Fraction("0.05")}
    assert [charge.meter for charge in shipped.plans[3].charges] == ["cpu.used", "memory.used", "network.tx"]
    assert not any(charge.meter == "network.rx" for plan in shipped.plans for charge in plan.charges)


def test_every_model_is_registered_once() -> None:
    """The files of rate/models and the registry are one set: the next model cannot be forgotten in it."""
    folder = Path(models.__file__).parent
    classes = {name for path in folder.glob("*.py") for name in re.findall(r"class (\w+)\(\w+Model\)", path.read_text())}
    assert {model.__name__ for model in MODELS.values()} == classes
    assert all(PriceModel.known[model.__name__] is model and name == model.NAME for name, model in MODELS.items())
    with pytest.raises(TypeError, match="no price model"):
        model_of(PriceModel())


def test_versions_side_by_side() -> None:
    first = replace(book(), version=1)
    later = replace(first, version=2, effective_from_ns=parse_iso("2026-02-01T00:00:00Z"))
    plan = first.plans[0]
    assert conflicts_between(later, [first]) == ()
    assert conflicts_between(replace(later, version=1), [first]) == ("version 1 of b exists",)
    assert "also takes effect at" in conflicts_between(replace(first, version=2), [first])[0]
    assert conflicts_between(replace(first, version=2, corrects=1), [first]) == ()
    assert "no such version" in conflicts_between(replace(later, corrects=9), [first])[0]
    assert "changes its currency from EUR" in conflicts_between(replace(later, plans=(replace(plan, currency="USD"),)), [first])[0]
    other_unit = replace(plan, charges=(replace(plan.charges[1], per="GiB-hour", month_hours=None),))
    assert "that is another charge" in conflicts_between(replace(later, plans=(other_unit,)), [first])[0]
    alike = [replace(first, version=number, effective_from_ns=number) for number in (1, 2, 3)]
    assert len(conflicts_between(replace(later, version=4, plans=(replace(plan, currency="USD"),)), alike)) == 1, "told once"
    elsewhere = replace(later, id="c", plans=(replace(plan, default=True),))
    assert "unique among a seller's books" in conflicts_between(elsewhere, [first])[0]
    renamed = replace(elsewhere, plans=(replace(plan, id="q", default=True),))
    assert conflicts_between(renamed, [first]) == ()
    assert "a seller has one" in conflicts_between(renamed, [replace(first, plans=(replace(plan, default=True),))])[0]


def test_the_default_plan_of_an_instant() -> None:
    plan = book().plans[0]
    first = replace(book(), version=1, plans=(replace(plan, default=True),))
    changed = (plan, replace(plan, id="q", default=True))
    later = replace(first, version=2, effective_from_ns=parse_iso("2026-02-01T00:00:00Z"), plans=changed)
    assert default_plan([first, later], parse_iso("2026-01-31T23:59:59Z")) == "p"
    assert default_plan([first, later], parse_iso("2026-02-01T00:00:00Z")) == "q"
    assert default_plan([first, later], parse_iso("2025-01-01T00:00:00Z")) == ""
    assert default_plan([replace(later, effective_until_ns=parse_iso("2026-03-01T00:00:00Z"))], parse_iso("2026-03-01T00:00:00Z")) == ""


SPANS = """
versions                                      | spans
1: 00:02..                                    | 1: 00:00..24:00
1: ..12:02                                    | 1: 00:00..12:05
1: .. 2: 12:02..                              | 1: 00:00..12:05, 2: 12:05..24:00
1: .. 2: 12:00..                              | 1: 00:00..12:00, 2: 12:00..24:00
1: ..12:02 2: 12:02..                         | 1: 00:00..12:05, 2: 12:05..24:00
1: ..12:01 2: 12:02..                         | 1: 00:00..12:05, 2: 12:05..24:00
1: ..11:58 2: 12:02..                         | 1: 00:00..12:00, 2: 12:00..24:00
1: ..06:00 2: 12:00..                         | 1: 00:00..06:00, 2: 12:00..24:00
1: .. 2: 06:00..12:00                         | 1: 00:00..06:00, 2: 06:00..12:00
1: .. 2 corrects 1: 06:00..12:00              | 1: 00:00..06:00, 2: 06:00..12:00, 1: 12:00..24:00
1: 00:02.. 2 corrects 1: 00:02..              | 2: 00:00..24:00
1: .. 2: 12:00.. 3 corrects 1: 06:00..        | 1: 00:00..06:00, 3: 06:00..12:00, 2: 12:00..24:00
"""


@pytest.mark.parametrize("row", SPANS.strip().splitlines()[1:])
def test_which_version_is_in_force_in_which_cells(row: str) -> None:
    """Versions with their instants of one day, and the cells that they price."""
    written, said = (part.strip() for part in row.split(" | "))
    day = parse_iso("2026-06-01T00:00:00Z")

    def instant(text: str) -> int | None:
        return day + (int(text[:2]) * 60 + int(text[3:])) * 60 * 10**9 if text else None

    def clock(at_ns: int) -> str:
        minutes = (at_ns - day) // (60 * 10**9)
        return f"{minutes // 60:02d}:{minutes % 60:02d}"

    versions = []
    for text in written.replace(": ", ":").replace(" corrects ", "c").split():
        number, times = text.split(":", 1)
        version, _, corrects = number.partition("c")
        begin, end = times.split("..")
        made = replace(book(), version=int(version), corrects=int(corrects) if corrects else None)
        versions.append(replace(made, effective_from_ns=instant(begin) or 0, effective_until_ns=instant(end)))
    found = price_spans(versions, "p", day, day + 24 * 3600 * 10**9)
    assert ", ".join(f"{span.book.version}: {clock(span.from_ns)}..{clock(span.until_ns)}" for span in found) == said
    assert price_spans(versions, "unknown", day, day + 10**15) == ()


def test_a_version_without_the_plan_ends_it() -> None:
    first = replace(book(), version=1)
    without = replace(first, version=2, effective_from_ns=first.effective_from_ns + 3600 * 10**9, plans=(replace(first.plans[0], id="q"),))
    found = price_spans([first, without], "p", first.effective_from_ns, first.effective_from_ns + 7200 * 10**9)
    assert [(span.book.version, span.until_ns - span.from_ns) for span in found] == [(1, 3600 * 10**9)]


def test_the_page_has_every_key_meter_and_unit_and_its_example_loads() -> None:
    """docs/price-book.md and the format are one."""
    page = (Path(__file__).parents[3] / "docs" / "price-book.md").read_text()
    example = book(page.split("```yaml\n")[1].split("```")[0])
    assert [charge.id for charge in example.plans[0].charges] == ["cpu-eu", "cpu-us", "disk", "traffic"]
    named = set(re.findall(r"`([^`\n]+)`", page))
    model_keys = [key for model in MODELS.values() for key in model.KEYS]
    units = [unit.name for fitting in METER_UNITS.values() for unit in fitting]
    keys = (*BOOK_KEYS, *PLAN_KEYS, *FEE_KEYS, *CHARGE_KEYS, *CYCLE_KEYS, *FILTER_KEYS, *COMMITMENT_KEYS, *DISCOUNT_KEYS)
    keys += (*OFFER_KEYS, *SERVICE_LEVEL_KEYS, *CREDIT_KEYS, LIFETIME_KEY)
    for word in (*keys, *CYCLES, *MODELS, *model_keys, *TIER_KEYS, *METER_UNITS, *units):
        assert word in named, f"docs/price-book.md does not tell of {word}"
    rows = dict(re.findall(r"^\| (`(?:(?:cpu|memory|disk|network|gpu|http)\.|uptime)[^|]*) \| ([^|]*) \|$", page, re.MULTILINE))
    told = {meter: re.findall(r"`([^`]+)`", fitting) for meters, fitting in rows.items() for meter in re.findall(r"`([^`]+)`", meters)}
    assert told == {meter: [unit.name for unit in fitting] for meter, fitting in METER_UNITS.items()}
