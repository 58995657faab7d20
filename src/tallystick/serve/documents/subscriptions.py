"""Documents of subscriptions: what is agreed, what becomes otherwise, the runs that come; coupons."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Self

from pydantic import Field, model_validator

from tallystick.model.billing.contracts import AgreedTier, CouponOffer, Coverage, Override, Subscription
from tallystick.model.billing.invoices import UpcomingRun
from tallystick.model.billing.money import decimal_text, parse_money
from tallystick.model.billing.phases import in_force, is_paused, plan_at
from tallystick.model.billing.price_book import Commitment
from tallystick.model.instants import iso
from tallystick.serve.documents.values import (
    PERCENT_PATTERN,
    DecimalText,
    Document,
    Exact,
    Id,
    Instant,
    Integer,
    Labels,
    Name,
    ShownInstant,
    ShownMoney,
    ShownNumber,
    exact,
    shown_instant,
    shown_money,
)
from tallystick.serve.services import Wanted
from tallystick.store.agreed.coupons import StoredCoupon

Percent = Annotated[str, Field(pattern=PERCENT_PATTERN)]
"""A share in percent, from 0 to 100, as a text."""
MOST = 100
"""How many overrides, commitments or coupons one request names."""


class CoverageDocument(Document):
    """What a subscription covers: named resources, or those with these labels, or (both empty) all of the customer."""

    resources: Annotated[tuple[Id, ...], Field(max_length=1000)] = ()
    labels: Labels = Field(default_factory=dict)


class TierDocument(Document):
    """A tier: up to `up_to` (null in the last), at `price` for each unit, with `flat` once it is reached."""

    up_to: DecimalText | None = None
    price: DecimalText = "0"
    flat: DecimalText = "0"


class OverrideDocument(Document):
    """What is agreed otherwise for a charge: its price or tiers, included units, a discount in percent; else as the plan says."""

    charge: Id
    price: DecimalText | None = None
    tiers: Annotated[tuple[TierDocument, ...], Field(max_length=MOST)] = ()
    included: DecimalText | None = None
    discount: Percent | None = None

    def value(self) -> Override:
        """The override."""
        return Override(
            charge_id=self.charge,
            price=_number(self.price),
            tiers=tuple(AgreedTier(up_to=_number(tier.up_to), price=Fraction(tier.price), flat=Fraction(tier.flat)) for tier in self.tiers),
            included=_number(self.included),
            discount=_number(self.discount),
        )


class CommitmentDocument(Document):
    """The least and the most that charges come to in a period (all charges, if none is named), beside what the plan says."""

    id: Id
    name: Name = ""
    minimum: DecimalText | None = None
    maximum: DecimalText | None = None
    charges: Annotated[tuple[Id, ...], Field(max_length=MOST)] = ()
    prorate: bool = True

    def value(self) -> Commitment:
        """The commitment."""
        return Commitment(
            id=self.id,
            name=self.name or self.id,
            minimum=_number(self.minimum),
            maximum=_number(self.maximum),
            charges=self.charges,
            prorate=self.prorate,
        )


class NewSubscription(Document):
    """A customer on a plan, from `start` (now) until `end` (open); billing periods count from `anchor` (the start).

    For `trial_days` nothing is to pay. `coupons` are redeemed with it: if one of them cannot be, nothing is stored.
    """

    id: Id | None = None
    customer_id: Id
    plan_id: Id
    start: Instant | None = None
    end: Instant | None = None
    anchor: Instant | None = None
    covers: CoverageDocument = CoverageDocument()
    trial_days: Annotated[Integer, Field(le=3650)] = 0
    overrides: Annotated[tuple[OverrideDocument, ...], Field(max_length=MOST)] = ()
    commitments: Annotated[tuple[CommitmentDocument, ...], Field(max_length=MOST)] = ()
    coupons: Annotated[tuple[Id, ...], Field(max_length=MOST)] = ()

    def value(self, subscription_id: str, now_ns: int) -> Wanted:
        """The subscription, by this id; it starts now if it does not say when."""
        subscription = Subscription(
            id=subscription_id,
            customer_id=self.customer_id,
            plan_id=self.plan_id,
            start_ns=now_ns if self.start is None else self.start,
            end_ns=self.end,
            anchor_ns=self.anchor,
            covers=Coverage(resources=self.covers.resources, labels=dict(self.covers.labels)),
            overrides=tuple(each.value() for each in self.overrides),
            commitments=tuple(each.value() for each in self.commitments),
        )
        return Wanted(subscription=subscription, trial_days=self.trial_days, coupons=self.coupons)


class ShownChange(Document):
    """Another plan, from an instant on."""

    at: ShownInstant
    plan_id: str


class ShownPause(Document):
    """A pause; `end` null: until it is resumed."""

    start: ShownInstant
    end: ShownInstant | None


class ShownRedemption(Document):
    """A coupon of a subscription: it holds in the periods that begin in [start, end); `end` null: for ever."""

    id: str
    start: ShownInstant
    end: ShownInstant | None


class ShownSubscription(Document):
    """A subscription; `end` null: it is open. `plan_id` is the plan at its start, `current_plan_id` the one now.

    `state` is `scheduled`, `trial`, `active`, `paused` or `ended`.
    """

    id: str
    customer_id: str
    plan_id: str
    current_plan_id: str
    state: str
    start: ShownInstant
    end: ShownInstant | None
    anchor: ShownInstant | None
    trial_end: ShownInstant | None
    covers: CoverageDocument
    changes: tuple[ShownChange, ...]
    pauses: tuple[ShownPause, ...]
    overrides: tuple[OverrideDocument, ...]
    commitments: tuple[CommitmentDocument, ...]
    coupons: tuple[ShownRedemption, ...]


class ChangeOfSubscription(Document):
    """Another plan from `at` (now) on."""

    plan_id: Id
    at: Instant | None = None


class PauseOfSubscription(Document):
    """Nothing is charged from `at` (now) until `until`, or until it is resumed."""

    at: Instant | None = None
    until: Instant | None = None


class ResumeOfSubscription(Document):
    """In force again from `at` (now) on."""

    at: Instant | None = None


class CancelOfSubscription(Document):
    """The end: `at` an instant, at the end of the present billing period, or now."""

    at: Instant | None = None
    at_period_end: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.at is not None and self.at_period_end:
            raise ValueError("at and at_period_end are two ends: give one of them")
        return self


class Redemption(Document):
    """A coupon to be redeemed, from the present period on."""

    coupon: Id


class NewCoupon(Document):
    """A coupon: `percent` or `amount`; for `periods` (null: for ever) of a subscription, for all charges or some.

    `limit` is how often it can be redeemed in all, `limit_per_customer` how often by one customer; null: as often as they like.
    """

    id: Id
    name: Name = ""
    percent: Percent | None = None
    amount: ShownMoney | None = None
    charges: Annotated[tuple[Id, ...], Field(max_length=MOST)] = ()
    periods: Annotated[Integer, Field(ge=1, le=1200)] | None = 1
    limit: Annotated[Integer, Field(ge=1, le=2**31 - 2)] | None = None
    limit_per_customer: Annotated[Integer, Field(ge=1, le=2**31 - 2)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.percent is None) == (self.amount is None):
            raise ValueError("a coupon has a percent, or an amount and its currency")
        if self.amount is not None and parse_money(self.amount.amount, self.amount.currency).minor <= 0:
            raise ValueError(f"amount: {self.amount.amount} is not above 0")
        return self

    def value(self) -> CouponOffer:
        """The coupon."""
        return CouponOffer(
            id=self.id,
            name=self.name or self.id,
            percent=_number(self.percent),
            amount=None if self.amount is None else parse_money(self.amount.amount, self.amount.currency),
            charges=self.charges,
            periods=self.periods,
            limit=self.limit,
            limit_per_customer=self.limit_per_customer,
        )


class ShownCoupon(Document):
    """A coupon, and how often it was redeemed."""

    id: str
    name: str
    percent: ShownNumber | None
    amount: ShownMoney | None
    charges: tuple[str, ...]
    periods: int | None
    limit: int | None
    limit_per_customer: int | None
    redeemed: int
    created_at: ShownInstant


class UpcomingFee(Document):
    """A fee that is due when a run closes: for its service period, in proportion to it."""

    fee_id: str
    description: str
    plan_id: str
    start: ShownInstant
    end: ShownInstant
    share: Exact
    amount: ShownMoney


class UpcomingPeriod(Document):
    """A run that comes: the billing period from `start` to `end`, when it closes, the plans in it.

    `share` is the part of the period in which the subscription is in force, 1 for all of it. A run at a start, for what is due then, has
    an empty period and the share 0. `fees` are due whatever is used; `due` is their sum.
    """

    start: ShownInstant
    end: ShownInstant
    closing: ShownInstant
    share: Exact
    plan_ids: tuple[str, ...]
    fees: tuple[UpcomingFee, ...]
    due: ShownMoney


class UpcomingPeriods(Document):
    """The runs that come, in order of time."""

    items: tuple[UpcomingPeriod, ...]


def _number(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


def _text(value: Fraction | None) -> str | None:
    return None if value is None else decimal_text(value)


def shown_subscription(subscription: Subscription, now_ns: int) -> ShownSubscription:
    """A subscription as a document, as it stands at an instant."""
    return ShownSubscription(
        id=subscription.id,
        customer_id=subscription.customer_id,
        plan_id=subscription.plan_id,
        current_plan_id=plan_at(subscription, now_ns),
        state=_state(subscription, now_ns),
        start=iso(subscription.start_ns),
        end=shown_instant(subscription.end_ns),
        anchor=shown_instant(subscription.anchor_ns),
        trial_end=shown_instant(subscription.trial_end_ns),
        covers=CoverageDocument.model_construct(resources=subscription.covers.resources, labels=dict(subscription.covers.labels)),
        changes=tuple(
            ShownChange(at=iso(each.at_ns), plan_id=each.plan_id) for each in sorted(subscription.changes, key=lambda one: one.at_ns)
        ),
        pauses=tuple(
            ShownPause(start=iso(each.from_ns), end=shown_instant(each.until_ns))
            for each in sorted(subscription.pauses, key=lambda one: one.from_ns)
        ),
        overrides=tuple(map(_override, subscription.overrides)),
        commitments=tuple(map(_commitment, subscription.commitments)),
        coupons=tuple(
            ShownRedemption(id=each.id, start=iso(each.from_ns), end=shown_instant(each.until_ns)) for each in subscription.coupons
        ),
    )


def _state(subscription: Subscription, now_ns: int) -> str:
    if now_ns < subscription.start_ns:
        return "scheduled"
    if not in_force(subscription, now_ns):
        return "ended"
    if is_paused(subscription, now_ns):
        return "paused"
    return "trial" if subscription.trial_end_ns is not None and now_ns < subscription.trial_end_ns else "active"


def _override(override: Override) -> OverrideDocument:
    return OverrideDocument.model_construct(
        charge=override.charge_id,
        price=_text(override.price),
        tiers=tuple(
            TierDocument.model_construct(up_to=_text(tier.up_to), price=decimal_text(tier.price), flat=decimal_text(tier.flat))
            for tier in override.tiers
        ),
        included=_text(override.included),
        discount=_text(override.discount),
    )


def _commitment(commitment: Commitment) -> CommitmentDocument:
    return CommitmentDocument.model_construct(
        id=commitment.id,
        name=commitment.name,
        minimum=_text(commitment.minimum),
        maximum=_text(commitment.maximum),
        charges=commitment.charges,
        prorate=commitment.prorate,
    )


def shown_coupon(stored: StoredCoupon) -> ShownCoupon:
    """A coupon as a document."""
    offer = stored.offer
    return ShownCoupon(
        id=offer.id,
        name=offer.name,
        percent=_text(offer.percent),
        amount=None if offer.amount is None else shown_money(offer.amount),
        charges=offer.charges,
        periods=offer.periods,
        limit=offer.limit,
        limit_per_customer=offer.limit_per_customer,
        redeemed=stored.redeemed,
        created_at=iso(stored.created_at_ns),
    )


def shown_upcoming(found: UpcomingRun) -> UpcomingPeriod:
    """A run that comes as a document."""
    run = found.run
    return UpcomingPeriod(
        start=iso(run.period_start_ns),
        end=iso(run.period_end_ns),
        closing=iso(run.closing_ns),
        share=exact(found.share),
        plan_ids=found.plan_ids,
        fees=tuple(
            UpcomingFee(
                fee_id=line.charge_id,
                description=line.description,
                plan_id=line.plan_id,
                start=iso(line.service_start_ns),
                end=iso(line.service_end_ns),
                share=exact(line.quantity),
                amount=shown_money(line.amount),
            )
            for line in found.fees
        ),
        due=shown_money(found.due),
    )
