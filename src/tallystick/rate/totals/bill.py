"""The charges of one subscription in one period as sums of money, and the lines that change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from tallystick.model.billing.contracts import Subscription
from tallystick.model.billing.invoices import Derivation, Line, LineKind, Step, line_key
from tallystick.model.billing.money import Money, largest_remainder, round_minor
from tallystick.model.billing.price_book import PriceSpan


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a subscription comes to so far: `sums` by charge or commitment, in order, what was taken off them already gone.

    Sums are of rounded lines, as the invoice shows them: a customer adds them with a pocket calculator. `span` is the plan in
    force at the period's end, `active` the part of the period in which the subscription is in force, `period_start_ns` that
    of the whole period. `lines` are those that the steps before have made.
    """

    subscription: Subscription
    span: PriceSpan
    active: Fraction
    period_start_ns: int
    service: tuple[int, int]
    sums: Mapping[str, Money]
    lines: tuple[Line, ...] = ()

    @property
    def currency(self) -> str:
        """That of the plan."""
        return self.span.plan.currency

    def of(self, ids: Sequence[str]) -> tuple[tuple[str, ...], Fraction]:
        """Those of `ids` (all charges if empty) that have a sum, and what they come to."""
        commitments = {each.id for each in self.span.plan.commitments}
        known = tuple(name for name in self.sums if (name in ids if ids else name not in commitments))
        return known, sum((self.sums[name].exact for name in known), Fraction(0))

    def taken(self, ids: Sequence[str], amount: Money) -> Bill:
        """With an amount (below 0: off) shared over sums in proportion to them, by largest remainder."""
        weights = [self.sums[name].exact for name in ids]
        parts = largest_remainder(amount.minor, weights) if ids else ()
        shared = {name: Money(minor=part, currency=amount.currency) for name, part in zip(ids, parts, strict=True)}
        return replace(self, sums={name: money + shared[name] if name in shared else money for name, money in self.sums.items()})

    def line(self, kind: LineKind, identifier: str, name: str, exact: Fraction, steps: Sequence[Step]) -> Line:
        """The line of one step, rounded once: `steps` lead to the exact amount."""
        amount = round_minor(exact, self.currency, self.span.plan.rounding)
        text = f"rounded once, {self.span.plan.rounding}, is {amount.text} {self.currency}"
        rounding = Step(name="rounding", text=text, before=exact, after=amount.exact, unit=self.currency)
        return Line(
            key=line_key(self.subscription.id, identifier, (), (1, 1), self.service),
            kind=kind,
            subscription_id=self.subscription.id,
            charge_id=identifier,
            group=(),
            plan_id=self.span.plan.id,
            book_id=self.span.book.id,
            book_version=self.span.book.version,
            tier=1,
            service_start_ns=self.service[0],
            service_end_ns=self.service[1],
            description=name,
            meter="",
            quantity=Fraction(1),
            unit="period",
            unit_price=exact,
            amount=amount,
            derivation=Derivation(steps=(*steps, rounding), unrounded=exact),
        )
