"""The recurring part of reservations as lines: due for all that is reserved, used or not (billing.md, Reserved)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from tallystick.model.billing.contracts import Contract, Reservation
from tallystick.model.billing.invoices import Derivation, Line, LineKind, Step, line_key
from tallystick.model.billing.money import Rounding, exact_text, round_minor
from tallystick.rate.attribution import Window
from tallystick.rate.reservations.matching import capacity_in


def recurring_lines(contract: Contract, window: Window) -> Iterator[Line]:
    """A line of each reservation that subscriptions of the run bear: 8 vCPUs in June at 0.006 are 8 x 720 x 0.006 = 34.56."""
    run = window.run
    for each in sorted(contract.reservations, key=lambda one: (one.start_ns, one.id)):
        capacity = capacity_in(contract, each, run.period_start_ns, run.closing_ns)
        if capacity and each.recurring and each.subscription_id in window.prices:
            yield _line(contract, each, capacity, window)


def _line(contract: Contract, reservation: Reservation, capacity: Fraction, window: Window) -> Line:
    run, spans = window.run, window.prices[reservation.subscription_id]
    span = spans[-1] if spans else None
    rounding = span.plan.rounding if span is not None else Rounding.HALF_UP
    exact = capacity * reservation.recurring
    amount = round_minor(exact, run.currency, rounding)
    start_ns, end_ns = contract.reserved(reservation)
    service = max(start_ns, run.period_start_ns), min(end_ns, run.closing_ns)
    text = f"{exact_text(capacity)} {reservation.per} reserved x {exact_text(reservation.recurring)} {run.currency}, used or not"
    steps = (
        Step(name=LineKind.RESERVATION.value, text=text, before=capacity, after=exact, unit=run.currency),
        Step(
            name="rounding",
            text=f"rounded once, {rounding}, is {amount.text} {amount.currency}",
            before=exact,
            after=amount.exact,
            unit=run.currency,
        ),
    )
    return Line(
        key=line_key(reservation.subscription_id, reservation.id, (), (1, 1), service),
        kind=LineKind.RESERVATION,
        subscription_id=reservation.subscription_id,
        charge_id=reservation.id,
        group=(),
        plan_id=span.plan.id if span is not None else "",
        book_id=span.book.id if span is not None else "",
        book_version=span.book.version if span is not None else 0,
        tier=1,
        service_start_ns=service[0],
        service_end_ns=service[1],
        description=reservation.name,
        meter="",
        quantity=capacity,
        unit=reservation.per,
        unit_price=reservation.recurring,
        amount=amount,
        derivation=Derivation(steps=steps, unrounded=exact),
    )
