"""An invoice as it could be: the example of the tests and of the picture in the docs."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tallystick.model.billing.contracts import Address, Customer, Run, Seller
from tallystick.model.billing.invoices import Derivation, DocumentState, Invoice, Line, LineKind, Share, Statement
from tallystick.model.billing.money import Money, round_minor
from tallystick.model.billing.price_book import Cycle
from tallystick.model.calendar import month_of
from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.model.instants import HOUR_NS, parse_iso

ZONE = "Europe/Berlin"
START, END = month_of(parse_iso("2026-03-15T00:00:00Z"), ZONE)
MONTH = Share(measured_ns=742 * HOUR_NS, estimated_ns=HOUR_NS)


def usage_line(name: str, meter: str, quantity: Fraction, unit: str, price: str, *, currency: str = "EUR", share: Share = MONTH) -> Line:
    """A line priced as `unit`: quantity x price."""
    unrounded = quantity * Fraction(price)
    return Line(
        key=f"sub-1/{meter}//1/1/{START}-{END}",
        kind=LineKind.USAGE,
        subscription_id="sub-1",
        charge_id=meter,
        group=(("region", "eu-central"),),
        plan_id="standard",
        book_id="main",
        book_version=3,
        tier=1,
        service_start_ns=START,
        service_end_ns=END,
        description=name,
        meter=meter,
        quantity=quantity,
        unit=unit,
        unit_price=Fraction(price),
        amount=round_minor(unrounded, currency),
        derivation=Derivation(unrounded=unrounded),
        share=share,
    )


def statement_row(resource: str, name: str, meter: str, quantity: Fraction | None, unit: str, *, billed: bool) -> Statement:
    """A row of the usage statement."""
    return Statement(resource_id=resource, resource_name=name, meter=meter, unit=unit, quantity=quantity, billed=billed, share=MONTH)


LINES = (
    usage_line("vCPU, allocated", "cpu.allocated", Fraction(1486), "core-hour", "0.0125"),
    usage_line("Memory, allocated", "memory.allocated", Fraction(2972), "GiB-hour", "0.0035"),
    usage_line("Disk, allocated", "disk.allocated", Fraction(50), "GiB-month", "0.10", share=Share(measured_ns=743 * HOUR_NS)),
    usage_line("CPU time, burst", "cpu.used", Fraction(123_456_789_012_345_678, 3_600_000_000_000_000), "core-hour", "0.031"),
    usage_line("Traffic out", "network.tx", Fraction(1_234_567_890_123, 2**30), "GiB", "0.000000125"),
    replace(
        usage_line("Platform fee", "", Fraction(1), "month", "49.00", share=Share()),
        kind=LineKind.FEE,
        charge_id="platform",
        group=(),
    ),
)

STATEMENT = (
    statement_row("vm-7f3a", "web-1", "cpu.allocated", Fraction(1486), "core-hour", billed=True),
    statement_row("vm-7f3a", "web-1", "cpu.used", Fraction(411_522_630, 12_000_000), "core-hour", billed=True),
    statement_row("vm-7f3a", "web-1", "memory.allocated", Fraction(2972), "GiB-hour", billed=True),
    statement_row("vm-7f3a", "web-1", "disk.allocated", Fraction(50), "GiB-month", billed=True),
    statement_row("vm-7f3a", "web-1", "disk.read", Fraction(2**41 + 1, 2**30), "GiB", billed=False),
    statement_row("vm-7f3a", "web-1", "network.tx", Fraction(1_234_567_890_123, 2**30), "GiB", billed=True),
    statement_row("vm-7f3a", "web-1", "gpu.allocated", None, "gpu-hour", billed=False),
)


def invoice(
    lines: tuple[Line, ...] = LINES, statement: tuple[Statement, ...] = STATEMENT, *, currency: str = "EUR", state: str = "finalized"
) -> Invoice:
    """The example, or another with these lines: finalized, or a draft, or parked with a finding."""
    final = state == "finalized"
    total = Money(minor=sum(line.amount.minor for line in lines), currency=currency)
    finding = Finding(code=FindingCode.UNPRICED_SIZE, severity=Severity.BLOCKING, resource_id="vm-7f3a", record="gpu", detail="no size")
    return Invoice(
        id="8d0f6a3e0f4b4d6c9b7a5e3c1d2f4a68",
        number="INV-2026-000042" if final else None,
        state=DocumentState(state),
        seller=Seller(
            id="default",
            name="Nordwind Compute GmbH",
            currency=currency,
            time_zone=ZONE,
            address=Address(lines=("Speicherstraße 14",), city="Hamburg", postal_code="20457", country="DE"),
            email="billing@nordwind.example",
            tax_id="DE123456789",
        ),
        customer=Customer(
            id="acme",
            name="Acme Research Ltd",
            currency=currency,
            time_zone=ZONE,
            address=Address(lines=("Accounts Payable", "12 Harbour Road"), city="Dublin", postal_code="D01 X2Y3", country="IE"),
            email="ap@acme.example",
            tax_id="IE1234567T",
        ),
        run=Run(
            customer_id="acme",
            cycle=Cycle(),
            anchor_ns=START,
            period_start_ns=START,
            period_end_ns=END,
            closing_ns=END,
            currency=currency,
            subscription_ids=("sub-1",),
        ),
        currency=currency,
        revision=0,
        lines=lines,
        statement=statement,
        findings=(finding,) if state == "parked" else (),
        net=total,
        tax_rule="not_computed",
        total=total,
        issued_at_ns=END + HOUR_NS if final else None,
        due_at_ns=END + HOUR_NS + 14 * 24 * HOUR_NS if final else None,
        content_hash="3b5d5c3712955042212316173ccf37be800a1d3a6d6b0c7d7d1f0a5f0b4d8f5a",
        evidence_hash="c775e7b757ede630cd0aa1113bd102661ab38829ca52a6422ab782862f268646",
    )
