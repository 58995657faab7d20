"""What the API asks of the rest of the product, as callables that `app` hands in: serve computes no money and no usage itself.

A service that refuses raises `serve.problems.Problem` (`not_found`, `invalid`, `conflict`), which is answered as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from tallystick.model.access import Grant, Place
from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.invoices import Invoice, Line, UpcomingRun
from tallystick.model.billing.money import Money
from tallystick.model.billing.price_book import Mistake, PriceBook
from tallystick.model.billing.price_changes import PriceChange
from tallystick.model.billing.reserved import ReservationReport
from tallystick.model.outcomes import BatchResult, Refusal
from tallystick.model.records import SentRecord, UsageRecord
from tallystick.model.usage import UsageMinute, UsageView
from tallystick.store.agreed.reservations import StoredReservation
from tallystick.store.records import Conflict
from tallystick.store.retention.too_late import LateBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class BookReading:
    """A price-book document as it was read: the book, or every mistake at once."""

    book: PriceBook | None
    mistakes: tuple[Mistake, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BookChoice:
    """Which version of a price book is meant: a stored one (`version` None: the last in force), or a `book` that was sent."""

    book_id: str = ""
    version: int | None = None
    book: PriceBook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TouchedPlan:
    """A plan of which something changes, and whom it prices: subscriptions that have not ended when the later version begins.

    `default`: it also prices what no subscription covers.
    """

    plan_id: str
    default: bool
    subscriptions: int
    customer_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the second of two versions of a price book says otherwise than the first, and for whom."""

    before: PriceBook
    after: PriceBook
    changes: tuple[PriceChange, ...]
    plans: tuple[TouchedPlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateRequest:
    """Sizes and traffic to be priced: vcpus, GiB (2^30 bytes), hours; `plan_id` None is the seller's default plan."""

    plan_id: str | None
    vcpus: Fraction
    memory_gib: Fraction
    disk_gib: Fraction
    network_out_gib: Fraction
    hours: Fraction
    gpus: Fraction = Fraction(0)
    region: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the one formula makes of an estimate: 2 vCPU, 4 GiB, 50 GiB at 730 h on `standard` is 34.20.

    `unpriced` says what has no price and is not in the total: a meter in a region that no charge is for.
    """

    plan_id: str
    book_id: str
    book_version: int
    lines: tuple[Line, ...]
    total: Money
    unpriced: tuple[str, ...] = ()


class AmendmentKind(StrEnum):
    """What becomes otherwise of a subscription."""

    CHANGE = "change"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    REDEEM = "redeem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What is asked of a subscription, at an instant (None: now): another plan, a pause perhaps `until_ns`, its end, a coupon.

    `at_period_end` is in place of an instant: the end of the billing period that holds the present.
    """

    kind: AmendmentKind
    at_ns: int | None = None
    plan_id: str = ""
    until_ns: int | None = None
    at_period_end: bool = False
    coupon_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A subscription that is asked for: its trial in days of the customer's zone, and the coupons to redeem with it."""

    subscription: Subscription
    trial_days: int = 0
    coupons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedReservation:
    """A quantity of an offer of a subscription's plan that is asked for, from an instant on (None: now)."""

    id: str
    subscription_id: str
    offer_id: str
    quantity: Fraction
    start_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOfReservations:
    """How well a customer's reservations were used in the hours of [from_ns, until_ns), and the currency of each, by its id.

    `hours_waiting` counts hours before the end whose usage is not computed yet, and is not in it.
    """

    customer_id: str
    from_ns: int
    until_ns: int
    hours_waiting: int
    report: ReservationReport
    currencies: Mapping[str, str]


class Depth(StrEnum):
    """How far a line is opened: to hours, to cells, or to raw samples and usage records."""

    HOURS = "hours"
    CELLS = "cells"
    SAMPLES = "samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedSample:
    """One raw sample behind a line: its instant, its incarnation, and its columns by name; absent columns are left out."""

    resource_id: str
    boot_id: str
    measured_at_ns: int
    columns: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A line computed again from its derivation: what came out, and whether it is what the line says."""

    equal: bool
    quantity: Fraction
    unrounded: Fraction
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One line of an invoice with everything behind it. `samples` and `records` are empty unless asked for; `text` is for a person.

    `records` are the usage records of the line's meter that touch its cells, billed or left out beside a better source.
    """

    invoice: Invoice
    line: Line
    samples: tuple[ExplainedSample, ...]
    samples_left_out: int
    verification: Verification | None
    text: str
    records: tuple[UsageRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotal:
    """The usage of one resource over a local day or month [start_ns, end_ns) of `zone`, with the coverage behind it.

    `amounts` is per meter the exact total in its base unit, `estimated` the part of it inside gaps; a meter that nothing
    measured is absent. `measured_ns`, `estimated_ns` are uptime; `unknown_ns` is the length of the gaps left unfilled.
    """

    resource_id: str
    customer_id: str
    zone: str
    date: str
    start_ns: int
    end_ns: int
    amounts: tuple[tuple[str, int], ...]
    estimated: tuple[tuple[str, int], ...]
    samples: int
    memory_peak_bytes: int | None
    measured_ns: int
    estimated_ns: int
    unknown_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """Which usage: of a resource, of a customer or of all, in [from_ns, until_ns). A customer's key asks for its own only."""

    resource_id: str | None
    customers: frozenset[str] | None
    from_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerMinute:
    """A usage minute of a resource, whose number is `resource_key`, with whose it is and how much of it is in gaps that nothing filled."""

    resource_key: int
    customer_id: str
    minute: UsageMinute
    unknown_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageMinutes:
    """Minutes, newest first; `deleted` are the resources of which a part of the span is deleted by age, each with up to where."""

    minutes: tuple[CustomerMinute, ...]
    deleted: tuple[tuple[str, int], ...]


class UsageBy(StrEnum):
    """What a summary is of."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSummary:
    """The view of one resource over an hour, or a local day or month [start_ns, end_ns) of `zone`, with its part of what is billed.

    Costs are exact and before tax; None: no line has a part of it. `invoices` are those that it went to.
    """

    resource_id: str
    customer_id: str
    zone: str
    date: str
    start_ns: int
    end_ns: int
    view: UsageView
    currency: str = ""
    cost_estimated: Fraction | None = None
    cost_billed: Fraction | None = None
    invoices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTotal:
    """What resources used while a label had a value: per meter the exact total in its base unit."""

    value: str
    resources: int
    amounts: tuple[tuple[str, int], ...]


class RankMethod(StrEnum):
    """How a percentile lies between ranks."""

    NEAREST_RANK = "nearest_rank"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSummary:
    """What five-minute slots say: how many were measured, their percentile, largest and average, exact."""

    slots: int
    percentile: Fraction
    maximum: Fraction
    average: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagePercentiles:
    """Percentiles over the slots of [from_ns, until_ns), of all resources asked for together: Mbit/s and cores. None: not measured."""

    from_ns: int
    until_ns: int
    slots: int
    network: SlotSummary | None
    cpu: SlotSummary | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStatus:
    """One line of the live table. None is "not known", never 0.

    `cores_now` is cores used over the last measured span, in thousandths; `cost` the month so far, as the one formula
    has it, rounded as if it were a bill of its own, and `cost_micros` the same exact to a millionth, cut; both are None when
    it cannot be priced (then `cost_reason` says why); `measured_ns`, `estimated_ns`, `unknown_ns` are
    the coverage of the month so far. `silent_since_ns` tells that nothing comes of it though it should, and `silent_cause` why:
    then its usage since is not known, which `unknown_ns` has.
    """

    resource_id: str
    name: str
    customer_id: str
    active: bool
    millicores_now: int | None
    memory_bytes_now: int | None
    cpu_used_core_ns: int | None
    memory_used_byte_ns: int | None
    network_tx_bytes: int | None
    cost: Money | None
    cost_micros: int | None
    cost_reason: str
    measured_ns: int
    estimated_ns: int
    unknown_ns: int
    last_sample_at_ns: int | None
    silent_since_ns: int | None = None
    silent_cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """One agent as its heartbeats tell it: samples acknowledged and waiting in its spool, None if it did not say.

    `state` is `alive`, `late` (it reports, minutes behind) or `away`; `warnings` are sentences about its clock.
    """

    agent_id: str
    heartbeat_at_ns: int
    reported_until_ns: int | None
    resources: int
    samples_sent: int | None
    samples_waiting: int | None
    state: str = "alive"
    clock_offset_ns: int | None = None
    clock_synchronised: bool | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `tally up` shows; `month_start_ns` is UTC.

    `costs` are the totals of the month so far, one per currency, `costs_micros` those of usage before rounding, in
    millionths by currency.
    """

    at_ns: int
    month_start_ns: int
    resources: tuple[ResourceStatus, ...]
    agents: tuple[AgentStatus, ...]
    costs: tuple[Money, ...]
    costs_micros: tuple[tuple[str, int], ...]
    hours_waiting: int


RecordUsage = Callable[[Grant, Sequence[SentRecord | Refusal], int], Awaitable[Sequence[BatchResult]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The callables. `actor` is the id of the key that asks, for the audit log.

    - `new_id()`, `new_key()`: a new id; a new API key `tsk_...`.
    - `read_book(text)`: a price-book document (YAML, or the same as JSON) checked; nothing is stored.
    - `add_book(place, actor, text)`: the same, and without mistakes stored as the next draft of its id (`book.version` says which).
    - `activate_book(place, actor, book_id, version)`: the draft in force from its `effective_from`; `conflict` if it is no draft.
    - `compare_books(place, before, after)`: what `after` changes; without `before`, against the version that it would follow.
    - `subscribe(place, actor, wanted)`: stored, or refused: unknown customer or plan, a tie of coverage, a coupon used too often.
    - `amend_subscription(place, actor, subscription_id, amendment)`: changed; the same again is no change, what cannot be is refused.
    - `upcoming_runs(place, subscription_id, after_ns, count)`: the runs that come for a subscription, with the fees due then.
    - `reserve(place, actor, wanted)`: a reservation of an offer, stored, or refused.
    - `report_reservations(place, customer_id, from_ns, until_ns)`: how well they were used, over whole hours.
    - `preview_invoice(place, customer_id, at_ns, choice)`: the draft invoices of the periods open at `at_ns`, usage up to then, perhaps by
      the prices of another version; nothing is stored.
    - `invoice_json(invoice)`, `invoice_pdf(invoice)`, `invoice_text(invoice)`: an invoice as a document, a draft as JSON with its hash.
    - `estimate(place, request)`: priced by the one formula.
    - `explain_line(place, invoice, line_number, depth, verify)`: line 1 is the first; of a draft of a preview too.
    - `usage_minutes(place, query, before, count)`: up to `count` of them after (minute, resource number), newest first.
    - `usage_days(place, query)`, `usage_months(place, query)`: per resource and local day or month of its customer's zone.
    - `usage_views(place, query, by)`: summaries of hours, local days or months for a person, with their cost.
    - `usage_by_label(place, name, query)`: totals by the value of a label.
    - `usage_percentiles(place, query, percentile, method)`: over five-minute slots, of all resources asked for together.
    - `record_usage(grant, records, size_bytes)`: usage records of a body of that size, with an outcome for each once all is durable.
    - `change_of(place, late)`: by hour and stored meter, what a batch that came too late would change, or did.
    - `decide_late(place, actor, batch, reason, admit)`: admitted or dismissed; `conflict` if it is decided already.
    - `status(place, customers)`: the live table, of these customers only (None: all; then agents stand in it too).
    - `agents(place)`: every agent that ever sent a heartbeat.
    - `resolve_conflict(place, actor, number, takes_sent, reason)`: which content of a batch counts; a person says so.
    - `metrics()`: the page of `/metrics`, in Prometheus' own text format.
    - `not_ready()`: why the server cannot serve now, a sentence each; empty when it can.
    """

    new_id: Callable[[], str]
    new_key: Callable[[], str]
    read_book: Callable[[str], BookReading]
    add_book: Callable[[Place, str, str], BookReading]
    activate_book: Callable[[Place, str, str, int], PriceBook]
    compare_books: Callable[[Place, BookChoice | None, BookChoice], Comparison]
    subscribe: Callable[[Place, str, Wanted], Subscription]
    amend_subscription: Callable[[Place, str, str, Amendment], Subscription]
    upcoming_runs: Callable[[Place, str, int, int], tuple[UpcomingRun, ...]]
    reserve: Callable[[Place, str, WantedReservation], StoredReservation]
    report_reservations: Callable[[Place, str, int, int], ReportOfReservations]
    preview_invoice: Callable[[Place, str, int, BookChoice | None], tuple[Invoice, ...]]
    invoice_json: Callable[[Invoice], str]
    invoice_pdf: Callable[[Invoice], bytes]
    invoice_text: Callable[[Invoice], str]
    estimate: Callable[[Place, EstimateRequest], Estimate]
    explain_line: Callable[[Place, Invoice, int, Depth, bool], Explanation]
    usage_minutes: Callable[[Place, UsageQuery, tuple[int, int] | None, int], UsageMinutes]
    usage_days: Callable[[Place, UsageQuery], tuple[UsageTotal, ...]]
    usage_months: Callable[[Place, UsageQuery], tuple[UsageTotal, ...]]
    usage_views: Callable[[Place, UsageQuery, UsageBy], tuple[UsageSummary, ...]]
    usage_by_label: Callable[[Place, str, UsageQuery], tuple[LabelTotal, ...]]
    usage_percentiles: Callable[[Place, UsageQuery, Fraction, RankMethod], UsagePercentiles]
    record_usage: RecordUsage
    change_of: Callable[[Place, LateBatch], Mapping[str, Mapping[str, int]]]
    decide_late: Callable[[Place, str, int, str, bool], LateBatch]
    status: Callable[[Place, frozenset[str] | None], Status]
    agents: Callable[[Place], tuple[AgentStatus, ...]]
    resolve_conflict: Callable[[Place, str, int, bool, str], Conflict]
    metrics: Callable[[], str]
    not_ready: Callable[[], tuple[str, ...]]
