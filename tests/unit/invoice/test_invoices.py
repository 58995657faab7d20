"""Invoices: states, totals, hashes, numbers, JSON, evidence, and what a check of them finds."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from fractions import Fraction

import pytest

from tallystick.invoice import evidence, explain
from tallystick.invoice.assemble import assemble, finalize, issue
from tallystick.invoice.codec import decode, encode, from_json, to_json
from tallystick.invoice.content import canonical, content_hash, hashed_json
from tallystick.invoice.numbers import fiscal_year, number_text
from tallystick.model.billing.contracts import Seller
from tallystick.model.billing.invoices import DocumentState, Evidence, Invoice, Share
from tallystick.model.billing.money import (
    Money,
    decimal_text,
    exact_text,
    largest_remainder,
    minor_digits,
    parse_money,
    round_minor,
    round_parts,
)
from tallystick.model.billing.price_book import Charge
from tallystick.model.findings import FindingCode
from tallystick.model.instants import iso, parse_iso
from tallystick.model.resources import Attributes
from tallystick.model.usage import Filled, Gap
from tallystick.rate.models.unit import UnitModel
from tallystick.rate.rate import rate
from tests.cases.reading import all_cases, read
from tests.unit.rate.test_rate_cases import closed

TEXT = next(case for case in all_cases() if case.name == "price-change")


def made() -> tuple[Invoice, evidence.Frozen, Evidence]:
    """The invoice of a case, with its evidence."""
    return closed(TEXT, TEXT.invoices[0])


def again(kept: Evidence, **changes: object) -> Invoice:
    """The invoice of other evidence."""
    changed = replace(kept, **changes)
    rated = rate(changed.usage, changed.contract, changed.books, changed.run)
    return assemble(rated, changed.contract, changed.books, changed.run, invoice_id="i")


def test_a_draft_is_finalized_once() -> None:
    invoice, _, _ = made()
    issued = issue(invoice, parse_iso("2026-04-01T12:00:00Z"))
    final = finalize(issued, "INV-2026-000001")
    assert (final.state, final.number) == (DocumentState.FINALIZED, "INV-2026-000001")
    assert iso(final.due_at_ns or 0) == "2026-04-15T00:00:00Z"
    assert (final.content_hash, canonical(final)) == (invoice.content_hash, canonical(invoice))
    for wrong, said in ((final, "only a draft"), (replace(invoice, state=DocumentState.PARKED), "only a draft")):
        with pytest.raises(ValueError, match=said):
            issue(wrong, 0)
    with pytest.raises(ValueError, match="the number is empty"):
        finalize(issued, "")
    with pytest.raises(ValueError, match="only an issued one"):
        finalize(invoice, "INV-2026-000002")
    with pytest.raises(ValueError, match="is not what its hash"):
        issue(replace(invoice, total=Money(minor=1, currency="EUR")), 0)


def test_it_is_due_on_a_date_of_the_customer() -> None:
    _, _, kept = made()
    customer = replace(kept.contract.customer, time_zone="America/New_York")
    draft = again(replace(kept, contract=replace(kept.contract, customer=customer)))
    assert iso(issue(draft, parse_iso("2026-03-01T03:00:00Z")).due_at_ns or 0) == "2026-03-14T04:00:00Z"


def test_what_parks_an_invoice_beside_usage() -> None:
    _, _, kept = made()
    seller = replace(kept.contract.seller, tax="")
    customer = replace(kept.contract.customer, currency="USD")
    parked = again(kept, contract=replace(kept.contract, seller=seller, customer=customer))
    assert parked.state is DocumentState.PARKED
    assert [finding.code for finding in parked.findings] == [FindingCode.TAX_WITHOUT_RULE, FindingCode.NO_EXCHANGE_RATE]
    assert again(kept).tax_rule == "not_computed"


def test_nothing_to_bill_is_no_invoice() -> None:
    _, _, kept = made()
    nothing = replace(kept.usage, hours=(), gaps=())
    assert again(kept, usage=nothing).is_empty
    assert not again(kept).is_empty
    elsewhere = replace(kept.contract, customer=replace(kept.contract.customer, currency="USD"))
    assert again(kept, usage=nothing, contract=elsewhere).is_empty, "and needs no exchange rate"


def test_equal_content_has_one_hash() -> None:
    invoice, _, _ = made()
    assert content_hash(replace(invoice, id="another", number="N-1", issued_at_ns=5)) == invoice.content_hash
    assert content_hash(replace(invoice, revision=1)) != invoice.content_hash
    assert made()[0] == invoice


def test_a_draft_without_a_hash_has_one_in_its_document() -> None:
    invoice, *_ = made()
    assert hashed_json(replace(invoice, content_hash="")) == to_json(invoice) == hashed_json(invoice)


def test_json_without_loss() -> None:
    invoice, _, _ = made()
    final = finalize(issue(invoice, parse_iso("2026-04-01T12:00:00.123456789Z")), "INV-2026-000001")
    text = to_json(final)
    assert from_json(text) == final
    document = json.loads(text)
    assert document["total"] == {"amount": "22.37", "currency": "EUR"}
    assert document["issued_at"] == "2026-04-01T12:00:00.123456789Z"
    line = document["lines"][0]
    assert (line["quantity"], line["derivation"]["unrounded"]) == ("1193/3", "36983/3000")
    assert line["derivation"]["parts"][0]["hours"][0] == ["2026-03-01T00:00:00Z", " ".join(["300000000000"] * 12)]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("total",), 22.37, "total"),
        (("total", "amount"), "22.375", "more than the 2 decimals of EUR"),
        (("lines", 0, "quantity"), 0.5, "quantity"),
        (("lines", 0, "service_start"), "yesterday", "'yesterday' is not an ISO 8601 instant"),
        (("lines", 0, "tier"), "1", "lines.0..tier"),
        (("lines", 0, "gift"), 1, "gift: an unknown field"),
        (("state",), "sent", "'sent' is not a valid DocumentState"),
        (("seller", "terms_days"), None, "seller.terms_days"),
        (("lines",), 5, "lines"),
    ],
)
def test_json_that_is_no_invoice(path: tuple[str | int, ...], value: object, said: str) -> None:
    """A wrong value anywhere is an error that names its place."""
    document = encode(made()[0])
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=said):
        from_json(json.dumps(document))


def test_what_was_frozen_by_an_earlier_version_is_read() -> None:
    """A charge without the fields that came later, one of them under its former name."""
    charge = Charge(id="c", name="C", meter="uptime", per="hour", model=UnitModel(price=Fraction(1)), prorate=False)
    written = encode(charge)
    for later in ("included", "cap"):
        del written[later]
    written["prorate_free"] = written.pop("prorate")
    assert decode(Charge, written) == charge
    with pytest.raises(ValueError, match="price_free"):
        decode(Charge, {**written, "price_free": 1})


def test_json_with_a_field_missing() -> None:
    document = encode(made()[0])
    del document["run"]["closing"]
    with pytest.raises(ValueError, match="closing"):
        from_json(json.dumps(document))
    with pytest.raises(ValueError, match="Expecting"):
        from_json("{")
    with pytest.raises(TypeError, match="has no place in an invoice"):
        encode(object())


def test_evidence_that_is_damaged_or_another() -> None:
    _, frozen, kept = made()
    assert evidence.thaw(frozen.blob, frozen.hash) == kept
    with pytest.raises(ValueError, match="is damaged"):
        evidence.thaw(frozen.blob[:-9], frozen.hash)
    with pytest.raises(ValueError, match="the invoice says 00"):
        evidence.thaw(frozen.blob, "00")
    with pytest.raises(ValueError, match="evidence has the hash"):
        evidence.thaw(zlib.compress(b"{}"), frozen.hash)


def test_evidence_holds_what_is_needed_and_no_other_customer() -> None:
    _, frozen, kept = made()
    attributes = kept.usage.attributes["vm"][0]
    until_ns = parse_iso("2026-02-28T23:58:00Z")
    before = replace(attributes, from_ns=0, until_ns=until_ns, customer_id="rival", name="Secret", labels={"x": "y"})
    hour = kept.usage.hours[0]
    more = replace(
        kept.usage,
        attributes={"vm": (before, replace(attributes, from_ns=before.until_ns)), "other": (replace(before, until_ns=2**63 - 1),)},
        hours=(*kept.usage.hours, replace(hour, hour_ns=parse_iso("2026-04-01T00:00:00Z")), replace(hour, resource_id="other")),
        gaps=(Gap(resource_id="other", from_ns=0, until_ns=2**62, filled=Filled.UNKNOWN),),
    )
    later = replace(kept.books[0], version=9, effective_from_ns=parse_iso("2026-07-01T00:00:00Z"))
    found = evidence.evidence_of(more, kept.contract, (*kept.books, later), kept.run)
    assert found.usage.hours == kept.usage.hours
    assert (found.books, found.usage.gaps) == (kept.books, ())
    assert "other" not in found.usage.attributes
    text = zlib.decompress(evidence.freeze(found).blob).decode()
    assert "rival" not in text
    assert "Secret" not in text
    assert evidence.freeze(kept).hash == frozen.hash


def test_what_a_check_finds() -> None:
    invoice, frozen, kept = made()
    cent = Money(minor=1, currency="EUR")
    dearer = replace(invoice.lines[0], amount=invoice.lines[0].amount + cent)
    cheaper = replace(invoice.lines[1], amount=invoice.lines[1].amount - cent)
    moved = replace(invoice, lines=(dearer, cheaper))
    places = [difference.place for difference in explain.verify_invoice(moved, kept, frozen.hash, rate)]
    assert any(place.endswith(": amount") for place in places)
    assert "content_hash" in places
    short = explain.verify_invoice(replace(invoice, lines=invoice.lines[:1]), kept, frozen.hash, rate)
    assert any(difference.says == "no line" for difference in short)
    assert any(difference.place == "net" for difference in short)
    assert explain.verify_invoice(replace(invoice, currency="USD"), kept, frozen.hash, rate)
    richer = replace(kept, usage=replace(kept.usage, hours=kept.usage.hours[:-1]))
    assert explain.verify_invoice(invoice, richer, frozen.hash, rate)
    assert explain.verify_invoice(invoice, kept, "00", rate)[0].place == "all but the lines"


def test_coverage_stands_on_lines_and_statement() -> None:
    text = """Coverage.

== prices
book: b
effective_from: 2026-01-01T00:00:00Z
plans:
  - id: p
    currency: USD
    charges:
      - {id: machine, meter: uptime, per: hour, price: 1}
      - {id: disk, meter: disk.allocated, per: GiB-hour, price: 1}

== subscriptions
s p 2026-06-01T00:00:00Z .. -

== usage
vm uptime 1 up 2026-06-01T00:00:00Z .. 2026-06-01T02:00:00Z
vm disk.allocated 1 GiB 2026-06-01T00:00:00Z .. 2026-06-01T03:00:00Z
vm network.rx +1 GiB 2026-06-01T00:00:00Z .. 2026-06-01T02:00:00Z

== invoice 2026-07-01T00:00:00Z
"""
    case = read("coverage", text)
    _, _, kept = closed(case, case.invoices[0])
    hours = tuple(replace(hour, estimated={"uptime": (60 * 10**9,) + (0,) * 11}) for hour in kept.usage.hours)
    begin, end = parse_iso("2026-06-30T23:00:00Z"), parse_iso("2026-07-01T05:00:00Z")
    silence = Gap(resource_id="vm", from_ns=begin, until_ns=end, filled=Filled.UNKNOWN)
    filled = replace(silence, filled=Filled.INTERPOLATED)
    found = again(kept, usage=replace(kept.usage, hours=hours, gaps=(silence, filled)))
    minute = 60 * 10**9
    assert found.lines[0].share == Share(measured_ns=118 * minute, estimated_ns=2 * minute, unknown_ns=60 * minute)
    assert found.lines[1].share == Share(measured_ns=180 * minute)
    rows = {row.meter: row for row in found.statement}
    assert len(rows) == 14
    assert (rows["uptime"].quantity, rows["uptime"].unit, rows["uptime"].billed) == (2, "hour", True)
    assert rows["uptime"].share == found.lines[0].share
    assert (rows["network.rx"].quantity, rows["network.rx"].billed) == (1, False)
    assert (rows["network.tx"].quantity, rows["network.tx"].billed) == (None, False)
    assert found.lines[0].share.whole_ns == 180 * minute


def test_a_usage_row_given_twice_is_refused() -> None:
    _, _, kept = made()
    with pytest.raises(ValueError, match="has two usage rows for the hour"):
        again(kept, usage=replace(kept.usage, hours=(*kept.usage.hours, kept.usage.hours[3])))
    with pytest.raises(ValueError, match=r"names subscriptions \['x'\] that the contract does not have"):
        again(kept, run=replace(kept.run, subscription_ids=("x",)))
    with pytest.raises(ValueError, match="is not made of whole cells"):
        again(kept, run=replace(kept.run, period_start_ns=kept.run.period_start_ns + 1))
    plan = kept.books[1].plans[0]
    other = replace(kept.books[1], plans=(replace(plan, charges=(replace(plan.charges[0], meter="uptime", per="hour"),)),))
    with pytest.raises(ValueError, match=r"changes from cpu\.used per core-hour to uptime per hour"):
        again(kept, books=(kept.books[0], other))


def test_a_tie_is_never_priced_twice() -> None:
    _, _, kept = made()
    twin = replace(kept.contract.subscriptions[0], id="t")
    run = replace(kept.run, subscription_ids=("s", "t"))
    tied = again(kept, contract=replace(kept.contract, subscriptions=(*kept.contract.subscriptions, twin)), run=run)
    assert (tied.state, tied.lines) == (DocumentState.PARKED, ())
    assert [finding.code for finding in tied.findings] == [FindingCode.COVERAGE_TIE]


def test_numbers() -> None:
    seller = Seller(id="s", name="S", fiscal_year_month=4, time_zone="Asia/Kolkata")
    assert fiscal_year(seller, parse_iso("2026-03-31T18:29:59Z")) == 2025
    assert fiscal_year(seller, parse_iso("2026-03-31T18:30:00Z")) == 2026
    assert number_text("INV", 2026, 42) == "INV-2026-000042"
    assert number_text("A-1", 2026, 1234567) == "A-1-2026-1234567"
    for prefix, counter in (("inv", 1), ("", 1), ("A--B", 1), ("INV", 0)):
        with pytest.raises(ValueError, match=r"is not of capitals|is below 1"):
            number_text(prefix, 2026, counter)


def test_money() -> None:
    assert [minor_digits(code) for code in ("EUR", "JPY", "KWD", "CLF", "IQD", "MGA")] == [2, 0, 3, 4, 3, 2]
    assert [round_minor(Fraction(amount, 1000), "EUR").text for amount in (1005, 1004, -1005, -1004)] == ["1.01", "1.00", "-1.01", "-1.00"]
    assert round_parts([Fraction("0.333"), Fraction("0.333"), Fraction("0.334")], "EUR")[0].text == "1.00"
    assert [part.text for part in round_parts([Fraction(1, 200)] * 3, "EUR")[1]] == ["0.01", "0.01", "0.00"]
    assert [part.text for part in round_parts([Fraction(-1, 200)] * 3, "EUR")[1]] == ["-0.01", "-0.01", "0.00"]
    assert largest_remainder(-10, [Fraction(1)] * 3) == (-4, -3, -3)
    assert parse_money("-0.05", "USD") == Money(minor=-5, currency="USD")
    assert (Money(minor=5, currency="KWD").text, Money(minor=-5, currency="JPY").text) == ("0.005", "-5")
    assert [exact_text(Fraction(value)) for value in ("0.10", "1/3", "-5/4", "7")] == ["0.1", "1/3", "-1.25", "7"]
    assert decimal_text(Fraction(2, 3), 3) == "0.667"
    for wrong in ("34,20", "1e3", "", "34.205"):
        with pytest.raises(ValueError, match="amount"):
            parse_money(wrong, "USD")
    with pytest.raises(ValueError, match="currency 'XAU' is not"):
        minor_digits("XAU")
    with pytest.raises(TypeError, match="exact Fraction"):
        round_minor(0.1, "EUR")
    with pytest.raises(ValueError, match="do not add up"):
        _ = Money(minor=1, currency="EUR") + Money(minor=1, currency="USD")


def test_attributes_that_nobody_gave_leave_usage_unbilled() -> None:
    _, _, kept = made()
    assert again(kept, usage=replace(kept.usage, attributes={})).is_empty
    nobody = Attributes(from_ns=0, until_ns=2**63 - 1, customer_id="")
    assert again(kept, usage=replace(kept.usage, attributes={"vm": (nobody,)})).is_empty
