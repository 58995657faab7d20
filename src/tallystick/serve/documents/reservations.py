"""Documents of reservations: what is reserved, and how well it is used."""

from __future__ import annotations

from fractions import Fraction

from pydantic import Field

from tallystick.model.billing.money import decimal_text, fraction_text, round_minor
from tallystick.model.billing.reserved import Coverage, Utilization
from tallystick.model.instants import iso
from tallystick.serve.documents.values import (
    DecimalText,
    Document,
    Exact,
    ExactText,
    Id,
    Instant,
    ShownInstant,
    ShownMoney,
    ShownNumber,
    exact,
    shown_money,
)
from tallystick.serve.services import ReportOfReservations
from tallystick.store.agreed.reservations import StoredReservation


class NewReservation(Document):
    """A quantity of an offer of the plan that a subscription is on, from `start` (now) on, for the months that the offer says."""

    id: Id | None = None
    subscription_id: Id
    offer_id: Id
    quantity: DecimalText
    start: Instant | None = None

    def amount(self) -> Fraction:
        """How much is reserved."""
        return Fraction(self.quantity)


class ShownReservation(Document):
    """A reservation with what it costs: `upfront` for all of it at its start, `recurring` for each unit of `per`, used or not."""

    id: str
    name: str
    customer_id: str
    subscription_id: str
    meter: str
    per: str
    quantity: Exact
    region: str
    kind: str
    start: ShownInstant
    end: ShownInstant
    upfront: ShownNumber
    recurring: ShownNumber
    created_at: ShownInstant


class Share(Document):
    """A part of a whole: exactly, as `n/d`, and in percent with two decimals for people."""

    exact: ExactText
    percent: ShownNumber


class ShownUtilization(Document):
    """One reservation, in units of `per`: how much it had, how much of that covered something, and what the rest costs.

    `unused_cost` is the recurring price, and the upfront part spread over all that was agreed, of what is unused; rounded for show.
    """

    id: str
    name: str
    subscription_id: str
    meter: str
    per: str
    region: str
    kind: str
    reserved: Exact
    used: Exact
    utilization: Share
    unused: Exact
    unused_cost: ShownMoney


class ShownCoverage(Document):
    """Usage in the hours in which some of its meter, region and kind was reserved, in units of `per`: all of it, and what was covered.

    `coverage` is null where nothing was used. In totals region and kind are empty.
    """

    meter: str
    per: str
    region: str
    kind: str
    reserved: Exact
    used: Exact
    covered: Exact
    utilization: Share
    coverage: Share | None


class ShownReservationReport(Document):
    """How well a customer's reservations were used in the hours of [from, until), and what of the usage beside them they covered.

    `totals` are by meter. Of the hours that wait to be computed, `hours_waiting` of them, nothing counts as used yet.
    """

    customer_id: str
    from_: ShownInstant = Field(alias="from")
    until: ShownInstant
    hours_waiting: int
    reservations: tuple[ShownUtilization, ...]
    usage: tuple[ShownCoverage, ...]
    totals: tuple[ShownCoverage, ...]
    unused_costs: tuple[ShownMoney, ...]


def shown_reservation(stored: StoredReservation) -> ShownReservation:
    """A reservation as a document."""
    held = stored.reservation
    return ShownReservation(
        id=held.id,
        name=held.name,
        customer_id=stored.customer_id,
        subscription_id=held.subscription_id,
        meter=held.meter,
        per=held.per,
        quantity=exact(held.quantity),
        region=held.region,
        kind=held.kind,
        start=iso(held.start_ns),
        end=iso(held.end_ns),
        upfront=decimal_text(held.upfront),
        recurring=decimal_text(held.recurring),
        created_at=iso(stored.created_at_ns),
    )


def shown_report(found: ReportOfReservations) -> ShownReservationReport:
    """A report as a document; what is unused costs in all, by currency, is rounded once."""
    costs: dict[str, Fraction] = {}
    for each in found.report.reservations:
        currency = found.currencies[each.reservation.id]
        costs[currency] = costs.get(currency, Fraction(0)) + each.unused_cost
    return ShownReservationReport.model_validate(
        {
            "customer_id": found.customer_id,
            "from": iso(found.from_ns),
            "until": iso(found.until_ns),
            "hours_waiting": found.hours_waiting,
            "reservations": tuple(_utilization(each, found.currencies[each.reservation.id]) for each in found.report.reservations),
            "usage": tuple(map(_coverage, found.report.usage)),
            "totals": tuple(map(_coverage, found.report.totals)),
            "unused_costs": tuple(shown_money(round_minor(amount, currency)) for currency, amount in sorted(costs.items())),
        }
    )


def _utilization(each: Utilization, currency: str) -> ShownUtilization:
    held = each.reservation
    return ShownUtilization(
        id=held.id,
        name=held.name,
        subscription_id=held.subscription_id,
        meter=held.meter,
        per=held.per,
        region=held.region,
        kind=held.kind,
        reserved=exact(each.reserved),
        used=exact(each.used),
        utilization=_share(each.utilization),
        unused=exact(each.unused),
        unused_cost=shown_money(round_minor(each.unused_cost, currency)),
    )


def _coverage(each: Coverage) -> ShownCoverage:
    return ShownCoverage(
        meter=each.meter,
        per=each.per,
        region=each.region,
        kind=each.kind,
        reserved=exact(each.reserved),
        used=exact(each.used),
        covered=exact(each.covered),
        utilization=_share(each.utilization),
        coverage=None if each.coverage is None else _share(each.coverage),
    )


def _share(part: Fraction) -> Share:
    return Share(exact=fraction_text(part), percent=decimal_text(part * 100, 2))
