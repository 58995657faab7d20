"""Customers, contracts and invoices: one invoice per run, numbers without gaps, everything audited."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from tallystick.model.access import Place
from tallystick.model.billing.contracts import Address, Coverage, Customer, Run, Seller, Subscription
from tallystick.model.billing.invoices import Derivation, DocumentState, Invoice, Line, LineKind, Share, Statement, Step, UsagePart
from tallystick.model.billing.money import Money
from tallystick.model.billing.price_book import BookState, Charge, Cycle, Fee, Filters, Plan, PriceBook
from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.rate.models.unit import UnitModel
from tallystick.store.documents import Prepared, write_document
from tallystick.store.records import Clash, NotFound
from tallystick.store.store import Store
from tests.contract.rows import PLACE, T

ACME = Customer(
    id="acme", name="Acme ☂", currency="EUR", time_zone="Europe/Berlin", address=Address(lines=("a", "b"), city="Köln"), labels={"k": "v"}
)
RUN = Run(
    customer_id="acme",
    cycle=Cycle(),
    anchor_ns=T,
    period_start_ns=T,
    period_end_ns=T + 9,
    closing_ns=T + 9,
    currency="EUR",
    subscription_ids=("s1",),
)
BOOK = PriceBook(
    id="standard",
    version=0,
    effective_from_ns=T,
    plans=(
        Plan(
            id="standard",
            name="Standard",
            currency="EUR",
            charges=(
                Charge(id="cpu", name="CPU", meter="cpu.used", per="core-hour", model=UnitModel(price=Fraction(1, 3)), free=Fraction(5)),
                Charge(
                    id="net",
                    name="Net",
                    meter="network.tx",
                    per="GiB",
                    model=UnitModel(price=Fraction(5, 100)),
                    filters=Filters(region=("eu",), labels={"a": "b"}),
                    month_hours=Fraction(730),
                ),
            ),
            fees=(Fee(id="base", name="Base", amount=Fraction(10)),),
            default=True,
        ),
    ),
    digest="d",
)


def invoice(total: int = 3420, revision: int = 0, run: Run = RUN, **changes: object) -> Invoice:
    money = Money(minor=total, currency="EUR")
    line = Line(
        key="s1/cpu//1/0/x",
        kind=LineKind.USAGE,
        subscription_id="s1",
        charge_id="cpu",
        group=(("region", "eu"),),
        plan_id="standard",
        book_id="standard",
        book_version=1,
        tier=0,
        service_start_ns=T,
        service_end_ns=T + 9,
        description="CPU",
        meter="cpu.used",
        quantity=Fraction(1, 3),
        unit="core-hour",
        unit_price=Fraction(1, 100),
        amount=money,
        derivation=Derivation(
            parts=(UsagePart(resource_id="vm-1", divisor=Fraction(7, 3), hours=((T, (2**70,) * 12),)),),
            steps=(Step(name="price", text="x", before=Fraction(1, 3), after=Fraction(2), unit="EUR"),),
            unrounded=Fraction(10, 3),
        ),
        share=Share(measured_ns=2**65),
    )
    made = Invoice(
        id=f"inv-{run.customer_id}-{run.closing_ns}-{revision}",
        number=None,
        state=DocumentState.DRAFT,
        seller=Seller(id="default", name="Seller"),
        customer=replace(ACME, id=run.customer_id),
        run=run,
        currency="EUR",
        revision=revision,
        lines=(line, replace(line, key="fee", kind=LineKind.FEE, meter="")),
        statement=(
            Statement(
                resource_id="vm-1",
                resource_name="",
                meter="cpu.used",
                unit="core-hour",
                quantity=None,
                billed=True,
                share=Share(unknown_ns=1),
            ),
        ),
        findings=(Finding(code=FindingCode.NO_PLAN, severity=Severity.BLOCKING, at_ns=T),),
        net=money,
        tax_rule="not_computed",
        total=money,
        issued_at_ns=None,
        due_at_ns=None,
        content_hash=f"content-{total}",
        evidence_hash=f"evidence-{total}",
    )
    return replace(made, **changes)


def draft(store: Store, wanted: Invoice) -> Invoice:
    with store.write() as tx:
        return store.invoices.save_draft(tx, PLACE, wanted, b"evidence", actor="worker")


def finalize(store: Store, wanted: Invoice, *, fail: bool = False) -> Invoice:
    def numbered(number: int) -> Invoice:
        if fail:
            raise ZeroDivisionError
        return replace(wanted, state=DocumentState.FINALIZED, number=f"INV-2026-{number:04d}", issued_at_ns=T, due_at_ns=T + 1)

    with store.write() as tx:
        return store.invoices.finalize(tx, PLACE, wanted, b"evidence", series="INV", fiscal_year=2026, numbered=numbered, actor="worker")


def run_of(customer: str, closing_ns: int = T + 9) -> Run:
    return replace(RUN, customer_id=customer, closing_ns=closing_ns)


def test_customers(store: Store) -> None:
    assert store.registry.create_customer(PLACE, ACME, actor="k")
    assert not store.registry.create_customer(PLACE, replace(ACME, name="other"), actor="k")
    assert store.registry.customer(PLACE, "acme") == ACME
    assert store.registry.customer(PLACE, "nobody") is None
    store.registry.change_customer(PLACE, replace(ACME, name="other"), actor="k")
    store.registry.create_customer(PLACE, replace(ACME, id="bolt"), actor="k")
    newest, oldest = store.registry.customers(PLACE)
    assert (newest.customer.id, oldest.customer.name) == ("bolt", "other")
    assert [each.customer.id for each in store.registry.customers(PLACE, before=newest.row, limit=9)] == ["acme"]
    assert [each.customer.id for each in store.registry.customers(PLACE, customers=frozenset({"bolt"}))] == ["bolt"]
    assert store.registry.customers(PLACE, customers=frozenset()) == []
    with pytest.raises(NotFound, match="nobody"):
        store.registry.change_customer(PLACE, replace(ACME, id="nobody"), actor="k")
    assert [entry.action for entry in store.audit.entries(PLACE)] == ["customer.create", "customer.change", "customer.create"]


def test_sellers_do_not_share_customers(store: Store) -> None:
    other = Place(seller_id="other")
    store.registry.add_place(other)
    store.registry.create_customer(other, ACME, actor="k")
    assert store.registry.customer(PLACE, "acme") is None
    assert store.audit.entries(PLACE) == []


def test_the_seller(store: Store) -> None:
    assert store.contracts.seller(PLACE).id == "default"
    wanted = Seller(id="default", name="Cloud GmbH", currency="EUR", grace_ns=0, fiscal_year_month=4)
    store.contracts.set_seller(PLACE, wanted, actor="k")
    assert store.contracts.seller(PLACE) == wanted


def test_price_books(store: Store) -> None:
    first = store.contracts.add_book(PLACE, BOOK, "id: standard", actor="k")
    assert first.version == 1
    assert store.contracts.add_book(PLACE, BOOK, "id: standard", actor="k") == first
    assert store.contracts.books_in_force(PLACE) == ()
    assert store.contracts.activate_book(PLACE, "standard", 1, actor="k").state is BookState.ACTIVE
    assert store.contracts.activate_book(PLACE, "standard", 1, actor="k").state is BookState.ACTIVE
    assert store.contracts.books_in_force(PLACE) == (first,)
    second = store.contracts.add_book(PLACE, BOOK, "id: standard", actor="k")
    later = store.contracts.add_book(PLACE, replace(BOOK, effective_from_ns=T + 5), "later", actor="k")
    assert (second.version, later.version) == (2, 3)
    store.contracts.activate_book(PLACE, "standard", 3, actor="k")
    store.contracts.activate_book(PLACE, "standard", 2, actor="k")
    states = {each.book.version: each.state.value for each in store.contracts.books(PLACE)}
    assert states == {1: "superseded", 2: "active", 3: "active"}
    with pytest.raises(Clash, match="superseded"):
        store.contracts.activate_book(PLACE, "standard", 1, actor="k")
    with pytest.raises(NotFound, match="version 9"):
        store.contracts.activate_book(PLACE, "standard", 9, actor="k")
    found = store.contracts.book(PLACE, "standard", 2)
    assert found is not None
    assert (found.book, found.text) == (second, "id: standard")
    assert [each.book.version for each in store.contracts.books(PLACE, states=frozenset({BookState.ACTIVE}))] == [3, 2]


def test_subscriptions(store: Store) -> None:
    one = Subscription(
        id="s1",
        customer_id="acme",
        plan_id="standard",
        start_ns=T,
        anchor_ns=T - 1,
        covers=Coverage(resources=("vm-1",), labels={"a": "b"}),
    )
    assert store.contracts.create_subscription(PLACE, one, actor="k")
    assert not store.contracts.create_subscription(PLACE, one, actor="k")
    store.contracts.create_subscription(PLACE, replace(one, id="s2", customer_id="bolt"), actor="k")
    ended = replace(one, end_ns=T + 5)
    store.contracts.change_subscription(PLACE, ended, actor="k", action="subscription.end")
    assert store.contracts.subscription(PLACE, "s1") == ended
    assert [each.subscription.id for each in store.contracts.subscriptions(PLACE)] == ["s2", "s1"]
    assert [each.subscription for each in store.contracts.subscriptions(PLACE, customers=frozenset({"acme"}))] == [ended]
    with pytest.raises(NotFound):
        store.contracts.change_subscription(PLACE, replace(one, id="s9"), actor="k", action="subscription.end")


def test_a_draft_is_replaced_and_keeps_its_id(store: Store) -> None:
    first = draft(store, invoice(100))
    second = draft(store, replace(invoice(200), id="another", state=DocumentState.PARKED))
    assert second.id == first.id
    assert store.invoices.get(PLACE, first.id) == second
    assert store.invoices.of_run(PLACE, RUN, "EUR") == second
    assert len(store.invoices.list(PLACE)) == 1
    with store.read() as tx:
        assert tx.rows("SELECT ordinal, amount_minor, quantity FROM invoice_line ORDER BY ordinal") == [(1, 200, "1/3"), (2, 200, "1/3")]
    assert store.invoices.evidence(PLACE, "evidence-200") == b"evidence"
    with pytest.raises(NotFound):
        store.invoices.evidence(PLACE, "other")


def test_a_run_is_finalized_once(store: Store) -> None:
    drafted = draft(store, invoice())
    final = finalize(store, drafted)
    assert (final.number, final.state) == ("INV-2026-0001", DocumentState.FINALIZED)
    assert finalize(store, drafted) == final
    assert store.invoices.get(PLACE, "INV-2026-0001") == final
    assert store.invoices.get(PLACE, final.id) == final
    with pytest.raises(Clash, match="INV-2026-0001"):
        draft(store, invoice(5))
    with pytest.raises(Clash):
        draft(store, invoice(5, revision=2, state=DocumentState.FINALIZED))
    with store.write() as tx:
        assert [message.topic for message in store.outbox.due(tx)] == ["invoice.finalized"]
    assert [entry.action for entry in store.audit.entries(PLACE, subject=final.id)] == ["invoice.draft", "invoice.finalize"]


def test_a_document_prepared_before_is_the_one_that_is_written() -> None:
    one = invoice()
    final = replace(one, id="other", state=DocumentState.FINALIZED, number="INV-1", issued_at_ns=T, lines=one.lines[:1])
    assert Prepared(one).write(final) == write_document(final)
    assert Prepared(one).write(one) == write_document(one)


def test_numbers_have_no_gaps(store: Store) -> None:
    assert finalize(store, invoice(run=run_of("a"))).number == "INV-2026-0001"
    with pytest.raises(ZeroDivisionError):
        finalize(store, invoice(run=run_of("b")), fail=True)
    assert store.invoices.of_run(PLACE, run_of("b"), "EUR") is None
    assert finalize(store, invoice(run=run_of("c"))).number == "INV-2026-0002"
    assert finalize(store, invoice(run=run_of("b"))).number == "INV-2026-0003"
    newest = store.invoices.list(PLACE, limit=1)[0]
    assert newest.invoice.number == "INV-2026-0003"
    assert [each.invoice.number for each in store.invoices.list(PLACE, before=newest.row)] == ["INV-2026-0002", "INV-2026-0001"]
    some = store.invoices.list(PLACE, customers=frozenset({"a"}), states=frozenset({DocumentState.FINALIZED}))
    assert [each.invoice.customer.id for each in some] == ["a"]
    assert store.invoices.list(PLACE, states=frozenset({DocumentState.DRAFT})) == []


def test_what_is_numbered_is_what_was_written(store: Store) -> None:
    with pytest.raises(Clash, match="is not the invoice"), store.write() as tx:
        store.invoices.finalize(
            tx,
            PLACE,
            invoice(),
            b"",
            series="INV",
            fiscal_year=2026,
            numbered=lambda number: invoice(1, state=DocumentState.FINALIZED, number=str(number)),
            actor="k",
        )
    assert store.invoices.list(PLACE) == []
