"""Stand-ins for what the rest of the product computes behind REST, a clock that stands, and a writer that does not wait."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from tallystick.app.answers.comparing import chosen_book, compare_books
from tallystick.app.answers.conflicts import resolve_conflict
from tallystick.app.answers.late import decide_late
from tallystick.app.answers.reservations import report_reservations, reserve
from tallystick.app.answers.subscriptions import amend_subscription, upcoming_runs
from tallystick.app.answers.usage.labels import usage_by_label
from tallystick.app.answers.usage.minutes import minutes_of
from tallystick.app.answers.usage.percentiles import usage_percentiles
from tallystick.app.answers.usage.views import usage_views
from tallystick.app.clock import RandomIds
from tallystick.ingest.storing import Storing
from tallystick.ingest.submission import Receipt, Submission
from tallystick.invoice.codec import to_json
from tallystick.model.access import Place
from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.invoices import Invoice
from tallystick.model.billing.money import Money
from tallystick.model.billing.price_book import Mistake, PriceBook
from tallystick.model.instants import HOUR_NS, parse_iso
from tallystick.render.pdf import pdf
from tallystick.render.text import text
from tallystick.serve.problems import conflict, invalid, not_found
from tallystick.serve.services import (
    AgentStatus,
    BookChoice,
    BookReading,
    Depth,
    Estimate,
    EstimateRequest,
    Explanation,
    RecordUsage,
    ResourceStatus,
    Services,
    Status,
    UsageQuery,
    UsageTotal,
    Verification,
    Wanted,
)
from tallystick.store.records import Clash, NotFound
from tallystick.store.store import Store
from tests.unit.render.example import invoice as example

NOW_NS = parse_iso("2026-04-02T12:00:00Z")
HOUR = parse_iso("2026-03-10T08:00:00Z")


class StandingClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at_ns = NOW_NS

    def now_ns(self) -> int:
        return self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns


@dataclass(frozen=True)
class Direct:
    """Stores what is sent at once, by itself."""

    storing: Storing

    async def submit(self, submission: Submission) -> Receipt:
        return self.storing([submission])[0]


class StandIns:
    """What the rest of the product computes, made up; each keeps to its place."""

    def __init__(self, store: Store, clock: StandingClock) -> None:
        self.store = store
        self.clock = clock

    def read_book(self, text: str) -> BookReading:
        if "mistake" in text or "plans" not in text:
            mistakes = (
                Mistake(file="body", line=3, place="price", found="-1", allowed="0 or more"),
                Mistake(file="body", line=9, place="x", found="y", allowed="z"),
            )
            return BookReading(book=None, mistakes=mistakes)
        return BookReading(book=PriceBook(id="main", version=2, effective_from_ns=NOW_NS, plans=()), mistakes=())

    def add_book(self, place: Place, actor: str, text: str) -> BookReading:
        reading = self.read_book(text)
        if reading.book is None:
            return reading
        return BookReading(book=self.store.contracts.add_book(place, reading.book, text, actor=actor), mistakes=())

    def activate_book(self, place: Place, actor: str, book_id: str, version: int) -> PriceBook:
        try:
            return self.store.contracts.activate_book(place, book_id, version, actor=actor).book
        except NotFound:
            raise not_found("version", f"{book_id} version {version}") from None
        except Clash as error:
            raise conflict("version", str(version), str(error)) from None

    def subscribe(self, place: Place, actor: str, wanted: Wanted) -> Subscription:
        subscription = wanted.subscription
        if self.store.registry.customer(place, subscription.customer_id) is None:
            raise invalid("customer_id", subscription.customer_id, "customer_id: there is no such customer")
        known = self.store.contracts.subscription(place, subscription.id)
        if known is not None and known != subscription:
            raise conflict("id", subscription.id, "there is another")
        if known is None:
            self.store.contracts.create_subscription(place, subscription, actor=actor)
        return subscription

    def preview(self, place: Place, customer_id: str, at_ns: int, choice: BookChoice | None) -> tuple[Invoice, ...]:
        if choice is not None:
            chosen_book(self.store, place, choice)
        customer = self.store.registry.customer(place, customer_id)
        if customer is None:
            raise not_found("customer_id", customer_id)
        return (replace(example(state="draft"), customer=customer),)

    def estimate(self, place: Place, request: EstimateRequest) -> Estimate:
        if request.plan_id not in (None, "standard"):
            raise invalid("plan", request.plan_id or "", "plan: there is no such plan")
        return Estimate(
            plan_id="standard", book_id="main", book_version=1, lines=example().lines[:1], total=Money(minor=3420, currency="USD")
        )

    def explain(self, place: Place, found: Invoice, number: int, depth: Depth, verify: bool) -> Explanation:
        line = found.lines[number - 1]
        checked = Verification(equal=True, quantity=line.quantity, unrounded=Fraction(1, 3), differences=()) if verify else None
        return Explanation(invoice=found, line=line, samples=(), samples_left_out=0, verification=checked, text=line.description)

    def totals(self, place: Place, query: UsageQuery) -> tuple[UsageTotal, ...]:
        return tuple(
            UsageTotal(
                resource_id=each.id,
                customer_id=each.customer_id,
                zone="UTC",
                date="2026-03-10",
                start_ns=HOUR - 8 * HOUR_NS,
                end_ns=HOUR + 16 * HOUR_NS,
                amounts=(("cpu.used", 10**25),),
                estimated=(),
                samples=72_000,
                memory_peak_bytes=None,
                measured_ns=HOUR_NS,
                estimated_ns=0,
                unknown_ns=0,
            )
            for each in self.store.registry.resources(place, customers=query.customers)
            if query.resource_id in (None, each.id)
        )

    def status(self, place: Place, customers: frozenset[str] | None) -> Status:
        return Status(
            at_ns=self.clock.now_ns(),
            month_start_ns=parse_iso("2026-04-01T00:00:00Z"),
            resources=tuple(
                ResourceStatus(
                    resource_id=each.id,
                    name=each.name,
                    customer_id=each.customer_id,
                    active=True,
                    millicores_now=1500,
                    memory_bytes_now=2**30,
                    cpu_used_core_ns=10**20,
                    memory_used_byte_ns=10**25,
                    network_tx_bytes=None,
                    cost=Money(minor=3420, currency="EUR"),
                    cost_micros=34_200_000,
                    cost_reason="",
                    measured_ns=1,
                    estimated_ns=0,
                    unknown_ns=0,
                    last_sample_at_ns=each.last_sample_at_ns,
                )
                for each in self.store.registry.resources(place, customers=customers)
                if customers is None or each.customer_id in customers
            ),
            agents=self.agents(place) if customers is None else (),
            costs=(Money(minor=3420, currency="EUR"),),
            costs_micros=(("EUR", 34_200_000),),
            hours_waiting=0,
        )

    def agents(self, place: Place) -> tuple[AgentStatus, ...]:
        return tuple(
            AgentStatus(
                agent_id=each.instance_id,
                heartbeat_at_ns=each.at_ns,
                reported_until_ns=each.reported_until_ns,
                resources=len(each.active_resources),
                samples_sent=None,
                samples_waiting=0,
            )
            for each in self.store.registry.agents(place)
        )


def services(store: Store, clock: StandingClock, record_usage: RecordUsage) -> Services:
    """Stand-ins for what the rest of the product computes."""
    made = iter(range(10**9))
    standing = StandIns(store, clock)
    return Services(
        new_id=lambda: f"made-{next(made)}",
        new_key=lambda: f"tsk_made-{next(made)}",
        read_book=standing.read_book,
        add_book=standing.add_book,
        activate_book=standing.activate_book,
        compare_books=lambda place, before, after: compare_books(store, place, before, after),
        subscribe=standing.subscribe,
        amend_subscription=lambda place, actor, name, wanted: amend_subscription(store, clock, place, actor, name, wanted),
        upcoming_runs=lambda place, subscription_id, after_ns, count: upcoming_runs(store, place, subscription_id, after_ns, count),
        reserve=lambda place, actor, wanted: reserve(store, clock, place, actor, wanted),
        report_reservations=lambda place, customer_id, from_ns, until_ns: report_reservations(store, place, customer_id, from_ns, until_ns),
        preview_invoice=standing.preview,
        invoice_json=to_json,
        invoice_pdf=pdf,
        invoice_text=text,
        estimate=standing.estimate,
        explain_line=standing.explain,
        record_usage=record_usage,
        usage_minutes=lambda place, query, before, count: minutes_of(store, place, query, before, count, clock.now_ns(), None),
        usage_days=standing.totals,
        usage_months=standing.totals,
        change_of=lambda place, late: {},
        decide_late=lambda place, actor, batch, reason, admit: decide_late(store, place, actor, batch, reason, admit=admit),
        usage_views=lambda place, query, by: usage_views(store, RandomIds(), place, query, by, clock.now_ns()),
        usage_by_label=lambda place, name, query: usage_by_label(store, place, name, query),
        usage_percentiles=lambda place, query, percentile, method: usage_percentiles(store, place, query, percentile, method),
        status=standing.status,
        agents=standing.agents,
        resolve_conflict=lambda place, actor, row, sent, reason: resolve_conflict(store, place, actor, row, takes_sent=sent, reason=reason),
        metrics=lambda: "# HELP x x\nx 1\n",
        not_ready=tuple,
    )
