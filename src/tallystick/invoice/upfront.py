"""The upfront parts of reservations as lines of the run that closes at their start (billing.md, Reserved)."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.model.billing.contracts import Contract, Reservation, Run
from tallystick.model.billing.invoices import Derivation, Line, LineKind, Step, line_key
from tallystick.model.billing.money import Rounding, exact_text, round_minor
from tallystick.model.billing.phases import plan_at
from tallystick.model.billing.price_book import PriceBook, price_spans
from tallystick.model.instants import CELL_NS, cell_start


def upfront_of(contract: Contract, subscription_id: str) -> tuple[Reservation, ...]:
    """The reservations with an upfront part that a subscription bears, in order of their starts."""
    own = [each for each in contract.reservations if each.subscription_id == subscription_id and each.upfront]
    in_force = [each for each in own if contract.reserved(each)[0] < contract.reserved(each)[1]]
    return tuple(sorted(in_force, key=lambda each: (each.start_ns, each.id)))


def upfront_lines(contract: Contract, books: Sequence[PriceBook], run: Run) -> tuple[Line, ...]:
    """The whole upfront part of each reservation that begins when the run closes: whatever comes later refunds nothing of it."""
    own = [each for subscription_id in run.subscription_ids for each in upfront_of(contract, subscription_id)]
    return tuple(_line(contract, each, books, run) for each in own if contract.reserved(each)[0] == run.closing_ns)


def _line(contract: Contract, reservation: Reservation, books: Sequence[PriceBook], run: Run) -> Line:
    start_ns, end_ns = contract.reserved(reservation)
    bearer = next(each for each in contract.subscriptions if each.id == reservation.subscription_id)
    begin_ns = cell_start(start_ns)
    plan_id = plan_at(bearer, start_ns)
    span = next(iter(price_spans(books, plan_id, begin_ns, begin_ns + CELL_NS)), None)
    rounding = Rounding.HALF_UP if span is None else span.plan.rounding
    amount = round_minor(reservation.upfront, run.currency, rounding)
    text = f"upfront {exact_text(reservation.upfront)} {run.currency}, rounded once, {rounding}, is {amount.text} {amount.currency}"
    step = Step(name="rounding", text=text, before=reservation.upfront, after=amount.exact, unit=run.currency)
    return Line(
        key=line_key(reservation.subscription_id, reservation.id, (), (1, 1), (start_ns, end_ns)),
        kind=LineKind.RESERVATION,
        subscription_id=reservation.subscription_id,
        charge_id=reservation.id,
        group=(),
        plan_id=plan_id,
        book_id="" if span is None else span.book.id,
        book_version=0 if span is None else span.book.version,
        tier=1,
        service_start_ns=start_ns,
        service_end_ns=end_ns,
        description=reservation.name,
        meter="",
        quantity=reservation.quantity,
        unit="reserved",
        unit_price=reservation.upfront / reservation.quantity,
        amount=amount,
        derivation=Derivation(steps=(step,), unrounded=reservation.upfront),
    )
