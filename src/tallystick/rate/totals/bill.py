"""The charges of one subscription in one period as sums of money, and the lines that change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.invoices import Derivation, Line, LineKind, Outage, Step, line_key
from tallystick.model.billing.money import Money, largest_remainder, round_minor
from tallystick.model.billing.price_book import PriceSpan

Place = tuple[str, str]
"""Plan, and charge or commitment: where a sum belongs."""

OWN = ""
"""In place of a plan: what the subscription has agreed beside its plans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One plan of a period: `span` as it last stands in it, `active` the part of the period to be paid by it, and its cells."""

    span: PriceSpan
    active: Fraction
    service: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a subscription comes to so far: `sums` by plan and charge or commitment, in order, what was taken off them already gone.

    Sums are of rounded lines, as the invoice shows them: a customer adds them with a pocket calculator. `sides` are the plans of
    the period, each billed for its part, `whole` is the last of them for all of the period. `lines` are those that the steps before
    have made, `used` those of the charges. `outages` tell when resources were not available.
    """

    subscription: Subscription
    sides: tuple[Side, ...]
    whole: Side
    period_start_ns: int
    sums: Mapping[Place, Money]
    lines: tuple[Line, ...] = ()
    outages: tuple[Outage, ...] = ()
    used: tuple[Line, ...] = ()

    @property
    def currency(self) -> str:
        """That of the plans."""
        return self.whole.span.plan.currency

    def of(self, ids: Sequence[str], side: Side) -> tuple[tuple[Place, ...], Fraction]:
        """Those of `ids` (all charges if empty) that have a sum on a side (on any, if it is the whole), and what they come to."""
        commitments = {each.id for own in self.sides for each in own.span.plan.commitments}
        commitments |= {each.id for each in self.subscription.commitments}
        known = tuple(
            (plan_id, name)
            for plan_id, name in self.sums
            if (side is self.whole or plan_id == side.span.plan.id) and (name in ids if ids else name not in commitments)
        )
        return known, sum((self.sums[place].exact for place in known), Fraction(0))

    def taken(self, places: Sequence[Place], amount: Money) -> Bill:
        """With an amount (below 0: off) shared over sums in proportion to them, by largest remainder."""
        weights = [self.sums[place].exact for place in places]
        parts = largest_remainder(amount.minor, weights) if places else ()
        shared = {place: Money(minor=part, currency=amount.currency) for place, part in zip(places, parts, strict=True)}
        return replace(self, sums={place: money + shared[place] if place in shared else money for place, money in self.sums.items()})

    def line(self, kind: LineKind, named: tuple[str, str], side: Side, exact: Fraction, steps: Sequence[Step]) -> Line:
        """The line of one step with its (id, name), rounded once: `steps` lead to the exact amount."""
        (identifier, name), span = named, side.span
        amount = round_minor(exact, self.currency, span.plan.rounding)
        text = f"rounded once, {span.plan.rounding}, is {amount.text} {self.currency}"
        rounding = Step(name="rounding", text=text, before=exact, after=amount.exact, unit=self.currency)
        return Line(
            key=line_key(self.subscription.id, identifier, (), (1, 1), side.service),
            kind=kind,
            subscription_id=self.subscription.id,
            charge_id=identifier,
            group=(),
            plan_id=span.plan.id,
            book_id=span.book.id,
            book_version=span.book.version,
            tier=1,
            service_start_ns=side.service[0],
            service_end_ns=side.service[1],
            description=name,
            meter="",
            quantity=Fraction(1),
            unit="period",
            unit_price=exact,
            amount=amount,
            derivation=Derivation(steps=(*steps, rounding), unrounded=exact),
        )


def listed(places: Sequence[Place]) -> str:
    """What an amount is of, for a person."""
    return ", ".join(dict.fromkeys(name for _, name in places)) or "nothing"
