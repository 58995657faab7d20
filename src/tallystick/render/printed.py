"""An invoice as the words and numbers that are printed: both the PDF and the text are laid out from this, so they say the same."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from tallystick.model.billing.contracts import Address
from tallystick.model.billing.invoices import DocumentState, Invoice, Line, Share, Statement
from tallystick.model.billing.money import Money, decimal_text, minor_digits
from tallystick.model.calendar import day_start, local_date, zone
from tallystick.model.instants import SECOND_NS

QUANTITY_DECIMALS = 6
PRICE_DECIMALS = 12
"""Prices have up to twelve decimals (billing.md, Money): they are printed whole."""

WATERMARKS = {DocumentState.DRAFT: "DRAFT", DocumentState.PARKED: "PARKED", DocumentState.FINALIZED: ""}
TAX_WORDS = {"not_computed": "tax not computed"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOTHING = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Seller or buyer: name, then address, e-mail and tax id, a line each."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedLine:
    """One line: `details` stand under the description (service period, group, plan, coverage)."""

    number: str
    description: str
    details: tuple[str, ...]
    quantity: str
    unit: str
    unit_price: str
    amount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedStatement:
    """One row of the usage statement; shares are in percent."""

    resource: str
    meter: str
    quantity: str
    unit: str
    billed: str
    measured: str
    estimated: str
    unknown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """All that is printed of one invoice, in order. `issued_seconds` is the document's time: of issue, or of the run's closing."""

    title: str
    watermark: str
    number: str
    currency: str
    seller: Party
    buyer: Party
    facts: tuple[tuple[str, str], ...]
    lines: tuple[PrintedLine, ...]
    totals: tuple[tuple[str, str], ...]
    due: tuple[str, str]
    terms: tuple[str, ...]
    notes: tuple[str, ...]
    statement: tuple[PrintedStatement, ...]
    hashes: tuple[tuple[str, str], ...]
    issued_seconds: int


def printed(invoice: Invoice) -> Printed:
    """What is printed of an invoice, as text. Dates are the customer's local dates, amounts have the currency's decimals."""
    seller, customer = invoice.seller, invoice.customer
    number = invoice.number or f"none ({invoice.state.value})"
    issued = NOTHING if invoice.issued_at_ns is None else local_date(invoice.issued_at_ns, seller.time_zone).isoformat()
    due = NOTHING if invoice.due_at_ns is None else local_date(invoice.due_at_ns, seller.time_zone).isoformat()
    tax = TAX_WORDS.get(invoice.tax_rule, invoice.tax_rule)
    return Printed(
        title="Invoice",
        watermark=WATERMARKS[invoice.state],
        number=plain(number),
        currency=invoice.currency,
        seller=Party(name=plain(seller.name or seller.id), lines=_party_lines(seller.address, seller.email, seller.tax_id)),
        buyer=Party(name=plain(customer.name or customer.id), lines=_party_lines(customer.address, customer.email, customer.tax_id)),
        facts=(
            ("Invoice number", plain(number)),
            ("Invoice date", issued),
            ("Service period", period_text(*_service_period(invoice), customer.time_zone)),
            ("Due date", due),
            ("Customer", plain(customer.id)),
            ("Currency", invoice.currency),
            ("Time zone", customer.time_zone),
            *((("Revision", str(invoice.revision)),) if invoice.revision else ()),
        ),
        lines=tuple(_line(place, line, customer.time_zone) for place, line in enumerate(invoice.lines, start=1)),
        totals=(("Net", money_text(invoice.net)), ("Tax", tax), ("Total", money_text(invoice.total))),
        due=("Amount due", f"{money_text(invoice.total)} {invoice.currency}"),
        terms=(_terms(invoice, due), *(("No tax was computed for this invoice.",) if invoice.tax_rule == "not_computed" else ())),
        notes=_notes(invoice),
        statement=tuple(_statement(row) for row in invoice.statement),
        hashes=(("Content SHA-256", invoice.content_hash), ("Evidence SHA-256", invoice.evidence_hash)),
        issued_seconds=(invoice.run.closing_ns if invoice.issued_at_ns is None else invoice.issued_at_ns) // SECOND_NS,
    )


def money_text(amount: Money) -> str:
    """An amount in major units with the currency's decimals and a comma between thousands: `1,234.50`, in JPY `1,235`."""
    return f"{amount.decimal:,f}"


def price_text(price: Fraction, currency: str) -> str:
    """A unit price with all its decimals, at least those of the currency: `0.0000125`, `5.00`."""
    return _grouped(decimal_text(price, PRICE_DECIMALS), minor_digits(currency))


def quantity_text(quantity: Fraction) -> str:
    """A quantity with up to six decimals, rounded half up; the exact one stands in the JSON."""
    return _grouped(decimal_text(quantity, QUANTITY_DECIMALS), 0)


def _grouped(text: str, least: int) -> str:
    whole, _, decimals = text.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    decimals = decimals.ljust(least, "0")
    return f"{sign}{int(digits):,}.{decimals}" if decimals else f"{sign}{int(digits):,}"


def share_texts(share: Share) -> tuple[str, str, str]:
    """Measured, estimated and unknown in percent with two decimals; what is there but would round to 0 or 100 says so."""
    whole = share.whole_ns
    if not whole:
        return NOTHING, NOTHING, NOTHING
    first, second, third = (_percent(part, whole) for part in (share.measured_ns, share.estimated_ns, share.unknown_ns))
    return first, second, third


def _percent(part: int, whole: int) -> str:
    hundredths = (20_000 * part + whole) // (2 * whole)
    if part and not hundredths:
        return "<0.01 %"
    if part != whole and hundredths == 10_000:
        return ">99.99 %"
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


def period_text(start_ns: int, end_ns: int, zone_name: str) -> str:
    """The local dates of whole days, both ends in it: `2026-03-01 – 2026-03-31`; else its instants with offset."""
    if end_ns > start_ns and _begins_a_day(start_ns, zone_name) and _begins_a_day(end_ns, zone_name):
        first, last = local_date(start_ns, zone_name).isoformat(), local_date(end_ns - 1, zone_name).isoformat()
        return first if first == last else f"{first} – {last}"
    return f"{instant_text(start_ns, zone_name)} – {instant_text(end_ns, zone_name)}"


def instant_text(at_ns: int, zone_name: str) -> str:
    """A local time with its offset and as many decimals as it has: `2026-03-10 08:00:12.5 +01:00`."""
    seconds, nanos = divmod(at_ns, SECOND_NS)
    local = (EPOCH + timedelta(seconds=seconds)).astimezone(zone(zone_name))
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    offset = local.strftime("%z")
    return f"{local:%Y-%m-%d %H:%M:%S}{fraction} {offset[:3]}:{offset[3:5]}"


def _begins_a_day(at_ns: int, zone_name: str) -> bool:
    try:
        return day_start(local_date(at_ns, zone_name), zone_name) == at_ns
    except ValueError:
        return False


def _service_period(invoice: Invoice) -> tuple[int, int]:
    """The run's period up to its closing; a run that only bills in advance has none, and its lines say what they are for."""
    run = invoice.run
    if run.period_start_ns < run.closing_ns or not invoice.lines:
        return run.period_start_ns, run.closing_ns
    return min(line.service_start_ns for line in invoice.lines), max(line.service_end_ns for line in invoice.lines)


def _party_lines(address: Address, email: str, tax_id: str) -> tuple[str, ...]:
    town = " ".join(part for part in (address.postal_code, address.city) if part)
    whole = (*address.lines, town, address.region, address.country, email, f"Tax id {tax_id}" if tax_id else "")
    return tuple(plain(line) for line in whole if line)


def _line(place: int, line: Line, zone_name: str) -> PrintedLine:
    measured, estimated, unknown = share_texts(line.share)
    coverage = () if measured == NOTHING else (f"Coverage: measured {measured}, estimated {estimated}, unknown {unknown}",)
    group = ", ".join(f"{name} {value}" for name, value in line.group)
    currency = line.amount.currency
    beside = f"{'plus' if line.fixed > 0 else 'less'} {price_text(abs(line.fixed), currency)} {currency} beside quantity x price"
    return PrintedLine(
        number=str(place),
        description=plain(line.description or line.charge_id),
        details=(
            period_text(line.service_start_ns, line.service_end_ns, zone_name),
            plain(f"{group}{' · ' if group else ''}plan {line.plan_id}, prices {line.book_id} version {line.book_version}"),
            *((beside,) if line.fixed else ()),
            *coverage,
        ),
        quantity=quantity_text(line.quantity),
        unit=plain(line.unit),
        unit_price=price_text(line.unit_price, currency),
        amount=money_text(line.amount),
    )


def _statement(row: Statement) -> PrintedStatement:
    measured, estimated, unknown = share_texts(row.share)
    known = row.resource_name and row.resource_name != row.resource_id
    return PrintedStatement(
        resource=plain(f"{row.resource_name} ({row.resource_id})" if known else row.resource_id),
        meter=row.meter,
        quantity="not measured" if row.quantity is None else quantity_text(row.quantity),
        unit=plain(row.unit),
        billed="billed" if row.billed else "not billed",
        measured=measured,
        estimated=estimated,
        unknown=unknown,
    )


def _terms(invoice: Invoice, due: str) -> str:
    days = invoice.seller.terms_days
    within = f"Payable within {days} day{'' if days == 1 else 's'} of the invoice date"
    return f"{within}, by {due}." if invoice.due_at_ns is not None else f"{within}."


def _notes(invoice: Invoice) -> tuple[str, ...]:
    """Why it is not sent: the findings of a document that is not final. A final one has nothing to explain."""
    if invoice.state is DocumentState.FINALIZED:
        return ()
    first = {
        DocumentState.DRAFT: "This is a draft: amounts can change until the period is closed.",
        DocumentState.PARKED: "This invoice is parked and was not sent.",
    }[invoice.state]
    found = (" ".join(part for part in (each.code.value, each.resource_id, each.record, each.detail) if part) for each in invoice.findings)
    return (first, *(plain(f"{each.severity.value}: {words}") for each, words in zip(invoice.findings, found, strict=True)))


def plain(text: str) -> str:
    """One line of text without control characters, which no font has: each run of them and of white space is one space."""
    return " ".join("".join(" " if unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") else letter for letter in text).split())
