"""Every text case of tests/cases: its prices and usage make its lines, which follow from their derivations and from evidence alone."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import pytest

from tallystick.invoice import assemble, codec, evidence, explain, runs
from tallystick.model.billing.contracts import Contract
from tallystick.model.billing.invoices import DocumentState, Evidence, Invoice, Line, TierFill
from tallystick.model.billing.money import round_minor
from tallystick.model.instants import LATEST_NS, iso, parse_iso
from tallystick.rate.agreements import with_default
from tallystick.rate.estimate import Machine, estimate
from tallystick.rate.rate import rate
from tallystick.rate.terms.known import fills_of
from tests.cases.reading import Case, Expected, all_cases, books, contract, is_true, usage, value_of

CASES = all_cases()
LINE = re.compile(
    r"(?P<charge>[\w:-]+)(?P<group>\[.*?\])?( v(?P<version>\d+))?\s+"
    r"(?P<quantity>[^:]*?) (?P<unit>[\w/-]+) at (?P<price>-?[\d.]+)( \+ (?P<fixed>[^=]+?)| (?P<off>- [^=]+?))?\s+= (?P<amount>-?[\d.]+)"
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Case) -> None:
    """The invoices of the case are exactly those written in it."""
    tier_fills: tuple[TierFill, ...] = ()
    for expected in case.invoices:
        if "machine" in case.rows:
            same_lines(expected, estimated(case))
            continue
        made, frozen, kept = closed(case, expected, tier_fills)
        tier_fills += fills_of(made.lines, kept.books)
        same_lines(expected, made.lines)
        assert made.total.text == expected.total, case.title
        assert sorted(f"{each.code} {each.resource_id} {each.record}".strip() for each in made.findings) == sorted(expected.parked)
        assert made.state is (DocumentState.PARKED if expected.parked else DocumentState.DRAFT)
        assert codec.from_json(codec.to_json(made)) == made
        assert explain.verify_invoice(made, evidence.thaw(frozen.blob, frozen.hash), frozen.hash, rate) == ()
        assert evidence.thaw(frozen.blob, frozen.hash) == kept


@pytest.mark.parametrize("case", [case for case in CASES if case.why], ids=[case.name for case in CASES if case.why])
def test_its_derivation(case: Case) -> None:
    """Each calculation of a case is right, and each amount of its invoices is the end of one."""
    assert [row for row in case.why if not is_true(row)] == []
    ends = {value_of(row.split()[-1]) for row in case.why}
    for expected in case.invoices:
        amounts = [Fraction(line.split(" = ")[-1]) for line in expected.lines]
        assert sum(amounts) == Fraction(expected.total)
        assert {abs(amount) for amount in (*amounts, Fraction(expected.total))} <= ends | {0}


def closed(case: Case, expected: Expected, tier_fills: tuple[TierFill, ...] = ()) -> tuple[Invoice, evidence.Frozen, Evidence]:
    """The invoice of the run that closes at the instant of the case, made from what is kept as its evidence."""
    prices, used, bound = books(case), replace(usage(case), tier_fills=tier_fills), contract(case)
    bound = _with_default(case, bound)
    closes = parse_iso(expected.closes)
    found = [run for run in runs.due(bound, prices, closes) if run.closing_ns == closes]
    assert len(found) == 1, [(run.key, iso(run.closing_ns)) for run in runs.due(bound, prices, closes)]
    kept = evidence.evidence_of(used, bound, prices, found[0])
    frozen = evidence.freeze(kept)
    rated = rate(kept.usage, kept.contract, kept.books, kept.run)
    assert rated == rate(used, bound, prices, found[0]), "what is kept is rated as what was there"
    made = assemble.assemble(rated, kept.contract, kept.books, kept.run, invoice_id="i", evidence_hash=frozen.hash)
    return made, frozen, kept


def _with_default(case: Case, bound: Contract) -> Contract:
    first = case.settings.get("default plan from")
    return with_default(bound, books(case), parse_iso(first), LATEST_NS) if first else bound


def estimated(case: Case) -> tuple[Line, ...]:
    """The lines of a made-up machine: `plan standard`, `vcpus 2`, ..."""
    words = dict(row.split() for row in case.rows["machine"])
    plan = words.pop("plan")
    result = estimate(books(case)[0], plan, Machine(**{name: value_of(value) for name, value in words.items()}))
    assert not result.findings
    return result.lines


def same_lines(expected: Expected, lines: tuple[Line, ...]) -> None:
    """Each written line is the made one: charge, group, version, quantity, unit, price, amount; and it adds up with a pocket calculator."""
    assert [text.split()[0].split("[")[0] for text in expected.lines] == [line.charge_id for line in lines]
    for text, line in zip(expected.lines, lines, strict=True):
        found = LINE.fullmatch(text)
        assert found, f"{text!r} is no line such as: vcpu 2 x 720 vcpu-hour at 0.01 = 14.40"
        assert (found["group"] or "[]") == f"[{' '.join(value for _, value in line.group)}]"
        assert found["version"] in (None, str(line.book_version)), text
        assert (line.quantity, line.unit) == (value_of(found["quantity"]), found["unit"]), text
        assert line.unit_price == Fraction(found["price"]), text
        assert line.amount.text == found["amount"], text
        assert line.fixed == value_of(found["fixed"] or f"0 {found['off'] or ''}"), text
        assert line.derivation.unrounded == line.quantity * line.unit_price + line.fixed
        assert abs(round_minor(line.derivation.unrounded, line.amount.currency).minor - line.amount.minor) <= 1
        assert line.derivation.steps, "no line without derivation"


def test_a_calculation_is_exact() -> None:
    """The pocket calculator of the cases."""
    assert value_of("2 x (1,720 - 12) / 3 + 0.1") == 2 * 1708 / value_of("3") + value_of("1/10")


ESTIMATE = next(case for case in CASES if case.name == "estimate")


@pytest.mark.parametrize(
    ("plan", "machine", "said"),
    [
        ("gold", {}, "plan 'gold' is not in default; there are: standard"),
        ("standard", {"vcpus": "-1"}, "vcpus: -1 is negative"),
        ("standard", {"hours": "0"}, "hours: 0 is not above 0"),
        ("standard", {"hours": "9000"}, "hours: 9000 is not above 0, at most 8784"),
        ("standard", {"hours": "1/7"}, "whole number of nanoseconds"),
    ],
)
def test_an_estimate_that_cannot_be(plan: str, machine: dict[str, str], said: str) -> None:
    """A wrong figure is told with its value."""
    with pytest.raises(ValueError, match=said):
        estimate(books(ESTIMATE)[0], plan, Machine(**{name: Fraction(value) for name, value in machine.items()}))


def test_an_estimate_of_part_of_an_hour() -> None:
    """90 minutes of 3 vCPU and 10 GiB out, on the formula that bills."""
    machine = Machine(vcpus=value_of("3"), network_out_gib=value_of("10"), hours=value_of("1.5"))
    lines = {line.charge_id: line for line in estimate(books(ESTIMATE)[0], "standard", machine).lines}
    assert (lines["vcpu"].quantity, lines["vcpu"].amount.text) == (value_of("4.5"), "0.05")
    assert (lines["traffic-out"].quantity, lines["traffic-out"].amount.text) == (10, "0.50")
