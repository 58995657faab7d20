"""A REST application in this process, on a real SQLite store with two customers of one seller and another seller beside them.

What belongs to Globex carries the word GLOBEX-SECRET, what belongs to the other seller RIVAL-SECRET.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from tallystick.app.access import Access
from tallystick.app.answers.services import services_of
from tallystick.app.clock import RandomIds
from tallystick.app.serving.admission import Admission, Limits
from tallystick.app.serving.metrics import ServerMetrics
from tallystick.app.serving.records import Recording
from tallystick.ingest.storing import Storing
from tallystick.model.access import Grant, Place, RateLimit, Role
from tallystick.model.billing.contracts import CouponOffer, Customer, Seller, Subscription
from tallystick.model.billing.invoices import DocumentState, Invoice
from tallystick.model.billing.price_book import Plan, PriceBook
from tallystick.model.findings import Finding, FindingCode, Severity
from tallystick.model.instants import CELL_NS, HOUR_NS
from tallystick.model.resources import Fact, Origin
from tallystick.model.silence import Absence, AbsenceCause, AbsenceKind, Changes
from tallystick.model.usage import Filled, Gap, HoursResult, UsageHour
from tallystick.serve.api import rest_app
from tallystick.store.registry import Agent
from tallystick.store.store import Store, migrate, open_store
from tallystick.store.tables.schema import schema
from tests.contract.rows import batch, outage, reservation, write
from tests.integration.stand_ins import HOUR, NOW_NS, Direct, StandingClock, services
from tests.unit.render.example import invoice as example

OURS = Place()
THEIRS = Place(seller_id="rival", scope_id="default")
ACTOR = "test"
UNLIMITED = Limits(queue_bytes=2**40, queue_requests=2**20, key_rate=RateLimit())
SECRETS = ("GLOBEX-SECRET", "RIVAL-SECRET")
CELLS = tuple(range(1, 13))
FILE = "tally.db"
GRANTED = {
    "admin": Grant(key_id="k-admin", role=Role.ADMIN, place=OURS),
    "billing": Grant(key_id="k-billing", role=Role.BILLING, place=OURS),
    "auditor": Grant(key_id="k-auditor", role=Role.AUDITOR, place=OURS),
    "agent": Grant(key_id="k-agent", role=Role.AGENT, place=OURS),
    "sender": Grant(key_id="k-sender", role=Role.AGENT, place=OURS, customers=frozenset({"acme"})),
    "acme": Grant(key_id="k-acme", role=Role.CUSTOMER, place=OURS, customers=frozenset({"acme"})),
    "globex": Grant(key_id="k-globex", role=Role.CUSTOMER, place=OURS, customers=frozenset({"globex"})),
    "nobody": Grant(key_id="k-nobody", role=Role.CUSTOMER, place=OURS),
    "limited": Grant(key_id="k-limited", role=Role.BILLING, place=OURS, customers=frozenset({"acme"})),
    "rival": Grant(key_id="k-rival", role=Role.ADMIN, place=THEIRS),
}
"""Keys by name; the secret of each is `tsk_` and its name."""


@dataclass
class World:
    """The application, its store, and the ids of what is in it."""

    store: Store
    app: FastAPI
    client: TestClient
    clock: StandingClock
    file: Path
    keys: Mapping[str, str]
    invoices: Mapping[str, Invoice]

    def ask(self, method: str, path: str, key: str | None = "admin", **options: Any) -> Any:
        """A request with the key of that name."""
        headers = {"Authorization": f"Bearer {self.keys[key]}"} if key else {}
        return self.client.request(method, path, headers={**headers, **options.pop("headers", {})}, **options)

    def rows(self, *, but: frozenset[str] = frozenset()) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables but some."""
        with self.store.read() as tx:
            names = sorted(schema(tx.dialect).metadata.tables)
            return {name: sorted(tx.rows(f"SELECT * FROM {name}"), key=repr) for name in names if name not in but}


def is_problem(answer: Any, status: int, code: str, field: str | None = None, value: str | None = None) -> dict[str, Any]:
    """The problem document of an answer, which must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert (told["status"], told["code"], told["type"]) == (status, code, f"/problems/{code}")
    assert told["title"]
    assert told["detail"]
    assert "Traceback" not in answer.text
    if field is not None:
        assert told["field"] == field
    if value is not None:
        assert told["value"] == value
    return told


def fill(folder: Path) -> None:
    """Make the store, once for many worlds."""
    url = f"sqlite:///{folder / FILE}"
    migrate(url)
    fill_store(url)


def fill_store(url: str) -> None:
    """Fill a migrated store."""
    store = open_store(url, StandingClock())
    _keys(store)
    _fill(store, OURS)
    _fill_rival(store)
    store.close()


def open_world(filled: Path, folder: Path, *, real: bool = False) -> World:
    """A world with a store of its own: a copy of the one that was filled. `real`: with the services of the product."""
    shutil.copy(filled / FILE, folder / FILE)
    return world_of(f"sqlite:///{folder / FILE}", folder / FILE, real=real)


def world_of(url: str, file: Path, *, real: bool = False) -> World:
    """A world on a filled store; `file` is that of an SQLite store."""
    clock = StandingClock()
    store = open_store(url, clock)
    kept = (*store.invoices.list(OURS), *store.invoices.list(THEIRS))

    def find(hashed: bytes) -> Grant | None:
        found = store.keys.find_by_hash(hashed)
        return found.grant if found and found.holds_at(clock.now_ns()) else None

    record_usage = Recording(Direct(Storing(store, clock, ServerMetrics(clock.monotonic_ns))), clock)
    answers = services(store, clock, record_usage)
    if real:
        told = {"metrics": answers.metrics, "not_ready": tuple, "record_usage": record_usage}
        answers = services_of(store, clock, RandomIds(), **told)
    admission = Admission(UNLIMITED, clock.monotonic_ns, lambda *_: None)
    app = rest_app(store, answers, Access(find, clock), admission, clock)
    return World(
        store=store,
        app=app,
        client=TestClient(app),
        clock=clock,
        file=file,
        keys={name: f"tsk_{name}" for name in GRANTED},
        invoices={each.invoice.id: each.invoice for each in kept},
    )


def _keys(store: Store) -> None:
    for place in (OURS, THEIRS):
        store.registry.add_place(place)
    for name, grant in GRANTED.items():
        word = "RIVAL-SECRET" if grant.place == THEIRS else "GLOBEX-SECRET" if name == "globex" else ""
        store.keys.create(grant, hashlib.sha256(f"tsk_{name}".encode()).digest(), name=word, actor=ACTOR)


def _fill(store: Store, place: Place) -> None:
    store.contracts.set_seller(place, Seller(id=place.seller_id, name="OURS-SECRET", currency="EUR"), actor=ACTOR)
    for customer_id, word in (("acme", "Acme"), ("globex", "GLOBEX-SECRET")):
        store.registry.create_customer(place, Customer(id=customer_id, name=word, currency="EUR"), actor=ACTOR)
        subscription = Subscription(id=f"sub-{customer_id}", customer_id=customer_id, plan_id="standard", start_ns=HOUR - HOUR_NS)
        store.contracts.create_subscription(place, subscription, actor=ACTOR)
        _measure(store, place, f"vm-{customer_id}", word, ((HOUR - HOUR_NS, customer_id),))
        for state in ("finalized", "draft"):
            one = example(state="draft", currency="EUR")
            run = replace(one.run, customer_id=customer_id, closing_ns=one.run.closing_ns + (state == "draft"))
            draft = replace(one, id=f"inv-{customer_id}-{state}", customer=replace(one.customer, id=customer_id, name=word), run=run)
            _invoice(store, place, draft, final=state == "finalized")
    # Acme's until 08:30, Globex' from then on.
    _measure(store, place, "vm-moved", "GLOBEX-SECRET", ((HOUR - HOUR_NS, "acme"), (HOUR + 6 * CELL_NS, "globex")))
    book = PriceBook(id="main", version=1, effective_from_ns=0, plans=(Plan(id="standard", name="Standard", currency="EUR", charges=()),))
    store.contracts.add_book(place, book, "plans: {}  # GLOBEX-SECRET", actor=ACTOR)
    store.coupons.create(place, CouponOffer(id="coupon", name="GLOBEX-SECRET", percent=Fraction(5)), actor=ACTOR)
    store.reservations.create(place, "globex", reservation("GLOBEX-SECRET", "sub-globex"), actor=ACTOR)
    with store.write() as tx:
        agent = Agent(
            instance_id="host-1", at_ns=NOW_NS, received_at_ns=NOW_NS, reported_until_ns=NOW_NS - 1, active_resources=("vm-acme",)
        )
        store.registry.heartbeat(tx, place, agent)
    _watched(store, place)


def _watched(store: Store, place: Place) -> None:
    """A resource of Globex that was away, is silent since the afternoon, and of which a batch was sent again with other content."""
    silent = Absence(
        kind=AbsenceKind.RESOURCE,
        subject="vm-globex" if place == OURS else "vm-rival-customer",
        instance_id="GLOBEX-SECRET" if place == OURS else "RIVAL-SECRET",
        cause=AbsenceCause.SILENT,
        since_ns=NOW_NS - 90 * 60 * 10**9,
        noticed_at_ns=NOW_NS,
    )
    store.outages.declare(place, outage(silent.subject, HOUR, silent.instance_id), actor=ACTOR)
    store.absences.apply(place, Changes(opened=(silent,), closed=()), NOW_NS)
    twice = (batch(silent.subject, at_ns=NOW_NS - 95 * 60 * 10**9, level=level, spool=silent.instance_id) for level in (1, 2))
    write(store, *twice, place=place)


def _fill_rival(store: Store) -> None:
    """The other seller has things by the same ids, and things of its own."""
    store.contracts.set_seller(THEIRS, Seller(id="rival", name="RIVAL-SECRET"), actor=ACTOR)
    for customer_id in ("acme", "rival-customer"):
        store.registry.create_customer(THEIRS, Customer(id=customer_id, name="RIVAL-SECRET"), actor=ACTOR)
        store.contracts.create_subscription(
            THEIRS, Subscription(id=f"sub-{customer_id}", customer_id=customer_id, plan_id="RIVAL-SECRET", start_ns=HOUR), actor=ACTOR
        )
        _measure(store, THEIRS, f"vm-{customer_id}", "RIVAL-SECRET", ((HOUR - HOUR_NS, customer_id),))
    book = PriceBook(id="rival-book", version=1, effective_from_ns=0, plans=())
    store.contracts.add_book(THEIRS, book, "# RIVAL-SECRET", actor=ACTOR)
    store.coupons.create(THEIRS, CouponOffer(id="rival-coupon", name="RIVAL-SECRET", percent=Fraction(5)), actor=ACTOR)
    store.reservations.create(THEIRS, "rival-customer", reservation("RIVAL-SECRET", "sub-rival-customer"), actor=ACTOR)
    one = example(state="draft", currency="EUR")
    draft = replace(one, id="inv-rival", customer=replace(one.customer, id="rival-customer", name="RIVAL-SECRET"))
    _invoice(store, THEIRS, draft, final=True)
    _watched(store, THEIRS)


def _invoice(store: Store, place: Place, draft: Invoice, *, final: bool) -> None:
    evidence = draft.id.encode()
    draft = replace(draft, evidence_hash=hashlib.sha256(evidence).hexdigest())
    with store.write() as tx:
        kept = store.invoices.save_draft(tx, place, draft, evidence, actor=ACTOR)
        if not final:
            return

        def numbered(counter: int) -> Invoice:
            number = f"INV/{place.seller_id}/{counter}"
            return replace(kept, number=number, state=DocumentState.FINALIZED, issued_at_ns=NOW_NS, due_at_ns=NOW_NS + HOUR_NS)

        store.invoices.finalize(tx, place, kept, evidence, series="INV", fiscal_year=2026, numbered=numbered, actor=ACTOR)


def _measure(store: Store, place: Place, resource_id: str, word: str, owners: tuple[tuple[int, str], ...]) -> None:
    """A resource with these owners since these instants, two usage hours, a gap and a finding."""
    facts = [
        Fact(
            resource_id=resource_id,
            at_ns=at_ns,
            received_at_ns=NOW_NS,
            origin=Origin.PERSON,
            customer_id=customer_id,
            name=word if customer_id != "acme" or len(owners) == 1 else "shared",
            labels={"team": word} if customer_id != "acme" else {},
            vcpus=2,
            memory_bytes=2**32,
        )
        for at_ns, customer_id in owners
    ]
    with store.write() as tx:
        store.batches.write_facts(tx, place, facts)
    found = store.registry.resource(place, resource_id)
    assert found is not None
    hours = tuple(
        UsageHour(
            resource_id=resource_id,
            hour_ns=HOUR + number * HOUR_NS,
            cells={"cpu.used": tuple(10**20 * cell for cell in CELLS), "uptime": (CELL_NS,) * 12, "network.rx": CELLS, "network.tx": CELLS},
            estimated={"uptime": (0,) * 11 + (CELL_NS,)},
            samples=36_000,
            memory_peak_bytes=2**30,
            runs=(HOUR + number * HOUR_NS + 1,),
        )
        for number in (0, 1)
    )
    gap = Gap(resource_id=resource_id, from_ns=HOUR + 5 * CELL_NS, until_ns=HOUR + 7 * CELL_NS, filled=Filled.UNKNOWN)
    findings = tuple(
        Finding(
            code=code,
            severity=Severity.NOTE,
            resource_id=resource_id,
            boot_id="boot",
            at_ns=HOUR + 6 * CELL_NS,
            counters=("cpu_time_nanos",),
        )
        for code in (FindingCode.COUNTER_RESET, FindingCode.COUNTER_FELL)
    )
    with store.write() as tx:
        store.batches.mark_hours(tx, place, found.row, HOUR, HOUR + 2 * HOUR_NS)
    seen = [
        each
        for each in store.usage.dirty(place=place, limit=10**6)
        if each.resource_id == resource_id and HOUR <= each.hour_ns <= HOUR + HOUR_NS
    ]
    assert len(seen) == 2
    with store.write() as tx:
        store.usage.replace_hours(tx, seen, HoursResult(hours=hours, gaps=(gap,), findings=findings))
