"""Surcharges of a subscription: shares of the lines of other charges, in an order in which each finds what it is a share of."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.invoices import Derivation, Line, LineKind, Step, line_key
from tallystick.model.billing.money import Money, exact_text, round_parts
from tallystick.model.billing.price_book import Charge, PriceSpan
from tallystick.rate.models.surcharge import in_order, surcharge_of


def surcharged(subscription: Subscription, spans: Sequence[PriceSpan], lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines of all surcharges, one for each price version under which there is something to be a share of.

    5 % of lines of 14.60 and 5.00 are 0.98. They reckon with the amounts that lines show (decision 41), and are rounded once.

    Raises:
        ValueError: surcharges that are shares of each other, in versions that follow each other.

    """
    found = list(lines)
    for charge_id in in_order(charge for span in spans for charge in span.plan.charges):
        bases = [
            (ordinal, span, charge, own) for ordinal, span in enumerate(spans, start=1) for charge, own in _base(span, charge_id, found)
        ]
        exact = [_sum(own) * _share(charge) for _, _, charge, own in bases]
        if bases:
            plan = bases[-1][1].plan
            _, parts = round_parts(exact, plan.currency, plan.rounding)
            for base, amount in zip(bases, parts, strict=True):
                found.append(_line(subscription, base, amount))
    return tuple(found[len(lines) :])


Base = tuple[int, PriceSpan, Charge, tuple[Line, ...]]
"""The ordinal of a price version, the version, the surcharge as it stands in it, and the lines that it is a share of."""


def _base(span: PriceSpan, charge_id: str, lines: Sequence[Line]) -> list[tuple[Charge, tuple[Line, ...]]]:
    """A surcharge in one version with its lines, if there are any."""
    found = []
    for charge in span.plan.charges:
        model = surcharge_of(charge)
        if charge.id == charge_id and model is not None:
            own = tuple(line for line in lines if line.charge_id in model.charges and span.from_ns <= line.service_start_ns < span.until_ns)
            found += [(charge, own)] if own else []
    return found


def _sum(lines: Sequence[Line]) -> Fraction:
    return sum((line.amount.exact for line in lines), Fraction(0))


def _share(charge: Charge) -> Fraction:
    model = surcharge_of(charge)
    return Fraction(0) if model is None else model.percent / 100


def _line(subscription: Subscription, base: Base, amount: Money) -> Line:
    ordinal, span, charge, own = base
    whole, share = _sum(own), _share(charge)
    currency, exact = span.plan.currency, whole * share
    service = min(line.service_start_ns for line in own), max(line.service_end_ns for line in own)
    names = ", ".join(dict.fromkeys(line.charge_id for line in own))
    text = f"{exact_text(share * 100)} % of {exact_text(whole)} {currency} for {names}"
    steps = (
        Step(name=LineKind.SURCHARGE.value, text=text, before=whole, after=exact, unit=currency),
        Step(
            name="rounding", text="the charge rounded once, its lines by largest remainder", before=exact, after=amount.exact, unit=currency
        ),
    )
    return Line(
        key=line_key(subscription.id, charge.id, (), (ordinal, 1), service),
        kind=LineKind.SURCHARGE,
        subscription_id=subscription.id,
        charge_id=charge.id,
        group=(),
        plan_id=span.plan.id,
        book_id=span.book.id,
        book_version=span.book.version,
        tier=1,
        service_start_ns=service[0],
        service_end_ns=service[1],
        description=charge.name,
        meter="",
        quantity=whole,
        unit=currency,
        unit_price=share,
        amount=amount,
        derivation=Derivation(steps=steps, unrounded=exact),
    )
