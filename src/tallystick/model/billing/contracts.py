"""Who is billed for what: sellers, customers, subscriptions and the periods they are billed in (billing.md, Subscriptions and periods)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from tallystick.model.billing.money import Money
from tallystick.model.billing.price_book import Commitment, Cycle
from tallystick.model.instants import cell_end, cell_start


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A postal address as it is printed."""

    lines: tuple[str, ...] = ()
    city: str = ""
    postal_code: str = ""
    region: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """Who sends the invoices, with the settings that decide how.

    `tax` is `not_computed` until tax rules exist: it is printed on the invoice. `grace_ns` is the least time between the
    end of a period and its closing, `grace_limit_ns` the longest. `fiscal_year_month` is the first month of the fiscal year.
    """

    id: str
    name: str
    currency: str = "USD"
    time_zone: str = "UTC"
    address: Address = field(default_factory=Address)
    email: str = ""
    tax_id: str = ""
    tax: str = "not_computed"
    terms_days: int = 14
    grace_ns: int = 3600 * 10**9
    grace_limit_ns: int = 72 * 3600 * 10**9
    fiscal_year_month: int = 1
    number_prefix: str = "INV"


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who is billed. `time_zone` is the zone of its billing periods and usage days."""

    id: str
    name: str
    currency: str = "USD"
    time_zone: str = "UTC"
    address: Address = field(default_factory=Address)
    email: str = ""
    tax_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a subscription covers: named resources, resources with these labels, or (both empty) all of the customer."""

    resources: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    """A reduction that a subscription has redeemed, by `percent` or by an `amount` of its plan's currency, one of the two.

    It holds in each period that begins in [from_ns, until_ns) (`until_ns` None: for ever), for all charges when none is named.
    """

    id: str
    name: str
    percent: Fraction | None = None
    amount: Money | None = None
    charges: tuple[str, ...] = ()
    from_ns: int = 0
    until_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponOffer:
    """A coupon that can be redeemed: by `percent` or by an `amount`, in so many `periods` of a subscription (None: for ever).

    `limit` is how often in all, `limit_per_customer` how often by the subscriptions of one customer; None is as often as they like.
    """

    id: str
    name: str
    percent: Fraction | None = None
    amount: Money | None = None
    charges: tuple[str, ...] = ()
    periods: int | None = 1
    limit: int | None = None
    limit_per_customer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedTier:
    """One tier of an override: up to `up_to`, which belongs to it (None in the last), at `price`, with `flat` once reached."""

    up_to: Fraction | None
    price: Fraction = Fraction(0)
    flat: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What a subscription has agreed otherwise for one charge, whatever plan it is on: what is None or empty is as the plan says.

    A `price` for its unit, or `tiers`; `included` units; a `discount` in percent, a line of its own after those of the plan.
    """

    charge_id: str
    price: Fraction | None = None
    tiers: tuple[AgreedTier, ...] = ()
    included: Fraction | None = None
    discount: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Another plan from `at_ns` on. `made_ns` is when that was agreed: a fee in advance that was billed before did not know it."""

    at_ns: int
    plan_id: str
    made_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Nothing is charged in [from_ns, until_ns) (None: until it is resumed). `made_ns`, `resumed_ns`: when each end was agreed."""

    from_ns: int
    until_ns: int | None
    made_ns: int
    resumed_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A customer on a plan from `start_ns` until `end_ns` (None: open). Usage is covered in whole cells, fees by the exact instants.

    `plan_id` is the plan at the start; `changes` lead to others. `anchor_ns` None: the start. Until `trial_end_ns` nothing is to
    pay. `commitments` are beside those of the plans. `cancelled_ns` is when the end was agreed, None: from the beginning on.
    `implicit` is the seller's default plan for what no other subscription covers: nothing was agreed, so it never precedes
    another; its `plan_id` is empty when the seller has no default plan.
    """

    id: str
    customer_id: str
    plan_id: str
    start_ns: int
    end_ns: int | None = None
    anchor_ns: int | None = None
    covers: Coverage = field(default_factory=Coverage)
    implicit: bool = False
    coupons: tuple[Coupon, ...] = ()
    changes: tuple[Change, ...] = ()
    pauses: tuple[Pause, ...] = ()
    trial_end_ns: int | None = None
    overrides: tuple[Override, ...] = ()
    commitments: tuple[Commitment, ...] = ()
    cancelled_ns: int | None = None

    @property
    def plan_ids(self) -> tuple[str, ...]:
        """Every plan that it was or will be on, each once, in order of time."""
        return tuple(dict.fromkeys((self.plan_id, *(change.plan_id for change in sorted(self.changes, key=lambda each: each.at_ns)))))

    @property
    def first_cell_ns(self) -> int:
        """Where its usage begins when nothing precedes it: the start of the cell that holds its instant."""
        return cell_start(self.start_ns)

    @property
    def last_cell_end_ns(self) -> int | None:
        """Where its usage ends when nothing follows it: the end of the cell that holds its last instant."""
        return None if self.end_ns is None else cell_end(self.end_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A billing period [start_ns, end_ns) of a cycle: the whole one, whatever part of it a subscription is in force."""

    cycle: Cycle
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What a customer has reserved in one region, of one kind, from `start_ns` until `end_ns`, at the prices agreed then.

    `quantity` is how much of it can be used at once: 3 machines (`uptime` per `hour`), 8 vCPUs (`cpu.allocated` per
    `vcpu-hour`). It covers usage of any subscription of the customer; the invoices of `subscription_id` bear what it costs, in
    the currency of that plan: `upfront` once for all of it, at its start, and `recurring` for each unit of `per` that is
    reserved, used or not. It ends with that subscription at the latest; an end that comes early refunds nothing.
    """

    id: str
    name: str
    subscription_id: str
    meter: str
    per: str
    quantity: Fraction
    start_ns: int
    end_ns: int
    region: str = ""
    kind: str = ""
    upfront: Fraction = Fraction(0)
    recurring: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What binds seller and customer: everything that rating and invoicing read but usage and prices."""

    seller: Seller
    customer: Customer
    subscriptions: tuple[Subscription, ...]
    reservations: tuple[Reservation, ...] = ()

    def reserved(self, reservation: Reservation) -> tuple[int, int]:
        """The instants [start, end) in which a reservation is in force: those of its subscription at most. Empty if there is none."""
        bearer = next((each for each in self.subscriptions if each.id == reservation.subscription_id), None)
        if bearer is None:
            return reservation.start_ns, reservation.start_ns
        end_ns = reservation.end_ns if bearer.end_ns is None else min(reservation.end_ns, bearer.end_ns)
        return max(reservation.start_ns, bearer.start_ns), end_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is invoiced together: one customer, one cycle, its anchor, one closing instant. An invoice is unique by it.

    [period_start_ns, period_end_ns) is the whole billing period, `closing_ns` its end, or the end of the subscription if
    that comes first. It bills usage and fees in arrears of the period, and fees in advance of the period that begins at
    `closing_ns`. A run at a subscription's start, for its first fees in advance, or at a reservation's, for its upfront part, has
    an empty period: all three instants are the start. `currency` is that of the plans of `subscription_ids`, which it bills.
    """

    customer_id: str
    cycle: Cycle
    anchor_ns: int
    period_start_ns: int
    period_end_ns: int
    closing_ns: int
    currency: str
    subscription_ids: tuple[str, ...]

    def closes(self, subscription: Subscription) -> bool:
        """Whether the run ends a period of a subscription, or the subscription: then it bills usage and fees in arrears of it.

        A run that a fee in advance or an upfront part of it has brought about in the middle of its period does not.
        """
        ended = subscription.end_ns is not None and subscription.end_ns <= self.closing_ns
        return subscription.start_ns < self.closing_ns and (ended or self.closing_ns >= self.period_end_ns)

    def ends(self, subscription: Subscription) -> bool:
        """Whether the run is the last of a subscription."""
        return subscription.id in self.subscription_ids and subscription.end_ns is not None and subscription.end_ns <= self.closing_ns

    @property
    def key(self) -> str:
        """The stable text of a run, unique with seller, customer, currency and revision."""
        kind = "anniversary" if self.cycle.anniversary else "calendar"
        return f"{self.cycle.count}-{self.cycle.unit}/{kind}/{self.anchor_ns}/{self.closing_ns}"
